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
pub struct ActiveSpan(pub(super) Option<Box<Open>>);

/// Something that the host does by itself, such as a swap, from now until it is dropped.
#[derive(Debug)]
pub struct Operation(ActiveSpan);

#[derive(Debug)]
pub(super) struct Open {
    pub(super) shared: Arc<Shared>,
    pub(super) began: Instant,
    pub(super) span: Span,
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
        let span = bare(trace, id, None, name.into(), Kind::Internal, service);
        Self(ActiveSpan(Some(Box::new(Open { shared, began: Instant::now(), span }))))
    }

    /// A part of it begins.
    pub fn step(&self, name: &'static str) -> ActiveSpan {
        let Some(Open { shared, span, .. }) = self.0.0.as_deref() else { return ActiveSpan(None) };
        if !shared.open() {
            return ActiveSpan(None);
        }
        let step = bare(
            span.trace,
            SpanId::new(),
            Some(span.id),
            name.into(),
            Kind::Internal,
            &span.service,
        );
        let (shared, began) = (shared.clone(), Instant::now());
        ActiveSpan(Some(Box::new(Open { shared, began, span: step })))
    }

    pub fn span(&mut self) -> &mut ActiveSpan {
        &mut self.0
    }
}

// === impl ActiveSpan ===

impl ActiveSpan {
    /// Whether anybody will see it.
    pub fn is_seen(&self) -> bool {
        self.0.is_some()
    }

    /// Something is known of it. Left out where there is no more room for it.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        let Some(open) = &mut self.0 else { return };
        let value = value.into();
        let text = match &value {
            Value::Text(Cow::Owned(text)) => text.len(),
            _ => 0,
        };
        if open.shared.hold(size_of::<(Cow<'_, str>, Value)>() + text) {
            open.span.attributes.push((name.into(), value));
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
        if let Some(open) = &mut self.0 {
            open.span.attributes.push((names::ERROR_TYPE.into(), Value::Text(kind.into())));
            // That it failed is said in any case.
            let why = bounded(why);
            let why = if open.shared.hold(why.len()) { why } else { String::new() };
            open.span.status = Status::Error(why.into());
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
