//! One request as its trace sees it, and what is done for it.
//!
//! Most requests ask for nothing and are not kept. So a request has a few plain fields, and no more until something is
//! done for it ([`Trace::span`]) or it is seen at its end that it is kept. A request that goes on to another service of
//! this host has a [`Trace`] there whose spans end up with this one's: what is kept, is kept whole.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http::{Method, Uri};
use parking_lot::Mutex;

use crate::context::TraceContext;
use crate::id::{SpanId, TraceId};
use crate::instruments::SERVER_DURATION;
use crate::metrics::Instrument;
use crate::sampling::Kept;
use crate::span::{Attributes, Event, Kind, Span, Status, Value};
use crate::{Batch, Telemetry, attributes as names, clock};
use wasm_host_limits::telemetry as limits;

/// What the spans of this host are said by.
pub const SCOPE: &str = "wasm-host";

/// A request that a service of this host answers.
#[derive(Debug)]
pub struct Trace {
    telemetry: &'static Telemetry,
    id: TraceId,
    span: SpanId,
    parent: Option<SpanId>,
    /// What asks has decided whether to keep it.
    sampled: Option<bool>,
    state: Option<http::HeaderValue>,
    began: Instant,
    method: Method,
    uri: Uri,
    /// Nanoseconds from `began` on, each zero until then.
    admitted: AtomicU64,
    begun: AtomicU64,
    answered: AtomicU64,
    has_ended: AtomicBool,
    shared: OnceLock<Arc<Shared>>,
}

/// What is known of a request at its end.
#[derive(Debug, Default)]
pub struct Ended<'a> {
    pub service: Option<&'a Arc<str>>,
    /// The digest of the component.
    pub version: Option<&'a str>,
    /// It was on trial.
    pub is_canary: bool,
    pub route: Option<&'a str>,
    pub status: Option<u16>,
    /// Its client left before it had all of the answer.
    pub was_left: bool,
    /// Why there was no answer, or not all of it.
    pub error: Option<Cow<'static, str>>,
}

/// All that is done in this process for one trace.
#[derive(Debug)]
struct Shared {
    telemetry: &'static Telemetry,
    trace: TraceId,
    sampled: Option<bool>,
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
    /// Once everything had ended, whether it was kept.
    decided: Option<Option<Kept>>,
}

/// Something that is being done for a request. It ends when it is dropped. Of no cost where nothing is seen.
#[derive(Debug, Default)]
pub struct ActiveSpan(Option<Box<Open>>);

#[derive(Debug)]
struct Open {
    shared: Arc<Shared>,
    began: Instant,
    span: Span,
}

// === impl Trace ===

impl Trace {
    /// For what the host asks on its own account: nothing of it is seen.
    pub fn off() -> Self {
        Self::new(Telemetry::off(), SpanId(0), None, &Method::GET, &Uri::default())
    }

    /// A request has come, and says that it is part of `context`.
    pub fn begin(
        telemetry: &'static Telemetry,
        context: Option<TraceContext>,
        method: &Method,
        uri: &Uri,
    ) -> Self {
        Self::new(telemetry, SpanId::new(), context, method, uri)
    }

    fn new(
        telemetry: &'static Telemetry,
        span: SpanId,
        context: Option<TraceContext>,
        method: &Method,
        uri: &Uri,
    ) -> Self {
        let (id, parent, sampled, state) = match context {
            Some(TraceContext { trace, span, sampled, state }) => {
                (trace, Some(span), Some(sampled), state)
            }
            None if span.0 == 0 => (TraceId(0), None, None, None),
            None => (span.begins(), None, None, None),
        };
        let (method, uri, began) = (method.clone(), uri.clone(), Instant::now());
        let (admitted, begun, answered, has_ended, shared) = Default::default();
        Self {
            telemetry,
            id,
            span,
            parent,
            sampled,
            state,
            began,
            method,
            uri,
            admitted,
            begun,
            answered,
            has_ended,
            shared,
        }
    }

    pub fn id(&self) -> TraceId {
        self.id
    }

    /// Of the request itself.
    pub fn span_id(&self) -> SpanId {
        self.span
    }

    /// Of what its guest does. It follows from the request's, so that it is known before there is a span.
    fn guest(&self) -> SpanId {
        SpanId((self.span.0 ^ 0x5bd1_e995_9d1d_2b4f).max(1))
    }

