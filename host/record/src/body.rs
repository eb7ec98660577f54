//! A body on its way, written down as it passes by. Only the time that its reader waits counts: what
//! the reader does meanwhile takes no time in a test.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;

use super::recorder::Recording;
use super::session::RecordingSession;
use super::time::Wait;
use wasm_host_capabilities::body::Body;
use wasm_host_testkit::case::{ResponseEnd, StreamEnd};

/// What the body belongs to.
pub(super) enum BodyOwner {
    Request,
    /// The client's; holds the recording to its end.
    Response(Box<Recording>),
    /// What a call sends.
    Sent(Arc<dyn Passing>),
    /// What a call is answered.
    Answer(Arc<dyn Passing>),
}

/// What a call wants to know of its bodies.
pub(super) trait Passing: Send + Sync {
    fn sent(&self, bytes: &[u8]);
    fn answered(&self, wait: Duration, bytes: &[u8]);
    /// How the answer ended; None if it was given up.
    fn ended(&self, end: Option<StreamEnd>);
}

pub(super) struct Tee {
    inner: Body,
    session: Arc<RecordingSession>,
    place: BodyOwner,
    wait: Option<Wait>,
    ended: bool,
}

impl Tee {
    pub(super) fn new(inner: Body, session: Arc<RecordingSession>, place: BodyOwner) -> Self {
        Self { inner, session, place, wait: None, ended: false }
    }

    pub(super) fn boxed(self) -> Body {
        self.boxed_unsync()
    }

    fn passes(&mut self, bytes: &[u8]) {
        let wait = match (self.wait.take(), self.session.time()) {
            (Some(wait), Some(time)) => wait.end(time),
            _ => Duration::ZERO,
        };
        match &self.place {
            BodyOwner::Request => self.session.sent(wait, bytes),
            BodyOwner::Response(_) => self.session.answered(bytes),
            BodyOwner::Sent(call) => call.sent(bytes),
            BodyOwner::Answer(call) => call.answered(wait, bytes),
        }
    }

    /// `None`: its reader wants no more.
    fn ends(&mut self, end: Option<StreamEnd>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        match &mut self.place {
            BodyOwner::Request => self.session.sent_all(end.unwrap_or_default()),
            BodyOwner::Response(recording) => recording.end(match end {
                Some(StreamEnd::Whole) => ResponseEnd::Whole,
                Some(_) => ResponseEnd::Error,
                None => ResponseEnd::Left,
            }),
            BodyOwner::Sent(_) => {}
            BodyOwner::Answer(call) => call.ended(end),
        }
    }

    fn nothing_left(&self) -> bool {
        self.inner.is_end_stream() || self.inner.size_hint().exact() == Some(0)
    }
}

impl http_body::Body for Tee {
    type Data = Bytes;
    type Error = wasmtime_wasi_http::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Pending => {
                if let (None, Some(time)) = (&this.wait, this.session.time()) {
                    this.wait = Some(Wait::begin(time));
                }
                Poll::Pending
            }
            Poll::Ready(Some(Ok(frame))) => {
                this.passes(frame.data_ref().map(AsRef::as_ref).unwrap_or_default());
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.passes(&[]);
                this.ends(Some(StreamEnd::Disconnect));
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => {
                this.passes(&[]);
                this.ends(Some(StreamEnd::Whole));
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        // A reader that knows the length does not ask for the end.
        let end = self.nothing_left().then_some(StreamEnd::Whole);
        self.ends(end);
    }
}
