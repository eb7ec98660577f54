//! A service that has its words from another component, of an earlier version of the interface than the one that is
//! there.

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package acme:greeting@0.2.1;
            interface types {
                record greeting { text: string }
            }
            interface greeter {
                use types.{greeting};
                resource host {
                    constructor(name: string);
                    greet: func(name: string) -> greeting;
                }
                greet-later: async func(name: string) -> greeting;
            }
            world consumer {
                import greeter;
            }
        ",
    });
}

use bindings::acme::greeting::greeter::{Host, greet_later};
use replies::text;
use wasm_host_guest::{Request, Response, service};

async fn serve(request: Request) -> Response {
    let name = request.uri().path().trim_start_matches('/').to_owned();
    let now = Host::new("the house").greet(&name).text;
    let later = greet_later(name).await.text;
    text(200, format!("{now}\n{later}\n"))
}

service!(serve);
