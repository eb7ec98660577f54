//! An incoming request. The body is read only when the service asks for it, and never beyond the
//! size it names.

use crate::bindings::wasi::http::types::{self, Headers, Method};
use crate::bindings::wit_future;
use crate::response::Response;

/// Bytes that a body of unknown length is given room for at first, and that a client's word on its length is
/// believed for.
const FIRST_BYTES: usize = 64 * 1024;

/// One HTTP request.
pub struct Request {
    pub method: Method,
    /// The path after the service's route prefix, always with a leading `/`, as it was sent
    /// (percent-encoded).
    pub path: String,
    /// What follows the `?`, as it was sent.
    pub query: Option<String>,
    headers: Headers,
    inner: types::Request,
}

/// Why a request's body could not be read.
#[derive(Debug)]
pub enum BodyError {
    /// Larger than the service allows.
    TooLarge {
        /// The size it allows, in bytes.
        limit: usize,
    },
    /// The client went away or broke the framing before the body's end.
    Incomplete,
}

impl BodyError {
    /// The answer to give: 413 or 400 as a problem document.
    pub fn into_response(self) -> Response {
        match self {
            Self::TooLarge { limit } => Response::problem(
                413,
                "Request body too large",
                &format!("This request takes a body of at most {limit} bytes."),
            ),
            Self::Incomplete => Response::problem(
                400,
                "Incomplete request body",
                "The request body ended before its end.",
            ),
        }
    }
}

impl Request {
    /// Wrap the host's request. Called by [`crate::service!`].
    pub fn from_wasi(inner: types::Request) -> Self {
        let target = inner.get_path_with_query().unwrap_or_default();
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path.to_string(), Some(query.to_string())),
            None => (target, None),
        };
        let path = if path.is_empty() { "/".to_string() } else { path };
        Self { method: inner.get_method(), path, query, headers: inner.get_headers(), inner }
    }

    /// The first value of a header, if it is text.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).into_iter().next().and_then(|value| String::from_utf8(value).ok())
    }

    /// The whole body, read to its end.
    pub async fn body(self, limit: usize) -> Result<Vec<u8>, BodyError> {
        let length = self.header("content-length");
        drop(self.headers);
        let (done, consumed) = wit_future::new(|| Ok(()));
        let (mut stream, trailers) = types::Request::consume_body(self.inner, consumed);
        drop(done);
        let length = length.and_then(|length| length.parse::<usize>().ok());
        // One more, as room for the read that finds the end.
        let room = length.map_or(FIRST_BYTES, |length| length.saturating_add(1).min(FIRST_BYTES));
        let mut body = Vec::with_capacity(room);
        loop {
            let (status, read) = stream.read(body).await;
            body = read;
            if body.len() > limit {
                return Err(BodyError::TooLarge { limit });
            }
            if !matches!(status, wit_bindgen::StreamResult::Complete(_)) {
                break;
            }
            if body.len() == body.capacity() {
                body.reserve(1);
            }
        }
        drop(stream);
        match trailers.await {
            Ok(_) => Ok(body),
            Err(_) => Err(BodyError::Incomplete),
        }
    }

    /// The host's request, untouched, to be passed on with `ollama::proxy::forward`.
    pub fn into_wasi(self) -> types::Request {
        self.inner
    }
}
