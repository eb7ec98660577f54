//! The tasks of HTTP/2 streams, with a deadline for clients that grant a stream nothing to send.
//!
//! The connection of such a client may be well: it reads, answers pings, and only never opens the window of
//! one stream. hyper then waits without polling the response's body, so the body cannot see to it itself.
//! It notes when it gave a piece away; the stream's task looks at the note.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::task_local;
use tokio::time::Instant;

use super::clock::LazyTimer;
use super::connections::Ends;
use super::pulse::Flight;

task_local! {
    /// The note of the stream whose task this is. HTTP/1.1 has none: there the socket tells.
    static NOTE: Arc<Note>;
}

/// Since when a piece of the body waits for the client.
struct Note {
    origin: Instant,
    /// Milliseconds after the origin; 0 if none waits.
    given: AtomicU64,
}

/// Runs the streams of all HTTP/2 connections.
#[derive(Clone)]
pub(super) struct Streams {
    pub(super) write_idle: Duration,
    pub(super) ends: Arc<Ends>,
}

/// A response's body, counted as long as it lasts.
pub(super) struct Delivered<B> {
    body: B,
    note: Option<Arc<Note>>,
    _flight: Flight,
}

// === impl Streams ===

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
{
    fn execute(&self, future: F) {
        let Self { write_idle, ends } = self.clone();
        let note = Arc::new(Note { origin: Instant::now(), given: AtomicU64::new(0) });
        tokio::spawn(NOTE.scope(note.clone(), async move {
            let mut future = std::pin::pin!(future);
            let mut timer = LazyTimer::default();
            std::future::poll_fn(|cx| {
                if future.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                let given = note.given.load(Ordering::Relaxed);
                if given == 0 {
                    return Poll::Pending;
                }
                let given = note.origin + Duration::from_millis(given);
                // The future's end resets the stream.
                timer.poll(given + write_idle, cx).map(|()| ends.stalled())
            })
            .await;
        }));
    }
}

// === impl Delivered ===

impl<B> Delivered<B> {
    pub(super) fn new(body: B, flight: Flight) -> Self {
        Self { body, note: NOTE.try_with(Clone::clone).ok(), _flight: flight }
    }
}

impl<B: Body + Unpin> Body for Delivered<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Some(note) = &self.note {
            let given = match polled {
                Poll::Ready(Some(Ok(_))) => (note.origin.elapsed().as_millis() as u64).max(1),
                _ => 0,
            };
            note.given.store(given, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
