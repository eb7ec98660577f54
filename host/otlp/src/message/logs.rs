//! Lines of the log.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::logs::v1 as otlp;
use prost::Message as _;

use wasm_host_telemetry::attributes;
use wasm_host_telemetry::log::{Level, LogRecord, Source};

use super::{HOST, Origin, any, group, nanos, pairs, scope, text};

/// The kind of speaker, which the conventions have no name for.
const SOURCE: &str = "wasm_host.log.source";

/// A request with all of these: one resource for each service.
pub(crate) fn logs(lines: &[LogRecord], origin: &Origin) -> Vec<u8> {
    let mut groups: Vec<(Option<&str>, Vec<otlp::LogRecord>)> = Vec::new();
    for line in lines {
        group(&mut groups, line.service.as_deref()).push(message(line));
    }
    let resource = |(service, log_records)| {
        let scope = Some(scope(HOST));
        let scope_logs = vec![otlp::ScopeLogs { scope, log_records, ..otlp::ScopeLogs::default() }];
        let resource = Some(origin.resource(service, None));
        otlp::ResourceLogs { resource, scope_logs, ..otlp::ResourceLogs::default() }
    };
    let resource_logs = groups.into_iter().map(resource).collect();
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

fn message(line: &LogRecord) -> otlp::LogRecord {
    let severity = match line.level {
        Level::Trace => otlp::SeverityNumber::Trace,
        Level::Debug => otlp::SeverityNumber::Debug,
        Level::Info => otlp::SeverityNumber::Info,
        Level::Warn => otlp::SeverityNumber::Warn,
        Level::Error => otlp::SeverityNumber::Error,
    };
    let source = match line.source {
        Source::Guest => "guest",
        Source::Host => "host",
        Source::Outside => "outside",
    };
    let mut attributes = pairs(&line.fields);
    attributes.push(text(SOURCE, source));
    attributes.extend(line.request.map(|id| text(attributes::REQUEST, &id.to_string())));
    otlp::LogRecord {
        time_unix_nano: nanos(line.time),
        observed_time_unix_nano: nanos(line.time),
        severity_number: severity.into(),
        severity_text: line.level.name().to_ascii_uppercase(),
        body: Some(any(Any::StringValue(line.message.clone()))),
        attributes,
        trace_id: line.trace.map(|id| id.0.to_be_bytes().into()).unwrap_or_default(),
        span_id: line.span.map(|id| id.0.to_be_bytes().into()).unwrap_or_default(),
        ..otlp::LogRecord::default()
    }
}