    /// Where its guest stands.
    pub fn context(&self) -> Option<TraceContext> {
        self.telemetry.is_on().then(|| self.context_of(self.guest()))
    }

    /// Where something stands that is done for it.
    pub fn context_of_call(&self, call: &ActiveSpan) -> Option<TraceContext> {
        let open = call.0.as_ref()?;
        Some(self.context_of(open.span.id))
    }

    fn context_of(&self, span: SpanId) -> TraceContext {
        let sampled = self.sampled.unwrap_or(true);
        TraceContext { trace: self.id, span, sampled, state: self.state.clone() }
    }

    /// It has a place in its service.
    pub fn admitted(&self) {
        self.mark(&self.admitted);
    }

    /// A guest has begun with it.
    pub fn begun(&self) {
        self.mark(&self.begun);
    }

    /// There is an answer, its body still to come.
    pub fn answered(&self) {
        self.mark(&self.answered);
    }

    fn mark(&self, mark: &AtomicU64) {
        if self.telemetry.is_on() {
            mark.store(nanos(self.began.elapsed()).max(1), Ordering::Relaxed);
        }
    }

    /// Something is done for it from now on, by `service`.
    pub fn span(
        &self,
        name: impl Into<Cow<'static, str>>,
        kind: Kind,
        service: &Arc<str>,
    ) -> ActiveSpan {
        if !self.telemetry.is_on() {
            return ActiveSpan(None);
        }
        let shared = self.shared();
        if !shared.open() {
            return ActiveSpan(None);
        }
        let began = Instant::now();
        let span = Span {
            trace: self.id,
            id: SpanId::new(),
            parent: Some(self.guest()),
            name: name.into(),
            kind,
            service: service.clone(),
            scope: SCOPE.into(),
            start: 0,
            duration: 0,
            status: Status::Unset,
            attributes: Vec::new(),
            events: Vec::new(),
            links: Vec::new(),
        };
        ActiveSpan(Some(Box::new(Open { shared, began, span })))
    }

    /// The same trace on its way into another service of this host, which is asked by `span`.
    pub fn next_hop(&self, span: &ActiveSpan, method: &Method, uri: &Uri) -> Self {
        let Some(open) = &span.0 else { return Self::off() };
        let context = self.context_of(open.span.id);
        let mut next = Self::begin(self.telemetry, Some(context), method, uri);
        next.sampled = self.sampled;
        // It ends with this one, whatever this one waits for.
        if open.shared.open() {
            let _ = next.shared.set(open.shared.clone());
        }
        next
    }

    fn shared(&self) -> Arc<Shared> {
        let shared = self.shared.get_or_init(|| {
            // The request itself.
            let spans = Mutex::new(Spans { open: 1, ..Spans::default() });
            let (telemetry, trace, sampled) = (self.telemetry, self.id, self.sampled);
            Arc::new(Shared { telemetry, trace, sampled, spans })
        });
        shared.clone()
    }

    /// Measure something that was done for it.
    pub fn measure_call(&self, instrument: &'static Instrument, labels: &[&str], value: f64) {
        self.telemetry.record(instrument, labels, value, None);
    }

    /// Whether anything of it is seen.
    pub fn is_seen(&self) -> bool {
        self.telemetry.is_on()
    }

    /// Whether what is said to models and by them is seen.
    pub fn captures_messages(&self) -> bool {
        self.telemetry.captures_messages
    }

    /// It has ended. Once.
    pub fn end(&self, ended: &Ended<'_>) {
        if !self.telemetry.is_on() || self.has_ended.swap(true, Ordering::Relaxed) {
            return;
        }
        let duration = self.began.elapsed();
        let is_slow = self.is_slow(duration);
        let failed = ended.error.is_some() || ended.status.is_some_and(|status| status >= 500);
        // A hop has the decision of what it is part of, later on.
        let kept = match self.shared.get() {
            Some(shared) => {
                shared.close(|| self.spans(ended, duration), is_slow);
                None
            }
            None => decide(self.telemetry, failed, is_slow, self.id, self.sampled),
        };
        self.measure(ended, duration, kept.map(|_| self.id));
        if let Some(why) = kept {
            self.telemetry.batch(Batch { spans: self.spans(ended, duration), why, dropped: 0 });
        }
    }

