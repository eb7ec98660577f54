//! Lines of the log that others send.

use bytes::Bytes;
use opentelemetry_proto::tonic::logs::v1 as otlp;

use super::attributes::{attributes, name, string, text};
use super::source::TelemetrySource;
use super::spans::{span_id, trace_id};
use super::{Encoding, NOT_ITS_TIME, Received, Rules, Unreadable, moment, wire};
use wasm_host_limits::intake as limits;
use wasm_host_telemetry::log::{Level, LogRecord, Source};

pub(super) fn read(
    encoding: Encoding,
    body: &Bytes,
    rules: &Rules,
) -> Result<Received, Unreadable> {
    let mut received = Received::default();
    wire::each(encoding, body, rules, |source, item| {
        let read = |source: &TelemetrySource| Ok(line(item.read()?, source, rules));
        let line = received.take(source, item, rules, read, crate::size);
        received.lines.extend(line);
        Ok(())
    })?;
    Ok(received)
}

fn line(
    message: otlp::LogRecord,
    source: &TelemetrySource,
    rules: &Rules,
) -> Result<LogRecord, &'static str> {
    if source.is_own {
        return Err("this host sent it itself");
    }
    let said = [message.time_unix_nano, message.observed_time_unix_nano];
    let time = match said.into_iter().find(|nanos| *nanos != 0) {
        Some(nanos) => moment(nanos, rules).ok_or(NOT_ITS_TIME)?,
        None => rules.now,
    };
    let service = source.service(rules)?;
    let event = event(&message).map(name);
    // What is said to models and by them is the body of events such as `gen_ai.user.message`.
    let is_message = event.as_ref().is_some_and(|event| event.starts_with("gen_ai."));
    let body = message.body.and_then(|body| body.value);
    let body = body.filter(|_| rules.captures_messages || !is_message);
    let body = body.map(|body| text(body, limits::INTAKE_LINE_BYTES)).unwrap_or_default();
    // Events have a name, and may have no more.
    let message_text = if body.is_empty() { event.unwrap_or_default() } else { body };
    let trace = trace_id(&message.trace_id);
    Ok(LogRecord {
        time,
        level: level(message.severity_number),
        service: Some(service),
        source: Source::Outside,
        trace,
        span: trace.and_then(|_| span_id(&message.span_id)),
        request: None,
        message: message_text,
        fields: attributes(message.attributes, rules),
    })
}

/// The name of an event, in its own place or, as before there was one, among the attributes.
fn event(message: &otlp::LogRecord) -> Option<&str> {
    let own = Some(message.event_name.as_str()).filter(|name| !name.is_empty());
    own.or_else(|| string(&message.attributes, "event.name"))
}

/// What is not said is no complaint.
fn level(severity: i32) -> Level {
    match severity {
        1..=4 => Level::Trace,
        5..=8 => Level::Debug,
        13..=16 => Level::Warn,
        17.. => Level::Error,
        _ => Level::Info,
    }
}
