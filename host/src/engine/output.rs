//! What a guest prints becomes lines of the host's log, with the service's name.
//!
//! A line is cut at a bound, so that a guest that never ends a line costs no memory; and a service has so
//! many lines in a second, so that one that floods the log does not bury the others.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use crate::limits;

/// How many lines in a second a service may write, and what it has written. Shared by all its instances.
pub struct LogRate {
    service: Arc<str>,
    per_second: usize,
    started: Instant,
    /// The second that is counted, and the lines in it. Two threads at its turn may lose a line's count.
    second: AtomicU64,
    lines: AtomicUsize,
    dropped: AtomicU64,
}

impl LogRate {
    pub fn new(service: Arc<str>, per_second: usize) -> Arc<Self> {
        Arc::new(Self {
            service,
            per_second,
            started: Instant::now(),
            second: AtomicU64::new(0),
            lines: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
        })
    }

    /// Whether one more line may be written now.
    fn admits(&self) -> bool {
        self.admits_at(self.started.elapsed().as_secs())
    }

    fn admits_at(&self, second: u64) -> bool {
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.lines.store(0, Ordering::Relaxed);
            self.tell();
        }
        let admitted = self.lines.fetch_add(1, Ordering::Relaxed) < self.per_second;
        if !admitted {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    /// Tell what was dropped, if anything was.
    fn tell(&self) {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(
                service = %self.service,
                "dropped {dropped} lines of its output, which had more than {} in a second ('log-lines' sets the bound)",
                self.per_second
            );
        }
    }
}

/// A guest's standard output or standard error.
#[derive(Clone)]
pub struct GuestOutput {
    rate: Arc<LogRate>,
    stream: &'static str,
}

impl GuestOutput {
    pub fn stdout(rate: Arc<LogRate>) -> Self {
        Self { rate, stream: "stdout" }
    }

    pub fn stderr(rate: Arc<LogRate>) -> Self {
        Self { rate, stream: "stderr" }
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
        if !line.is_empty() && self.output.rate.admits() {
            tracing::info!(target: "guest", service = %self.output.rate.service, stream = self.output.stream, "{line}");
        }
        self.line.clear();
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.log();
        // A flood that has ended may be followed by silence.
        self.output.rate.tell();
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

    fn lines() -> Lines {
        let rate = LogRate::new("test".into(), 2);
        Lines { output: GuestOutput::stdout(rate), line: Vec::new() }
    }

    #[test]
    fn a_service_has_so_many_lines_in_a_second() {
        let rate = LogRate::new("test".into(), 2);
        let admitted: Vec<bool> =
            [0, 0, 0, 0, 1, 1, 1, 7].iter().map(|second| rate.admits_at(*second)).collect();
        assert_eq!(admitted, [true, true, false, false, true, true, false, true]);
        // The two of the first second were told in the second one, that of the second in the seventh.
        assert_eq!(rate.dropped.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_line_without_end_is_bounded() {
        let mut lines = lines();
        lines.push(&vec![b'x'; 3 * limits::LOG_LINE_BYTES]);
        assert_eq!(lines.line.len(), limits::LOG_LINE_BYTES);
        lines.push(b"\nnext");
        assert_eq!(lines.line, b"next");
    }
}
