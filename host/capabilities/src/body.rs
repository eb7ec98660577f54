//! HTTP bodies and the wrappers that a call puts around them. Each wrapper is about one question:
//! what takes an unread body back, when did it last move, and what ends it.

mod bounds;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::context::RequestContext;
pub use bounds::limited;
pub(crate) use bounds::paced;

/// A body of either side. The same type as wasmtime's, so that a body passes through components and
/// services of this host without being wrapped again.
pub type Body = wasmtime_wasi_http::WasiBody;

type Failure = wasmtime_wasi_http::Error;
type Polled = Poll<Option<Result<Frame<Bytes>, Failure>>>;

/// A body of known bytes.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    http_body_util::Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body that can be taken back as long as nothing was read from it: a request whose connection
/// was never opened can be sent elsewhere.
pub(crate) fn lend(body: Body) -> (Body, Loan) {
    let slot = Arc::new(Mutex::new(Some(body)));
    let loan = Loan { slot: slot.clone(), read: Arc::default() };
    (Lent { slot, read: loan.read.clone() }.boxed_unsync(), loan)
}

pub(crate) struct Loan {
    slot: Arc<Mutex<Option<Body>>>,
    read: Arc<AtomicBool>,
}

impl Loan {
    pub(crate) fn take_back(self) -> Option<Body> {
        let untouched = !self.read.load(Ordering::Acquire);
        untouched.then(|| self.slot.lock().take()).flatten()
    }
}

struct Lent {
    slot: Arc<Mutex<Option<Body>>>,
    read: Arc<AtomicBool>,
}

impl http_body::Body for Lent {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        self.read.store(true, Ordering::Release);
        match self.slot.lock().as_mut() {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.slot.lock().as_ref().is_none_or(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.slot.lock().as_ref().map(|body| body.size_hint()).unwrap_or_default()
    }
}

/// A body that can be shared between threads, as the HTTP client asks for. There is no contention for it.
pub(crate) struct Shared(pub(crate) Mutex<Body>);

impl http_body::Body for Shared {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let body = self.get_mut().0.get_mut();
        Pin::new(body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().size_hint()
    }
}

/// When an upload last moved. An answer is waited for from then on, so that a large body on a slow
/// line is not taken for a server that does not answer.
#[derive(Clone)]
pub(crate) struct Progress(Arc<Mutex<Instant>>);

impl Progress {
    pub(crate) fn watch(body: Body) -> (Body, Self) {
        let progress = Self(Arc::new(Mutex::new(Instant::now())));
        (Watched { body, moved: progress.clone() }.boxed_unsync(), progress)
    }

    pub(crate) fn moved(&self) {
        *self.0.lock() = Instant::now();
    }

    /// Wait for `answer`. `None` once nothing has moved for as long as `limit`.
    pub(crate) async fn answer<T>(
        &self,
        limit: Duration,
        mut answer: impl Future<Output = T> + Unpin,
    ) -> Option<T> {
        loop {
            let deadline = *self.0.lock() + limit;
            tokio::select! {
                biased;
                answer = &mut answer => return Some(answer),
                () = sleep_until(deadline) => {
                    if *self.0.lock() + limit <= deadline {
                        return None;
                    }
                }
            }
        }
    }
}

struct Watched {
    body: Body,
    moved: Progress,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.moved.moved();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    // Without it a body of known length would be sent in chunks.
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What is held until the end of an answer's body.
pub trait BodyGuard: Send + 'static {
    /// The body broke off.
    fn broke(&mut self, _why: &Failure) {}
}

impl BodyGuard for OwnedSemaphorePermit {}

/// A request that nothing holds is not ended any more.
impl BodyGuard for RequestContext {}

impl<A: BodyGuard, B: BodyGuard> BodyGuard for (A, B) {
    fn broke(&mut self, why: &Failure) {
        self.0.broke(why);
        self.1.broke(why);
    }
}

/// Tie an answer's body to its call: it ends as an error when the call's request is cancelled, even
/// if nothing reads it then, and the permit goes back when it ends or is dropped.
pub(crate) fn guard<H: BodyGuard>(body: Body, caller: &RequestContext, held: H) -> Body {
    guard_until(body, caller.cancel().clone(), (held, caller.clone()), None)
}

/// The same for one that has its time.
pub fn guard_until<H: BodyGuard>(
    body: Body,
    cancel: CancellationToken,
    held: H,
    until: Option<Instant>,
) -> Body {
    let cancel = if until.is_some() { cancel.child_token() } else { cancel };
    let slot = Arc::new(Mutex::new(Some((body, held))));
    let (alive, ended) = oneshot::channel::<()>();
    let (watched, token) = (Arc::downgrade(&slot), cancel.clone());
    // The reader may be stuck in a write to a client that is gone, so it cannot be relied on to
    // notice. Dropping the body is what closes the connection.
    tokio::spawn(async move {
        let late = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = token.cancelled() => {}
            () = late => token.cancel(),
            _ = ended => return,
        }
        if let Some(slot) = watched.upgrade() {
            drop(slot.lock().take());
        }
    });
    Guarded { slot, cancelled: Box::pin(cancel.cancelled_owned()), _alive: alive }.boxed_unsync()
}

struct Guarded<H> {
    /// Empty once the body has ended, by itself or because it was cancelled.
    slot: Arc<Mutex<Option<(Body, H)>>>,
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Dropped with this body: ends the watching task.
    _alive: oneshot::Sender<()>,
}

impl<H: BodyGuard> http_body::Body for Guarded<H> {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        if self.cancelled.as_mut().poll(cx).is_ready() {
            self.slot.lock().take();
            return Poll::Ready(Some(Err(Failure::ConnectionTerminated)));
        }
        let mut slot = self.slot.lock();
        let Some((body, held)) = slot.as_mut() else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        if let Some(Err(why)) = &frame {
            held.broke(why);
        }
        if !matches!(frame, Some(Ok(_))) {
            slot.take();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        // A body that was cancelled has not ended: its reader has yet to learn of the error.
        self.slot.lock().as_ref().is_some_and(|(body, _)| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.slot.lock().as_ref().map(|(body, _)| body.size_hint()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;

    use super::*;

    impl BodyGuard for Arc<()> {}

    #[tokio::test(start_paused = true)]
    async fn a_body_that_nobody_reads_ends_with_its_time() {
        let (request, held) = (CancellationToken::new(), Arc::new(()));
        let until = Instant::now() + Duration::from_secs(2);
        let mut unread = guard_until(full("late"), request.clone(), held.clone(), Some(until));
        let mut read = guard_until(full("in time"), request.clone(), held.clone(), Some(until));
        assert_eq!(read.frame().await.unwrap().unwrap().into_data().unwrap(), "in time");
        assert!(read.frame().await.is_none());
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(Arc::strong_count(&held), 2);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(Arc::strong_count(&held), 1, "what it held is not given back");
        assert!(!unread.is_end_stream(), "it looks whole");
        assert!(unread.frame().await.unwrap().is_err());
        assert!(!request.is_cancelled(), "the time of one call ends all of its request");
    }
}
