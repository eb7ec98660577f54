//! A plain component of WASI 0.2 that sends a request where it is told to: `/FIRST-BYTE?URL`, the
//! wait in milliseconds or nothing. It answers with the status and the body, or the error.
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
use bindings::wasi::http::outgoing_handler;
use bindings::wasi::http::types::{
    Fields, IncomingBody, IncomingRequest, IncomingResponse, OutgoingBody, OutgoingRequest,
    OutgoingResponse, RequestOptions, ResponseOutparam, Scheme,
};

struct Caller;

impl Guest for Caller {
    fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (wait, url) = target.trim_start_matches('/').split_once('?').unwrap_or_default();
        let answer = match fetch(wait, url) {
            Ok(response) => read(response),
            Err(error) => error,
        };
        let response = OutgoingResponse::new(Fields::new());
        let Ok(body) = response.body() else { return };
        ResponseOutparam::set(response_out, Ok(response));
        if let Ok(stream) = body.write() {
            let _ = stream.blocking_write_and_flush(answer.as_bytes());
        }
        let _ = OutgoingBody::finish(body, None);
    }
}

fn fetch(wait: &str, url: &str) -> Result<IncomingResponse, String> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    let request = OutgoingRequest::new(Fields::new());
    let invalid = |()| "no URL".to_string();
    request.set_scheme(Some(&scheme)).map_err(invalid)?;
    request.set_authority(Some(authority)).map_err(invalid)?;
    request.set_path_with_query(Some(&format!("/{path}"))).map_err(invalid)?;
    let options = RequestOptions::new();
    let wait = wait.parse().ok().map(|milliseconds: u64| milliseconds * 1_000_000);
    options.set_first_byte_timeout(wait).map_err(invalid)?;
    let answer = outgoing_handler::handle(request, Some(options));
    let future = answer.map_err(|error| format!("{error:?}"))?;
    future.subscribe().block();
    match future.get() {
        Some(Ok(answer)) => answer.map_err(|error| format!("{error:?}")),
        _ => Err("no answer".to_string()),
    }
}

fn read(response: IncomingResponse) -> String {
    let mut text = format!("{} ", response.status());
    let Ok(body) = response.consume() else { return text };
    if let Ok(stream) = body.stream() {
        while let Ok(bytes) = stream.blocking_read(4096) {
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
    let _ = IncomingBody::finish(body);
    text
}

bindings::export!(Caller with_types_in bindings);
