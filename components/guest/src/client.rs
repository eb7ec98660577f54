//! Requests of the service's own: to the hosts that it is granted, and to other services by their names.

use std::time::Duration;

use crate::bindings::wasi::http::client;
pub use crate::bindings::wasi::http::types::ErrorCode;
use crate::bindings::wasi::http::types::RequestOptions;
use crate::convert::{request_to_wasi, response_from_wasi};
use crate::{Body, Response};

/// How long the host waits for each step of a request, where its own waits are too long. Put it into the request's
/// extensions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Option<Duration>,
    /// For the first byte of the response.
    pub first_byte: Option<Duration>,
    /// Between two reads of its body.
    pub between_bytes: Option<Duration>,
}

/// Send a request and return its response; its body is read, or passed on, while it comes.
///
/// # Errors
/// What kept the host from sending it, or the other side from answering. Without the grant of the host that it names
/// it is `HttpRequestDenied`.
pub async fn send<B: Into<Body>>(request: http::Request<B>) -> Result<Response, ErrorCode> {
    let request = request.map(Into::into);
    let options = request.extensions().get().map(options);
    let response = client::send(request_to_wasi(request, options)?).await?;
    response_from_wasi(response)
}

fn options(timeouts: &Timeouts) -> RequestOptions {
    let options = RequestOptions::new();
    let nanoseconds = |wait: Option<Duration>| {
        wait.map(|wait| u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX))
    };
    // A host that cannot set them has waits of its own.
    let _ = options.set_connect_timeout(nanoseconds(timeouts.connect));
    let _ = options.set_first_byte_timeout(nanoseconds(timeouts.first_byte));
    let _ = options.set_between_bytes_timeout(nanoseconds(timeouts.between_bytes));
    options
}
