//! Spans.

use std::collections::HashMap;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message as _;

use wasm_host_telemetry::attributes;
use wasm_host_telemetry::id::{SpanId, TraceId};
use wasm_host_telemetry::span::{Kind, Span, Status, Value};

use super::{Origin, group, nanos, pairs, scope};

/// Spans that were handed over together.
pub(crate) type Spans = Vec<Span>;

/// W3C's sampled: what gets here is kept.
const SAMPLED: u32 = 1;

/// A request with all of these: one resource for each version of a service.
pub(crate) fn spans(batches: &[Spans], origin: &Origin) -> Vec<u8> {
    let mut groups = Vec::new();
    for batch in batches {
        let versions = Versions::of(batch);
        for span in batch {
            let of_service: &mut Vec<(&str, Vec<otlp::Span>)> =
                group(&mut groups, (&*span.service, versions.version(span)));
            group(of_service, &*span.scope).push(message(span));
        }
    }
    let resource = |((service, version), scopes): ((&str, Option<&str>), Vec<(&str, _)>)| {
        let scope_spans = scopes.into_iter().map(|(name, spans)| otlp::ScopeSpans {
            scope: Some(scope(name)),
            spans,
            ..otlp::ScopeSpans::default()
        });
        otlp::ResourceSpans {
            resource: Some(origin.resource(Some(service), version)),
            scope_spans: scope_spans.collect(),
            ..otlp::ResourceSpans::default()
        }
    };
    let resource_spans = groups.into_iter().map(resource).collect();
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// The versions of services within spans of one request: only the first span of a service says its version.
struct Versions<'a>(HashMap<(TraceId, SpanId), &'a Span>);

impl<'a> Versions<'a> {
    fn of(spans: &'a [Span]) -> Self {
        Self(spans.iter().map(|span| ((span.trace, span.id), span)).collect())
    }

    /// Its own, or that of the nearest span of its service above it.
    fn version(&self, span: &'a Span) -> Option<&'a str> {
        let mut above = Some(span);
        // As many steps as there are spans, as what comes from outside may go in circles.
        for _ in 0..=self.0.len() {
            let at = above.filter(|at| at.service == span.service)?;
            if let Some(Value::Text(version)) = at.attribute(attributes::VERSION) {
                return Some(version);
            }
            above = self.0.get(&(at.trace, at.parent?)).copied();
        }
        None
    }
}

fn message(span: &Span) -> otlp::Span {
    let kind = match span.kind {
        Kind::Internal => otlp::span::SpanKind::Internal,
        Kind::Server => otlp::span::SpanKind::Server,
        Kind::Client => otlp::span::SpanKind::Client,
        Kind::Producer => otlp::span::SpanKind::Producer,
        Kind::Consumer => otlp::span::SpanKind::Consumer,
    };
    let (code, why) = match &span.status {
        Status::Unset => (otlp::status::StatusCode::Unset, ""),
        Status::Ok => (otlp::status::StatusCode::Ok, ""),
        Status::Error(why) => (otlp::status::StatusCode::Error, &**why),
    };
    let events = span.events.iter().map(|event| otlp::span::Event {
        time_unix_nano: nanos(event.time),
        name: event.name.clone().into_owned(),
        attributes: pairs(&event.attributes),
        ..otlp::span::Event::default()
    });
    let links = span.links.iter().map(|(trace, id)| otlp::span::Link {
        trace_id: trace.0.to_be_bytes().into(),
        span_id: id.0.to_be_bytes().into(),
        flags: SAMPLED,
        ..otlp::span::Link::default()
    });
    otlp::Span {
        trace_id: span.trace.0.to_be_bytes().into(),
        span_id: span.id.0.to_be_bytes().into(),
        parent_span_id: span.parent.map(|id| id.0.to_be_bytes().into()).unwrap_or_default(),
        flags: SAMPLED,
        name: span.name.clone().into_owned(),
        kind: kind.into(),
        start_time_unix_nano: nanos(span.start),
        end_time_unix_nano: nanos(span.start.saturating_add(span.duration)),
        attributes: pairs(&span.attributes),
        events: events.collect(),
        links: links.collect(),
        status: Some(otlp::Status { message: why.to_owned(), code: code.into() }),
        ..otlp::Span::default()
    }
}
