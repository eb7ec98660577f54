//! No service: it has greetings for other components.
#![expect(unsafe_code, reason = "the generated glue of the export")]

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package acme:greeting@0.2.3;
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
            world provider {
                export greeter;
            }
        ",
    });
}

use bindings::acme::greeting::types::Greeting;
use bindings::exports::acme::greeting::greeter::{Guest, GuestHost};

struct Greeter;

struct Host(String);

impl Guest for Greeter {
    type Host = Host;

    async fn greet_later(name: String) -> Greeting {
        // Another component, and others of this one, have their turn first.
        wit_bindgen::yield_async().await;
        Greeting { text: format!("good evening, {name}") }
    }
}

impl GuestHost for Host {
    fn new(name: String) -> Self {
        Self(name)
    }

    fn greet(&self, name: String) -> Greeting {
        Greeting { text: format!("{} greets {name}", self.0) }
    }
}

bindings::export!(Greeter with_types_in bindings);
