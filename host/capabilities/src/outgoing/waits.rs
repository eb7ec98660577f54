//! The waits that a guest asks for with its request, for calls that stay inside the host.
//!
//! There is no connection, so only two of the three mean something.

use wasmtime_wasi_http::{Error, RequestOptions};

use super::{HttpResponse, SendFuture};
use crate::body::{Body, Progress, paced};

/// Send a request with `send`, and wait no longer than its options say.
pub fn within_waits(
    request: http::Request<Body>,
    send: impl FnOnce(http::Request<Body>) -> SendFuture,
) -> SendFuture {
    let asked = request.extensions().get::<RequestOptions>().copied().unwrap_or_default();
    let (first_byte, pause) = (asked.first_byte_timeout, asked.between_bytes_timeout);
    if first_byte.is_none() && pause.is_none() {
        return send(request);
    }
    let (parts, body) = request.into_parts();
    let (body, progress) = Progress::watch(body);
    let sending = send(http::Request::from_parts(parts, body));
    Box::pin(async move {
        let response: HttpResponse = match first_byte {
            Some(limit) => {
                progress.answer(limit, sending).await.ok_or(Error::HttpResponseTimeout)??
            }
            None => sending.await?,
        };
        Ok(match pause {
            Some(pause) => response.map(|body| paced(body, pause)),
            None => response,
        })
    })
}
