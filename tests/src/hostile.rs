//! A client that keeps to no protocol: sends what bytes it is given, when it is told to.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::within;

/// One raw connection. Dropping it closes it.
pub struct Raw(TcpStream);

/// How a connection came to its end, and what was read until then.
#[derive(Debug)]
pub struct ConnectionEnd {
    pub bytes: Vec<u8>,
    /// Closed in order rather than by a reset.
    pub orderly: bool,
}

impl ConnectionEnd {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The statuses of all answers in it, in their order.
    pub fn statuses(&self) -> Vec<u16> {
        let text = self.text();
        let heads =
            text.match_indices("HTTP/1.").filter_map(|(at, _)| text[at..].split(' ').nth(1));
        heads.filter_map(|status| status.parse().ok()).collect()
    }
}

impl Raw {
    pub async fn connect(address: &str) -> Self {
        let stream =
            within("a connection", TcpStream::connect(address)).await.expect("a connection");
        stream.set_nodelay(true).expect("an option");
        Self(stream)
    }

    /// Send bytes. The other side may be gone.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        within("the bytes to be taken", self.0.write_all(bytes.as_ref())).await
    }

    /// Send bytes in pieces with a pause after each, until all are sent or the other side closes.
    pub async fn drip(
        &mut self,
        bytes: &[u8],
        piece: usize,
        pause: Duration,
    ) -> std::io::Result<()> {
        for piece in bytes.chunks(piece) {
            self.send(piece).await?;
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    /// Send bytes in pieces with a pause after each, and meanwhile read until the other side closes.
    pub async fn exchange(mut self, bytes: &[u8], piece: usize, pause: Duration) -> ConnectionEnd {
        let (mut from, mut to) = self.0.split();
        let send = async {
            for piece in bytes.chunks(piece) {
                if to.write_all(piece).await.is_err() {
                    return;
                }
                tokio::time::sleep(pause).await;
            }
        };
        let mut answer = Vec::new();
        let read = from.read_to_end(&mut answer);
        let (_, end) = within("an answer", async { tokio::join!(send, read) }).await;
        ConnectionEnd { bytes: answer, orderly: end.is_ok() }
    }

    /// Say that nothing more is sent, and go on reading.
    pub async fn half_close(&mut self) {
        let _ = self.0.shutdown().await;
    }

    /// Read until `wanted` has been seen. Panics with what came instead.
    pub async fn read_until(&mut self, wanted: &str) -> String {
        let mut seen = Vec::new();
        let mut piece = [0; 4096];
        loop {
            let text = String::from_utf8_lossy(&seen);
            if text.contains(wanted) {
                return text.into_owned();
            }
            match within(wanted, self.0.read(&mut piece)).await {
                Ok(count) if count > 0 => seen.extend_from_slice(&piece[..count]),
                _ => panic!("{wanted} never came, only {text}"),
            }
        }
    }

    /// Read until the other side closes.
    pub async fn end(self) -> ConnectionEnd {
        self.end_after(usize::MAX, Duration::ZERO).await
    }

    /// The same, in pieces of so many bytes with a pause after each.
    pub async fn end_after(mut self, piece: usize, pause: Duration) -> ConnectionEnd {
        let mut bytes = Vec::new();
        let mut buffer = vec![0; piece.min(64 * 1024)];
        loop {
            match within("the other side to close", self.0.read(&mut buffer)).await {
                Ok(0) => return ConnectionEnd { bytes, orderly: true },
                Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                Err(_) => return ConnectionEnd { bytes, orderly: false },
            }
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// Whether the other side closes within this time. What it sends until then is thrown away.
    pub async fn closes_within(&mut self, time: Duration) -> bool {
        let mut buffer = vec![0; 64 * 1024];
        let close =
            async { while matches!(self.0.read(&mut buffer).await, Ok(count) if count > 0) {} };
        tokio::time::timeout(time, close).await.is_ok()
    }

    /// Leave with a reset instead of an end.
    pub fn reset(self) {
        let _ = self.0.set_zero_linger();
    }
}

/// A whole request as bytes. The connection ends with its answer.
pub fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
