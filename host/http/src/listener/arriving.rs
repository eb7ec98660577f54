//! The body of a request as it arrives, which tells the connection how long it may still be read.
//!
//! hyper reads a body for as long as it has a reader, and then goes on to the next request or closes.
//! Which of the two it does cannot be seen from outside, so the connection is told when the next request is due: when
//! bodies are read, or given up, and hyper has had time to see that.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection_state::ConnectionState;

/// A request's body. The fields are dropped in this order: hyper learns first that it has no reader any more.
pub struct Arriving {
    body: Incoming,
    unread: Option<Unread>,
}

/// A body of HTTP/1.1 that has not been read to its end. Streams of HTTP/2 do not hold each other up.
struct Unread(Arc<ConnectionState>);

// === impl Arriving ===

impl Arriving {
    pub(super) fn new(body: Incoming, is_http2: bool, state: &Arc<ConnectionState>) -> Self {
        let has_unread = !is_http2 && !body.is_end_stream();
        Self { body, unread: has_unread.then(|| Unread::new(state)) }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.unread = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === impl Unread ===

impl Unread {
    fn new(state: &Arc<ConnectionState>) -> Self {
        state.unread(true);
        Self(state.clone())
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.0.unread(false);
    }
}
