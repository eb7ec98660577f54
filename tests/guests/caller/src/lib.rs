//! A component of WASI 0.3 that sends a request where it is told to: `/fetch?URL`, with the waits in
//! milliseconds that the headers `x-connect`, `x-first-byte` and `x-between-bytes` give. The
//! request's body goes with it. Not told, it asks the URL that its environment has under `PEER`.

use wasm_host_guest::bindings::wasi::http::{client, types};
use wasm_host_guest::bindings::{wit_future, wit_stream};
use wasm_host_guest::{Request, Response, Service, service};

struct Caller;

impl Service for Caller {
    async fn handle(request: Request) -> Response {
        let peer = || std::env::var("PEER").unwrap_or_default();
        let url = request.query.clone().unwrap_or_else(peer);
        let wait = |name: &str| {
            let milliseconds: u64 = request.header(name)?.parse().ok()?;
            Some(milliseconds * 1_000_000)
        };
        let options = types::RequestOptions::new();
        let set = [
            options.set_connect_timeout(wait("x-connect")),
            options.set_first_byte_timeout(wait("x-first-byte")),
            options.set_between_bytes_timeout(wait("x-between-bytes")),
        ];
        if set.iter().any(Result::is_err) {
            return Response::text(500, "the options cannot be set\n");
        }
        let body = match request.body(1024 * 1024).await {
            Ok(body) => body,
            Err(error) => return error.into_response(),
        };
        send(&url, body, options).await
    }
}

async fn send(url: &str, body: Vec<u8>, options: types::RequestOptions) -> Response {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let scheme = match scheme {
        "https" => types::Scheme::Https,
        _ => types::Scheme::Http,
    };
    let (end, trailers) = wit_future::new(|| Ok(None));
    // Without it the body would not end before the answer is there.
    drop(end);
    let has_body = !body.is_empty();
    let contents = has_body.then(|| {
        let (mut writer, reader) = wit_stream::new();
        wit_bindgen::spawn_local(async move {
            writer.write_all(body).await;
        });
        reader
    });
    let (request, _sent) =
        types::Request::new(types::Fields::new(), contents, trailers, Some(options));
    let method = if has_body { types::Method::Post } else { types::Method::Get };
    let valid = request.set_method(&method).is_ok()
        && request.set_scheme(Some(&scheme)).is_ok()
        && request.set_authority(Some(authority)).is_ok()
        && request.set_path_with_query(Some(&format!("/{path}"))).is_ok();
    if !valid {
        return Response::text(400, "no URL\n");
    }
    match client::send(request).await {
        Ok(response) => Response::passed(response),
        Err(error) => Response::text(502, format!("{error:?}\n")),
    }
}

service!(Caller);
