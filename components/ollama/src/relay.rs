//! Answers of one line per item, sent on as they come.

use wasm_host_guest::ollama::{Error, Reply};
use wasm_host_guest::{Body, BodyWriter, BoxError, IntoResponse, Response, header};

use crate::failure::Ending;

/// The content type of a streamed answer, as Ollama writes it.
const LINES: &str = "application/x-ndjson";

/// A response of one line per item, each sent as soon as it is there.
pub(crate) fn lines<T: Send, S: Send>(reply: Reply<T, S>, line: fn(T) -> String) -> Response {
    let body = Body::produce(move |writer| write(reply, line, writer));
    ([(header::CONTENT_TYPE, LINES)], body).into_response()
}

async fn write<T: Send, S: Send>(
    mut reply: Reply<T, S>,
    line: fn(T) -> String,
    mut writer: BodyWriter,
) -> Result<(), BoxError> {
    let failed = loop {
        let items = match reply.next_batch().await {
            Ok(items) if items.is_empty() => return Ok(()),
            Ok(items) => items,
            Err(error) => break error,
        };
        let mut bytes = Vec::new();
        for item in items {
            bytes.extend_from_slice(line(item).as_bytes());
            bytes.push(b'\n');
        }
        if writer.write(bytes).await.is_err() {
            // The client has left. Dropping the reply is what stops the server.
            return Ok(());
        }
    };
    end(failed, &mut writer).await
}

async fn end(failed: Error, writer: &mut BodyWriter) -> Result<(), BoxError> {
    let Ending { line, broken } = Ending::of(failed);
    // The client having left is no news.
    let _ = writer.write(format!("{line}\n")).await;
    broken.map_or(Ok(()), |broken| Err(broken.into()))
}
