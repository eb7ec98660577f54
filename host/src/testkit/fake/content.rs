//! Scripted bodies, of a client's request and of a server's answer alike.

use std::future::pending;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;
use tokio::time::sleep;
use wasmtime_wasi_http::Error;

use crate::capability::body::Body;
use crate::testkit::case::{Content, End, Piece};
use crate::testkit::script::Ticket;

/// A body with this content. The ticket is finished when the reader has taken all of it.
pub(in crate::testkit) fn body(content: Content, end: End, ticket: Option<Ticket>) -> Body {
    let pieces = match (content, end) {
        (Content::Whole(body), End::Whole) => {
            return whole(Bytes::copy_from_slice(body.bytes()), ticket);
        }
        (Content::Empty, End::Whole) => return whole(Bytes::new(), ticket),
        (Content::Whole(body), _) => vec![Piece::Bytes(body.bytes().to_vec())],
        (Content::Empty, _) => Vec::new(),
        (Content::Stream { pieces, lines }, _) => {
            pieces.into_iter().map(|piece| if lines { line(piece) } else { piece }).collect()
        }
    };
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        if send(&sender, pieces, end).await.is_some()
            && let Some(ticket) = ticket
        {
            ticket.finish();
        }
    });
    Streamed(receiver).boxed_unsync()
}

fn line(piece: Piece) -> Piece {
    match piece {
        Piece::Text(text) => Piece::Text(text + "\n"),
        Piece::Bytes(mut bytes) => {
            bytes.push(b'\n');
            Piece::Bytes(bytes)
        }
        pause @ Piece::Pause(_) => pause,
    }
}

/// Hand over the pieces. None if the reader has gone first.
async fn send(
    sender: &mpsc::Sender<Result<Bytes, Error>>,
    pieces: Vec<Piece>,
    end: End,
) -> Option<()> {
    for piece in pieces {
        let bytes = match piece {
            Piece::Text(text) => text.into(),
            Piece::Bytes(bytes) => bytes.into(),
            Piece::Pause(time) => {
                tokio::select! {
                    biased;
                    () = sender.closed() => return None,
                    () = sleep(time) => continue,
                }
            }
        };
        sender.send(Ok(bytes)).await.ok()?;
    }
    // There is room again when the last piece has been taken.
    sender.reserve().await.ok()?;
    match end {
        End::Whole => Some(()),
        End::Disconnect => sender.send(Err(Error::ConnectionTerminated)).await.ok(),
        End::Stall => {
            sender.closed().await;
            None
        }
    }
}

struct Streamed(mpsc::Receiver<Result<Bytes, Error>>);

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

fn whole(bytes: Bytes, ticket: Option<Ticket>) -> Body {
    let mut body = Whole { bytes: Some(bytes).filter(|bytes| !bytes.is_empty()), ticket };
    if body.bytes.is_none() {
        body.taken();
    }
    body.boxed_unsync()
}

struct Whole {
    bytes: Option<Bytes>,
    ticket: Option<Ticket>,
}

impl Whole {
    fn taken(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            ticket.finish();
        }
    }
}

impl http_body::Body for Whole {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let bytes = self.bytes.take();
        self.taken();
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// What never comes.
pub(super) async fn silence<T>() -> T {
    pending().await
}
