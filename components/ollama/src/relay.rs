//! Streams of the host's interface, read to their end or until the client leaves.

use wasm_host_guest::ollama::types::Error;
use wasm_host_guest::{BodyWriter, FutureReader, Response, StreamReader, StreamResult};

use crate::failure::Ending;

/// The content type of a streamed answer, as Ollama writes it.
const LINES: &str = "application/x-ndjson";

/// Most items taken in one read: what is ready goes out in one write, and none waits for another.
const BATCH_ITEMS: usize = 64;

/// Items and how they ended.
pub(crate) struct Stream<T: 'static, S: 'static> {
    pub(crate) items: StreamReader<T>,
    pub(crate) done: FutureReader<Result<S, Error>>,
}

impl<T, S> Stream<T, S> {
    /// Read everything, for an answer that is one object.
    pub(crate) async fn read(self, mut each: impl FnMut(T)) -> Result<S, Error> {
        let Self { mut items, done } = self;
        while let Some(batch) = next(&mut items).await {
            batch.into_iter().for_each(&mut each);
        }
        done.await
    }

    /// A response of one line per item, each sent as soon as it is there.
    pub(crate) fn into_response(self, line: fn(T) -> String) -> Response {
        Response::stream(200, LINES, move |writer| self.write(writer, line))
    }

    async fn write(self, mut writer: BodyWriter, line: fn(T) -> String) -> Result<(), String> {
        let Self { mut items, done } = self;
        while let Some(batch) = next(&mut items).await {
            let mut bytes = Vec::new();
            for item in batch {
                bytes.extend_from_slice(line(item).as_bytes());
                bytes.push(b'\n');
            }
            if !bytes.is_empty() && writer.write(bytes).await.is_err() {
                // The client has left. Dropping the stream is what stops the server.
                return Ok(());
            }
        }
        let Err(error) = done.await else { return Ok(()) };
        let Ending { line, broken } = Ending::of(error);
        let _ = writer.write(format!("{line}\n").into_bytes()).await;
        broken.map_or(Ok(()), Err)
    }
}

/// The items that are ready, at least one; `None` at the end of the stream.
async fn next<T>(items: &mut StreamReader<T>) -> Option<Vec<T>> {
    let (status, batch) = items.read(Vec::with_capacity(BATCH_ITEMS)).await;
    let more = matches!(status, StreamResult::Complete(_)) || !batch.is_empty();
    more.then_some(batch)
}
