//! What is taken out of the store whole.

use wasm_host_telemetry::Collector as _;
use wasm_host_telemetry::clock;

use super::figures::{COUNT, TIMES, start};
use crate::testing::{self, batch};
use crate::{FigureItem, FigureQuery, PageStart, Reader, TraceQuery};

/// All figures, read in pages of so many numbers.
async fn figures(reader: &Reader, query: &FigureQuery) -> Vec<FigureItem> {
    let (mut all, mut after): (Vec<FigureItem>, Option<PageStart>) = (Vec::new(), None);
    loop {
        let (items, next) = reader.figures(query, after).await.unwrap();
        all.extend(items);
        after = next;
        if after.is_none() {
            return all;
        }
    }
}

/// Each number with the figure that it is of, and without its time.
fn numbers(items: &[FigureItem]) -> Vec<(String, String)> {
    let numbers = items.iter().flat_map(|item| {
        let value = serde_json::to_value(item).unwrap();
        let points = value["points"].as_array().unwrap().clone();
        let told = move |point: serde_json::Value| point.as_array().unwrap()[1..].to_vec();
        let name = format!("{} {}", item.name, item.labels["service"]);
        points.into_iter().map(move |point| (name.clone(), format!("{:?}", told(point))))
    });
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort();
    numbers
}

#[tokio::test]
async fn figures_come_whole_however_many_a_page_has() {
    let state = tempfile::tempdir().unwrap();
    let (meters, _pipeline, reader) = start(state.path());
    let record = |service: &str, value: f64| {
        meters.lock().record(&TIMES, &[service, "200"], value, None);
        meters.lock().record(&COUNT, &[service], 1.0, None);
    };
    record("a", 0.5);
    record("a", 3.0);
    record("b", 9.0);
    reader.flush_figures().await.unwrap();
    record("a", 3.0);
    reader.flush_figures().await.unwrap();
    let all = figures(&reader, &FigureQuery::default()).await;
    let told = numbers(&all);
    let has = |name: &str, value: &str| told.contains(&(name.to_owned(), value.to_owned()));
    // So many in the bucket of that number; the last one has no end.
    assert!(has("times a", "[Number(0), Number(1)]") && has("times b", "[Number(3), Number(1)]"));
    assert!(has("count a", "[Number(2.0)]") && has("count a", "[Number(1.0)]"), "{told:?}");
    assert_eq!(all.iter().find(|item| item.name == "times").unwrap().bounds, [1.0, 2.0, 4.0]);
    for limit in 1..=8 {
        let paged = FigureQuery { limit: Some(limit), ..FigureQuery::default() };
        assert_eq!(numbers(&figures(&reader, &paged).await), told, "{limit}");
    }
    let one = FigureQuery { service: Some("b".into()), ..FigureQuery::default() };
    assert_eq!(figures(&reader, &one).await.len(), 2);
    let later = FigureQuery { since: Some(clock::now() + 60_000_000), ..FigureQuery::default() };
    assert!(figures(&reader, &later).await.is_empty());
    let before = FigureQuery { until: Some(1), ..FigureQuery::default() };
    assert!(figures(&reader, &before).await.is_empty());
}

#[tokio::test]
async fn traces_come_with_all_their_spans_page_by_page() {
    let state = tempfile::tempdir().unwrap();
    let (sender, _pipeline, reader) = testing::start(state.path());
    for trace in 1..=5 {
        sender.batch(batch(trace, &[("GET /a", None), ("SELECT", Some(1))]));
    }
    reader.flush().await.unwrap();
    let (mut query, mut seen) =
        (TraceQuery { limit: Some(2), ..TraceQuery::default() }, Vec::new());
    loop {
        let page = reader.whole_traces(&query).await.unwrap();
        for item in page.items {
            let spans: Vec<_> = item.spans.iter().map(|span| span.name.clone()).collect();
            assert_eq!(
                (item.name.as_str(), spans),
                ("GET /a", vec!["GET /a".into(), "SELECT".into()])
            );
            seen.push(item.trace);
        }
        query.before = page.next;
        if query.before.is_none() {
            break;
        }
    }
    let expected: Vec<String> = (1..=5).rev().map(|trace| format!("{trace:032x}")).collect();
    assert_eq!(seen, expected);
}
