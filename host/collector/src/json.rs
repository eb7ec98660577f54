//! What is known of spans and lines as JSON, the form in which it is stored and told.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use wasm_host_telemetry::id::{SpanId, TraceId};
use wasm_host_telemetry::span::{Event, Value};

/// Attributes as one object.
pub(super) struct Object<'a>(pub &'a [(Cow<'static, str>, Value)]);

struct One<'a>(&'a Value);

#[derive(Serialize)]
struct EventObject<'a> {
    time: u64,
    name: &'a str,
    attributes: Object<'a>,
}

#[derive(Serialize)]
struct Link {
    trace: String,
    span: String,
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, One(value))))
    }
}

impl Serialize for One<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Text(text) => serializer.serialize_str(text),
            Value::Integer(number) => serializer.serialize_i64(*number),
            Value::Number(number) => serializer.serialize_f64(*number),
            Value::Boolean(is) => serializer.serialize_bool(*is),
        }
    }
}

/// Nothing of it can fail to be JSON.
pub(super) fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

pub(super) fn events(events: &[Event]) -> String {
    if events.is_empty() {
        return "[]".to_owned();
    }
    let objects = events.iter().map(|Event { time, name, attributes }| EventObject {
        time: *time,
        name,
        attributes: Object(attributes),
    });
    text(&objects.collect::<Vec<_>>())
}

pub(super) fn links(links: &[(TraceId, SpanId)]) -> String {
    if links.is_empty() {
        return "[]".to_owned();
    }
    let link = |(trace, span): &(TraceId, SpanId)| Link {
        trace: trace.to_string(),
        span: span.to_string(),
    };
    text(&links.iter().map(link).collect::<Vec<_>>())
}
