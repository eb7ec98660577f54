//! The lines that an instance prints, from their pieces.
//!
//! What makes one line of pieces is what writes them: the instance, its stream, and the request. Not the handle, which
//! many programs open anew for each piece; so a line may have to wait for its end when no handle is open. It is told
//! from outside when nothing is left that would write that.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::{LogAttribution, LogRate};
use wasm_host_capabilities::context::{About, RequestContext};
use wasm_host_limits as limits;

/// What the log calls an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// What one instance prints.
pub struct Printed {
    rate: Arc<LogRate>,
    attribution: LogAttribution,
    /// Lines without an end, those that were begun first in front.
    unfinished: Mutex<Vec<Line>>,
    /// Whether there are any, to be looked at without the lock.
    has_any: AtomicBool,
}

struct Line {
    stream: Stream,
    by: Option<RequestContext>,
    text: Vec<u8>,
}

impl fmt::Display for Stream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        })
    }
}

// === impl Printed ===

impl Printed {
    pub fn new(rate: Arc<LogRate>) -> Arc<Self> {
        let (attribution, unfinished, has_any) = Default::default();
        Arc::new(Self { rate, attribution, unfinished, has_any })
    }

    pub fn attribution(&self) -> &LogAttribution {
        &self.attribution
    }

    pub(super) fn rate(&self) -> &Arc<LogRate> {
        &self.rate
    }

    /// Some bytes of the request that prints now.
    pub(super) fn push(&self, stream: Stream, bytes: &[u8]) {
        let by = self.attribution.request();
        let mut unfinished = self.lock();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let begun = unfinished.iter().position(|line| line.is_of(stream, by.as_ref()));
            let mut line = match begun {
                Some(begun) => unfinished.remove(begun),
                None => Line { stream, by: by.clone(), text: Vec::new() },
            };
            if let Some(end) = part.strip_suffix(b"\n") {
                line.add(end);
                self.log(&line);
                continue;
            }
            line.add(part);
            if unfinished.len() >= limits::LOG_UNFINISHED_LINES {
                self.log(&unfinished.remove(0));
            }
            unfinished.push(line);
        }
        self.has_any.store(!unfinished.is_empty(), Ordering::Relaxed);
    }

    /// Log what has no end of those that have no more to say.
    pub fn end_lines(&self, has_ended: impl Fn(Option<&RequestContext>) -> bool) {
        if !self.has_any.load(Ordering::Relaxed) {
            return;
        }
        let mut unfinished = self.lock();
        for line in unfinished.extract_if(.., |line| has_ended(line.by.as_ref())) {
            self.log(&line);
        }
        self.has_any.store(!unfinished.is_empty(), Ordering::Relaxed);
        drop(unfinished);
        self.rate.tell_soon();
    }

    fn log(&self, line: &Line) {
        if !self.rate.admits(line.by.as_ref()) {
            return;
        }
        let (service, stream) = (&self.rate.service, line.stream);
        let text = String::from_utf8_lossy(&line.text);
        let text = text.trim_end();
        match &line.by {
            Some(by) => {
                let About { request, trace_id, span_id, service_version } = by.about();
                tracing::info!(
                    target: "guest",
                    %service, %stream, request, trace_id, span_id, service_version, "{text}"
                );
            }
            None => tracing::info!(target: "guest", %service, %stream, "{text}"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Line>> {
        self.unfinished.lock()
    }
}

impl Drop for Printed {
    fn drop(&mut self) {
        self.end_lines(|_| true);
    }
}

// === impl Line ===

impl Line {
    fn is_of(&self, stream: Stream, by: Option<&RequestContext>) -> bool {
        let is_theirs = match (&self.by, by) {
            (Some(own), Some(by)) => own.is(by),
            (own, by) => own.is_none() && by.is_none(),
        };
        self.stream == stream && is_theirs
    }

    fn add(&mut self, bytes: &[u8]) {
        let room = limits::LOG_LINE_BYTES.saturating_sub(self.text.len());
        self.text.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(id: &str) -> RequestContext {
        RequestContext::of_host(id)
    }

    fn print(printed: &Printed, by: Option<&RequestContext>, bytes: &str) {
        printed.attribution().set(by.cloned());
        printed.push(Stream::Stderr, bytes.as_bytes());
        printed.attribution().set(None);
    }

    /// What waits for its end.
    fn unfinished(printed: &Printed) -> Vec<String> {
        printed.lock().iter().map(|line| String::from_utf8_lossy(&line.text).into()).collect()
    }

    #[test]
    fn pieces_make_a_line_of_their_request_whatever_others_print_between_them() {
        let printed = Printed::new(LogRate::new("test".into(), 100, 100));
        let (one, other) = (request("1"), request("2"));
        print(&printed, Some(&one), "start ");
        print(&printed, Some(&other), "a line\nand ");
        print(&printed, None, "nobody's");
        printed.push(Stream::Stdout, b"of another stream");
        print(&printed, Some(&one), "a print");
        assert_eq!(
            unfinished(&printed),
            ["and ", "nobody's", "of another stream", "start a print"]
        );
        print(&printed, Some(&one), "\n\n");
        // The line, and an empty one.
        assert_eq!(one.count_line(), 2);
        assert_eq!(other.count_line(), 1);
        assert_eq!(unfinished(&printed), ["and ", "nobody's", "of another stream"]);
    }

    #[test]
    fn a_line_without_end_is_logged_once_its_request_has_ended() {
        let printed = Printed::new(LogRate::new("test".into(), 100, 100));
        let (one, other) = (request("1"), request("2"));
        print(&printed, Some(&one), "no end");
        print(&printed, Some(&other), "goes on");
        one.finish();
        printed.end_lines(|request| request.is_some_and(RequestContext::has_ended));
        assert_eq!(unfinished(&printed), ["goes on"]);
        drop(printed);
        assert_eq!((one.count_line(), other.count_line()), (1, 1));
    }

    #[test]
    fn lines_without_end_are_bounded_in_length_and_number() {
        let printed = Printed::new(LogRate::new("test".into(), 1000, 1000));
        let one = request("1");
        print(&printed, Some(&one), &"x".repeat(3 * limits::LOG_LINE_BYTES));
        assert_eq!(unfinished(&printed)[0].len(), limits::LOG_LINE_BYTES);
        print(&printed, Some(&one), "\nnext");
        assert_eq!(unfinished(&printed), ["next"]);
        for number in 0..2 * limits::LOG_UNFINISHED_LINES {
            print(&printed, Some(&request("n")), &number.to_string());
        }
        let left = unfinished(&printed);
        assert_eq!(left.len(), limits::LOG_UNFINISHED_LINES);
        assert_eq!(left.last().unwrap(), "127");
    }
}
