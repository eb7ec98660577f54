//! All that is done in this process for one trace, until its end decides whether it is kept.

use std::borrow::Cow;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::SCOPE;

use crate::id::TraceId;
use crate::sampling::KeepReason;
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
    /// Spans that there is room for, ended or not, and what they say.
    held: usize,
    bytes: usize,
    /// Spans that there was no room for. Once there is one, there is no room for any other: it may be what others are
    /// below.
    dropped: usize,
    /// Requests and spans that have not ended.
    open: usize,
    /// The first that failed: what asked for it fails later, if at all.
    failed: Option<Arc<str>>,
    has_failed: bool,
    was_slow: bool,
    /// Of the request that began it.
    service: Option<Arc<str>>,
    wanted: RecordingInterest,
    /// Once everything had ended, whether it was kept.
    decided: Option<Option<KeepReason>>,
}

/// Whether a recording leads to a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RecordingInterest {
    #[default]
    No,
    /// Only where it fails.
    IfFailed,
    Always,
}

/// The room that the spans of a request have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Room {
    /// It is the one that the trace began with, whose room nothing else takes.
    #[default]
    Own,
    /// It is asked by another one, and these bytes are held for it.
    Held(usize),
    /// It is asked by another one, beyond the bound.
    None,
}

/// What decides whether to keep a trace, at its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct SamplingInput<'a> {
    pub trace: TraceId,
    pub sampled: Option<bool>,
    pub wanted: RecordingInterest,
    pub has_failed: bool,
    pub is_slow: bool,
    /// What failed, or else what was slow.
    pub service: &'a str,
}

/// Whether to keep what has ended.
pub(super) fn decide(telemetry: &Telemetry, outcome: SamplingInput<'_>) -> Option<KeepReason> {
    let SamplingInput { trace, sampled, wanted, has_failed, is_slow, service } = outcome;
    let is_recorded = match wanted {
        RecordingInterest::Always => true,
        RecordingInterest::IfFailed => has_failed,
        RecordingInterest::No => false,
    };
    let why = match (has_failed, is_slow) {
        (true, _) => KeepReason::Error,
        (_, true) => KeepReason::Slow,
        _ if is_recorded => return Some(KeepReason::Recorded),
        _ => return telemetry.sampler.keeps(trace.0, sampled),
    };
    (is_recorded || telemetry.sampler.keeps_important(service)).then_some(why)
}

// === impl Wanted ===

impl RecordingInterest {
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
        let spans = Spans { open: 1, held: limits::REQUEST_SPANS, ..Spans::default() };
        Self { telemetry, trace, sampled, is_operation, spans: Mutex::new(spans) }
    }

    /// For a request that has ended, and was kept or not.
    pub(super) fn after(
        telemetry: &'static Telemetry,
        trace: TraceId,
        sampled: Option<bool>,
        kept: Option<KeepReason>,
    ) -> Self {
        let spans = Mutex::new(Spans { decided: Some(kept), ..Spans::default() });
        Self { telemetry, trace, sampled, is_operation: false, spans }
    }

    /// One more is under way, with so many bytes to say from the beginning. False: there is no room for it.
    pub(super) fn enter(&self, bytes: usize) -> bool {
        let mut spans = self.spans.lock();
        spans.open += 1;
        spans.take(1, size_of::<Span>() + bytes)
    }

    /// One more request is a part of it, with so many bytes to say.
    pub(super) fn join(&self, bytes: usize) -> Room {
        let mut spans = self.spans.lock();
        spans.open += 1;
        let bytes = limits::REQUEST_SPANS * size_of::<Span>() + bytes;
        match spans.take(limits::REQUEST_SPANS, bytes) {
            true => Room::Held(bytes),
            false => Room::None,
        }
    }

    /// It is kept, whatever comes of it, or if it fails.
    pub(super) fn want(&self, wanted: RecordingInterest) {
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

    /// Something that was done has ended. `ended` is what is known of it, if there was room for that.
    pub(super) fn close(&self, ended: Option<Span>) {
        let mut spans = self.spans.lock();
        if let Some(span) = &ended
            && span.status.is_error()
        {
            spans.fail(&span.service);
        }
        if spans.decided != Some(None) {
            spans.ended.extend(ended);
        }
        self.closed(spans);
    }

    /// A request has ended. `ended` are its spans, which are asked for where there is room for them. Gives why all of it
    /// is kept, if it was the last and it is.
    pub(super) fn close_request(
        &self,
        service: &Arc<str>,
        has_failed: bool,
        is_slow: bool,
        room: Room,
        ended: impl FnOnce() -> Vec<Span>,
    ) -> Option<KeepReason> {
        let mut spans = self.spans.lock();
        spans.was_slow |= is_slow;
        if has_failed {
            spans.fail(service);
        }
        // What comes after that which was not kept is not kept either.
        if room != Room::None && spans.decided != Some(None) {
            let mut ended = ended();
            if let Room::Held(held) = room {
                spans.settle(&mut ended, held);
            } else {
                spans.service = Some(service.clone());
            }
            spans.ended.append(&mut ended);
        }
        self.closed(spans)
    }

    /// One less is under way.
    fn closed(&self, mut spans: MutexGuard<'_, Spans>) -> Option<KeepReason> {
        spans.open = spans.open.saturating_sub(1);
        if spans.open > 0 {
            return None;
        }
        let decide = || match self.is_operation {
            true => Some(KeepReason::Operation),
            false => {
                let Spans { has_failed, was_slow: is_slow, wanted, .. } = *spans;
                let service = spans.failed.as_deref().or(spans.service.as_deref());
                let (trace, sampled, service) =
                    (self.trace, self.sampled, service.unwrap_or(SCOPE));
                let outcome =
                    SamplingInput { trace, sampled, wanted, has_failed, is_slow, service };
                decide(self.telemetry, outcome)
            }
        };
        let decided = spans.decided.unwrap_or_else(decide);
        spans.decided = Some(decided);
        let ended = std::mem::take(&mut spans.ended);
        let dropped = std::mem::take(&mut spans.dropped);
        (spans.held, spans.bytes) = (0, 0);
        drop(spans);
        if let Some(why) = decided.filter(|_| !ended.is_empty()) {
            self.telemetry.batch(Batch { spans: ended, why, dropped });
        }
        decided
    }
}

// === impl Spans ===

impl Spans {
    /// Take room for so many spans and bytes. False: there is none.
    fn take(&mut self, spans: usize, bytes: usize) -> bool {
        let (held, bytes) = (self.held + spans, self.bytes + bytes);
        if self.dropped > 0 || held > limits::TRACE_SPANS || bytes > limits::TRACE_BYTES {
            self.dropped += spans;
            return false;
        }
        (self.held, self.bytes) = (held, bytes);
        true
    }

    fn fail(&mut self, service: &Arc<str>) {
        self.has_failed = true;
        self.failed.get_or_insert_with(|| service.clone());
    }

    /// The spans of a request that was asked by another one say this much, for which so many bytes were held.
    fn settle(&mut self, ended: &mut [Span], held: usize) {
        let bytes = ended.iter().map(size).sum::<usize>();
        self.bytes = (self.bytes + bytes).saturating_sub(held);
        if self.bytes <= limits::TRACE_BYTES {
            return;
        }
        // That it failed is said in any case, and why where there is room for it.
        for span in ended {
            if let Status::Error(why) = &mut span.status {
                self.bytes = self.bytes.saturating_sub(why.len());
                *why = Cow::Borrowed("");
            }
        }
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
