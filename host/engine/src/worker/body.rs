//! The body of an answer, on its way from the guest that writes it: where it ends, and whether that is all of it.
//!
//! A body does not say so by itself. That of an instance that trapped ends as if it were whole; that of a guest of
//! WASI 0.2 which forgot it never ends; and a reader to which the head has promised a length takes so many bytes and
//! does not ask for the end. This knows one body and its [`RequestState`], and nothing of its reader.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use wasmtime_wasi_http::{Error, WasiBody};

use super::instance_state::RequestState;

type Piece = Option<Result<Frame<Bytes>, Error>>;

/// A body that a guest writes.
pub struct AnswerBody {
    body: WasiBody,
    /// The bytes that are still to come of those that the head promises. None: it promises nothing.
    left: Option<u64>,
    /// The pieces that have been read.
    pieces: u32,
    waits: bool,
}

/// Whether the head of such an answer is all of it, whatever its headers say.
pub fn has_no_body(asked: &Method, status: StatusCode) -> bool {
    *asked == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

impl AnswerBody {
    /// `promised`: as many bytes as its reader waits for, if it knows.
    pub fn new(body: WasiBody, promised: Option<u64>) -> Self {
        Self { body, left: promised, pieces: 0, waits: false }
    }

    /// The length that an answer's head promises.
    pub fn promised(headers: &HeaderMap) -> Option<u64> {
        headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    /// The next piece. None: it is whole.
    pub fn poll_frame(&mut self, request: &RequestState, cx: &mut Context<'_>) -> Poll<Piece> {
        let mut piece = Pin::new(&mut self.body).poll_frame(cx);
        if piece.is_pending() {
            self.waits = true;
            request.wait_for(self.pieces.wrapping_add(1).max(1), cx.waker());
            // After the waiting was made known: a guest that returns before that is seen here.
            if !request.has_returned() {
                return Poll::Pending;
            }
            // What it wrote at last may have come since.
            piece = Pin::new(&mut self.body).poll_frame(cx);
        }
        if std::mem::take(&mut self.waits) {
            request.stop_waiting();
        }
        self.pieces = self.pieces.wrapping_add(1);
        Poll::Ready(match piece {
            Poll::Ready(piece) => self.judged(piece, request),
            Poll::Pending => self.judged(Some(Err(Error::ConnectionTerminated)), request),
        })
    }

    fn judged(&mut self, piece: Piece, request: &RequestState) -> Piece {
        let is_complete = self.left == Some(0);
        match piece {
            Some(Ok(frame)) => {
                if let (Some(left), Some(data)) = (&mut self.left, frame.data_ref()) {
                    match left.checked_sub(data.len() as u64) {
                        Some(rest) => *left = rest,
                        None => return Some(Err(Error::HttpResponseBodySize(None))),
                    }
                }
                Some(Ok(frame))
            }
            // Its client has all of it; the guest has merely not said so.
            None | Some(Err(_))
                if is_complete && (request.has_returned() || request.is_broken()) =>
            {
                None
            }
            Some(Err(_)) if request.has_returned() => {
                let why = "the component returned before its body was whole";
                Some(Err(Error::InternalError(Some(why.to_string()))))
            }
            None if request.is_broken() => Some(Err(Error::ConnectionTerminated)),
            None if self.left.is_some_and(|left| left > 0) => {
                Some(Err(Error::HttpResponseBodySize(None)))
            }
            end => end,
        }
    }

    /// Whether all of it has been read.
    pub fn is_read(&self, request: &RequestState) -> bool {
        let is_empty = || self.body.is_end_stream() || self.body.size_hint().exact() == Some(0);
        self.left == Some(0) || !request.is_broken() && is_empty()
    }

    pub fn is_end_stream(&self, request: &RequestState) -> bool {
        self.body.is_end_stream() && !request.is_broken()
    }

    pub fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(|| self.body.size_hint(), SizeHint::with_exact)
    }
}
