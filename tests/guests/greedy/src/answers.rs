//! Answers that are no answers, made on the host's own types: those of the ecosystem cannot say them.

use replies::{stream, text, unread};
use wasm_host_guest::bindings::wasi::http::types::{
    ErrorCode, Fields, Request as Raw, Response as RawResponse,
};
use wasm_host_guest::bindings::{wit_future, wit_stream};
use wasm_host_guest::exports::response_to_wasi;
use wasm_host_guest::{Request, Response};

const KIB: usize = 1024;

/// The answer to a path that is here.
pub(crate) fn unsound(request: &Raw) -> Option<Result<RawResponse, ErrorCode>> {
    let path = request.get_path_with_query().unwrap_or_default();
    Some(match path.split('?').next().unwrap_or_default() {
        "/short-body" => wrong_length(100, b"too short"),
        "/long-body" => wrong_length(4, b"too long by far"),
        "/header-with-line-end" => headers(&[("x-split", b"a\r\nx-evil: 1")]),
        "/connection-header" => headers(&[("connection", b"keep-alive")]),
        "/large-header" => headers(&[("x-large", &[b'h'; 100 * KIB])]),
        "/status-99" => status(99),
        "/status-101" => status(101),
        "/no-answer" => status(0),
        _ => return None,
    })
}

/// A body of another length than its head says.
fn wrong_length(said: usize, body: &'static [u8]) -> Result<RawResponse, ErrorCode> {
    let headers = [("content-length".to_string(), said.to_string().into_bytes())];
    let Ok(headers) = Fields::from_list(&headers) else {
        return response_to_wasi(text(200, "the host takes no content-length\n"));
    };
    let (end, trailers) = wit_future::new(|| Ok(None));
    let (mut writer, reader) = wit_stream::new();
    wit_bindgen::spawn_local(async move {
        writer.write_all(body.to_vec()).await;
        drop(writer);
        let _ = end.write(Ok(None)).await;
    });
    Ok(RawResponse::new(headers, Some(reader), trailers).0)
}

/// A head with these headers, as far as the host lets a component set them.
fn headers(wanted: &[(&str, &[u8])]) -> Result<RawResponse, ErrorCode> {
    let wanted: Vec<(String, Vec<u8>)> =
        wanted.iter().map(|(name, value)| (name.to_string(), value.to_vec())).collect();
    match Fields::from_list(&wanted) {
        Ok(headers) => Ok(head(headers)),
        Err(error) => response_to_wasi(text(200, format!("refused: {error:?}\n"))),
    }
}

/// A status that is none, or none for an answer.
fn status(status: u16) -> Result<RawResponse, ErrorCode> {
    let response = head(Fields::new());
    let set = response.set_status_code(status);
    set.map_err(|()| ErrorCode::InternalError(Some(format!("{status} is no HTTP status"))))?;
    Ok(response)
}

fn head(headers: Fields) -> RawResponse {
    let (_end, trailers) = wit_future::new(|| Ok(None));
    RawResponse::new(headers, None, trailers).0
}

/// Read the first piece of the body, and never another.
pub(crate) async fn hold_body(request: Request) -> Response {
    let mut body = request.into_body();
    let first = body.chunk().await;
    crate::pause(3_600_000).await;
    drop(body);
    match first {
        Ok(first) => text(200, first.unwrap_or_default()),
        Err(error) => unread(error),
    }
}

/// Send the body back while it comes.
pub(crate) async fn mirror(request: Request) -> Response {
    let mut body = request.into_body();
    stream(200, "application/octet-stream", |mut writer| async move {
        while let Some(piece) = body.chunk().await.map_err(|error| error.to_string())? {
            if writer.write(piece).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    })
}
