//! The body of a request on its way to a guest: bounded in size and in the time between two pieces.
//!
//! A guest sees that its body failed, and may answer whatever it likes. The host decides what the client is told, which
//! is why the body records its [`BodyOutcome`].

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout};
use wasm_host_capabilities::body::Body;
use wasm_host_capabilities::outgoing::HttpError as Error;

use crate::listener::{Arriving, LazyTimer};
use wasm_host_limits::http as limits;
use wasm_host_service::failure::{Failure, Kind};

/// The bounds of a body.
#[derive(Clone, Copy)]
pub struct Bounds {
    pub bytes: u64,
    /// Time between two pieces while a reader waits for more.
    pub idle: Duration,
}

/// What became of a body.
#[derive(Clone)]
pub struct BodyOutcome {
    /// Empty as long as nothing is wrong.
    failure: Arc<OnceLock<BodyFailure>>,
    bounds: Bounds,
}

enum BodyFailure {
    TooLarge,
    TooSlow,
    Broken,
}

// === impl BodyOutcome ===

impl BodyOutcome {
    fn set(&self, failure: BodyFailure) {
        // The first outcome stays: a body that has failed is not read again.
        let _ = self.failure.set(failure);
    }

    /// Why the body did not come whole, if that is known by now.
    fn failure(&self) -> Option<Failure> {
        let Bounds { bytes, idle } = self.bounds;
        Some(match self.failure.get()? {
            BodyFailure::TooLarge => too_large(bytes),
            BodyFailure::TooSlow => {
                let why = format!("Nothing more of the request body came within {idle:?}.");
                Failure::new(Kind::BodyTooSlow, why)
            }
            BodyFailure::Broken => {
                Failure::new(Kind::Malformed, "The request body is malformed or was cut off.")
            }
        })
    }

    /// The answer to a request with this body: the guest's, unless the body had failed before.
    pub fn judge(
        &self,
        answer: Result<Response<Body>, Failure>,
    ) -> Result<Response<Body>, Failure> {
        let Some(failure) = self.failure() else { return answer };
        if let Ok(response) = answer {
            // Read to its end, or the guest's request would count as abandoned.
            tokio::spawn(timeout(limits::FAILED_BODY_ANSWER, discard(response.into_body())));
        }
        Err(failure)
    }
}

async fn discard(mut body: Body) {
    while let Some(Ok(_)) = body.frame().await {}
}

/// The body of a request that may have at most `limit` bytes has more.
pub fn too_large(limit: u64) -> Failure {
    let why = format!("This service takes request bodies of at most {limit} bytes.");
    Failure::new(Kind::BodyTooLarge, why)
}

/// A request's body as a guest reads it.
pub struct RequestBody {
    body: Arriving,
    left: u64,
    outcome: BodyOutcome,
    /// When the next piece must be there; none while no reader waits for it.
    deadline: Option<Instant>,
    timer: LazyTimer,
}

// === impl RequestBody ===

impl RequestBody {
    pub fn new(body: Arriving, bounds: Bounds) -> Self {
        let outcome = BodyOutcome { failure: Arc::default(), bounds };
        Self { body, left: bounds.bytes, outcome, deadline: None, timer: LazyTimer::default() }
    }

    pub fn outcome(&self) -> BodyOutcome {
        self.outcome.clone()
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let frame = match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(error))) => {
                this.outcome.set(BodyFailure::Broken);
                return Poll::Ready(Some(Err(error.into())));
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {
                let idle = this.outcome.bounds.idle;
                let deadline = *this.deadline.get_or_insert_with(|| Instant::now() + idle);
                return this.timer.poll(deadline, cx).map(|()| {
                    this.outcome.set(BodyFailure::TooSlow);
                    Some(Err(Error::ConnectionReadTimeout))
                });
            }
        };
        this.deadline = None;
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        match this.left.checked_sub(length) {
            Some(left) => {
                this.left = left;
                Poll::Ready(Some(Ok(frame)))
            }
            None => {
                this.outcome.set(BodyFailure::TooLarge);
                let limit = this.outcome.bounds.bytes;
                Poll::Ready(Some(Err(Error::HttpRequestBodySize(Some(limit)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
