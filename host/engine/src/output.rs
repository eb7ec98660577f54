//! What a guest prints becomes lines of the host's log, with the names of its service and its request.
//!
//! A line is cut at a bound, so that a guest that never ends a line costs no memory. A request has so many lines in
//! all, and a service so many in a second, so that one that floods the log does not bury the others.

mod attribution;
mod notices;
mod printed;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::AsyncWrite;
use tokio::runtime::Handle;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

pub use self::attribution::{LogAttribution, add_to_linker};
pub use self::printed::{Printed, Stream};
use wasm_host_capabilities::context::{About, RequestContext};
use wasm_host_limits as limits;

/// How many lines a service may write, and what it has written. Shared by all its instances.
pub struct LogRate {
    service: Arc<str>,
    per_second: usize,
    per_request: usize,
    started: Instant,
    /// The second that is counted, and the lines in it. Two threads at its turn may lose a line's count.
    second: AtomicU64,
    lines: AtomicUsize,
    /// Lines over the bound of a second, and lines over that of their requests, that have not been told yet.
    dropped: AtomicU64,
    left_out: AtomicU64,
    /// They will be told within a second.
    is_to_be_told: AtomicBool,
}

impl LogRate {
    pub fn new(service: Arc<str>, per_second: usize, per_request: usize) -> Arc<Self> {
        Arc::new(Self {
            service,
            per_second,
            per_request,
            started: Instant::now(),
            second: AtomicU64::new(0),
            lines: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
            is_to_be_told: AtomicBool::new(false),
        })
    }

    /// Whether one more line may be written now, for this request if it is known.
    fn admits(&self, request: Option<&RequestContext>) -> bool {
        self.admits_at(self.started.elapsed().as_secs(), request)
    }

    fn admits_at(&self, second: u64, request: Option<&RequestContext>) -> bool {
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.lines.store(0, Ordering::Relaxed);
            self.tell();
        }
        let Some(request) = request else {
            return self.takes();
        };
        // Whatever becomes of a line: the flood of one request ends before it has used up a second of all.
        let before = request.count_line();
        if before < self.per_request {
            return self.takes();
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        if before == self.per_request && self.has_room() {
            let About { request, trace_id, span_id, service_version } = request.about();
            tracing::warn!(
                service = %self.service,
                request,
                trace_id,
                span_id,
                service_version,
                "more of request {request} is left out: it printed {} lines ('log-lines-per-request' sets the bound)",
                self.per_request
            );
        }
        false
    }

    /// Whether the second takes one more line; if not, the line is dropped.
    fn takes(&self) -> bool {
        let takes = self.has_room();
        if !takes {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        takes
    }

    /// Whether the second has room for one more line, which is taken.
    fn has_room(&self) -> bool {
        self.lines.fetch_add(1, Ordering::Relaxed) < self.per_second
    }

    /// Tell within a second what was dropped: a flood that has ended may be followed by silence. Once for all that
    /// end meanwhile, or one that opens a stream for each line would flood the log with what is told of it.
    fn tell_soon(self: &Arc<Self>) {
        let silent =
            self.dropped.load(Ordering::Relaxed) + self.left_out.load(Ordering::Relaxed) == 0;
        if silent || self.is_to_be_told.swap(true, Ordering::AcqRel) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            self.is_to_be_told.store(false, Ordering::Release);
            return self.tell();
        };
        let telling = Telling(self.clone());
        runtime.spawn(async move {
            tokio::time::sleep(limits::DROPPED_LINES_TOLD).await;
            drop(telling);
        });
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
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        if left_out > 0 {
            tracing::warn!(
                service = %self.service,
                "left out {left_out} lines of requests that printed more than {} ('log-lines-per-request' sets the bound)",
                self.per_request
            );
        }
    }
}

/// Tells what was dropped when it is dropped itself, which is early when the host ends.
struct Telling(Arc<LogRate>);

impl Drop for Telling {
    fn drop(&mut self) {
        self.0.is_to_be_told.store(false, Ordering::Release);
        self.0.tell();
    }
}