    fn measure(&self, ended: &Ended<'_>, duration: Duration, trace: Option<TraceId>) {
        let service = ended.service.map_or(SCOPE, |service| service);
        let version = ended.version.map_or("", |version| version.get(..12).unwrap_or(version));
        let status = ended.status.and_then(|status| http::StatusCode::from_u16(status).ok());
        let status = status.as_ref().map_or("", |status| status.as_str());
        let route = ended.route.unwrap_or_default();
        let labels = [service, version, route, method(&self.method), status];
        self.telemetry.record(&SERVER_DURATION, &labels, duration.as_secs_f64(), trace);
    }

    /// A stream is long and not slow: what counts is when it began.
    fn is_slow(&self, duration: Duration) -> bool {
        let answered = match self.answered.load(Ordering::Relaxed) {
            0 => duration,
            answered => Duration::from_nanos(answered),
        };
        answered >= self.telemetry.slow
    }

    /// The request, what it waited for, and what its guest did.
    fn spans(&self, ended: &Ended<'_>, duration: Duration) -> Vec<Span> {
        let service = ended.service.cloned().unwrap_or_else(|| SCOPE.into());
        let start = clock::unix(self.began);
        let at = |mark: &AtomicU64| match mark.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(nanos / 1000),
        };
        let duration = clock::micros(duration);
        let mut spans = vec![self.request(ended, &service, start, duration, at(&self.answered))];
        let phase = |name: &'static str, id: SpanId, from: u64, to: u64| Span {
            id,
            parent: Some(self.span),
            name: name.into(),
            kind: Kind::Internal,
            start: start + from,
            duration: to.saturating_sub(from),
            ..self.bare(&service)
        };
        let (admitted, begun) = (at(&self.admitted), at(&self.begun));
        if let Some(admitted) = admitted {
            spans.push(phase("admission", SpanId::new(), 0, admitted));
            if begun.is_some() || ended.error.is_some() {
                spans.push(phase("instance", SpanId::new(), admitted, begun.unwrap_or(duration)));
            }
        }
        if let Some(begun) = begun {
            spans.push(phase("guest", self.guest(), begun, duration));
        }
        spans
    }

    fn request(
        &self,
        ended: &Ended<'_>,
        service: &Arc<str>,
        start: u64,
        duration: u64,
        answered: Option<u64>,
    ) -> Span {
        let method = method(&self.method);
        let name =
            ended.route.map_or(Cow::Borrowed(method), |route| format!("{method} {route}").into());
        let mut attributes: Attributes = vec![
            (names::HTTP_METHOD.into(), method.into()),
            (names::URL_PATH.into(), bounded(self.uri.path()).into()),
            (names::REQUEST.into(), self.span.to_string().into()),
        ];
        let mut set = |name: &'static str, value: Option<Value>| {
            attributes.extend(value.map(|value| (name.into(), value)));
        };
        set(names::HTTP_ROUTE, ended.route.map(|route| route.to_owned().into()));
        set(names::HTTP_STATUS, ended.status.map(Value::from));
        set(names::VERSION, ended.version.map(|version| version.to_owned().into()));
        set(names::LEFT, ended.was_left.then_some(Value::Boolean(true)));
        set(names::CANARY, ended.is_canary.then_some(Value::Boolean(true)));
        let status = match (&ended.error, ended.status) {
            (Some(why), _) => Status::Error(why.clone()),
            (None, Some(status @ 500..)) => Status::Error(format!("status {status}").into()),
            _ => Status::Unset,
        };
        if status.is_error() {
            let kind = ended.status.map_or("incomplete".into(), |status| status.to_string());
            attributes.push((names::ERROR_TYPE.into(), kind.into()));
        }
        let head = answered.map(|answered| Event {
            time: start + answered,
            name: "response head".into(),
            attributes: Vec::new(),
        });
        Span {
            id: self.span,
            parent: self.parent,
            name,
            kind: Kind::Server,
            start,
            duration,
            status,
            attributes,
            events: head.into_iter().collect(),
            ..self.bare(service)
        }
    }

    fn bare(&self, service: &Arc<str>) -> Span {
        Span {
            trace: self.id,
            id: self.span,
            parent: None,
            name: Cow::Borrowed(""),
            kind: Kind::Internal,
            service: service.clone(),
            scope: SCOPE.into(),
            start: 0,
            duration: 0,
            status: Status::Unset,
            attributes: Vec::new(),
            events: Vec::new(),
            links: Vec::new(),
        }
    }
}

