//! How much the collector takes, and how fast it answers. Run by hand, as it takes minutes and says figures:
//! `cargo test --release -p wasm-host-collector -- --ignored --nocapture --test-threads=1`

use std::time::{Duration, Instant};

use wasm_host_telemetry::id::{SpanId, TraceId};
use wasm_host_telemetry::log::LogRecord;
use wasm_host_telemetry::sampling::KeepReason;
use wasm_host_telemetry::span::{Kind, Span, Status, Value};
use wasm_host_telemetry::{Batch, Collector as _, clock};

use crate::testing::{self, line, span};
use crate::{Bounds, LogQuery, Reader, TraceQuery};

/// A request with a statement, as a host hands it over: five spans.
fn request(number: u64) -> Batch {
    let trace =
        u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(number + 1);
    let id = |place: u64| (number * 8 + place + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let path = format!("/weather/{}", number % 1000);
    let names = ["GET /weather", "admission", "instance", "guest", "SELECT"];
    let mut spans: Vec<Span> = names
        .iter()
        .zip(0..)
        .map(|(name, place)| {
            let parent = (place > 0).then(|| id(if place == 4 { 3 } else { 0 }));
            let mut span = span(trace, id(place), parent, name);
            (span.start, span.service) = (clock::now(), "apiservice".into());
            span
        })
        .collect();
    spans[0].kind = Kind::Server;
    spans[0].attributes = vec![
        ("http.request.method".into(), "GET".into()),
        ("url.path".into(), path.into()),
        ("wasm_host.request.id".into(), SpanId(id(0)).to_string().into()),
        ("http.route".into(), "/weather".into()),
        ("http.response.status_code".into(), Value::Integer(200)),
        ("wasm_host.service.version".into(), "3f2a9c0d1e2f".into()),
    ];
    spans[4].kind = Kind::Client;
    spans[4].attributes = vec![
        ("db.system.name".into(), "postgresql".into()),
        ("db.namespace".into(), "weather".into()),
        (
            "db.query.text".into(),
            "select city, celsius from weather where city = $1 order by day".into(),
        ),
        ("db.operation.name".into(), "SELECT".into()),
        ("db.response.returned_rows".into(), Value::Integer(5)),
    ];
    if number.is_multiple_of(1000) {
        spans[4].status = Status::Error("canceling statement due to statement timeout".into());
    }
    Batch { spans, why: KeepReason::Sampled, dropped: 0 }
}

fn said(number: u64) -> LogRecord {
    let trace = request_trace(number);
    LogRecord {
        time: clock::now(),
        service: Some("apiservice".into()),
        trace: Some(trace),
        fields: vec![("city".into(), format!("city{}", number % 5000).into())],
        ..line(&format!("forecast {number} of weather for a city was read from the database"))
    }
}

fn request_trace(number: u64) -> TraceId {
    TraceId(u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(number + 1))
}

/// Processor time of this process.
fn used() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn bytes(folder: &std::path::Path) -> u64 {
    let files = std::fs::read_dir(folder.join("telemetry")).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

#[tokio::test]
#[ignore = "takes a minute and says figures"]
async fn twenty_thousand_spans_a_second_are_taken_for_a_minute() {
    const STEP: Duration = Duration::from_millis(10);
    let state = tempfile::tempdir().unwrap();
    let bounds = Bounds { bytes: 512 * 1024 * 1024, age: Duration::from_secs(3600) };
    let (sender, pipeline, reader) = testing::start_with(state.path(), bounds);
    // What making them costs is not what taking them costs.
    let began = (Instant::now(), used());
    let mut steps = tokio::time::interval(STEP);
    let (mut number, mut making) = (0, Duration::ZERO);
    while began.0.elapsed() < Duration::from_secs(60) {
        steps.tick().await;
        let makes = Instant::now();
        for _ in 0..40 {
            sender.batch(request(number));
            sender.log(said(number));
            number += 1;
        }
        making += makes.elapsed();
    }
    reader.flush().await.unwrap();
    let (took, used) = (began.0.elapsed(), used() - began.1);
    println!(
        "{} spans and {number} lines in {took:?}; dropped {:?}; processor {used:?} of which making them {making:?}; {} MiB",
        number * 5,
        reader.dropped(),
        bytes(state.path()) >> 20
    );
    assert_eq!(reader.dropped(), crate::Dropped::default());
    pipeline.stop().await;
}

async fn filled(state: &std::path::Path) -> (crate::Pipeline, Reader) {
    let bounds = Bounds { bytes: 2 << 30, age: Duration::from_secs(3600) };
    let (sender, pipeline, reader) = testing::start_with(state, bounds);
    let began = Instant::now();
    for number in 0..1_000_000 {
        if number < 200_000 {
            sender.batch(request(number));
        }
        sender.log(said(number));
        if number % 4000 == 0 {
            reader.flush().await.unwrap();
        }
    }
    reader.flush().await.unwrap();
    let files = std::fs::read_dir(state.join("telemetry")).unwrap().count();
    println!("filled in {:?}, {} MiB in {files} files", began.elapsed(), bytes(state) >> 20);
    assert_eq!(reader.dropped(), crate::Dropped::default());
    (pipeline, reader)
}

async fn timed<T>(what: &str, asked: impl AsyncFn() -> T) -> T {
    let (mut worst, mut best, mut last) = (Duration::ZERO, Duration::MAX, None);
    for _ in 0..3 {
        let began = Instant::now();
        last = Some(asked().await);
        (worst, best) = (worst.max(began.elapsed()), best.min(began.elapsed()));
    }
    println!("{what}: {best:?} to {worst:?}");
    last.unwrap()
}

#[tokio::test]
#[ignore = "takes minutes and says figures"]
async fn a_million_spans_and_lines_are_asked_about_at_once() {
    let own = tempfile::tempdir().unwrap();
    let (pipeline, reader) = filled(own.path()).await;
    let logs = async |what: &str, query: LogQuery| {
        let page = timed(what, async || reader.logs(&query).await.unwrap()).await;
        println!("    {} lines, more: {}", page.items.len(), page.next.is_some());
        page
    };
    let all = LogQuery::default;
    let mut first = logs("newest lines", all()).await;
    for _ in 0..20 {
        let next = LogQuery { before: first.next.clone(), limit: Some(1000), ..all() };
        first = reader.logs(&next).await.unwrap();
    }
    logs("a later page", LogQuery { before: first.next, ..all() }).await;
    logs("errors, none", LogQuery { level: Some(wasm_host_telemetry::log::Level::Error), ..all() })
        .await;
    logs("another service, none", LogQuery { services: vec!["none".into()], ..all() }).await;
    logs("up to an early time", LogQuery { until: Some(1), ..all() }).await;
    logs("of a request's trace", LogQuery { trace: Some(request_trace(77)), ..all() }).await;
    for search in [
        "forecast",
        "weather city",
        "fo",
        "f",
        "forecast 77 ",
        "city4999",
        "nothing",
        "database 999999",
        "forecast nothing",
    ] {
        logs(&format!("lines with {search:?}"), LogQuery { search: Some(search.into()), ..all() })
            .await;
    }
    let some = LogQuery {
        search: Some("forecast".into()),
        level: Some(wasm_host_telemetry::log::Level::Error),
        ..all()
    };
    logs("errors with forecast, none", some).await;
    let traces = async |what: &str, query: TraceQuery| {
        let page = timed(what, async || reader.traces(&query).await.unwrap()).await;
        println!("    {} traces, more: {}", page.items.len(), page.next.is_some());
    };
    let all = TraceQuery::default;
    traces("newest traces", all()).await;
    traces("1000 traces", TraceQuery { limit: Some(1000), ..all() }).await;
    traces("with errors", TraceQuery { errors: true, ..all() }).await;
    traces("slow, none", TraceQuery { slower: Some(1 << 40), ..all() }).await;
    traces("of a service", TraceQuery { service: Some("apiservice".into()), ..all() }).await;
    let service = Some("apiservice".into());
    traces("slow of a service, none", TraceQuery { service, slower: Some(1 << 40), ..all() }).await;
    traces("of a route, none", TraceQuery { route: Some("/none".into()), ..all() }).await;
    for search in ["select", "s", "weather 77", "statement timeout", "nothing", "select nothing"] {
        traces(
            &format!("traces with {search:?}"),
            TraceQuery { search: Some(search.into()), ..all() },
        )
        .await;
    }
    timed("one trace", async || reader.trace(request_trace(77)).await.unwrap().unwrap()).await;
    pipeline.stop().await;
}

/// The store that `web/dashboard/scripts/large-store.mjs` looks at.
#[tokio::test]
#[ignore = "leaves a folder, and is for the script that looks at it"]
async fn a_store_of_a_million_spans_and_lines_is_made_in_the_folder_of_the_environment() {
    let state = std::env::var("WASM_HOST_STATE").expect("WASM_HOST_STATE names a folder");
    let (pipeline, _) = filled(state.as_ref()).await;
    pipeline.stop().await;
}
