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

use crate::case::{Content, Piece, StreamEnd};
use crate::script::Ticket;
use wasm_host_capabilities::body::Body;

/// A body with this content. The ticket is finished when the reader has taken all of it.
pub(crate) fn body(content: Content, end: StreamEnd, ticket: Option<Ticket>) -> Body {
    let pieces = match (content, end) {
        (Content::Whole(body), StreamEnd::Whole) => {
            return whole(Bytes::copy_from_slice(body.bytes()), ticket);
        }
        (Content::Empty, StreamEnd::Whole) => return whole(Bytes::new(), ticket),
        (Content::Whole(body), _) => vec![Piece::Bytes(body.bytes().to_vec())],
        (Content::Empty, _) => Vec::new(),
        (Content::Stream { pieces, lines }, _) => {
            pieces.into_iter().map(|piece| if lines { line(piece) } else { piece }).collect()
        }
    };
    let (sender, receiver) = mpsc::channel(1);
    let left = pieces.iter().filter(|piece| !matches!(piece, Piece::Pause(_))).count();
    let ends_late = matches!((pieces.last(), end), (Some(Piece::Pause(_)), StreamEnd::Whole));
    let streamed = Streamed { receiver, left, late: ticket.clone().filter(|_| ends_late) };
    tokio::spawn(async move {
        if send(&sender, pieces, end).await.is_some()
            && let Some(ticket) = ticket
        {
            ticket.finish();
        }
    });
    streamed.boxed_unsync()
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
    end: StreamEnd,
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
        StreamEnd::Whole => Some(()),
        StreamEnd::Disconnect => sender.send(Err(Error::ConnectionTerminated)).await.ok(),
        StreamEnd::Stall => {
            sender.closed().await;
            None
        }
    }
}

struct Streamed {
    receiver: mpsc::Receiver<Result<Bytes, Error>>,
    /// Pieces with bytes that are still to come.
    left: usize,
    /// Of a body that comes to its end some time after its last byte.
    late: Option<Ticket>,
}

impl Drop for Streamed {
    fn drop(&mut self) {
        // How long the end took where it was recorded is chance, and its reader there computed meanwhile, which
        // takes no time here.
        if self.left == 0
            && let Some(ticket) = self.late.take()
        {
            ticket.finish();
        }
    }
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let piece = self.receiver.poll_recv(cx);
        if matches!(piece, Poll::Ready(Some(Ok(_)))) {
            self.left = self.left.saturating_sub(1);
        }
        piece.map(|piece| piece.map(|piece| piece.map(Frame::data)))
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::case::Matching;
    use crate::script::{Question, Script};

    /// Whether a call counts as given up when its reader takes this many pieces of the answer and then leaves.
    async fn is_given_up(pieces: &[Piece], end: StreamEnd, taken: usize) -> bool {
        let call = "request.path = \"/\"\n[[call]]\nexecute = \"a\"\n[response]\nstatus = 200\n";
        let case = crate::case::Case::parse(call, std::path::Path::new("a.toml")).unwrap();
        let script = Script::new(Matching::Strict, case.calls);
        let question = Question::Execute { statement: "a".to_string(), parameters: Vec::new() };
        let ticket = script.ask(None, question).unwrap().ticket;
        let content = Content::Stream { pieces: pieces.to_vec(), lines: false };
        let mut body = body(content, end, Some(ticket));
        for _ in 0..taken {
            body.frame().await.unwrap().unwrap();
        }
        drop(body);
        script.close().remove(0).cancelled
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_that_comes_late_need_not_be_waited_for() {
        let text = |text: &str| Piece::Text(text.to_string());
        let late = [text("a"), text("b"), Piece::Pause(Duration::from_millis(3))];
        assert!(!is_given_up(&late, StreamEnd::Whole, 2).await);
        assert!(is_given_up(&late, StreamEnd::Whole, 1).await);
        assert!(is_given_up(&late, StreamEnd::Disconnect, 2).await);
        assert!(is_given_up(&late, StreamEnd::Stall, 2).await);
        // There is nothing to wait for.
        assert!(is_given_up(&late[..2], StreamEnd::Whole, 2).await);
    }
}
