//! Streams from a backend to a guest that reads them with calls, each of which waits for an item.
//!
//! The counterpart of [`crate::stream`] for interfaces without an `async func`. The bound is the same: the backend is no
//! further ahead than its channel is long, and ends when the channel is closed.

use std::mem::replace;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// What a guest reads. A clone is the same.
pub struct Reader<P, S, E>(Arc<Inner<P, S, E>>);

struct Inner<P, S, E> {
    state: Mutex<ReaderState<P, S, E>>,
    /// What is told when the request has ended, or the stream was given up.
    cancelled: E,
    /// What is told of a backend that went away without an outcome.
    vanished: E,
}

enum ReaderState<P, S, E> {
    Open(Open<P, S, E>),
    /// Given up: what reads it is told so once.
    GivenUp,
    /// Nothing comes any more, or it is being read.
    Over,
}

struct Open<P, S, E> {
    /// It came, and was looked for only to see whether there is one.
    next: Option<P>,
    items: mpsc::Receiver<P>,
    done: oneshot::Receiver<Result<S, E>>,
}

impl<P, S, E: Clone> Reader<P, S, E> {
    pub fn new(
        items: mpsc::Receiver<P>,
        done: oneshot::Receiver<Result<S, E>>,
        cancelled: E,
        vanished: E,
    ) -> Self {
        let state = Mutex::new(ReaderState::Open(Open { next: None, items, done }));
        Self(Arc::new(Inner { state, cancelled, vanished }))
    }

    /// The next item. None: all of them were given, or an error was.
    ///
    /// # Errors
    /// How the stream ended, if that is not well.
    pub async fn next(&self, cancel: &CancellationToken) -> Result<Option<P>, E> {
        let Inner { state, cancelled, vanished } = &*self.0;
        let mut open = match self.take() {
            ReaderState::Open(open) => open,
            ReaderState::GivenUp => return Err(cancelled.clone()),
            ReaderState::Over => return Ok(None),
        };
        match cancel.run_until_cancelled(open.coming()).await {
            Some(Some(item)) => {
                *state.lock() = ReaderState::Open(open);
                Ok(Some(item))
            }
            Some(None) => match open.done.await {
                Ok(outcome) => outcome.map(|_| None),
                Err(_) => Err(vanished.clone()),
            },
            None => Err(cancelled.clone()),
        }
    }

    /// Whether there are items that were not given, once that is known. None: its request has ended, and it has, too.
    pub async fn has_more(&self, cancel: &CancellationToken) -> Option<bool> {
        let mut open = match self.take() {
            ReaderState::Open(open) => open,
            other => {
                *self.0.state.lock() = other;
                return Some(false);
            }
        };
        let Some(next) = cancel.run_until_cancelled(open.coming()).await else {
            // What reads it has yet to be told that it was cut.
            *self.0.state.lock() = ReaderState::GivenUp;
            return None;
        };
        open.next = next;
        let has_more = open.next.is_some();
        *self.0.state.lock() = ReaderState::Open(open);
        Some(has_more)
    }

    fn take(&self) -> ReaderState<P, S, E> {
        replace(&mut *self.0.state.lock(), ReaderState::Over)
    }

    /// End it: the backend stops.
    pub fn give_up(&self) {
        let mut state = self.0.state.lock();
        if matches!(*state, ReaderState::Open(_)) {
            *state = ReaderState::GivenUp;
        }
    }
}

impl<P, S, E> Open<P, S, E> {
    async fn coming(&mut self) -> Option<P> {
        match self.next.take() {
            Some(item) => Some(item),
            None => self.items.recv().await,
        }
    }
}

impl<P, S, E> Clone for Reader<P, S, E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Channel = (mpsc::Sender<u8>, oneshot::Sender<Result<(), &'static str>>);

    fn channel() -> (Channel, Reader<u8, (), &'static str>) {
        let (items, receiver) = mpsc::channel(2);
        let (done, ended) = oneshot::channel();
        ((items, done), Reader::new(receiver, ended, "cancelled", "vanished"))
    }

    /// What the reader gives, until it gives nothing twice.
    async fn all(reader: &Reader<u8, (), &'static str>) -> Vec<Result<Option<u8>, &'static str>> {
        let never = CancellationToken::new();
        let mut all = Vec::new();
        while !all.ends_with(&[Ok(None), Ok(None)]) {
            all.push(reader.next(&never).await);
        }
        all
    }

    #[tokio::test]
    async fn the_items_come_before_the_end_and_an_error_is_told_once() {
        for (outcome, told) in [(Ok(()), vec![]), (Err("broken"), vec![Err("broken")])] {
            let ((items, done), reader) = channel();
            items.send(1).await.unwrap();
            items.send(2).await.unwrap();
            drop(items);
            done.send(outcome).unwrap();
            let expected = [vec![Ok(Some(1)), Ok(Some(2))], told, vec![Ok(None); 2]].concat();
            assert_eq!(all(&reader).await, expected);
        }
    }

    #[tokio::test]
    async fn a_backend_that_goes_away_did_not_finish() {
        let ((items, done), reader) = channel();
        drop((items, done));
        assert_eq!(all(&reader).await, [Err("vanished"), Ok(None), Ok(None)]);
    }

    #[tokio::test]
    async fn whoever_waits_is_told_when_its_request_ends_and_the_backend_stops() {
        let ((items, _done), reader) = channel();
        let cancel = CancellationToken::new();
        let mut next = std::pin::pin!(reader.next(&cancel));
        assert!(futures_util::poll!(&mut next).is_pending());
        cancel.cancel();
        assert_eq!(next.await, Err("cancelled"));
        assert!(items.is_closed());
        assert_eq!(reader.next(&cancel).await, Ok(None));
    }

    #[tokio::test]
    async fn what_was_given_up_is_not_taken_for_whole() {
        let ((items, _done), reader) = channel();
        items.send(1).await.unwrap();
        reader.clone().give_up();
        assert!(items.is_closed());
        assert_eq!(all(&reader).await, [Err("cancelled"), Ok(None), Ok(None)]);
    }

    #[tokio::test]
    async fn to_look_for_more_takes_nothing_away() {
        let never = CancellationToken::new();
        let ((items, done), reader) = channel();
        items.send(1).await.unwrap();
        assert_eq!(reader.has_more(&never).await, Some(true));
        assert_eq!(reader.has_more(&never).await, Some(true));
        assert_eq!(reader.next(&never).await, Ok(Some(1)));
        let mut more = std::pin::pin!(reader.has_more(&never));
        assert!(futures_util::poll!(&mut more).is_pending());
        drop(items);
        assert_eq!(more.await, Some(false));
        done.send(Err("broken")).unwrap();
        assert_eq!(all(&reader).await, [Err("broken"), Ok(None), Ok(None)]);
        assert_eq!(reader.has_more(&never).await, Some(false));
        reader.give_up();
        assert_eq!(reader.has_more(&never).await, Some(false));
    }

    #[tokio::test]
    async fn to_look_for_more_ends_with_its_request() {
        let ((items, _done), reader) = channel();
        let cancel = CancellationToken::new();
        cancel.cancel();
        assert_eq!(reader.has_more(&cancel).await, None);
        assert!(items.is_closed());
        // What is cut is not whole, which is told once.
        let told = all(&reader).await;
        assert_eq!(told, [Err("cancelled"), Ok(None), Ok(None)]);
    }

    #[test]
    fn dropping_it_stops_the_backend() {
        let ((items, _done), reader) = channel();
        drop(reader);
        assert!(items.is_closed());
    }
}
