//! A component of WASI 0.2 that answers in ways of which only 0.2 knows: the path says how. What it does other
//! people's toolchains do, for every answer or for every exception.
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

use std::sync::atomic::{AtomicBool, Ordering};

use bindings::exports::wasi::http::incoming_handler::Guest;
use bindings::wasi::cli::stderr;
use bindings::wasi::clocks::monotonic_clock;
use bindings::wasi::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingRequest, OutgoingResponse, ResponseOutparam,
};
use bindings::wasi::io::streams::OutputStream;

/// Whether this instance has served a request.
static IS_USED: AtomicBool = AtomicBool::new(false);

const SECOND: u64 = 1_000_000_000;

struct Hostile;

impl Guest for Hostile {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let is_used = IS_USED.swap(true, Ordering::Relaxed);
        match path.as_str() {
            // As most JavaScript does: the length is known, and there is work behind the answer.
            "/length" => {
                finish(write(begin(out, 200, Some("5")), "hello"));
                wait(2);
                println!("behind the answer");
            }
            // Writes behind an answer that its client has all of.
            "/length-then-loop" => {
                finish(write(begin(out, 200, Some("5")), "hello"));
                loop {
                    wait(1);
                }
            }
            "/longer" => finish(write(begin(out, 200, Some("5")), "hello, world")),
            "/shorter" => finish(write(begin(out, 200, Some("50")), "hello")),
            "/no-content" => finish(begin(out, 204, None)),
            "/not-modified" => finish(begin(out, 304, Some("5"))),
            // As an engine does whose program has thrown: nobody finishes what was begun.
            "/forget" => std::mem::forget(write(begin(out, 200, None), "half of it")),
            "/forget-with-length" => std::mem::forget(write(begin(out, 200, Some("5")), "hello")),
            "/forget-the-stream" => {
                let body = begin(out, 200, None);
                std::mem::forget(body.write());
                std::mem::forget(body);
            }
            "/drop" => drop(write(begin(out, 200, None), "half of it")),
            // An engine that one request leaves in a state in which it serves no other.
            "/once" if is_used => {}
            "/once" => finish(write(begin(out, 200, None), "hello")),
            "/loop" => loop {
                std::hint::black_box(&path);
            },
            // Each piece by a handle of its own.
            "/pieces" => {
                for piece in ["start ", "a ", "print ", "1234", "\n", "\n", "and no end"] {
                    let handle = stderr::get_stderr();
                    let _ = handle.blocking_write_and_flush(piece.as_bytes());
                }
                finish(begin(out, 200, None));
            }
            // Requests that are never sent, each with as much of a body as it takes.
            "/bodies" => {
                let kept: Vec<_> = (0..2000).map(|_| request_with_body()).collect();
                finish(write(begin(out, 200, None), "kept"));
                // All of it goes with the instance.
                std::mem::forget(kept);
            }
            _ => finish(begin(out, 404, None)),
        }
    }
}

fn request_with_body() -> (OutgoingRequest, Option<OutgoingBody>, Option<OutputStream>) {
    let request = OutgoingRequest::new(Fields::new());
    let body = request.body().ok();
    let stream = body.as_ref().and_then(|body| body.write().ok());
    if let Some(stream) = &stream {
        while let Ok(room @ 1..) = stream.check_write() {
            let _ = stream.write(&vec![b'b'; usize::try_from(room).unwrap_or_default()]);
        }
    }
    (request, body, stream)
}

fn begin(out: ResponseOutparam, status: u16, length: Option<&str>) -> OutgoingBody {
    let headers = Fields::new();
    if let Some(length) = length {
        let _ = headers.append("content-length", length.as_bytes());
    }
    let response = OutgoingResponse::new(headers);
    let _ = response.set_status_code(status);
    let Ok(body) = response.body() else { std::process::abort() };
    ResponseOutparam::set(out, Ok(response));
    body
}

fn write(body: OutgoingBody, text: &str) -> OutgoingBody {
    if let Ok(stream) = body.write() {
        // Fails for more than was promised.
        let _ = stream.blocking_write_and_flush(text.as_bytes());
    }
    body
}

fn finish(body: OutgoingBody) {
    // Fails for less than was promised.
    let _ = OutgoingBody::finish(body, None);
}

fn wait(seconds: u64) {
    monotonic_clock::subscribe_duration(seconds * SECOND).block();
}

bindings::export!(Hostile with_types_in bindings);
