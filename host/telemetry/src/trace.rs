//! One request as its trace sees it, and what is done for it.
//!
//! Most requests ask for nothing and are not kept. So a request has a few plain fields, and no more until something is
//! done for it ([`Trace::span`]) or it is seen at its end that it is kept. A request that goes on to another service of
//! this host has a [`Trace`] there whose spans end up with this one's: what is kept, is kept whole.

mod active;
mod shared;
mod shown;

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http::{Method, Uri};

use crate::context::TraceContext;
use crate::id::{SpanId, TraceId};
use crate::instruments::SERVER_DURATION;
use crate::metrics::Instrument;
use crate::sampling::KeepReason;
use crate::span::Kind;
use crate::{Batch, Telemetry};
use wasm_host_limits::telemetry as limits;

pub use self::active::{ActiveSpan, Operation};
pub use self::shared::size;
use self::shared::{RecordingInterest, Room, SamplingInput, Shared, decide};
use self::shown::bare;
pub use self::shown::bounded;

/// What the spans of this host are said by.
pub const SCOPE: &str = "wasm-host";

/// A request that a service of this host answers.
#[derive(Debug)]
pub struct Trace {
    telemetry: &'static Telemetry,
    id: TraceId,
    span: SpanId,
    /// Of the request that came in from outside, which the log names: a hop has it from there.
    request: SpanId,
    parent: Option<SpanId>,
    /// What asks has decided whether to keep it.
    sampled: Option<bool>,
    state: Option<http::HeaderValue>,
    began: Instant,
    /// Its client came over TLS, to this host or to a proxy in front.
    is_secure: bool,
    method: Method,
    uri: Uri,
    /// Nanoseconds from `began` on, each zero until then.
    admitted: AtomicU64,
    begun: AtomicU64,
    answered: AtomicU64,
    has_ended: AtomicBool,
    /// A [`RecordingInterest`].
    wanted: AtomicU8,
    /// What was decided at its end, if nothing was done for it until then.
    kept: OnceLock<Option<KeepReason>>,
    shared: OnceLock<Arc<Shared>>,
    /// What it has there.
    room: Room,
}

