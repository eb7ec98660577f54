//! The frames of an HTTP/2 connection, counted as they come: an end for clients that only keep the host busy.
//!
//! The library bounds streams and resets. Settings, pings, grants and whatever else asks for nothing it answers or
//! drops one by one, at no cost to the client and for as long as it sends them. They are counted here, where
//! they are not encrypted any more, by their heads alone. Of HTTP/1.1 nothing is looked at.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::connection_state::ConnectionState;
use super::protocol::PREFACE;
use wasm_host_limits::http as limits;

/// What hyper reads from and writes to.
pub(super) struct Frames<I> {
    io: I,
    state: Arc<ConnectionState>,
    reader: Reader,
    tally: Tally,
}

/// Finds the heads of frames, wherever reads begin and end.
#[derive(Debug, PartialEq)]
enum Reader {
    /// The number of bytes of the preface that have come.
    Preface(usize),
    /// HTTP/1.1.
    Nothing,
    /// The number of bytes of a head that have come.
    Head([u8; HEAD_BYTES], usize),
    /// The number of bytes to the next head.
    Payload(usize),
}

/// Frames that ask for nothing.
#[derive(Default)]
struct Tally {
    idle: u32,
    /// Since when they are counted.
    since: Option<Instant>,
    /// Bytes of what may be written in answer to them alone.
    echo: usize,
}

const HEAD_BYTES: usize = 9;

/// Bytes of the answer to a ping, which is the largest to such a frame.
const ECHO_BYTES: usize = 17;

/// The second that the bound is about.
const SECOND: Duration = Duration::from_secs(1);

// Kinds of frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

// === impl Frames ===

impl<I> Frames<I> {
    pub(super) fn new(io: I, state: Arc<ConnectionState>) -> Self {
        Self { io, state, reader: Reader::Preface(0), tally: Tally::default() }
    }

