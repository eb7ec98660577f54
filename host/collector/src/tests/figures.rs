//! Figures: over time from the store, and of the last minute from memory.

use std::sync::Arc;

use parking_lot::Mutex;
use wasm_host_telemetry::Collector as _;
use wasm_host_telemetry::clock;
use wasm_host_telemetry::id::TraceId;
use wasm_host_telemetry::metrics::{Exemplar, Figure, Instrument, Kind, Meters, Point, Reading};

use crate::testing;
use crate::{Reader, Series, SeriesPoints, SeriesQuery};

pub(super) static TIMES: Instrument = Instrument {
    name: "times",
    unit: "s",
    description: "How long.",
    kind: Kind::Histogram(&[1.0, 2.0, 4.0]),
    labels: &["service", "http.response.status_code"],
};
static CALLS: Instrument = Instrument {
    name: "calls",
    unit: "s",
    description: "",
    kind: Kind::Histogram(&[1.0]),
    labels: &["service", "error.type"],
};
pub(super) static COUNT: Instrument = Instrument {
    name: "count",
    unit: "{thing}",
    description: "",
    kind: Kind::Counter,
    labels: &["service"],
};
static LEVEL: Instrument = Instrument {
    name: "level",
    unit: "By",
    description: "",
    kind: Kind::Gauge,
    labels: &["service"],
};

/// An application's figures, and what stores them.
pub(super) fn start(state: &std::path::Path) -> (Arc<Mutex<Meters>>, crate::Pipeline, Reader) {
    let meters = Arc::new(Mutex::new(Meters::default()));
    let source = meters.clone();
    let source = Box::new(move || source.lock().read());
    let (_, pipeline, reader) = testing::start_reading(state, testing::SMALL, source);
    (meters, pipeline, reader)
}

fn last_minutes() -> SeriesQuery {
    let until = clock::now();
    SeriesQuery { since: until - 600_000_000, until, by: None, filters: Vec::new(), points: None }
}

/// What came in all of the time.
fn all(series: &Series, place: usize, query: &SeriesQuery) -> f64 {
    let seconds = |time: u64| (query.until - time).clamp(10_000_000, series.step) as f64 / 1e6;
    match &series.series[place].points {
        SeriesPoints::Numbers(points) => {
            points.iter().map(|(time, rate)| rate * seconds(*time)).sum()
        }
        SeriesPoints::Quantiles(points) => {
            points.iter().map(|(time, rate, ..)| rate * seconds(*time)).sum()
        }
    }
}

fn assert_all(series: &Series, place: usize, query: &SeriesQuery, expected: f64) {
    assert!((all(series, place, query) - expected).abs() < 1e-6, "{series:?}");
}

#[tokio::test]
async fn figures_are_asked_about_over_time_by_what_they_are_measured_by() {
    let state = tempfile::tempdir().unwrap();
    let (meters, pipeline, reader) = start(state.path());
    let record = |service: &str, status: &str, value: f64| {
        meters.lock().record(&TIMES, &[service, status], value, Some(TraceId(7)));
        meters.lock().record(&COUNT, &[service], 1.0, None);
    };
    reader.flush_figures().await.unwrap();
    record("a", "200", 0.5);
    record("a", "500", 3.0);
    meters.lock().record(&LEVEL, &["a"], 5.0, None);
    reader.flush_figures().await.unwrap();
    record("b", "200", 1.5);
    reader.flush_figures().await.unwrap();

    let instruments = reader.instruments().await.unwrap();
    let names: Vec<_> = instruments.iter().map(|it| (it.name.as_str(), it.kind.as_str())).collect();
    assert_eq!(names, [("count", "counter"), ("level", "gauge"), ("times", "histogram")]);
    let told = serde_json::to_value(&instruments[2]).unwrap();
    assert_eq!(
        told,
        serde_json::json!({"name": "times", "kind": "histogram", "unit": "s", "description": "How long.",
        "dimensions": {"service": ["a", "b"], "http.response.status_code": ["200", "500"]}, "overflow": false})
    );

    let query = last_minutes();
    let series = reader.series("times", &query).await.unwrap().unwrap();
    assert_eq!((series.step, series.series.len()), (10_000_000, 1));
    assert_all(&series, 0, &query, 3.0);
    let SeriesPoints::Quantiles(points) = &series.series[0].points else { panic!() };
    assert!(points[0].2.is_none());
    assert!(points.iter().any(|point| point.2.is_some()));
    assert_eq!(series.exemplars[0].trace, TraceId(7).to_string());

    let by = SeriesQuery { by: Some("service".into()), ..last_minutes() };
    let series = reader.series("count", &by).await.unwrap().unwrap();
    let told: Vec<_> = series.series.iter().map(|it| it.labels["service"].as_str()).collect();
    assert_eq!(told, ["a", "b"]);
    assert_all(&series, 0, &by, 2.0);

    let filters =
        vec![("service".into(), "a".into()), ("http.response.status_code".into(), "500".into())];
    let some = SeriesQuery { filters, ..last_minutes() };
    let series = reader.series("times", &some).await.unwrap().unwrap();
    assert_all(&series, 0, &some, 1.0);

    let level = reader.series("level", &last_minutes()).await.unwrap().unwrap();
    let SeriesPoints::Numbers(points) = &level.series[0].points else { panic!() };
    assert!(points.iter().all(|(_, value)| (*value - 5.0).abs() < 1e-9));
    assert!(reader.series("nothing", &last_minutes()).await.unwrap().is_none());

    // A process that starts anew counts from nothing, which is no fall.
    pipeline.stop().await;
    let (meters, _pipeline, reader) = start(state.path());
    meters.lock().record(&COUNT, &["a"], 1.0, None);
    reader.flush_figures().await.unwrap();
    let by = SeriesQuery { by: Some("service".into()), ..last_minutes() };
    let series = reader.series("count", &by).await.unwrap().unwrap();
    assert_all(&series, 0, &by, 3.0);
}