/// What is known of a request at its end.
#[derive(Debug, Default)]
pub struct RequestEnd<'a> {
    pub service: Option<&'a Arc<str>>,
    /// The digest of the component.
    pub version: Option<&'a str>,
    /// It was on trial.
    pub is_canary: bool,
    pub route: Option<&'a str>,
    pub status: Option<u16>,
    /// Its client left before it had all of the answer.
    pub was_left: bool,
    /// What its guest took of a processor, if that is known.
    pub processor_time: Option<Duration>,
    /// Why there was no answer, or not all of it.
    pub error: Option<Cow<'static, str>>,
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
        let (admitted, begun, answered, has_ended, wanted, kept, shared, room) = Default::default();
        Self {
            telemetry,
            id,
            span,
            request: span,
            parent,
            sampled,
            state,
            began,
            is_secure: false,
            method,
            uri,
            admitted,
            begun,
            answered,
            has_ended,
            wanted,
            kept,
            shared,
            room,
        }
    }

    pub fn id(&self) -> TraceId {
        self.id
    }

    /// Its client came over TLS, to this host or to a proxy in front that is believed.
    pub fn came_over_tls(&mut self) {
        self.is_secure = true;
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
        let (_, id) = call.place()?;
        Some(self.context_of(id.unwrap_or(self.guest())))
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
            return ActiveSpan::default();
        }
        let (parent, name) = (Some(self.guest()), name.into());
        ActiveSpan::begin(self.shared(), name, |name| {
            bare(self.id, SpanId::new(), parent, name, kind, service)
        })
    }

    /// The same trace on its way into another service of this host, which is asked by `span`.
    pub fn next_hop(&self, span: &ActiveSpan, method: &Method, uri: &Uri) -> Self {
        let Some((shared, id)) = span.place() else { return Self::off() };
        let context = self.context_of(id.unwrap_or(self.guest()));
        let mut next = Self::begin(self.telemetry, Some(context), method, uri);
        next.sampled = self.sampled;
        next.request = self.request;
        // It ends with this one, whatever this one waits for.
        let path = uri.path().len().min(limits::TEXT_BYTES);
        next.room = shared.join(limits::REQUEST_TEXT_BYTES + path);
        let _ = next.shared.set(shared.clone());
        next
    }

    /// Keep all of it, whatever comes of it: a recording leads to it.
    pub fn keep(&self) {
        self.want(RecordingInterest::Always);
    }

    /// Keep all of it if it fails, however many do: a recording leads to it then.
    pub fn keep_if_failed(&self) {
        self.want(RecordingInterest::IfFailed);
    }

    fn want(&self, wanted: RecordingInterest) {
        self.wanted.fetch_max(wanted as u8, Ordering::Relaxed);
        if let Some(shared) = self.shared.get() {
            shared.want(wanted);
        }
    }

    fn wanted(&self) -> RecordingInterest {
        RecordingInterest::of(self.wanted.load(Ordering::Relaxed))
    }

    fn shared(&self) -> Arc<Shared> {
        let shared = self.shared.get_or_init(|| {
            let (telemetry, id, sampled) = (self.telemetry, self.id, self.sampled);
            let shared = match self.has_ended.load(Ordering::Acquire) {
                false => Shared::new(telemetry, id, sampled, false),
                // What comes behind the end follows it.
                true => Shared::after(telemetry, id, sampled, self.kept.get().copied().flatten()),
            };
            shared.want(self.wanted());
            Arc::new(shared)
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
    pub fn end(&self, ended: &RequestEnd<'_>) {
        if !self.telemetry.is_on() || self.has_ended.swap(true, Ordering::AcqRel) {
            return;
        }
        let duration = self.began.elapsed();
        let is_slow = self.is_slow(duration);
        let failed = ended.error.is_some() || ended.status.is_some_and(|status| status >= 500);
        let kept = match self.shared.get() {
            Some(shared) => {
                let scope;
                let service = match ended.service {
                    Some(service) => service,
                    None => {
                        scope = Arc::from(SCOPE);
                        &scope
                    }
                };
                let spans = || self.spans(ended, duration);
                shared.close_request(service, failed, is_slow, self.room, spans)
            }
            None => {
                let service = ended.service.map_or(SCOPE, |service| service);
                let (trace, sampled, wanted) = (self.id, self.sampled, self.wanted());
                let has_failed = failed;
                let outcome =
                    SamplingInput { trace, sampled, wanted, has_failed, is_slow, service };
                let kept = decide(self.telemetry, outcome);
                if let Some(why) = kept {
                    let spans = self.spans(ended, duration);
                    self.telemetry.batch(Batch { spans, why, dropped: 0 });
                }
                let _ = self.kept.set(kept);
                kept
            }
        };
        self.measure(ended, duration, kept.map(|_| self.id));
    }

    /// It is of no interest: nothing of it is seen or counted.
    pub fn forget(self) {
        self.has_ended.store(true, Ordering::Release);
    }

    fn measure(&self, ended: &RequestEnd<'_>, duration: Duration, trace: Option<TraceId>) {
        let service = ended.service.map_or(SCOPE, |service| service);
        let version = ended.version.map_or("", version);
        let status = ended.status.and_then(|status| http::StatusCode::from_u16(status).ok());
        let status = status.as_ref().map_or("", |status| status.as_str());
        let route = ended.route.unwrap_or_default();
        let scheme = if self.is_secure { "https" } else { "http" };
        let labels = [service, version, route, method(&self.method), status, scheme];
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
}

impl Drop for Trace {
    /// What asked for it was dropped before anything answered.
    fn drop(&mut self) {
        self.end(&RequestEnd { was_left: true, ..RequestEnd::default() });
    }
}

/// A version as figures have it.
pub(crate) fn version(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
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

#[cfg(test)]
mod tests;
