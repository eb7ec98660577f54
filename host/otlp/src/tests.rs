//! The promises of the way to a collector, held against a collector of the tests' own.

mod content;
mod faults;
mod quiet;
mod receiver;
mod variables;

use wasm_host_limits::telemetry as limits;
use wasm_host_telemetry::attributes;
use wasm_host_telemetry::id::{SpanId, TraceId};
use wasm_host_telemetry::log::{Level, LogRecord, Source};
use wasm_host_telemetry::sampling::KeepReason;
use wasm_host_telemetry::span::{Event, Kind, Span, Status};

use super::*;

const TRACE: TraceId = TraceId(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a collector that never answers is given, where a test waits for that. Nothing may depend on others being faster.
const MOMENT: Duration = Duration::from_millis(300);

/// Without the pauses that people want.
const TIMES: Times = Times {
    interval: Duration::from_millis(2),
    pause: Duration::from_millis(5),
    retry: PATIENCE,
    end: PATIENCE,
};

fn environment(variables: &[(&str, &str)]) -> Result<Option<Environment>, String> {
    let known: Vec<(String, String)> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    environment::read(move |name| {
        known.iter().find_map(|(known, value)| (known == name).then(|| value.clone()))
    })
}

fn start(variables: &[(&str, &str)]) -> Otlp {
    start_with(variables, TIMES)
}

/// A request has all the time of a test, where the variables do not say another one: what is slow is not sent twice.
fn start_with(variables: &[(&str, &str)], times: Times) -> Otlp {
    let patience = PATIENCE.as_millis().to_string();
    let mut variables = variables.to_vec();
    variables.push(("OTEL_EXPORTER_OTLP_TIMEOUT", &patience));
    Otlp::start("shop", environment(&variables).unwrap().unwrap(), times).unwrap()
}

fn span(id: u64, parent: Option<u64>, service: &str, kind: Kind) -> Span {
    Span {
        trace: TRACE,
        id: SpanId(id),
        parent: parent.map(SpanId),
        name: format!("span {id}").into(),
        kind,
        service: service.into(),
        scope: "wasm-host".into(),
        start: 1_700_000_000_000_000 + id,
        duration: 1500,
        status: Status::Unset,
        attributes: Vec::new(),
        events: Vec::new(),
        links: Vec::new(),
    }
}

/// A request to one service, which asks another one, which asks its database.
fn batch() -> Batch {
    let mut first = span(1, None, "front", Kind::Server);
    first.attributes.push((attributes::VERSION.into(), "sha256:aa".into()));
    let call = span(2, Some(1), "front", Kind::Client);
    let mut second = span(3, Some(2), "stock", Kind::Server);
    second.attributes.push((attributes::VERSION.into(), "sha256:bb".into()));
    second.links.push((TraceId(7), SpanId(8)));
    let mut query = span(4, Some(3), "stock", Kind::Client);
    query.status = Status::Error("no such table".into());
    query.attributes = vec![
        (attributes::DB_SYSTEM.into(), "postgresql".into()),
        (attributes::DB_TEXT.into(), "select * from items where id = $1".into()),
        (attributes::DB_ROWS.into(), 3_usize.into()),
        ("ratio".into(), 0.5.into()),
        ("is".into(), true.into()),
    ];
    let attributes = vec![("exception.message".into(), "why".into())];
    query.events.push(Event { time: 1_700_000_000_000_100, name: "exception".into(), attributes });
    Batch { spans: vec![first, call, second, query], why: KeepReason::Error, dropped: 0 }
}

fn small_batch(id: u64) -> Batch {
    let spans = vec![span(id, None, "front", Kind::Internal)];
    Batch { spans, why: KeepReason::Error, dropped: 0 }
}

fn line(service: Option<&str>, message: &str) -> LogRecord {
    LogRecord {
        time: 1_700_000_000_000_050,
        level: Level::Warn,
        service: service.map(Into::into),
        source: if service.is_some() { Source::Guest } else { Source::Host },
        trace: service.map(|_| TRACE),
        span: service.map(|_| SpanId(3)),
        request: service.map(|_| SpanId(3)),
        message: message.to_owned(),
        fields: vec![("stream".into(), "stderr".into())],
    }
}

/// Wait until it is so; nothing tells of counts.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what}"));
}
