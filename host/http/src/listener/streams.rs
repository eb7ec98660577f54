//! The tasks of HTTP/2 streams, with deadlines for clients that grant a stream nothing to send, or too little.
//!
//! The connection of such a client may be well: it reads, answers pings, and only never opens the window of
//! one stream. hyper then waits without polling the response's body, so the body cannot check it itself.
//! It tells the stream's deadlines when it gave a piece to hyper; the stream's task looks at them.
//!
//! Pieces are small. hyper asks for the next one when the window covers all that came before it, so a client that
//! reads is seen to read, however slowly; a piece as a component writes it may take longer than a client may be idle.
//! Nothing looks at the last piece: the task ends when that was handed over, and the part of it that is not granted
//! waits in the connection, up to its end. It is `STREAM_PIECE_BYTES` at most.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::task_local;
use tokio::time::Instant;

use super::clock::LazyTimer;
use super::connection_state::InFlightGuard;
use super::connections::Ends;
use wasm_host_limits::http as limits;

task_local! {
    /// The deadlines of the stream whose task this is. HTTP/1.1 has none: there the socket tells.
    static DEADLINES: Arc<StreamDeadlines>;
}

/// What the deadlines of a stream are about, in milliseconds after the origin; 0 for never.
struct StreamDeadlines {
    origin: Instant,
    /// Since when a piece of the body waits for the client.
    given: AtomicU64,
    /// When the answer must be whole.
    until: AtomicU64,
}

/// Which deadline of a stream passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// The client takes nothing.
    Stalled,
    /// The answer had all its time.
    Answer,
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
    /// What is left of its last piece. Over HTTP/2 only: HTTP/1.1 takes pieces of any size, and the socket tells
    /// how it fares.
    rest: Bytes,
    deadlines: Option<Arc<StreamDeadlines>>,
    _in_flight: InFlightGuard,
}

// === impl Streams ===

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
{
    fn execute(&self, future: F) {
        let Self { write_idle, ends } = self.clone();
        let deadlines = Arc::new(StreamDeadlines::new());
        tokio::spawn(DEADLINES.scope(deadlines.clone(), async move {
            let mut future = std::pin::pin!(future);
            let mut timer = LazyTimer::default();
            std::future::poll_fn(|cx| {
                if future.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                let Some((at, due)) = deadlines.due(write_idle) else { return Poll::Pending };
                ready!(timer.poll(at, cx));
                if due == Due::Stalled {
                    ends.stalled();
                }
                // The future's end resets the stream.
                Poll::Ready(())
            })
            .await;
        }));
    }
}

// === impl StreamDeadlines ===

impl StreamDeadlines {
    fn new() -> Self {
        Self { origin: Instant::now(), given: AtomicU64::new(0), until: AtomicU64::new(0) }
    }

    fn given(&self, is_given: bool) {
        let now = if is_given { self.after(Instant::now()).max(1) } else { 0 };
        self.given.store(now, Ordering::Relaxed);
    }

    fn bind(&self, until: Instant) {
        // Not before it: what makes the answer looks at the same time.
        self.until.store(self.after(until) + 1, Ordering::Relaxed);
    }

    /// When the stream is given up, as far as is known now.
    fn due(&self, write_idle: Duration) -> Option<(Instant, Due)> {
        let stalled = self.at(&self.given).map(|given| (given + write_idle, Due::Stalled));
        let late = self.at(&self.until).map(|until| (until, Due::Answer));
        stalled.into_iter().chain(late).min_by_key(|(at, _)| *at)
    }

    fn after(&self, time: Instant) -> u64 {
        time.saturating_duration_since(self.origin).as_millis() as u64
    }

    fn at(&self, time: &AtomicU64) -> Option<Instant> {
        let time = time.load(Ordering::Relaxed);
        (time > 0).then(|| self.origin + Duration::from_millis(time))
    }
}

// === impl Delivered ===

impl<B> Delivered<B> {
    /// It must be whole by `until`, if that is given.
    pub(super) fn new(body: B, in_flight: InFlightGuard, until: Option<Instant>) -> Self {
        let deadlines = DEADLINES.try_with(Clone::clone).ok();
        if let Some(until) = until {
            match &deadlines {
                Some(deadlines) => deadlines.bind(until),
                None => in_flight.bind(until),
            }
        }
        Self { body, rest: Bytes::new(), deadlines, _in_flight: in_flight }
    }

