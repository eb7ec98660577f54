//! Series as they are counted, bounded and let go.

use super::*;

static REQUESTS: Instrument = Instrument {
    name: "requests",
    unit: "{request}",
    description: "",
    kind: Kind::Counter,
    labels: &["service"],
};
static VERSIONS: Instrument = Instrument {
    name: "versions",
    unit: "{request}",
    description: "",
    kind: Kind::Counter,
    labels: &["service", VERSION],
};
static TIMES: Instrument =
    Instrument { name: "times", unit: "s", description: "", kind: SECONDS, labels: &["service"] };

#[test]
fn threads_are_added_up() {
    let meters = Meters::default();
    std::thread::scope(|scope| {
        for number in 0..4 {
            let meters = &meters;
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                threads::on_behalf_of(Some(number), runtime.handle(), || {
                    for _ in 0..100 {
                        meters.record(&REQUESTS, &["a"], 1.0, None);
                        meters.record(&TIMES, &["a"], 0.01, None);
                    }
                });
            });
        }
    });
    let read = meters.read();
    assert_eq!(read[0].points[0].value, Figure::Number(400.0));
    let Figure::Histogram { buckets, sum } = &read[1].points[0].value else { panic!() };
    assert_eq!((buckets[6], buckets.iter().sum::<u64>()), (400, 400));
    assert!((sum - 4.0).abs() < 1e-9);
}

// Fault (Telemetry): labels without end of one figure | counts so many apart, the others together | its answer | what tells the others apart
#[test]
fn more_series_than_there_may_be_are_counted_together() {
    let meters = Meters::default();
    for number in 0..limits::SERIES + 10 {
        meters.record(&VERSIONS, &["a", &number.to_string()], 1.0, None);
    }
    let read = meters.read();
    assert!(read[0].has_overflow);
    assert_eq!(read[0].points.len(), limits::SERIES + 1);
    assert_eq!(read[0].points[0].labels, Vec::<String>::new());
    assert_eq!(read[0].points[0].value, Figure::Number(10.0));
}

// Fault (Telemetry): labels without end of one service | counts those of others apart all the same | its answer | what tells its own apart
#[test]
fn a_service_with_too_many_series_leaves_its_neighbours_some() {
    let meters = Meters::default();
    for number in 0..limits::SERIES + 10 {
        meters.record(&VERSIONS, &["a", &number.to_string()], 1.0, None);
    }
    for number in 0..limits::SERVICE_SERIES + 10 {
        meters.record(&VERSIONS, &["b", &number.to_string()], 1.0, None);
    }
    let points = meters.read().remove(0).points;
    let count = |service: &str| {
        points.iter().filter(|point| point.labels.first().is_some_and(|it| it == service)).count()
    };
    assert_eq!((count("a"), count("b")), (limits::SERIES, limits::SERVICE_SERIES));
    assert_eq!(points[0].value, Figure::Number(20.0));
}

// Fault (Telemetry): versions without end of one service | lets the figures of those go that have ended | its answer | nothing
#[test]
fn series_of_a_version_that_has_ended_go_after_a_while() {
    let meters = Meters::default();
    for version in ["1", "2", "3"] {
        meters.record(&VERSIONS, &["a", version], 1.0, None);
        meters.record(&VERSIONS, &["b", version], 1.0, None);
    }
    let age = || {
        let ago = Instant::now().checked_sub(limits::ENDED_SERIES).unwrap();
        for shard in &meters.shards {
            shard.0.lock().series.values_mut().for_each(|it| it.ended = it.ended.map(|_| ago));
        }
    };
    let left = || {
        let points = meters.read().remove(0).points;
        points.into_iter().map(|point| point.labels.join(" ")).collect::<Vec<_>>()
    };
    meters.version_ended("a", "1");
    meters.version_ended("a", "2");
    assert_eq!(left().len(), 6, "all readers of figures have yet to see its last");
    // It was put back into service.
    meters.record(&VERSIONS, &["a", "2"], 1.0, None);
    age();
    assert_eq!(left(), ["a 2", "a 3", "b 1", "b 2", "b 3"]);
    // And their room is free.
    for number in 0..limits::SERIES {
        let version = format!("v{number}");
        meters.record(&VERSIONS, &["a", &version], 1.0, None);
        meters.version_ended("a", &version);
        if number % 100 == 0 {
            age();
            meters.read();
        }
    }
    assert!(!meters.read()[0].has_overflow);
}

#[test]
fn a_label_is_cut_to_its_bound() {
    let meters = Meters::default();
    let long = "ö".repeat(limits::LABEL_BYTES);
    meters.record(&REQUESTS, &[&long], 1.0, None);
    meters.record(&REQUESTS, &[&format!("{long}, and more")], 1.0, None);
    let points = meters.read().remove(0).points;
    let [point] = &*points else { panic!("{points:?}") };
    assert_eq!(point.labels, ["ö".repeat(limits::LABEL_BYTES / 2)]);
    assert!(matches!(point.value, Figure::Number(2.0)), "{point:?}");
}

#[test]
fn an_exemplar_is_the_last_that_is_kept() {
    let meters = Meters::default();
    meters.record(&TIMES, &["a"], 0.5, Some(TraceId(1)));
    meters.record(&TIMES, &["a"], 0.7, None);
    let exemplar = meters.read()[0].points[0].exemplar.unwrap();
    assert_eq!((exemplar.trace, exemplar.value), (TraceId(1), 0.5));
}

#[test]
fn a_quantile_lies_in_its_bucket() {
    let bounds = [1.0, 2.0, 4.0];
    assert_eq!(quantile(&bounds, &[0, 0, 0, 0], 0.5), None);
    assert_eq!(quantile(&bounds, &[10, 0, 0, 0], 0.5), Some(0.5));
    assert_eq!(quantile(&bounds, &[0, 10, 10, 0], 0.75), Some(3.0));
    assert_eq!(quantile(&bounds, &[0, 0, 0, 5], 0.5), Some(4.0));
}
