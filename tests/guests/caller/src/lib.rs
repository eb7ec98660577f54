//! A component of WASI 0.3 that sends a request where it is told to: `/fetch?URL`, with the waits in
//! milliseconds that the headers `x-connect`, `x-first-byte` and `x-between-bytes` give. The
//! request's body goes with it. Not told, it asks the URL that its environment has under `PEER`.

use std::time::Duration;

use replies::{header, text, unread};
use wasm_host_guest::client::{Timeouts, send};
use wasm_host_guest::{Bytes, Method, Request, Response, http, service};

async fn serve(request: Request) -> Response {
    let peer = || std::env::var("PEER").unwrap_or_default();
    let url = request.uri().query().map(str::to_owned).unwrap_or_else(peer);
    let wait = |name: &str| Some(Duration::from_millis(header(&request, name)?.parse().ok()?));
    let timeouts = Timeouts {
        connect: wait("x-connect"),
        first_byte: wait("x-first-byte"),
        between_bytes: wait("x-between-bytes"),
    };
    match request.into_body().bytes(1024 * 1024).await {
        Ok(body) => ask(&url, body, timeouts).await,
        Err(error) => unread(error),
    }
}

async fn ask(url: &str, body: Bytes, timeouts: Timeouts) -> Response {
    let method = if body.is_empty() { Method::GET } else { Method::POST };
    let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let request = http::Request::builder().method(method).uri(url).extension(timeouts).body(body);
    match request {
        Ok(request) => match send(request).await {
            Ok(response) => response,
            Err(error) => text(502, format!("{error:?}\n")),
        },
        Err(_) => text(400, "no URL\n"),
    }
}

service!(serve);
