//! A body that comes from the host.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use wit_bindgen::{FutureReader, StreamReader, StreamResult};

use super::BodyError;
use crate::bindings::wasi::http::types::{ErrorCode, Request, Response, Trailers};
use crate::bindings::wit_future;
use crate::headers;

/// Bytes that one read has room for, and that a sender's word on a body's length is believed for.
const READ_BYTES: usize = 64 * 1024;

type Ending = FutureReader<Result<Option<Trailers>, ErrorCode>>;
type Read = Pin<Box<dyn Future<Output = (StreamReader<u8>, StreamResult, Vec<u8>)> + Send>>;
type End = Pin<Box<dyn Future<Output = Result<Option<Trailers>, ErrorCode>> + Send>>;

/// The body of a request to the service, or of a response to a request of its own.
pub(crate) struct Incoming {
    state: State,
    /// Bytes that are still to come, where the sender said how many.
    left: Option<u64>,
}

enum State {
    Request(Request),
    Response(Response),
    Open(StreamReader<u8>, Ending),
    Reading(Read, Ending),
    Ending(End),
    Ended,
}

impl Incoming {
    pub(crate) fn of_request(request: Request, headers: &HeaderMap) -> Self {
        Self { state: State::Request(request), left: headers::length(headers) }
    }

    pub(crate) fn of_response(response: Response, headers: &HeaderMap) -> Self {
        Self { state: State::Response(response), left: headers::length(headers) }
    }

    /// The host's stream, with what is left in it.
    pub(super) fn into_parts(self) -> Result<(StreamReader<u8>, Ending, Option<u64>), Self> {
        let left = self.left;
        match self.state.opened() {
            State::Open(reader, ending) => Ok((reader, ending, left)),
            state => Err(Self { state, left }),
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match (&self.state, self.left) {
            (State::Ended, _) => SizeHint::with_exact(0),
            (_, Some(left)) => SizeHint::with_exact(left),
            (_, None) => SizeHint::default(),
        }
    }

    pub(super) async fn bytes(self, limit: usize) -> Result<Bytes, BodyError> {
        if self.left.is_some_and(|left| left > limit as u64) {
            return Err(BodyError::TooLarge { limit });
        }
        // One more, as room for the read that finds the end.
        let room = self.room() + 1;
        let mut this = self;
        this.state = this.state.opened();
        let (mut reader, ending) = match this.state {
            State::Open(reader, ending) => (reader, ending),
            State::Ended => return Ok(Bytes::new()),
            State::Reading(..) | State::Ending(_) => {
                return super::collect(super::Body::from(this), limit).await;
            }
            State::Request(_) | State::Response(_) => return Err(BodyError::Incomplete),
        };
        let mut body = Vec::with_capacity(room);
        loop {
            let (status, read) = reader.read(body).await;
            body = read;
            if body.len() > limit {
                return Err(BodyError::TooLarge { limit });
            }
            if !matches!(status, StreamResult::Complete(_)) {
                break;
            }
            if body.len() == body.capacity() {
                body.reserve(1);
            }
        }
        drop(reader);
        ending.await.map(|_| body.into()).map_err(|_| BodyError::Incomplete)
    }

    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            let room = self.room().max(1);
            match std::mem::replace(&mut self.state, State::Ended).opened() {
                State::Open(mut reader, ending) => {
                    let read = Box::pin(async move {
                        let (status, bytes) = reader.read(Vec::with_capacity(room)).await;
                        (reader, status, bytes)
                    });
                    self.state = State::Reading(read, ending);
                }
                State::Reading(mut read, ending) => {
                    let Poll::Ready((reader, status, bytes)) = read.as_mut().poll(context) else {
                        self.state = State::Reading(read, ending);
                        return Poll::Pending;
                    };
                    self.state = match status {
                        StreamResult::Complete(_) => State::Open(reader, ending),
                        StreamResult::Dropped | StreamResult::Cancelled => {
                            State::Ending(Box::pin(ending.into_future()))
                        }
                    };
                    if !bytes.is_empty() {
                        self.left = self.left.map(|left| left.saturating_sub(bytes.len() as u64));
                        return Poll::Ready(Some(Ok(Frame::data(fitted(bytes)))));
                    }
                }
                State::Ending(mut end) => {
                    let Poll::Ready(ended) = end.as_mut().poll(context) else {
                        self.state = State::Ending(end);
                        return Poll::Pending;
                    };
                    return Poll::Ready(match ended {
                        Ok(None) => None,
                        Ok(Some(trailers)) => {
                            Some(Ok(Frame::trailers(headers::from_wasi(&trailers))))
                        }
                        Err(_) => Some(Err(BodyError::Incomplete)),
                    });
                }
                State::Ended | State::Request(_) | State::Response(_) => return Poll::Ready(None),
            }
        }
    }

    /// Bytes that a read is given room for.
    fn room(&self) -> usize {
        let left = self.left.and_then(|left| usize::try_from(left).ok());
        left.map_or(READ_BYTES, |left| left.min(READ_BYTES))
    }
}

/// Small pieces do not hold the room that was there for large ones.
fn fitted(bytes: Vec<u8>) -> Bytes {
    if bytes.len() < bytes.capacity() / 2 { Bytes::copy_from_slice(&bytes) } else { bytes.into() }
}

impl State {
    /// What is not open yet, opened.
    fn opened(self) -> Self {
        let (reader, ending) = match self {
            Self::Request(request) => Request::consume_body(request, consumed()),
            Self::Response(response) => Response::consume_body(response, consumed()),
            other => return other,
        };
        Self::Open(reader, ending)
    }
}

/// What the host is told of the reading: that it went well, as soon as it asks.
fn consumed() -> FutureReader<Result<(), ErrorCode>> {
    let (_, consumed) = wit_future::new(|| Ok(()));
    consumed
}
