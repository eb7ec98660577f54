//! The task that reads one streamed answer and hands its items on.
//!
//! It reads only when there is room for what it has read, so a component that does not read stops
//! the server. It ends at once when the items are not wanted any more or the request is cancelled,
//! and then drops the body, which closes the connection: that is how Ollama is told to stop.

use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::backend::{Error, Stream};
use super::body::Body;
use super::decode::{Decode, Line};
use super::ndjson::Lines;
use super::seen::{ModelCall, Noticed};
use crate::budget::{self, Holdings, Reservation};
use crate::context::RequestContext;
use crate::stream::Parcel;
use wasm_host_limits::held::GUEST_LARGE_ITEM_BYTES;
use wasm_host_limits::ollama::{DRAIN_TIMEOUT, ITEMS_AHEAD, LINE_BYTES};

/// Read `body` in a task of its own. `permit` is given back when the stream has ended.
pub(super) fn start<T: Noticed + Send + 'static, S: Noticed + Send + 'static>(
    body: Body,
    decode: Decode<T, S>,
    caller: RequestContext,
    permit: OwnedSemaphorePermit,
    mut seen: ModelCall,
) -> Stream<T, S> {
    let (items, receiver) = mpsc::channel(ITEMS_AHEAD);
    let account = budget::account();
    let (done, ended) = oneshot::channel();
    tokio::spawn(async move {
        let mut answer = AnswerLines { body, lines: Lines::new(LINE_BYTES), ended: false, account };
        let result = tokio::select! {
            biased;
            () = caller.cancel().cancelled() => Err(Error::Cancelled),
            () = items.closed() => Err(Error::Cancelled),
            result = answer.hand_on(&items, decode, &mut seen) => result,
        };
        let whole = result.is_ok();
        // Before the caller can learn of the end, so that a next call finds the place free.
        drop(permit);
        seen.ended(&result);
        drop(items);
        let _ = done.send(result);
        if whole {
            answer.drain().await;
        }
    });
    Stream { items: receiver, done: ended }
}

struct AnswerLines {
    body: Body,
    lines: Lines,
    /// Nothing more comes, whether or not that was meant.
    ended: bool,
    /// The account that large lines are held for.
    account: Option<Holdings>,
}

impl AnswerLines {
    async fn hand_on<T: Noticed, S>(
        &mut self,
        items: &mpsc::Sender<Box<Parcel<T>>>,
        decode: Decode<T, S>,
        seen: &mut ModelCall,
    ) -> Result<S, Error> {
        while let Some(line) = self.line().await? {
            let held = self.hold(line.len())?;
            let last = match decode(line) {
                Ok(Line::Item(item)) => (item, None),
                Ok(Line::Last(item, summary)) => (item, Some(summary)),
                Ok(Line::Error(text)) => return Err(Error::Interrupted(text)),
                // The beginning of a line that was never finished is no mistake of the server's.
                Err(Error::Malformed(_)) if self.ended => return Err(Error::Truncated),
                Err(error) => return Err(error),
            };
            let (item, summary) = last;
            item.notice(seen);
            items.send(Box::new(Parcel::new(item, held))).await.map_err(|_| Error::Cancelled)?;
            if let Some(summary) = summary {
                return Ok(summary);
            }
        }
        Err(Error::Truncated)
    }

    /// The next line; `None` at the end of the body.
    async fn line(&mut self) -> Result<Option<String>, Error> {
        loop {
            if let Some(line) = self.lines.next() {
                let malformed = |error| Error::Malformed(format!("the server sent {error}"));
                return line.map(Some).map_err(malformed);
            }
            if self.ended {
                return Ok(None);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(bytes) = frame.data_ref() {
                        self.lines.push(bytes);
                    }
                }
                // Also if the connection broke: what matters is whether the last item is there.
                Some(Err(_)) | None => {
                    self.lines.end();
                    self.ended = true;
                }
            }
        }
    }

    /// Hold what becomes of a large line until it is taken: the line, and what is read from it.
    fn hold(&self, line: usize) -> Result<Option<Reservation>, Error> {
        let account = self.account.as_ref().filter(|_| line > GUEST_LARGE_ITEM_BYTES);
        let held = account.map(|account| account.hold(2 * line)).transpose();
        held.map_err(|exhausted| Error::Busy(exhausted.to_string()))
    }

    /// Read the end of the body, so that its connection can be used again.
    async fn drain(&mut self) {
        let end = async { while let Some(Ok(_)) = self.body.frame().await {} };
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, end).await;
    }
}