    /// As much of it as a stream takes at once. The rest is kept, and nothing is copied.
    fn piece(&mut self, mut data: Bytes) -> Bytes {
        if data.len() > limits::STREAM_PIECE_BYTES {
            self.rest = data.split_off(limits::STREAM_PIECE_BYTES);
        }
        data
    }
}

impl<B: Body<Data = Bytes> + Unpin> Delivered<B> {
    /// The next frame, in pieces.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            return Poll::Ready(Some(Ok(Frame::data(self.piece(rest)))));
        }
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            end => return Poll::Ready(end),
        };
        let frame = match frame.into_data() {
            Ok(data) => Frame::data(self.piece(data)),
            Err(trailers) => trailers,
        };
        Poll::Ready(Some(Ok(frame)))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Delivered<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        if this.deadlines.is_none() {
            return Pin::new(&mut this.body).poll_frame(cx);
        }
        let polled = this.poll_piece(cx);
        if let Some(deadlines) = &this.deadlines {
            deadlines.given(matches!(polled, Poll::Ready(Some(Ok(_)))));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut all = SizeHint::new();
        all.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            all.set_upper(upper + rest);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http::HeaderMap;
    use http_body_util::{BodyExt as _, Full, StreamBody};

    use super::*;
    use crate::listener::connection_state::ConnectionState;

    fn in_flight() -> InFlightGuard {
        Arc::new(ConnectionState::new()).begin(true, false)
    }

    /// What a stream would be given of it: the sizes of the pieces, and all of them.
    async fn taken<B>(body: B) -> (Vec<usize>, Vec<u8>, Option<HeaderMap>)
    where
        B: Body<Data = Bytes, Error = Infallible> + Unpin,
    {
        let (mut sizes, mut whole, mut trailers) = (Vec::new(), Vec::new(), None);
        let mut body = Delivered::new(body, in_flight(), None);
        let mut left = body.size_hint().exact();
        while !body.is_end_stream() {
            let Some(frame) = body.frame().await else { break };
            match frame.unwrap().into_data() {
                Ok(data) => {
                    sizes.push(data.len());
                    whole.extend_from_slice(&data);
                    left = left.map(|left| left - data.len() as u64);
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
            assert_eq!(body.size_hint().exact(), left);
        }
        (sizes, whole, trailers)
    }

    #[tokio::test]
    async fn a_stream_takes_an_answer_in_pieces_and_whole() {
        let text: Vec<u8> = (0..40_000_u32).map(|at| at as u8).collect();
        let deadlines = Arc::new(StreamDeadlines::new());
        let pieces = DEADLINES.scope(deadlines.clone(), taken(Full::from(text.clone()))).await;
        assert_eq!(pieces, (vec![16_384, 16_384, 7232], text.clone(), None));
        assert!(deadlines.due(Duration::ZERO).is_some());

        let mut trailers = HeaderMap::new();
        trailers.insert("x-end", "yes".parse().unwrap());
        let frames = [
            Frame::data(Bytes::from(text.clone())),
            Frame::data(Bytes::from("more")),
            Frame::trailers(trailers.clone()),
        ];
        let body = StreamBody::new(stream::iter(frames.map(Ok)));
        let pieces = DEADLINES.scope(deadlines.clone(), taken(body)).await;
        let whole = [&text, &b"more"[..]].concat();
        assert_eq!(pieces, (vec![16_384, 16_384, 7232, 4], whole, Some(trailers)));
        // At its end nothing waits.
        assert_eq!(deadlines.due(Duration::ZERO), None);
    }

    #[tokio::test]
    async fn without_streams_pieces_are_as_they_come() {
        let text = vec![b'x'; 40_000];
        assert_eq!(taken(Full::from(text.clone())).await, (vec![40_000], text, None));
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_of_both_deadlines_counts() {
        let deadlines = StreamDeadlines::new();
        let due = |deadlines: &StreamDeadlines| {
            let (at, due) = deadlines.due(Duration::from_secs(30))?;
            Some((at.duration_since(deadlines.origin).as_secs(), due))
        };
        assert_eq!(due(&deadlines), None);
        deadlines.given(true);
        assert_eq!(due(&deadlines), Some((30, Due::Stalled)));
        deadlines.bind(Instant::now() + Duration::from_secs(20));
        assert_eq!(due(&deadlines), Some((20, Due::Answer)));
        deadlines.given(false);
        deadlines.bind(Instant::now() + Duration::from_secs(60));
        assert_eq!(due(&deadlines), Some((60, Due::Answer)));
    }
}
