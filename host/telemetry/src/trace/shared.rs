//! All that is done in this process for one trace, until its end decides whether it is kept.

use std::borrow::Cow;

use parking_lot::Mutex;

use crate::id::TraceId;
use crate::sampling::Kept;
use crate::span::{Attributes, Event, Span, Status, Value};
use crate::{Batch, Telemetry};
use wasm_host_limits::telemetry as limits;

/// All that is done in this process for one trace.
#[derive(Debug)]
pub(super) struct Shared {
    telemetry: &'static Telemetry,
    trace: TraceId,
    sampled: Option<bool>,
    /// It is something that the host does, and always kept.
    is_operation: bool,
    spans: Mutex<Spans>,
}

#[derive(Debug, Default)]
struct Spans {
    ended: Vec<Span>,
    bytes: usize,
    dropped: usize,
    /// Requests and spans that have not ended.
    open: usize,
    has_failed: bool,
    was_slow: bool,
    wanted: Wanted,
    /// Once everything had ended, whether it was kept.
    decided: Option<Option<Kept>>,
}

/// Whether a recording leads to a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wanted {
    #[default]
    No,
    /// Only where it fails.
    IfFailed,
    Always,
}

/// Whether to keep what has ended.
pub(super) fn decide(
    telemetry: &Telemetry,
    has_failed: bool,
    is_slow: bool,
    trace: TraceId,
    sampled: Option<bool>,
    wanted: Wanted,
) -> Option<Kept> {
    let is_recorded = match wanted {
        Wanted::Always => true,
        Wanted::IfFailed => has_failed,
        Wanted::No => false,
    };
    let why = match (has_failed, is_slow) {
        (true, _) => Kept::Error,
        (_, true) => Kept::Slow,
        _ if is_recorded => return Some(Kept::Recorded),
        _ => return telemetry.sampler.keeps(trace.0, sampled),
    };
    (is_recorded || telemetry.sampler.keeps_important()).then_some(why)
}

// === impl Wanted ===

impl Wanted {
    /// Of its number.
    pub(super) fn of(number: u8) -> Self {
        match number {
            0 => Self::No,
            1 => Self::IfFailed,
            _ => Self::Always,
        }
    }
}

// === impl Shared ===

impl Shared {
    /// For a request or an operation that is under way.
    pub(super) fn new(
        telemetry: &'static Telemetry,
        trace: TraceId,
        sampled: Option<bool>,
        is_operation: bool,
    ) -> Self {
        let spans = Mutex::new(Spans { open: 1, ..Spans::default() });
        Self { telemetry, trace, sampled, is_operation, spans }
    }

    /// For a request that has ended, and was kept or not.
    pub(super) fn after(
        telemetry: &'static Telemetry,
        trace: TraceId,
        sampled: Option<bool>,
        kept: Option<Kept>,
    ) -> Self {
        let spans = Mutex::new(Spans { decided: Some(kept), ..Spans::default() });
        Self { telemetry, trace, sampled, is_operation: false, spans }
    }

    /// One more is under way. False: there is no room for what it would say.
    pub(super) fn enter(&self) -> bool {
        let mut spans = self.spans.lock();
        spans.open += 1;
        let bytes = spans.bytes + size_of::<Span>();
        if spans.ended.len() + spans.open > limits::TRACE_SPANS || bytes > limits::TRACE_BYTES {
            spans.dropped += 1;
            return false;
        }
        spans.bytes = bytes;
        true
    }

    /// One more request is a part of it, which always has room: what it asks for does not.
    pub(super) fn join(&self) {
        self.spans.lock().open += 1;
    }

    /// It is kept, whatever comes of it, or if it fails.
    pub(super) fn want(&self, wanted: Wanted) {
        let mut spans = self.spans.lock();
        spans.wanted = spans.wanted.max(wanted);
    }

    /// Something has failed of which no more can be said.
    pub(super) fn fail(&self) {
        self.spans.lock().has_failed = true;
    }

    /// Something that is under way has so many bytes more to say. False: there is no room for them.
    pub(super) fn hold(&self, bytes: usize) -> bool {
        let mut spans = self.spans.lock();
        let bytes = spans.bytes + bytes;
        let has_room = bytes <= limits::TRACE_BYTES;
        if has_room {
            spans.bytes = bytes;
        }
        has_room
    }

    /// One has ended. `ended` is what is known of it. Gives why all of it is kept, if it was the last and it is.
    pub(super) fn close(&self, ended: impl FnOnce() -> Vec<Span>, is_slow: bool) -> Option<Kept> {
        let mut spans = self.spans.lock();
        spans.open = spans.open.saturating_sub(1);
        spans.was_slow |= is_slow;
        // What comes after that which was not kept is not kept either.
        if spans.decided != Some(None) {
            for span in ended() {
                spans.has_failed |= span.status.is_error();
                spans.ended.push(span);
            }
        }
        if spans.open > 0 {
            return None;
        }
        let Spans { has_failed, was_slow, wanted, .. } = *spans;
        let decide = || match self.is_operation {
            true => Some(Kept::Operation),
            false => {
                let (telemetry, trace, sampled) = (self.telemetry, self.trace, self.sampled);
                decide(telemetry, has_failed, was_slow, trace, sampled, wanted)
            }
        };
        let decided = *spans.decided.get_or_insert_with(decide);
        let ended = std::mem::take(&mut spans.ended);
        let dropped = std::mem::take(&mut spans.dropped);
        spans.bytes = 0;
        drop(spans);
        if let Some(why) = decided.filter(|_| !ended.is_empty()) {
            self.telemetry.batch(Batch { spans: ended, why, dropped });
        }
        decided
    }
}

/// Bytes that a span takes, about.
pub fn size(span: &Span) -> usize {
    let of = |attributes: &Attributes| -> usize {
        let size = |(name, value): &(Cow<'_, str>, Value)| {
            let owned = match name {
                Cow::Owned(name) => name.len(),
                Cow::Borrowed(_) => 0,
            };
            let text = match value {
                Value::Text(text) => text.len(),
                _ => 0,
            };
            size_of::<(Cow<'_, str>, Value)>() + owned + text
        };
        attributes.iter().map(size).sum()
    };
    let events = span
        .events
        .iter()
        .map(|event| size_of::<Event>() + event.name.len() + of(&event.attributes));
    let status = match &span.status {
        Status::Error(why) => why.len(),
        _ => 0,
    };
    size_of::<Span>() + span.name.len() + status + of(&span.attributes) + events.sum::<usize>()
}
