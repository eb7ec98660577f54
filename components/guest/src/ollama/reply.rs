//! What a model server answers, item by item.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use wit_bindgen::{FutureReader, StreamReader, StreamResult};

use super::Error;

/// Items taken in one read, at least and at most. Their room is held for as long as the next one takes to come, which
/// with a model is most of the time.
const BATCH_ITEMS: (usize, usize) = (4, 64);

type Done<S> = FutureReader<Result<S, Error>>;
type Next<T> = Pin<Box<dyn Future<Output = (StreamReader<T>, Vec<T>, bool)> + Send>>;
type End<S> = Pin<Box<dyn Future<Output = Result<S, Error>> + Send>>;

/// Items that come while the server makes them, and how they ended: a stream of `Result<T, Error>`, and
/// [`Reply::next`] where a stream is not needed. Dropped before its end, it stops the server.
pub struct Reply<T: 'static, S: 'static> {
    ready: VecDeque<T>,
    /// Items that the next read is given room for: twice as many as came last.
    room: usize,
    state: State<T, S>,
}

enum State<T: 'static, S: 'static> {
    Idle(StreamReader<T>, Done<S>),
    Reading(Next<T>, Done<S>),
    Ending(End<S>),
    Ended(Option<S>),
}

impl<T: Send, S: Send> Reply<T, S> {
    pub(super) fn new((items, done): (StreamReader<T>, Done<S>)) -> Self {
        Self { ready: VecDeque::new(), room: BATCH_ITEMS.0, state: State::Idle(items, done) }
    }

    /// The next item; `None` behind the last of a complete answer.
    ///
    /// # Errors
    /// What ended it before it was complete.
    pub async fn next(&mut self) -> Result<Option<T>, Error> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await.transpose()
    }

    /// All items that are there, at least one; none behind the last of a complete answer. To pass them on: what
    /// is ready goes out together, and none waits for another.
    ///
    /// # Errors
    /// What ended it before it was complete.
    pub async fn next_batch(&mut self) -> Result<Vec<T>, Error> {
        let Some(first) = self.next().await? else { return Ok(Vec::new()) };
        let mut batch = Vec::with_capacity(1 + self.ready.len());
        batch.push(first);
        batch.extend(self.ready.drain(..));
        Ok(batch)
    }

    /// What the server said at the end, when everything has been read.
    pub fn into_summary(self) -> Option<S> {
        match self.state {
            State::Ended(summary) => summary,
            _ => None,
        }
    }

    fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        loop {
            match std::mem::replace(&mut self.state, State::Ended(None)) {
                State::Idle(mut items, done) => {
                    let room = self.room;
                    let next: Next<T> = Box::pin(async move {
                        let (status, batch) = items.read(Vec::with_capacity(room)).await;
                        let is_open = matches!(status, StreamResult::Complete(_));
                        (items, batch, is_open)
                    });
                    self.state = State::Reading(next, done);
                }
                State::Reading(mut next, done) => {
                    let Poll::Ready((items, batch, is_open)) = next.as_mut().poll(context) else {
                        self.state = State::Reading(next, done);
                        return Poll::Pending;
                    };
                    self.state = match is_open {
                        true => State::Idle(items, done),
                        false => State::Ending(Box::pin(done.into_future())),
                    };
                    if !batch.is_empty() {
                        self.room = (2 * batch.len()).clamp(BATCH_ITEMS.0, BATCH_ITEMS.1);
                        self.ready.extend(batch);
                        return Poll::Ready(Ok(true));
                    }
                }
                State::Ending(mut end) => {
                    let Poll::Ready(ended) = end.as_mut().poll(context) else {
                        self.state = State::Ending(end);
                        return Poll::Pending;
                    };
                    self.state = State::Ended(Some(ended?));
                }
                State::Ended(summary) => {
                    self.state = State::Ended(summary);
                    return Poll::Ready(Ok(false));
                }
            }
        }
    }
}

impl<T: 'static, S: 'static> Unpin for Reply<T, S> {}

impl<T: Send, S: Send> Stream for Reply<T, S> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(item)));
            }
            match std::task::ready!(self.poll_batch(context)) {
                Ok(true) => {}
                Ok(false) => return Poll::Ready(None),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}
