//! A plain component of WASI 0.3, as any toolchain would make it: it knows nothing of this host.
#![expect(unsafe_code, reason = "the generated glue of the export")]

mod bindings {
    wit_bindgen::generate!({
        path: [
            "../../../wit/deps/wasi-0.3/clocks.wit",
            "../../../wit/deps/wasi-0.3/random.wit",
            "../../../wit/deps/wasi-0.3/filesystem.wit",
            "../../../wit/deps/wasi-0.3/sockets.wit",
            "../../../wit/deps/wasi-0.3/cli.wit",
            "../../../wit/deps/wasi-0.3/http.wit",
        ],
        world: "wasi:http/service",
        generate_all,
    });
}

use bindings::exports::wasi::http::handler::Guest;
use bindings::wasi::http::types::{ErrorCode, Fields, Request, Response};
use bindings::{wit_future, wit_stream};

struct Hello;

impl Guest for Hello {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query().unwrap_or_default();
        let (mut writer, contents) = wit_stream::new();
        let (end, trailers) = wit_future::new(|| Ok(None));
        wit_bindgen::spawn_local(async move {
            // A client that has left needs no greeting.
            let _ = writer.write_all(format!("Hello from 0.3 at {path}\n").into_bytes()).await;
            drop(writer);
            let _ = end.write(Ok(None)).await;
        });
        let (response, _sent) = Response::new(Fields::new(), Some(contents), trailers);
        Ok(response)
    }
}

bindings::export!(Hello with_types_in bindings);