    fn sent(&mut self, sent: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = sent {
            self.tally.sent(bytes);
        }
        sent
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Frames<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        if this.reader == Reader::Nothing {
            return Poll::Ready(Ok(()));
        }
        let came = buf.filled().get(before..).unwrap_or_default();
        if this.reader.read(came, |length, kind| this.tally.came(length, kind)) {
            return Poll::Ready(Ok(()));
        }
        this.state.flooded.store(true, Ordering::Relaxed);
        Poll::Ready(Err(io::Error::other("a flood of frames that ask for nothing")))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Frames<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let sent = Pin::new(&mut this.io).poll_write(cx, buf);
        this.sent(sent)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let sent = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.sent(sent)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

// === impl Reader ===

impl Reader {
    /// Tell `head` the length and kind of each frame that begins in `bytes`, as long as it says that it may go on.
    /// What it said last.
    fn read(&mut self, mut bytes: &[u8], mut head: impl FnMut(usize, u8) -> bool) -> bool {
        while let Some((&first, rest)) = bytes.split_first() {
            match self {
                Self::Nothing => return true,
                Self::Preface(have) => {
                    if PREFACE.get(*have) != Some(&first) {
                        *self = Self::Nothing;
                        return true;
                    }
                    *have += 1;
                    bytes = rest;
                    if *have == PREFACE.len() {
                        *self = Self::Head([0; HEAD_BYTES], 0);
                    }
                }
                Self::Payload(left) => {
                    let passed = bytes.len().min(*left);
                    *left -= passed;
                    bytes = bytes.get(passed..).unwrap_or_default();
                    if *left == 0 {
                        *self = Self::Head([0; HEAD_BYTES], 0);
                    }
                }
                Self::Head(so_far, have) => {
                    if let Some(byte) = so_far.get_mut(*have) {
                        *byte = first;
                    }
                    *have += 1;
                    bytes = rest;
                    if *have == HEAD_BYTES {
                        let [high, middle, low, kind, ..] = *so_far;
                        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
                        *self = Self::after(length);
                        if !head(length, kind) {
                            return false;
                        }
                    }
                }
            }
        }
        true
    }

    /// What comes behind the head of a frame with this many bytes.
    fn after(length: usize) -> Self {
        if length == 0 { Self::Head([0; HEAD_BYTES], 0) } else { Self::Payload(length) }
    }
}

// === impl Tally ===

impl Tally {
    /// A frame begins. Whether the connection may go on.
    fn came(&mut self, length: usize, kind: u8) -> bool {
        // Requests have bounds of their own, and so has a head in many pieces.
        if matches!(kind, HEADERS | CONTINUATION) || (kind == DATA && length > 0) {
            self.idle = self.idle.saturating_sub(limits::IDLE_FRAMES_PER_FRAME);
            return true;
        }
        if matches!(kind, SETTINGS | PING) {
            self.echo += ECHO_BYTES;
        }
        self.idle += 1;
        if self.idle == 1 {
            self.since = Some(Instant::now());
        }
        if self.idle <= limits::IDLE_FRAMES {
            return true;
        }
        if self.since.is_some_and(|since| since.elapsed() < SECOND) {
            return false;
        }
        (self.idle, self.since, self.echo) = (1, Some(Instant::now()), ECHO_BYTES);
        true
    }

    /// This many bytes were written. What is no answer to such frames was asked for.
    fn sent(&mut self, bytes: usize) {
        let paid = bytes.saturating_sub(self.echo) / limits::BYTES_PER_IDLE_FRAME;
        self.echo = self.echo.saturating_sub(bytes);
        self.idle = self.idle.saturating_sub(u32::try_from(paid).unwrap_or(u32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn frame(kind: u8, length: usize) -> Vec<u8> {
        let [_, high, middle, low] = u32::try_from(length).unwrap().to_be_bytes();
        let mut frame = vec![high, middle, low, kind, 0, 0, 0, 0, 0];
        frame.resize(HEAD_BYTES + length, b'x');
        frame
    }

    #[test]
    fn frames_are_found_wherever_reads_end() {
        let frames = [frame(SETTINGS, 0), frame(HEADERS, 40), frame(DATA, 70_000), frame(PING, 8)];
        let bytes = [PREFACE.to_vec(), frames.concat()].concat();
        for step in [1, 2, 8, 9, 10, 24, 1000, bytes.len()] {
            let (mut reader, mut seen) = (Reader::Preface(0), Vec::new());
            for piece in bytes.chunks(step) {
                assert!(reader.read(piece, |length, kind| {
                    seen.push((kind, length));
                    true
                }));
            }
            assert_eq!(seen, [(SETTINGS, 0), (HEADERS, 40), (DATA, 70_000), (PING, 8)], "{step}");
        }
    }

    #[test]
    fn requests_of_http1_are_not_looked_at() {
        let mut reader = Reader::Preface(0);
        for piece in [&b"P"[..], b"OST / HTTP/1.1\r\n\r\n", &frame(PING, 8)] {
            assert!(reader.read(piece, |_, _| false));
        }
        assert_eq!(reader, Reader::Nothing);
    }

    /// How many of these the tally takes, up to twice its bound.
    fn taken(tally: &mut Tally, kind: u8, length: usize) -> u32 {
        (0..2 * limits::IDLE_FRAMES).take_while(|_| tally.came(length, kind)).count() as u32
    }

    #[tokio::test(start_paused = true)]
    async fn frames_that_ask_for_nothing_are_bounded_in_a_second() {
        for (kind, length) in [(PING, 8), (SETTINGS, 0), (SETTINGS, 6), (DATA, 0), (8, 4), (200, 0)]
        {
            let mut tally = Tally::default();
            assert_eq!(taken(&mut tally, kind, length), limits::IDLE_FRAMES, "{kind}");
        }
        let mut tally = Tally::default();
        for _ in 0..10 {
            for _ in 0..limits::IDLE_FRAMES {
                assert!(tally.came(8, PING));
            }
            advance(SECOND).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn frames_that_go_with_requests_and_answers_are_no_flood() {
        let bound = 2 * limits::IDLE_FRAMES;
        let mut tally = Tally::default();
        assert_eq!(taken(&mut tally, HEADERS, 50), bound);
        assert_eq!(taken(&mut tally, DATA, 50), bound);
        // A ping, and two grants, with each piece of a long answer.
        for _ in 0..bound {
            tally.sent(limits::STREAM_PIECE_BYTES);
            assert!(tally.came(8, PING) && tally.came(4, 8) && tally.came(4, 8));
        }
        // Answers to pings pay for nothing.
        let mut tally = Tally::default();
        let pinged = (0..bound).take_while(|_| {
            tally.sent(ECHO_BYTES);
            tally.came(8, PING)
        });
        assert_eq!(pinged.count() as u32, limits::IDLE_FRAMES);
    }
}