impl Drop for Trace {
    /// What asked for it was dropped before anything answered.
    fn drop(&mut self) {
        self.end(&Ended { was_left: true, ..Ended::default() });
    }
}

/// A method by its name where it is one of HTTP's: anybody can make up others.
pub fn method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "_OTHER",
    }
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}

/// As much of a text from outside as a span has.
pub fn bounded(text: &str) -> String {
    match text.len() > limits::TEXT_BYTES {
        true => format!("{}…", &text[..text.floor_char_boundary(limits::TEXT_BYTES)]),
        false => text.to_owned(),
    }
}

fn decide(
    telemetry: &Telemetry,
    has_failed: bool,
    is_slow: bool,
    trace: TraceId,
    sampled: Option<bool>,
) -> Option<Kept> {
    match (has_failed, is_slow) {
        (true, _) => Some(Kept::Error),
        (_, true) => Some(Kept::Slow),
        _ => telemetry.sampler.keeps(trace.0, sampled),
    }
}

// === impl Shared ===

impl Shared {
    /// One more is under way. False: there is no room for what it would say.
    fn open(&self) -> bool {
        let mut spans = self.spans.lock();
        if spans.ended.len() + spans.open >= limits::TRACE_SPANS
            || spans.bytes >= limits::TRACE_BYTES
        {
            spans.dropped += 1;
            return false;
        }
        spans.open += 1;
        true
    }

    /// One has ended. `ended` is what is known of it.
    fn close(&self, ended: impl FnOnce() -> Vec<Span>, is_slow: bool) {
        let mut spans = self.spans.lock();
        spans.open = spans.open.saturating_sub(1);
        spans.was_slow |= is_slow;
        // What comes after that which was not kept is not kept either.
        if spans.decided != Some(None) {
            for span in ended() {
                spans.has_failed |= span.status.is_error();
                spans.bytes += size(&span);
                spans.ended.push(span);
            }
        }
        if spans.open > 0 {
            return;
        }
        let Spans { has_failed, was_slow, .. } = *spans;
        let decide = || decide(self.telemetry, has_failed, was_slow, self.trace, self.sampled);
        let decided = *spans.decided.get_or_insert_with(decide);
        let ended = std::mem::take(&mut spans.ended);
        let dropped = std::mem::take(&mut spans.dropped);
        spans.bytes = 0;
        drop(spans);
        if let Some(why) = decided.filter(|_| !ended.is_empty()) {
            self.telemetry.batch(Batch { spans: ended, why, dropped });
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

// === impl ActiveSpan ===

impl ActiveSpan {
    /// Whether anybody will see it.
    pub fn is_seen(&self) -> bool {
        self.0.is_some()
    }

    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(open) = &mut self.0 {
            open.span.attributes.push((name.into(), value.into()));
        }
    }

    /// As much of it as a span has of any text.
    pub fn set_text(&mut self, name: &'static str, text: &str) {
        if let Some(open) = &mut self.0 {
            open.span.attributes.push((name.into(), bounded(text).into()));
        }
    }

    /// It has failed. `kind`: one of few words or numbers.
    pub fn fail(&mut self, kind: impl Into<Cow<'static, str>>, why: &str) {
        if let Some(open) = &mut self.0 {
            open.span.attributes.push((names::ERROR_TYPE.into(), Value::Text(kind.into())));
            open.span.status = Status::Error(bounded(why).into());
        }
    }

    /// Something happens in it now.
    pub fn event(&mut self, name: &'static str) {
        if let Some(open) = &mut self.0 {
            open.span.events.push(Event {
                time: clock::now(),
                name: name.into(),
                attributes: Vec::new(),
            });
        }
    }

    /// How long it has been under way.
    pub fn elapsed(&self) -> Duration {
        self.0.as_ref().map_or(Duration::ZERO, |open| open.began.elapsed())
    }
}

impl Drop for ActiveSpan {
    fn drop(&mut self) {
        let Some(open) = self.0.take() else { return };
        let Open { shared, began, mut span } = *open;
        span.start = clock::unix(began);
        span.duration = clock::micros(began.elapsed());
        shared.close(|| vec![span], false);
    }
}

#[cfg(test)]
mod tests;
