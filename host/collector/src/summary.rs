//! One row for each trace: what a list shows of it. Pure.
//!
//! The parts of a trace come one by one, also from other senders, and each changes the row that the ones before it
//! made.

use wasm_host_limits::telemetry as limits;
use wasm_host_telemetry::attributes as names;
use wasm_host_telemetry::id::{SpanId, TraceId};
use wasm_host_telemetry::sampling::KeepReason;
use wasm_host_telemetry::span::{Span, Value};

use crate::words::Indexed;

/// Attributes whose texts a search finds.
const SEARCHED: [&str; 13] = [
    names::URL_PATH,
    names::HTTP_METHOD,
    names::HTTP_STATUS,
    names::REQUEST,
    names::ERROR_TYPE,
    names::SERVER_ADDRESS,
    names::PEER,
    names::VERSION,
    names::DB_TEXT,
    names::DB_NAMESPACE,
    names::DB_STATUS,
    names::AI_MODEL,
    "exception.message",
];

/// Spans of a trace that a file has, if all of them are of requests that somebody looks for.
pub(crate) const STORED_AT_MOST: usize = limits::STORED_SPANS + limits::STORED_IMPORTANT_SPANS;

/// What tells the first span of a trace from the others: how sure it is, and when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank(pub i64, pub u64);

impl Rank {
    const NONE: Self = Self(i64::MAX, u64::MAX);
}

#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    pub id: u64,
    pub trace: TraceId,
    pub start: u64,
    pub ended: u64,
    pub name: String,
    pub service: String,
    /// Of HTTP.
    pub status: Option<i64>,
    /// Whether the first span failed.
    pub error: bool,
    pub errors: u64,
    pub spans: u64,
    pub dropped: u64,
    pub route: Option<String>,
    pub why: String,
    pub rank: Rank,
    /// Each with its spans, and those that failed.
    pub services: Vec<(String, u64, u64)>,
    pub words: String,
    /// That of its first span, where it was read.
    pub path: Option<String>,
}

impl Summary {
    pub fn new(id: u64, trace: TraceId) -> Self {
        Self {
            id,
            trace,
            start: u64::MAX,
            ended: 0,
            name: String::new(),
            service: String::new(),
            status: None,
            error: false,
            errors: 0,
            spans: 0,
            dropped: 0,
            route: None,
            why: String::new(),
            rank: Rank::NONE,
            services: Vec::new(),
            words: String::new(),
            path: None,
        }
    }

    /// Some more of it. Those of `spans` that there is room for are returned; those that failed count in any case.
    pub fn add<'a>(
        &mut self,
        spans: &[&'a Span],
        why: KeepReason,
        dropped: usize,
    ) -> Vec<&'a Span> {
        self.because(why.name());
        self.dropped += dropped as u64;
        let most = match why {
            KeepReason::Error | KeepReason::Slow | KeepReason::Recorded => STORED_AT_MOST,
            _ => limits::STORED_SPANS,
        };
        let room = (most as u64).saturating_sub(self.spans);
        let room = usize::try_from(room).unwrap_or(usize::MAX).min(spans.len());
        let (kept, beyond) = spans.split_at(room);
        self.dropped += beyond.len() as u64;
        let mut words = Indexed::of(&self.words);
        for span in kept {
            self.span(span, spans);
            index(span, &mut words);
        }
        self.words = words.text;
        let failed = beyond.iter().filter(|span| span.status.is_error());
        failed.for_each(|span| self.failed(&span.service));
        if why == KeepReason::Error
            && dropped > 0
            && !spans.iter().any(|span| span.status.is_error())
            && let Some(first) = spans.first()
        {
            // What failed is among those that its request had no room for.
            self.failed(&first.service);
        }
        kept.to_vec()
    }

    fn span(&mut self, span: &Span, beside: &[&Span]) {
        self.spans += 1;
        let has_failed = span.status.is_error();
        self.errors += u64::from(has_failed);
        self.start = self.start.min(span.start);
        self.ended = self.ended.max(span.start.saturating_add(span.duration));
        self.count(&span.service, 1, u64::from(has_failed));
        let rank = Rank(rank(span.parent, beside), span.start);
        let route = span.attribute(names::HTTP_ROUTE).and_then(text);
        if rank < self.rank {
            self.rank = rank;
            self.name = span.name.to_string();
            self.service = span.service.to_string();
            self.error = has_failed;
            self.status = span.attribute(names::HTTP_STATUS).and_then(integer).or(self.status);
            self.route = route.or_else(|| self.route.take());
        } else if self.route.is_none() {
            self.route = route;
        }
    }

    fn failed(&mut self, service: &str) {
        self.errors += 1;
        self.count(service, 0, 1);
    }

    /// What failed stays that, and why the host kept it says more than that others sent a part of it, too.
    fn because(&mut self, why: &str) {
        if weight(why) > weight(&self.why) {
            self.why = why.to_owned();
        }
    }

    fn count(&mut self, service: &str, spans: u64, errors: u64) {
        match self.services.iter_mut().find(|(known, ..)| known == service) {
            Some((_, all, failed)) => (*all, *failed) = (*all + spans, *failed + errors),
            None => self.services.push((service.to_owned(), spans, errors)),
        }
    }

    /// The same trace in another file.
    pub fn merge(&mut self, other: Self) {
        self.start = self.start.min(other.start);
        self.ended = self.ended.max(other.ended);
        self.spans += other.spans;
        self.errors += other.errors;
        self.dropped += other.dropped;
        self.because(&other.why);
        for (service, spans, errors) in &other.services {
            self.count(service, *spans, *errors);
        }
        if other.rank < self.rank {
            self.status = other.status.or(self.status);
            self.route = other.route.or_else(|| self.route.take());
            (self.rank, self.error) = (other.rank, other.error);
            (self.name, self.service) = (other.name, other.service);
            self.path = other.path;
        } else {
            self.status = self.status.or(other.status);
            self.route = self.route.take().or(other.route);
        }
    }
}

/// How much a reason says. Of two that say as much the first stays.
fn weight(why: &str) -> u8 {
    match why {
        "" => 0,
        _ if why == KeepReason::Outside.name() || why == KeepReason::Page.name() => 1,
        _ if why == KeepReason::Error.name() => 3,
        _ => 2,
    }
}

/// First is what nothing asked for; else what something asked for that is not here; else what began first.
fn rank(parent: Option<SpanId>, beside: &[&Span]) -> i64 {
    match parent {
        None => 0,
        Some(parent) if !beside.iter().any(|span| span.id == parent) => 1,
        Some(_) => 2,
    }
}

fn index(span: &Span, words: &mut Indexed) {
    words.add(&span.name);
    words.add(&span.service);
    if let wasm_host_telemetry::span::Status::Error(why) = &span.status {
        words.add(why);
    }
    let events = span.events.iter().flat_map(|event| &event.attributes);
    for (name, value) in span.attributes.iter().chain(events) {
        if !SEARCHED.contains(&name.as_ref()) {
            continue;
        }
        match value {
            Value::Text(text) => words.add(text),
            Value::Integer(number) => words.add(&number.to_string()),
            Value::Number(_) | Value::Boolean(_) => {}
        }
    }
}

pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.to_string()),
        _ => None,
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        _ => None,
    }
}