#[tokio::test]
async fn a_gauge_is_what_it_was_whatever_files_it_is_in() {
    let state = tempfile::tempdir().unwrap();
    let meters = Arc::new(Meters::default());
    meters.record(&LEVEL, &["a"], 100.0, None);
    meters.record(&LEVEL, &["b"], 20.0, None);
    let source = Box::new(move || meters.read());
    let (sender, _pipeline, reader) = testing::start_reading(state.path(), testing::SMALL, source);
    let text = "x".repeat(1000);
    for _ in 0..3 {
        reader.flush_figures().await.unwrap();
        for number in 0..3 * 1024 {
            sender.log(testing::line(&text));
            if number % 256 == 0 {
                reader.flush().await.unwrap();
            }
        }
        reader.flush().await.unwrap();
    }
    assert!(reader.segments().len() >= 3);
    let by = SeriesQuery { by: Some("service".into()), ..last_minutes() };
    for (query, expected) in [(last_minutes(), vec![120.0]), (by, vec![100.0, 20.0])] {
        let level = reader.series("level", &query).await.unwrap().unwrap();
        assert_eq!(level.series.len(), expected.len());
        for (series, expected) in level.series.iter().zip(expected) {
            let SeriesPoints::Numbers(points) = &series.points else { panic!() };
            assert!(!points.is_empty());
            for (_, value) in points {
                assert!((value - expected).abs() < 1e-9, "{points:?}");
            }
        }
    }
}

// Fault (Telemetry): figures that cannot be stored | stores what they counted with the next ones | - | gauges of that time
#[tokio::test]
async fn what_figures_counted_while_nothing_could_be_written_is_not_lost() {
    let state = tempfile::tempdir().unwrap();
    let folder = state.path().join("telemetry");
    std::fs::write(&folder, "in the way").unwrap();
    let (meters, _pipeline, reader) = start(state.path());
    for _ in 0..5 {
        meters.lock().record(&COUNT, &["a"], 1.0, None);
        meters.lock().record(&TIMES, &["a", "200"], 0.5, None);
    }
    reader.flush_figures().await.unwrap();
    std::fs::remove_file(&folder).unwrap();
    // It is tried again after a moment, which only what is stored tells.
    let stored = async {
        while reader.series("count", &last_minutes()).await.unwrap().is_none() {
            reader.flush_figures().await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), stored).await.expect("tried again");
    reader.flush_figures().await.unwrap();
    for name in ["count", "times"] {
        let query = last_minutes();
        let series = reader.series(name, &query).await.unwrap().unwrap();
        assert_all(&series, 0, &query, 5.0);
    }
}

#[tokio::test]
async fn the_last_minute_is_known_without_the_store() {
    let state = tempfile::tempdir().unwrap();
    let (meters, _pipeline, reader) = start(state.path());
    for _ in 0..3 {
        meters.lock().record(&TIMES, &["a", "200"], 0.5, None);
    }
    meters.lock().record(&TIMES, &["a", "503"], 3.0, None);
    meters.lock().record(&TIMES, &["b", "404"], 3.0, None);
    for kind in ["", "cancelled", "timeout", "cancelled"] {
        meters.lock().record(&CALLS, &["a", kind], 0.5, None);
    }
    reader.flush_figures().await.unwrap();
    // Two of them were not waited for any more, which is no failure.
    let calls = reader.recent("calls", &[("service", "a")]);
    assert!((calls.rate / calls.errors - 4.0).abs() < 1e-9, "{calls:?}");
    let recent = reader.recent("times", &[("service", "a")]);
    assert!(recent.rate > 0.0);
    assert!((recent.rate / recent.errors - 4.0).abs() < 1e-9, "{recent:?}");
    assert_eq!(recent.p50, Some(2.0 / 3.0));
    assert!(recent.p99.unwrap() > 2.0);
    let all = reader.recent_by("times", &["service", "http.response.status_code"]);
    assert_eq!(all.len(), 3);
    let failed = &all[&vec!["b".to_owned(), "404".to_owned()]];
    assert_eq!((failed.errors, failed.rate > 0.0), (0.0, true));
    assert_eq!(reader.recent("times", &[("service", "c")]), crate::Recent::default());
    assert_eq!(reader.recent("nothing", &[]), crate::Recent::default());
}

