//! A middleware of WASI 0.2: it refuses requests without a token, and hands all others on with the place for their
//! answer.
#![expect(unsafe_code, reason = "the generated glue of the export")]

mod bindings {
    wit_bindgen::generate!({
        path: [
            "../../../wit/deps/wasi-0.2/io.wit",
            "../../../wit/deps/wasi-0.2/random.wit",
            "../../../wit/deps/wasi-0.2/clocks.wit",
            "../../../wit/deps/wasi-0.2/filesystem.wit",
            "../../../wit/deps/wasi-0.2/sockets.wit",
            "../../../wit/deps/wasi-0.2/cli.wit",
            "../../../wit/deps/wasi-0.2/http.wit",
        ],
        inline: "
            package test:middleware;
            world middleware {
                include wasi:http/proxy@0.2.12;
                import wasi:http/incoming-handler@0.2.12;
            }
        ",
        world: "test:middleware/middleware",
        generate_all,
    });
}

use bindings::exports::wasi::http::incoming_handler::Guest;
use bindings::wasi::http::incoming_handler;
use bindings::wasi::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

struct Middleware;

impl Guest for Middleware {
    fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
        if request.headers().get("authorization").first().is_some_and(|it| it == b"Bearer sesame") {
            return incoming_handler::handle(request, response_out);
        }
        let response = OutgoingResponse::new(Fields::new());
        let Ok(()) = response.set_status_code(401) else { return };
        let Ok(body) = response.body() else { return };
        ResponseOutparam::set(response_out, Ok(response));
        let _ = OutgoingBody::finish(body, None);
    }
}

bindings::export!(Middleware with_types_in bindings);
