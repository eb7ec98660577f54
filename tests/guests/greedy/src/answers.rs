//! Answers that are made by hand, because the layer over `wasi:http` makes only sound ones.

use wasm_host_guest::bindings::wasi::http::types;
use wasm_host_guest::bindings::{wit_future, wit_stream};
use wasm_host_guest::{Request, Response};

/// A body of another length than its head says.
pub(crate) fn wrong_length(said: usize, body: &'static [u8]) -> Response {
    let headers = [("content-length".to_string(), said.to_string().into_bytes())];
    let Ok(headers) = types::Fields::from_list(&headers) else {
        return Response::text(200, "the host takes no content-length\n");
    };
    let (end, trailers) = wit_future::new(|| Ok(None));
    let (mut writer, reader) = wit_stream::new();
    wit_bindgen::spawn_local(async move {
        writer.write_all(body.to_vec()).await;
        drop(writer);
        let _ = end.write(Ok(None)).await;
    });
    Response::passed(types::Response::new(headers, Some(reader), trailers).0)
}

/// A head with these headers, as far as the host lets a component set them.
pub(crate) fn headers(wanted: &[(&str, &[u8])]) -> Response {
    let wanted: Vec<(String, Vec<u8>)> =
        wanted.iter().map(|(name, value)| (name.to_string(), value.to_vec())).collect();
    match types::Fields::from_list(&wanted) {
        Ok(headers) => {
            let (_end, trailers) = wit_future::new(|| Ok(None));
            Response::passed(types::Response::new(headers, None, trailers).0)
        }
        Err(error) => Response::text(200, format!("refused: {error:?}\n")),
    }
}

/// Read the first piece of the body, and never another.
pub(crate) async fn hold_body(request: Request) -> Response {
    let (_done, consumed) = wit_future::new(|| Ok(()));
    let (mut stream, trailers) = types::Request::consume_body(request.into_wasi(), consumed);
    let (_, first) = stream.read(Vec::with_capacity(1024)).await;
    crate::pause(3_600_000).await;
    drop((stream, trailers));
    Response::text(200, first)
}

/// Send the body back while it comes.
pub(crate) async fn mirror(request: Request) -> Response {
    let (_done, consumed) = wit_future::new(|| Ok(()));
    let (mut stream, trailers) = types::Request::consume_body(request.into_wasi(), consumed);
    Response::stream(200, "application/octet-stream", |mut body| async move {
        loop {
            let (status, piece) = stream.read(Vec::with_capacity(16 * 1024)).await;
            if !piece.is_empty() && body.write(piece).await.is_err() {
                return Ok(());
            }
            if !matches!(status, wit_bindgen::StreamResult::Complete(_)) {
                break;
            }
        }
        drop(stream);
        match trailers.await {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{error:?}")),
        }
    })
}
