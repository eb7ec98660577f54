//! From a failure to HTTP: the only place that picks status codes.
//!
//! Bodies are problem documents (RFC 9457) with the request's id, which the log names too. They have an `error`, as
//! errors of Ollama do, and its content type where a client of Ollama's would not look into them otherwise.

use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use wasm_host_capabilities::body::{Body, full};

use crate::failure::{Failure, Kind};
use wasm_host_limits as limits;

/// A problem document.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    /// The same for clients of models, which look for it there.
    error: &'a str,
    #[serde(rename = "requestId")]
    request_id: &'a str,
}

/// The status and title of each kind of failure.
pub fn status(kind: Kind) -> (StatusCode, &'static str) {
    match kind {
        Kind::NoRoute => (StatusCode::NOT_FOUND, "No such route"),
        Kind::NoFile => (StatusCode::NOT_FOUND, "No such file"),
        Kind::MethodNotAllowed | Kind::PostOnly => {
            (StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
        }
        Kind::Malformed => (StatusCode::BAD_REQUEST, "Malformed request"),
        Kind::NotImplemented => (StatusCode::NOT_IMPLEMENTED, "Not implemented"),
        Kind::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "Request body too large"),
        Kind::BodyTooSlow => (StatusCode::REQUEST_TIMEOUT, "Request body too slow"),
        Kind::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type"),
        Kind::Unauthorised => (StatusCode::UNAUTHORIZED, "Token needed"),
        Kind::Forbidden => (StatusCode::FORBIDDEN, "Not for web pages"),
        Kind::Misdirected => (StatusCode::MISDIRECTED_REQUEST, "Not a name of this host"),
        Kind::CrossOrigin => (StatusCode::FORBIDDEN, "Not for pages of other origins"),
        Kind::NoService => (StatusCode::NOT_FOUND, "No such service"),
        Kind::Conflict => (StatusCode::CONFLICT, "Not possible now"),
        Kind::Busy => (StatusCode::SERVICE_UNAVAILABLE, "Service busy"),
        Kind::Cut => (StatusCode::SERVICE_UNAVAILABLE, "Service stopped or replaced"),
        Kind::GuestTrapped => (StatusCode::BAD_GATEWAY, "Service failed"),
        Kind::GuestFailed => (StatusCode::BAD_GATEWAY, "Service gave no response"),
        Kind::FirstByteTimeout => (StatusCode::GATEWAY_TIMEOUT, "Service too slow"),
        Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "Host error"),
    }
}

/// The response that reports a failure to a client.
pub fn respond(failure: &Failure, request_id: &str) -> Response<Body> {
    let (status, title) = status(failure.kind);
    let problem = Problem {
        r#type: "about:blank",
        title,
        status: status.as_u16(),
        detail: &failure.public,
        error: &failure.public,
        request_id,
    };
    // A struct of strings always has a JSON form.
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let kind = if failure.is_for_models { "application/json" } else { "application/problem+json" };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    match failure.kind {
        Kind::Busy | Kind::Cut => {
            headers.insert(header::RETRY_AFTER, limits::RETRY_AFTER.as_secs().into());
        }
        Kind::MethodNotAllowed => {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        Kind::PostOnly => {
            headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        Kind::Unauthorised => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        _ => {}
    }
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn a_client_reads_the_public_text_and_never_the_private_one() {
        let failure = Failure::new(Kind::Busy, "service weather is busy").because("pool of 8");
        let response = respond(&failure, "r-1");
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "1");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert_eq!(
            body,
            r#"{"type":"about:blank","title":"Service busy","status":503,"detail":"service weather is busy","error":"service weather is busy","requestId":"r-1"}"#
        );
    }
}