#[tokio::test]
async fn series_that_go_and_come_back_are_no_fall() {
    let state = tempfile::tempdir().unwrap();
    let (meters, _pipeline, reader) = start(state.path());
    for _ in 0..1000 {
        meters.lock().record(&TIMES, &["a", "200"], 0.5, None);
    }
    meters.lock().record(&COUNT, &["a"], 5.0, None);
    reader.flush_figures().await.unwrap();
    *meters.lock() = Meters::default();
    meters.lock().record(&TIMES, &["a", "404"], 0.5, None);
    reader.flush_figures().await.unwrap();
    meters.lock().record(&COUNT, &["a"], 3.0, None);
    reader.flush_figures().await.unwrap();
    let query = last_minutes();
    let series = reader.series("count", &query).await.unwrap().unwrap();
    assert_all(&series, 0, &query, 8.0);
}

#[tokio::test]
async fn a_graph_has_the_busiest_series_alone() {
    let bound = wasm_host_limits::telemetry::ANSWERED_SERIES;
    let state = tempfile::tempdir().unwrap();
    let (meters, _pipeline, reader) = start(state.path());
    for number in 0..bound + 5 {
        meters.lock().record(&COUNT, &[&number.to_string()], number as f64 + 1.0, None);
    }
    reader.flush_figures().await.unwrap();
    let by = SeriesQuery { by: Some("service".into()), ..last_minutes() };
    let series = reader.series("count", &by).await.unwrap().unwrap();
    assert_eq!(series.series.len(), bound);
    let has = |name: &str| series.series.iter().any(|it| it.labels["service"] == name);
    assert_eq!((has("0"), has(&(bound + 4).to_string())), (false, true));
}

#[tokio::test]
async fn who_sends_figures_elsewhere_is_told_of_what_is_stored() {
    struct RecordedFigures(Arc<Mutex<Vec<Reading>>>);
    impl crate::Exporter for RecordedFigures {
        fn batches(&self, _: &[wasm_host_telemetry::Batch]) {}
        fn lines(&self, _: &[wasm_host_telemetry::log::LogRecord]) {}
        fn figures(&self, figures: &[Reading]) {
            self.0.lock().extend_from_slice(figures);
        }
    }
    let state = tempfile::tempdir().unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let exemplar = Some(Exemplar { time: 1, value: 1.0, trace: TraceId(1) });
    let point = Point { labels: vec!["a".into()], value: Figure::Number(1.0), exemplar };
    let source = move || {
        vec![Reading { instrument: &COUNT, points: vec![point.clone()], has_overflow: false }]
    };
    let exporter = Box::new(RecordedFigures(told.clone()));
    let sender = crate::Sender::default();
    let pipeline = crate::Pipeline::start(
        &sender,
        state.path(),
        testing::SMALL,
        Box::new(source),
        vec![exporter],
    )
    .unwrap();
    pipeline.reader().flush_figures().await.unwrap();
    assert_eq!(told.lock()[0].points[0].value, Figure::Number(1.0));
}

#[tokio::test]
async fn what_a_figure_is_not_measured_by_is_refused_with_what_it_is() {
    let state = tempfile::tempdir().unwrap();
    let (meters, _pipeline, reader) = start(state.path());
    meters.lock().record(&TIMES, &["a", "200"], 0.5, None);
    reader.flush_figures().await.unwrap();
    let filtered = |name: &str| SeriesQuery {
        filters: vec![(name.to_owned(), "a".to_owned())],
        ..last_minutes()
    };
    let by = SeriesQuery { by: Some("nonsense".into()), ..last_minutes() };
    for (query, name) in [(filtered("srvice"), "srvice"), (by, "nonsense")] {
        let told = reader.series("times", &query).await.unwrap_err().to_string();
        assert!(told.contains(name), "{told}");
        assert!(told.ends_with("http.response.status_code, service"), "{told}");
    }
    let series = reader.series("times", &filtered("service")).await.unwrap().unwrap();
    assert_eq!(series.series.len(), 1);
    // Of what there is nothing of, nothing is known either.
    assert!(reader.series("none", &filtered("srvice")).await.unwrap().is_none());
}
