//! A plain component of WASI 0.2, as any toolchain would make it: it knows nothing of this host.
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
        world: "wasi:http/proxy",
        generate_all,
    });
}

use bindings::exports::wasi::http::incoming_handler::Guest;
use bindings::wasi::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

struct Hello;

impl Guest for Hello {
    fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        // `/print?3`: so many lines.
        if let Some(lines) =
            path.split_once("print?").and_then(|(_, lines)| lines.parse::<u64>().ok())
        {
            for line in 0..lines {
                println!("print of {lines}: {line}");
            }
        }
        let response = OutgoingResponse::new(Fields::new());
        let Ok(body) = response.body() else { return };
        ResponseOutparam::set(response_out, Ok(response));
        if let Ok(stream) = body.write() {
            // A client that has left needs no greeting.
            let _ =
                stream.blocking_write_and_flush(format!("Hello from 0.2 at {path}\n").as_bytes());
        }
        let _ = OutgoingBody::finish(body, None);
    }
}

bindings::export!(Hello with_types_in bindings);
