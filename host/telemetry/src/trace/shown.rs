//! A request at its end as spans: itself, what it waited for, and what its guest did.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{RequestEnd, SCOPE, Trace, method};
use crate::id::{SpanId, TraceId};
use crate::span::{Attributes, Event, Kind, Span, Status, Value};
use crate::{attributes as names, clock};
use wasm_host_limits::telemetry as limits;

impl Trace {
    /// The request, what it waited for, and what its guest did.
    pub(super) fn spans(&self, ended: &RequestEnd<'_>, duration: Duration) -> Vec<Span> {
        let service = ended.service.cloned().unwrap_or_else(|| SCOPE.into());
        let start = clock::unix(self.began);
        let at = |mark: &AtomicU64| match mark.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(nanos / 1000),
        };
        let duration = clock::micros(duration);
        let mut spans = vec![self.request(ended, &service, start, duration, at(&self.answered))];
        let phase = |name: &'static str, id: SpanId, from: u64, to: u64| Span {
            start: start + from,
            duration: to.saturating_sub(from),
            ..bare(self.id, id, Some(self.span), name.into(), Kind::Internal, &service)
        };
        let (admitted, begun) = (at(&self.admitted), at(&self.begun));
        if let Some(admitted) = admitted {
            spans.push(phase("admission", SpanId::new(), 0, admitted));
            if begun.is_some() || ended.error.is_some() {
                spans.push(phase("instance", SpanId::new(), admitted, begun.unwrap_or(duration)));
            }
        }
        if let Some(begun) = begun {
            let computed = ended.processor_time.map(|time| time.as_secs_f64());
            let attributes = computed.map(|time| (names::GUEST_CPU.into(), Value::from(time)));
            spans.push(Span {
                attributes: attributes.into_iter().collect(),
                ..phase("guest", self.guest(), begun, duration)
            });
        }
        spans
    }

    fn request(
        &self,
        ended: &RequestEnd<'_>,
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
            (names::REQUEST.into(), self.request.to_string().into()),
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
            (Some(why), _) => Status::Error(bounded(why).into()),
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
            start,
            duration,
            status,
            attributes,
            events: head.into_iter().collect(),
            ..bare(self.id, self.span, self.parent, name, Kind::Server, service)
        }
    }
}

/// A span of this host of which no more is known.
pub(super) fn bare(
    trace: TraceId,
    id: SpanId,
    parent: Option<SpanId>,
    name: Cow<'static, str>,
    kind: Kind,
    service: &Arc<str>,
) -> Span {
    Span {
        trace,
        id,
        parent,
        name,
        kind,
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

/// As much of a text from outside as a span has.
pub fn bounded(text: &str) -> String {
    match text.len() > limits::TEXT_BYTES {
        true => format!("{}…", &text[..text.floor_char_boundary(limits::TEXT_BYTES)]),
        false => text.to_owned(),
    }
}
