//! Bodies that end as an error once they are too long, or once nothing comes for too long.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, Sleep, sleep};

use super::{Body, Failure, Polled};

/// A body of at most `limit` bytes. What is over ends it with `error`.
pub fn limited(body: Body, limit: u64, error: fn(Option<u64>) -> Failure) -> Body {
    Limited { body, left: limit, limit, error }.boxed_unsync()
}

struct Limited {
    body: Body,
    left: u64,
    limit: u64,
    error: fn(Option<u64>) -> Failure,
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            match self.left.checked_sub(length) {
                Some(left) => self.left = left,
                None => return Poll::Ready(Some(Err((self.error)(Some(self.limit))))),
            }
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

/// A body that ends as an error when it is waited for and nothing comes for as long as `pause`.
pub(crate) fn paced(body: Body, pause: Duration) -> Body {
    Paced { body, pause, timer: Box::pin(sleep(pause)), waiting: false }.boxed_unsync()
}

struct Paced {
    body: Body,
    pause: Duration,
    timer: Pin<Box<Sleep>>,
    /// A reader waits, and the timer runs since then: a slow reader is not the sender's fault.
    waiting: bool,
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_ready() {
            self.waiting = false;
            return polled;
        }
        if !self.waiting {
            self.waiting = true;
            let deadline = Instant::now() + self.pause;
            self.timer.as_mut().reset(deadline);
        }
        match self.timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Some(Err(Failure::ConnectionReadTimeout))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::StreamBody;

    use super::*;
    use crate::body::full;

    #[tokio::test]
    async fn a_body_over_its_limit_ends_as_an_error() {
        for (limit, whole) in [(5, true), (4, false)] {
            let body = limited(full("bytes"), limit, Failure::HttpResponseBodySize);
            assert_eq!(body.collect().await.is_ok(), whole, "{limit}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_of_the_sender_ends_it_and_one_of_the_reader_does_not() {
        let pieces = stream::unfold(0_u64, |number| async move {
            sleep(Duration::from_secs(number)).await;
            Some((Ok::<_, Failure>(Frame::data(Bytes::from_static(b"x"))), number + 1))
        });
        let mut body = paced(StreamBody::new(pieces).boxed_unsync(), Duration::from_millis(1500));
        for _ in 0..2 {
            assert!(body.frame().await.unwrap().is_ok());
            sleep(Duration::from_secs(60)).await;
        }
        // The next one takes longer than the bound.
        assert!(matches!(body.frame().await.unwrap(), Err(Failure::ConnectionReadTimeout)));
    }
}
