//! Streams of the host's interface, read to their end or until the client leaves.

use wasm_host_guest::ollama::types::Error;
use wasm_host_guest::{BodyWriter, FutureReader, Response, StreamReader, StreamResult};

use crate::failure::Ending;

/// The content type of a streamed answer, as Ollama writes it.
const LINES: &str = "application/x-ndjson";

/// Items taken in one read, at least and at most: what is ready goes out in one write, and none waits for another.
/// Their room is held for as long as the next one takes to come, which with a model is most of the time.
const BATCH_ITEMS: (usize, usize) = (4, 64);

/// Items and how they ended.
pub(crate) struct Stream<T: 'static, S: 'static> {
    pub(crate) items: StreamReader<T>,
    pub(crate) done: FutureReader<Result<S, Error>>,
}

impl<T, S> Stream<T, S> {
    /// Read everything, for an answer that is one object.
    pub(crate) async fn read(self, mut each: impl FnMut(T)) -> Result<S, Error> {
        let Self { items, done } = self;
        let mut batches = Batches::new(items);
        while let Some(batch) = batches.next().await {
            batch.into_iter().for_each(&mut each);
        }
        done.await
    }

    /// A response of one line per item, each sent as soon as it is there.
    pub(crate) fn into_response(self, line: fn(T) -> String) -> Response {
        Response::stream(200, LINES, move |writer| self.write(writer, line))
    }

    async fn write(self, mut writer: BodyWriter, line: fn(T) -> String) -> Result<(), String> {
        let Self { items, done } = self;
        let mut batches = Batches::new(items);
        while let Some(batch) = batches.next().await {
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

/// Reads what is ready, in batches with room for twice as much as came last.
struct Batches<T: 'static> {
    items: StreamReader<T>,
    room: usize,
}

impl<T> Batches<T> {
    fn new(items: StreamReader<T>) -> Self {
        Self { items, room: BATCH_ITEMS.0 }
    }

    /// At least one item; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Vec<T>> {
        let (status, batch) = self.items.read(Vec::with_capacity(self.room)).await;
        self.room = (2 * batch.len()).clamp(BATCH_ITEMS.0, BATCH_ITEMS.1);
        let more = matches!(status, StreamResult::Complete(_)) || !batch.is_empty();
        more.then_some(batch)
    }
}
