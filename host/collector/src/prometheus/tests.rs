use wasm_host_telemetry::id::TraceId;
use wasm_host_telemetry::metrics::{Exemplar, Figure, Instrument, Kind, Point, Reading};

use super::{Format, prometheus};
use wasm_host_limits::telemetry as limits;

static TIMES: Instrument = Instrument {
    name: "http.server.request.duration",
    unit: "s",
    description: "How long requests take.\nAll of them: C:\\",
    kind: Kind::Histogram(&[0.0001, 1.0]),
    labels: &["service", "http.route"],
};
static COUNT: Instrument = Instrument {
    name: "requests.total",
    unit: "{request}",
    description: "Requests.",
    kind: Kind::Counter,
    labels: &["service"],
};
static MEMORY: Instrument = Instrument {
    name: "process.memory",
    unit: "By",
    description: "Memory.",
    kind: Kind::Gauge,
    labels: &[],
};

fn readings() -> Vec<Reading> {
    let exemplar = Some(Exemplar { time: 1_500_000, value: 0.5, trace: TraceId(1) });
    let point = |labels: &[&str], value, exemplar| Point {
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        value,
        exemplar,
    };
    let times = Figure::Histogram { buckets: vec![1, 2, 3], sum: 7.5 };
    let of = |instrument, points| Reading { instrument, points, has_overflow: false };
    vec![
        of(&TIMES, vec![point(&["a\"\\\nb", "/"], times, exemplar)]),
        of(
            &COUNT,
            vec![
                point(&["a"], Figure::Number(3.0), exemplar),
                point(&[], Figure::Number(1.0), None),
            ],
        ),
        of(&MEMORY, vec![point(&[], Figure::Number(1024.0), None)]),
    ]
}

fn whole(readings: Vec<Reading>, format: Format) -> String {
    prometheus(readings, format).collect()
}

// Fault (Telemetry): a program that asks for many figures and does not read them | makes as much of the answer as is read | the others wait for nothing | nothing
#[test]
fn many_figures_are_told_in_pieces_that_are_bounded() {
    let long = "ö".repeat(100);
    let points = (0..limits::SERIES).map(|number| Point {
        labels: vec![format!("{number}{long}"), long.clone()],
        value: Figure::Histogram { buckets: vec![1, 2, 3], sum: 7.5 },
        exemplar: None,
    });
    let many = Reading { instrument: &TIMES, points: points.collect(), has_overflow: false };
    let [all, rest] = [many.clone(), many];
    let pieces: Vec<String> = prometheus(vec![all, rest], Format::OpenMetrics).collect();
    assert!(pieces.len() > 10);
    // A piece ends with the point that fills it.
    let most = limits::SCRAPE_PIECE_BYTES + 5 * 1024;
    assert!(pieces.iter().all(|piece| piece.len() <= most && piece.ends_with('\n')));
    let told = pieces.concat();
    let count = told.lines().filter(|line| line.contains("_count{")).count();
    assert_eq!((count, told.matches("# TYPE").count()), (2 * limits::SERIES, 2));
    assert!(told.ends_with("# EOF\n"));
    assert_eq!(whole(Vec::new(), Format::Text), "");
}

#[test]
fn figures_are_told_as_prometheus_has_them() {
    let expected = r#"# HELP http_server_request_duration_seconds How long requests take.\nAll of them: C:\\
# TYPE http_server_request_duration_seconds histogram
http_server_request_duration_seconds_bucket{service="a\"\\\nb",http_route="/",le="0.0001"} 1
http_server_request_duration_seconds_bucket{service="a\"\\\nb",http_route="/",le="1.0"} 3
http_server_request_duration_seconds_bucket{service="a\"\\\nb",http_route="/",le="+Inf"} 6
http_server_request_duration_seconds_sum{service="a\"\\\nb",http_route="/"} 7.5
http_server_request_duration_seconds_count{service="a\"\\\nb",http_route="/"} 6
# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{service="a"} 3.0
requests_total{otel_metric_overflow="true"} 1.0
# HELP process_memory_bytes Memory.
# TYPE process_memory_bytes gauge
process_memory_bytes 1024.0
"#;
    assert_eq!(whole(readings(), Format::Text), expected);
}

#[test]
fn openmetrics_has_exemplars_and_units() {
    let told = whole(readings(), Format::OpenMetrics);
    let exemplar = r#" # {trace_id="00000000000000000000000000000001"} 0.5 1.5"#;
    assert!(told.contains(&format!("le=\"1.0\"}} 3{exemplar}\n")), "{told}");
    assert!(told.contains(&format!("requests_total{{service=\"a\"}} 3.0{exemplar}\n")), "{told}");
    assert!(told.contains("# TYPE requests counter\n"), "{told}");
    assert!(told.contains("# UNIT http_server_request_duration_seconds seconds\n"), "{told}");
    assert!(told.ends_with("# EOF\n"), "{told}");
    assert_eq!(
        Format::accepted("application/openmetrics-text;version=1.0.0,*/*"),
        Format::OpenMetrics
    );
    assert_eq!(Format::accepted("text/plain"), Format::Text);
}

#[test]
fn what_was_lost_is_a_figure_like_the_others() {
    let told = whole(vec![crate::Dropped { spans: 3, lines: 4 }.reading()], Format::Text);
    assert!(told.contains("\nwasm_host_telemetry_dropped_total{item=\"span\"} 3.0\n"), "{told}");
    assert!(told.contains("\nwasm_host_telemetry_dropped_total{item=\"line\"} 4.0\n"), "{told}");
}
