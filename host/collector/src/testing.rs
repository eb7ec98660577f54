//! What tests hand over.

use std::path::Path;
use std::time::Duration;

use crate::pipeline::{Pipeline, Sender, Source};
use crate::reader::Reader;
use crate::store::Bounds;
use wasm_host_limits::telemetry as limits;
use wasm_host_telemetry::Batch;
use wasm_host_telemetry::id::{SpanId, TraceId};
use wasm_host_telemetry::log::{Level, LogRecord};
use wasm_host_telemetry::sampling::KeepReason;
use wasm_host_telemetry::span::{Kind, Span, Status};

pub(super) fn line(message: &str) -> LogRecord {
    LogRecord {
        time: 1_000_000,
        level: Level::Info,
        service: Some("a".into()),
        source: wasm_host_telemetry::log::Source::Guest,
        trace: None,
        span: None,
        request: None,
        message: message.to_owned(),
        fields: Vec::new(),
    }
}

/// Spans of one trace, by name; each that has a parent has the one of that number. Their ids are their numbers.
pub(super) fn batch(trace: u128, spans: &[(&str, Option<u64>)]) -> Batch {
    let spans = spans.iter().zip(1..).map(|((name, parent), id)| span(trace, id, *parent, name));
    Batch { spans: spans.collect(), why: KeepReason::Sampled, dropped: 0 }
}

pub(super) fn span(trace: u128, id: u64, parent: Option<u64>, name: &str) -> Span {
    Span {
        trace: TraceId(trace),
        id: SpanId(id),
        parent: parent.map(SpanId),
        name: name.to_owned().into(),
        kind: Kind::Internal,
        service: "a".into(),
        scope: "wasm-host".into(),
        start: 1_000_000 + id,
        duration: 100,
        status: Status::Unset,
        attributes: Vec::new(),
        events: Vec::new(),
        links: Vec::new(),
    }
}

/// With the least bounds that there can be.
pub(super) const SMALL: Bounds =
    Bounds { bytes: limits::TelemetryLimits::store_bytes().min, age: Duration::from_secs(3600) };

pub(super) fn start(state: &Path) -> (Sender, Pipeline, Reader) {
    start_with(state, SMALL)
}

pub(super) fn start_with(state: &Path, bounds: Bounds) -> (Sender, Pipeline, Reader) {
    start_reading(state, bounds, Box::new(Vec::new))
}

pub(super) fn start_reading(
    state: &Path,
    bounds: Bounds,
    source: Source,
) -> (Sender, Pipeline, Reader) {
    let sender = Sender::default();
    let pipeline = Pipeline::start(&sender, state, bounds, source, Vec::new()).unwrap();
    let reader = pipeline.reader();
    (sender, pipeline, reader)
}
