//! Short words for the answers of the tests' guests, whose text and status are all that matters.

use wasm_host_guest::{
    Body, BodyError, BodyWriter, IntoResponse, Problem, Request, Response, StatusCode, header,
};

/// A text with a status.
pub fn text(status: u16, body: impl Into<Body>) -> Response {
    of_type(status, "text/plain; charset=utf-8", body)
}

/// A status with nothing.
pub fn empty(status: u16) -> Response {
    (self::status(status), ()).into_response()
}

/// A body of a type.
pub fn of_type(status: u16, content_type: &str, body: impl Into<Body>) -> Response {
    (self::status(status), [(header::CONTENT_TYPE, content_type)], body.into()).into_response()
}

/// A body that is written while its client reads. An error ends it as broken.
pub fn stream<F>(
    status: u16,
    content_type: &str,
    produce: impl FnOnce(BodyWriter) -> F + Send + 'static,
) -> Response
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let body = Body::produce(|writer| async { produce(writer).await.map_err(Into::into) });
    of_type(status, content_type, body)
}

/// A body that could not be read.
pub fn unread(error: BodyError) -> Response {
    Problem::from(error).into_response()
}

/// The first value of a header, if it is text.
pub fn header(request: &Request, name: &str) -> Option<String> {
    request.headers().get(name)?.to_str().ok().map(str::to_owned)
}

/// A status that is none is a mistake of the guest's.
fn status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
