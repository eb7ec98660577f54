//! The rows of a query that a component reads as a stream, and whether there are some that it has not read.
//!
//! A function that is no `async func` stops its whole instance, with what reads the stream. On the connection of a
//! transaction nothing else is said before the rows were read, so that such a function would wait for ever.

use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::postgres::backend::RowBatch;
use crate::stream::Parcel;

type Batch = Parcel<RowBatch>;

/// The rows of a query. Dropping them before their end cancels it.
pub(super) struct Streamed(Arc<Mutex<RowsState>>);

/// The same for the transaction that the query belongs to. It does not keep them.
pub(super) struct Watched(Weak<Mutex<RowsState>>);

struct RowsState {
    /// None: its query has not begun.
    batches: Option<mpsc::Receiver<Batch>>,
    /// Looked at, and not taken.
    next: Option<Batch>,
    /// What waits for rows.
    reader: Option<Waker>,
}

impl Streamed {
    /// Of a query that is about to begin.
    pub(super) fn coming() -> Self {
        Self(Arc::new(Mutex::new(RowsState { batches: None, next: None, reader: None })))
    }

    pub(super) fn arrived(&self, batches: mpsc::Receiver<Batch>) {
        self.0.lock().batches = Some(batches);
    }

    pub(super) fn watched(&self) -> Watched {
        Watched(Arc::downgrade(&self.0))
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Batch>> {
        let mut state = self.0.lock();
        let polled = match state.next.take() {
            Some(batch) => Poll::Ready(Some(batch)),
            None => state.poll_batch(cx),
        };
        state.reader = polled.is_pending().then(|| cx.waker().clone());
        polled
    }
}

impl Watched {
    /// Whether the component has the stream, or is about to.
    pub(super) fn is_there(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// Whether there are rows that were not read, once that is known. A query that has not begun may have some.
    pub(super) async fn has_more(&self) -> bool {
        let Some(state) = self.0.upgrade() else { return false };
        let wakes = WakesReader(&state);
        let more = std::future::poll_fn(|cx| state.lock().poll_more(cx)).await;
        drop(wakes);
        more
    }

    /// End a query that has begun, as if its rows were dropped.
    pub(super) fn give_up(&self) {
        let Some(state) = self.0.upgrade() else { return };
        let mut state = state.lock();
        if let Some(batches) = &mut state.batches {
            // Without a sender there is nothing more to come.
            *batches = mpsc::channel(1).1;
            state.next = None;
        }
    }
}

impl RowsState {
    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Option<Batch>> {
        self.batches.as_mut().map_or(Poll::Ready(None), |batches| batches.poll_recv(cx))
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.next.is_some() || self.batches.is_none() {
            return Poll::Ready(true);
        }
        self.poll_batch(cx).map(|batch| {
            self.next = batch;
            self.next.is_some()
        })
    }
}

/// A channel wakes whatever looked last, which is not what waits for the rows.
struct WakesReader<'s>(&'s Mutex<RowsState>);

impl Drop for WakesReader<'_> {
    fn drop(&mut self) {
        let reader = self.0.lock().reader.take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;

    use futures_util::{FutureExt as _, poll};

    use super::*;

    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn rows(batches: usize) -> (mpsc::Sender<Batch>, Streamed) {
        let (sender, receiver) = mpsc::channel(8);
        for _ in 0..batches {
            sender.try_send(vec![Vec::new()].into()).unwrap();
        }
        let streamed = Streamed::coming();
        streamed.arrived(receiver);
        (sender, streamed)
    }

    async fn next(streamed: &mut Streamed) -> bool {
        poll_fn(|cx| streamed.poll_next(cx)).await.is_some()
    }

    #[tokio::test]
    async fn rows_that_were_looked_at_are_read_nevertheless() {
        let (sender, mut streamed) = rows(2);
        let watched = streamed.watched();
        assert!(watched.has_more().await);
        assert!(watched.has_more().await);
        assert!(next(&mut streamed).await && next(&mut streamed).await);
        assert_eq!(watched.has_more().now_or_never(), None);
        drop(sender);
        assert!(!watched.has_more().await);
        assert!(!next(&mut streamed).await);
    }

    #[tokio::test]
    async fn a_query_that_has_not_begun_may_have_rows_and_one_that_was_dropped_has_none() {
        let streamed = Streamed::coming();
        let watched = streamed.watched();
        assert!(watched.has_more().await);
        drop(streamed);
        assert!(!watched.is_there());
        assert!(!watched.has_more().await);
        let (sender, streamed) = rows(1);
        drop(streamed);
        assert!(sender.is_closed());
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_told_of_what_came_while_another_looked() {
        let (sender, mut streamed) = rows(0);
        let watched = streamed.watched();
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        assert!(streamed.poll_next(&mut cx).is_pending());
        let mut looking = Box::pin(watched.has_more());
        assert!(poll!(&mut looking).is_pending());
        sender.try_send(vec![Vec::new()].into()).unwrap();
        assert!(looking.await);
        assert!(woken.0.load(Ordering::Relaxed));
        assert!(streamed.poll_next(&mut cx).is_ready());
    }

    #[tokio::test]
    async fn what_is_given_up_stops_its_query() {
        let (sender, mut streamed) = rows(1);
        streamed.watched().give_up();
        assert!(sender.is_closed());
        assert!(!next(&mut streamed).await);
    }
}
