//! What a guest prints becomes lines of the host's log, with the service's name.
//!
//! A line is cut at a bound, so that a guest that never ends a line costs no memory.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use crate::limits;

/// A guest's standard output or standard error.
#[derive(Clone)]
pub struct GuestOutput {
    service: Arc<str>,
    stream: &'static str,
}

impl GuestOutput {
    pub fn stdout(service: Arc<str>) -> Self {
        Self { service, stream: "stdout" }
    }

    pub fn stderr(service: Arc<str>) -> Self {
        Self { service, stream: "stderr" }
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Lines { output: self.clone(), line: Vec::new() })
    }
}

/// Collects bytes into lines. What is left without a line's end is logged when the stream is dropped.
struct Lines {
    output: GuestOutput,
    line: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = limits::LOG_LINE_BYTES.saturating_sub(self.line.len());
            self.line.extend(part.iter().take(room));
            if part.ends_with(b"\n") {
                self.log();
            }
        }
    }

    fn log(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        let line = line.trim_end();
        if !line.is_empty() {
            tracing::info!(target: "guest", service = %self.output.service, stream = self.output.stream, "{line}");
        }
        self.line.clear();
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.log();
    }
}

impl AsyncWrite for Lines {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_end_is_bounded() {
        let mut lines = Lines { output: GuestOutput::stdout("test".into()), line: Vec::new() };
        lines.push(&vec![b'x'; 3 * limits::LOG_LINE_BYTES]);
        assert_eq!(lines.line.len(), limits::LOG_LINE_BYTES);
        lines.push(b"\nnext");
        assert_eq!(lines.line, b"next");
    }
}
