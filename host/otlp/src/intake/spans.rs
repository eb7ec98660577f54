//! Spans that others send.

use std::collections::HashMap;

use bytes::Bytes;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use super::attributes::{attributes, name};
use super::source::TelemetrySource;
use super::{Encoding, NOT_ITS_TIME, Received, Rules, Unreadable, moment, wire};
use wasm_host_limits::intake as limits;
use wasm_host_telemetry::id::{SpanId, TraceId};
use wasm_host_telemetry::span::{Event, Kind, Span, Status};
use wasm_host_telemetry::trace::{self, bounded};
use wasm_host_telemetry::{Batch, attributes as names};

pub(super) fn read(
    encoding: Encoding,
    body: &Bytes,
    rules: &Rules,
) -> Result<Received, Unreadable> {
    let mut received = Received::default();
    let mut places: HashMap<TraceId, usize> = HashMap::new();
    wire::each(encoding, body, rules, |source, item| {
        let read = |source: &TelemetrySource| Ok(span(item.read()?, source, rules));
        let span = received.take(source, item, rules, read, trace::size);
        let Some(span) = span else { return Ok(()) };
        let batches = &mut received.batches;
        let place = *places.entry(span.trace).or_insert_with(|| {
            batches.push(Batch { spans: Vec::new(), why: rules.by.why(), dropped: 0 });
            batches.len() - 1
        });
        if let Some(batch) = batches.get_mut(place) {
            batch.spans.push(span);
        }
        Ok(())
    })?;
    Ok(received)
}

fn span(
    message: otlp::Span,
    source: &TelemetrySource,
    rules: &Rules,
) -> Result<Span, &'static str> {
    if source.is_own {
        return Err("this host sent it itself");
    }
    let trace = trace_id(&message.trace_id).ok_or("it has no trace_id of 16 bytes")?;
    let id = span_id(&message.span_id).ok_or("it has no span_id of 8 bytes")?;
    let start = moment(message.start_time_unix_nano, rules).ok_or(NOT_ITS_TIME)?;
    let end = message.end_time_unix_nano.max(message.start_time_unix_nano);
    let end = moment(end, rules).ok_or(NOT_ITS_TIME)?;
    let service = source.service(rules)?;
    let event = |event: otlp::span::Event| Event {
        time: moment(event.time_unix_nano, rules).unwrap_or(start),
        name: name(&event.name).into(),
        attributes: attributes(event.attributes, rules),
    };
    let link = |link: otlp::span::Link| Some((trace_id(&link.trace_id)?, span_id(&link.span_id)?));
    let kind = kind(message.kind());
    let status = status(message.status.as_ref());
    let mut known = attributes(message.attributes, rules);
    known.push((names::RECEIVED.into(), rules.by.name().into()));
    let version = source.version.clone().map(|version| ("service.version".into(), version.into()));
    known.extend(version);
    Ok(Span {
        trace,
        id,
        parent: span_id(&message.parent_span_id),
        name: bounded(&message.name).into(),
        kind,
        service,
        scope: source.scope.clone(),
        start,
        duration: end.saturating_sub(start),
        status,
        attributes: known,
        events: message.events.into_iter().take(limits::INTAKE_EVENTS).map(event).collect(),
        links: message.links.into_iter().take(limits::INTAKE_EVENTS).filter_map(link).collect(),
    })
}

fn kind(kind: SpanKind) -> Kind {
    match kind {
        SpanKind::Unspecified | SpanKind::Internal => Kind::Internal,
        SpanKind::Server => Kind::Server,
        SpanKind::Client => Kind::Client,
        SpanKind::Producer => Kind::Producer,
        SpanKind::Consumer => Kind::Consumer,
    }
}

fn status(status: Option<&otlp::Status>) -> Status {
    match status.map(|status| (status.code(), &status.message)) {
        None | Some((StatusCode::Unset, _)) => Status::Unset,
        Some((StatusCode::Ok, _)) => Status::Ok,
        Some((StatusCode::Error, why)) => Status::Error(bounded(why).into()),
    }
}

pub(super) fn trace_id(bytes: &[u8]) -> Option<TraceId> {
    let id = u128::from_be_bytes(bytes.try_into().ok()?);
    (id != 0).then_some(TraceId(id))
}

pub(super) fn span_id(bytes: &[u8]) -> Option<SpanId> {
    let id = u64::from_be_bytes(bytes.try_into().ok()?);
    (id != 0).then_some(SpanId(id))
}
