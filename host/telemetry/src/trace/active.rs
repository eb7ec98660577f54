//! What is being done: for a request, or by the host itself.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::shared::Shared;
use super::shown::{bare, bounded};
use crate::id::SpanId;
use crate::span::{Event, Kind, Span, Status, Value};
use crate::{Telemetry, attributes as names, clock};

/// Something that is being done for a request. It ends when it is dropped. Of no cost where nothing is seen.
#[derive(Debug, Default)]
pub struct ActiveSpan(Option<Box<Open>>);

/// Something that the host does by itself, such as a swap, from now until it is dropped.
#[derive(Debug)]
pub struct Operation(ActiveSpan);

#[derive(Debug)]
struct Open {
    shared: Arc<Shared>,
    began: Instant,
    /// None: there is no room for what it would say. That it failed counts all the same.
    span: Option<Span>,
}

// === impl Operation ===

impl Operation {
    /// `service` is what it is done to.
    pub fn begin(telemetry: &'static Telemetry, name: String, service: &Arc<str>) -> Self {
        if !telemetry.is_on() {
            return Self(ActiveSpan(None));
        }
        let id = SpanId::new();
        let trace = id.begins();
        let shared = Arc::new(Shared::new(telemetry, trace, None, true));
        let span = Some(bare(trace, id, None, name.into(), Kind::Internal, service));
        Self(ActiveSpan(Some(Box::new(Open { shared, began: Instant::now(), span }))))
    }

    /// A part of it begins.
    pub fn step(&self, name: &'static str) -> ActiveSpan {
        let open = self.0.0.as_deref();
        let Some((shared, span)) = open.and_then(|open| Some((&open.shared, open.span.as_ref()?)))
        else {
            return ActiveSpan(None);
        };
        let Span { trace, id, service, .. } = span;
        ActiveSpan::begin(shared.clone(), name.into(), |name| {
            bare(*trace, SpanId::new(), Some(*id), name, Kind::Internal, service)
        })
    }

    pub fn span(&mut self) -> &mut ActiveSpan {
        &mut self.0
    }
}

// === impl ActiveSpan ===

impl ActiveSpan {
    pub(super) fn begin(
        shared: Arc<Shared>,
        name: Cow<'static, str>,
        span: impl FnOnce(Cow<'static, str>) -> Span,
    ) -> Self {
        let bytes = match &name {
            Cow::Owned(name) => name.len(),
            Cow::Borrowed(_) => 0,
        };
        let span = shared.enter(bytes).then(|| span(name));
        Self(Some(Box::new(Open { shared, began: Instant::now(), span })))
    }

    /// What it is a part of, and its id if it has one.
    pub(super) fn place(&self) -> Option<(&Arc<Shared>, Option<SpanId>)> {
        let open = self.0.as_deref()?;
        Some((&open.shared, open.span.as_ref().map(|span| span.id)))
    }

    fn told(&mut self) -> Option<(&Shared, &mut Span)> {
        let open = self.0.as_deref_mut()?;
        Some((&open.shared, open.span.as_mut()?))
    }

    /// Whether anybody will read what is set.
    pub fn is_seen(&self) -> bool {
        self.place().is_some_and(|(_, id)| id.is_some())
    }

    /// Something is known of it. Left out where there is no more room for it.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        let Some((shared, span)) = self.told() else { return };
        let value = value.into();
        let text = match &value {
            Value::Text(Cow::Owned(text)) => text.len(),
            _ => 0,
        };
        if shared.hold(size_of::<(Cow<'_, str>, Value)>() + text) {
            span.attributes.push((name.into(), value));
        }
    }

    /// As much of it as a span has of any text.
    pub fn set_text(&mut self, name: &'static str, text: &str) {
        if self.is_seen() {
            self.set(name, bounded(text));
        }
    }

    /// It has failed. `kind`: one of few words or numbers.
    pub fn fail(&mut self, kind: impl Into<Cow<'static, str>>, why: &str) {
        let Some((shared, span)) = self.told() else {
            if let Some((shared, _)) = self.place() {
                shared.fail();
            }
            return;
        };
        span.attributes.push((names::ERROR_TYPE.into(), Value::Text(kind.into())));
        // That it failed is said in any case.
        let why = bounded(why);
        let why = if shared.hold(why.len()) { why } else { String::new() };
        span.status = Status::Error(why.into());
    }

    /// Something happens in it now.
    pub fn event(&mut self, name: &'static str) {
        let Some((shared, span)) = self.told() else { return };
        if shared.hold(size_of::<Event>()) {
            let (time, attributes) = (clock::now(), Vec::new());
            span.events.push(Event { time, name: name.into(), attributes });
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
        if let Some(span) = &mut span {
            span.start = clock::unix(began);
            span.duration = clock::micros(began.elapsed());
        }
        shared.close(span);
    }
}