/// A guest's standard output or standard error.
#[derive(Clone)]
pub struct GuestOutput {
    printed: Arc<Printed>,
    stream: Stream,
}

impl GuestOutput {
    pub fn new(printed: Arc<Printed>, stream: Stream) -> Self {
        Self { printed, stream }
    }

    fn lines(&self) -> Lines {
        Lines(self.clone())
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.lines())
    }

    // The one that is given writes in a task of its own, where it is not known any more which request a line belongs to.
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.lines())
    }
}

/// One handle of an output. A guest may have one for each piece of a line.
struct Lines(GuestOutput);

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        self.0.printed.push(self.0.stream, bytes);
    }

    fn attribution(&self) -> &LogAttribution {
        self.0.printed.attribution()
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.0.printed.rate().tell_soon();
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        if bytes.len() > limits::LOG_WRITE_BYTES {
            // By the rules of the interface, which leave it to the stream to see to them.
            return Err(StreamError::trap("it wrote more at once than check-write allows"));
        }
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(limits::LOG_WRITE_BYTES)
    }
}

impl AsyncWrite for Lines {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let bytes = bytes.get(..limits::LOG_WRITE_BYTES).unwrap_or(bytes);
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
    use std::time::Duration;

    use super::*;

    fn request() -> RequestContext {
        RequestContext::of_host("r")
    }

    #[test]
    fn a_service_has_so_many_lines_in_a_second() {
        let rate = LogRate::new("test".into(), 2, 100);
        let admitted: Vec<bool> =
            [0, 0, 0, 0, 1, 1, 1, 7].iter().map(|second| rate.admits_at(*second, None)).collect();
        assert_eq!(admitted, [true, true, false, false, true, true, false, true]);
        // The two of the first second were told in the second one, that of the second in the seventh.
        assert_eq!(rate.dropped.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_request_has_so_many_lines_in_all_and_its_neighbours_theirs() {
        let rate = LogRate::new("test".into(), 100, 2);
        let (one, other) = (request(), request());
        let admitted: Vec<bool> = (0..5).map(|second| rate.admits_at(second, Some(&one))).collect();
        assert_eq!(admitted, [true, true, false, false, false]);
        assert!(rate.admits_at(5, Some(&other)) && rate.admits_at(5, None));
        // All were told when another second began.
        assert_eq!(rate.left_out.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_is_over_the_bound_of_a_request_takes_nothing_from_the_second() {
        let rate = LogRate::new("test".into(), 4, 1);
        let one = request();
        let admitted = (0..100).filter(|_| rate.admits_at(0, Some(&one))).count();
        assert_eq!(admitted, 1);
        // One of the four is what says that more is left out.
        assert!(rate.admits_at(0, None) && rate.admits_at(0, None));
        assert!(!rate.admits_at(0, None));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_left_out_is_told_once_for_all_handles_that_end() {
        let rate = LogRate::new("test".into(), 100, 1);
        let one = request();
        let printed = Printed::new(rate.clone());
        printed.attribution().set(Some(one.clone()));
        let output = GuestOutput::new(printed, Stream::Stdout);
        for _ in 0..50 {
            output.lines().push(b"a line in a handle of its own\n");
        }
        // None of them was told of yet, each by itself.
        assert_eq!(one.count_line(), 50);
        assert_eq!(rate.left_out.load(Ordering::Relaxed), 49);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(rate.left_out.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_says_that_more_is_left_out_is_no_line_that_was_dropped() {
        let rate = LogRate::new("test".into(), 1, 1);
        let one = request();
        assert!(rate.admits_at(0, Some(&one)));
        assert!(!rate.admits_at(0, Some(&one)));
        assert_eq!(rate.left_out.load(Ordering::Relaxed), 1);
        assert_eq!(rate.dropped.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn one_write_is_bounded() {
        let printed = Printed::new(LogRate::new("test".into(), 2, 2));
        let mut lines = GuestOutput::new(printed, Stream::Stdout).lines();
        let room = lines.check_write().unwrap();
        assert!(lines.write(vec![b'x'; room].into()).is_ok());
        assert!(lines.write(vec![b'x'; room + 1].into()).is_err());
    }
}
