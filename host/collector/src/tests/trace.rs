//! One trace: its spans, whoever sends them and whenever, and its lines.

use wasm_host_telemetry::Collector as _;
use wasm_host_telemetry::id::{SpanId, TraceId};
use wasm_host_telemetry::log::LogRecord;
use wasm_host_telemetry::sampling::KeepReason;
use wasm_host_telemetry::span::{Event, Kind, Status, Value};

use crate::testing::{self, batch, line, span};
use crate::{LogQuery, TraceQuery};
use wasm_host_telemetry::Batch;

#[tokio::test]
async fn a_trace_is_told_with_all_that_is_known_of_its_spans() {
    let state = tempfile::tempdir().unwrap();
    let (sender, _pipeline, reader) = testing::start(state.path());
    let mut all = batch(0xabc, &[("GET /weather", Some(99)), ("SELECT", Some(1))]);
    all.dropped = 3;
    all.why = KeepReason::Slow;
    let [first, second] = &mut all.spans[..] else { panic!() };
    first.kind = Kind::Server;
    first.attributes = vec![
        ("http.response.status_code".into(), Value::Integer(502)),
        ("url.path".into(), "/weather/nope".into()),
        ("wasm_host.service.version".into(), "v1".into()),
    ];
    second.status = Status::Error("timeout".into());
    second.attributes = vec![
        ("share".into(), Value::Number(0.5)),
        ("wasm_host.canary".into(), Value::Boolean(true)),
    ];
    second.events =
        vec![Event { time: 5, name: "row".into(), attributes: vec![("a".into(), "b".into())] }];
    second.links = vec![(TraceId(1), SpanId(2))];
    sender.batch(all);
    // Its lines say the trace, or the request, or a span; and others say others.
    sender.log(LogRecord { trace: Some(TraceId(0xabc)), ..line("by trace") });
    sender.log(LogRecord { request: Some(SpanId(1)), ..line("by request") });
    sender.log(LogRecord { span: Some(SpanId(2)), ..line("by span") });
    sender.log(LogRecord { span: Some(SpanId(77)), ..line("another") });
    reader.flush().await.unwrap();
    let told = reader.trace(TraceId(0xabc)).await.unwrap().unwrap();
    let lines: Vec<_> = told.logs.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(lines, ["by trace", "by request", "by span"]);
    let mut told = serde_json::to_value(&told).unwrap();
    told["logs"].take();
    let id = "00000000000000000000000000000abc";
    assert_eq!(
        told,
        serde_json::json!({"trace": id, "start": 1_000_001, "duration": 101, "dropped": 3, "logs": null,
        "spans": [
        {"span": "0000000000000001", "parent": "0000000000000063", "name": "GET /weather", "kind": "server",
            "service": "a", "version": "v1", "scope": "wasm-host", "start": 1_000_001, "duration": 100,
            "status": "unset", "message": null, "attributes": {"http.response.status_code": 502,
            "url.path": "/weather/nope", "wasm_host.service.version": "v1"}, "events": [], "links": []},
        {"span": "0000000000000002", "parent": "0000000000000001", "name": "SELECT", "kind": "internal",
            "service": "a", "version": null, "scope": "wasm-host", "start": 1_000_002, "duration": 100,
            "status": "error", "message": "timeout", "attributes": {"share": 0.5, "wasm_host.canary": true},
            "events": [{"time": 5, "name": "row", "attributes": {"a": "b"}}],
            "links": [{"trace": "00000000000000000000000000000001", "span": "0000000000000002"}]}]})
    );
    let page = reader.traces(&TraceQuery::default()).await.unwrap();
    assert_eq!(
        serde_json::to_value(&page).unwrap(),
        serde_json::json!({"next": null, "items": [{
        "trace": id, "start": 1_000_001, "duration": 101, "name": "GET /weather", "path": "/weather/nope", "service": "a",
        "status": 502, "error": false, "spans": 2, "errors": 1, "services": [{"service": "a", "spans": 2, "errors": 1}],
        "why": "slow"}]})
    );
    assert!(reader.trace(TraceId(1)).await.unwrap().is_none());
}

#[tokio::test]
async fn why_the_host_kept_a_trace_says_more_than_that_others_sent_some_of_it() {
    let state = tempfile::tempdir().unwrap();
    let (sender, _pipeline, reader) = testing::start(state.path());
    for (trace, order, why) in [
        (1, [KeepReason::Page, KeepReason::Sampled], "sampled"),
        (2, [KeepReason::Slow, KeepReason::Outside], "slow"),
        (3, [KeepReason::Outside, KeepReason::Error], "error"),
        (4, [KeepReason::Outside, KeepReason::Page], "outside"),
    ] {
        for kept in order {
            sender.batch(Batch { why: kept, ..batch(trace, &[("a", Some(9))]) });
            reader.flush().await.unwrap();
        }
        let page = reader.traces(&TraceQuery::default()).await.unwrap();
        assert_eq!(page.items[0].why, why, "{order:?}");
    }
}

#[tokio::test]
async fn later_parts_of_a_trace_change_its_row_and_its_place_stays() {
    let state = tempfile::tempdir().unwrap();
    let (sender, _pipeline, reader) = testing::start(state.path());
    sender.batch(batch(1, &[("server", Some(50))]));
    sender.batch(batch(2, &[("other", None)]));
    reader.flush().await.unwrap();
    // The page that asked sends its own part last.
    let mut page = span(1, 50, None, "click");
    (page.service, page.start, page.duration) = ("page".into(), 500, 2_000_000);
    page.status = Status::Error("gone".into());
    sender.batch(Batch { spans: vec![page], why: KeepReason::Error, dropped: 1 });
    reader.flush().await.unwrap();
    let items = reader.traces(&TraceQuery::default()).await.unwrap().items;
    let told: Vec<_> = items.iter().map(|item| (item.name.as_str(), item.spans)).collect();
    assert_eq!(told, [("other", 1), ("click", 2)]);
    let changed = &items[1];
    assert_eq!((changed.start, changed.duration, changed.errors), (500, 2_000_000, 1));
    assert_eq!(
        (changed.service.as_str(), changed.why.as_str(), changed.error),
        ("page", "error", true)
    );
    assert_eq!(changed.services.len(), 2);
    // Words of both parts are found, and the trace once.
    for search in ["server", "click", "server click gone"] {
        let found = TraceQuery { search: Some(search.into()), ..TraceQuery::default() };
        assert_eq!(reader.traces(&found).await.unwrap().items.len(), 1, "{search}");
    }
    let detail = reader.trace(TraceId(1)).await.unwrap().unwrap();
    assert_eq!((detail.spans.len(), detail.dropped), (2, 1));
}

// Fault (Telemetry): requests without end in one trace | stores so many spans of it, counts the others | its answer | spans beyond the bound
#[tokio::test]
async fn spans_of_one_trace_beyond_the_bound_are_counted() {
    let state = tempfile::tempdir().unwrap();
    let (sender, _pipeline, reader) = testing::start(state.path());
    let bound = wasm_host_limits::telemetry::STORED_SPANS;
    for part in 0..3 {
        let ids = (1..).skip(part * bound / 2).take(bound / 2);
        let spans = ids.map(|id| span(1, id, None, "one of many")).collect();
        sender.batch(Batch { spans, why: KeepReason::Sampled, dropped: 0 });
    }
    reader.flush().await.unwrap();
    let detail = reader.trace(TraceId(1)).await.unwrap().unwrap();
    assert_eq!((detail.spans.len(), detail.dropped), (bound, bound as u64 / 2));
}

// Fault (Telemetry): a request that fails in a trace of more requests than are kept of one | keeps it all the same, and counts all that failed | its answer | of the others, spans beyond the bound
#[tokio::test]
async fn what_failed_is_kept_and_counted_beyond_the_bound_of_its_trace() {
    use wasm_host_limits::telemetry::{STORED_IMPORTANT_SPANS, STORED_SPANS};
    let state = tempfile::tempdir().unwrap();
    let (sender, _pipeline, reader) = testing::start(state.path());
    let good = (1..=STORED_SPANS as u64 + 6).map(|id| span(1, id, Some(1 << 40), "good"));
    sender.batch(Batch { spans: good.collect(), why: KeepReason::Sampled, dropped: 0 });
    reader.flush().await.unwrap();
    let fails = |id: u64| {
        let mut failed = span(1, id, Some(1 << 40), "failed");
        (failed.status, failed.service) = (Status::Error("trap".into()), "b".into());
        sender.batch(Batch { spans: vec![failed], why: KeepReason::Error, dropped: 0 });
    };
    fails(1 << 41);
    reader.flush().await.unwrap();
    let item = async || reader.traces(&TraceQuery::default()).await.unwrap().items.remove(0);
    let told = item().await;
    assert_eq!((told.why.as_str(), told.errors, told.spans), ("error", 1, STORED_SPANS as u64 + 1));
    let detail = reader.trace(TraceId(1)).await.unwrap().unwrap();
    assert_eq!(detail.dropped, 6);
    assert!(detail.spans.iter().any(|span| span.name == "failed"));
    // These are bounded, too, and those beyond it are counted.
    let many = STORED_IMPORTANT_SPANS as u64 + 10;
    (1..many).for_each(|number| fails((1 << 41) + number));
    // All that is known of this one is that something of it failed.
    let rest = vec![span(1, 1 << 42, Some(1 << 40), "rest")];
    sender.batch(Batch { spans: rest, why: KeepReason::Error, dropped: 3 });
    reader.flush().await.unwrap();
    let told = item().await;
    let most = (STORED_SPANS + STORED_IMPORTANT_SPANS) as u64;
    assert_eq!((told.errors, told.spans), (many + 1, most));
    let of_service = told.services.iter().find(|it| it.service == "b").unwrap();
    assert_eq!((of_service.spans, of_service.errors), (STORED_IMPORTANT_SPANS as u64, many));
}

// Fault (Telemetry): a reader that follows a list too slowly | goes on near its end, says how many it left out | - | nothing: they can be asked for
#[tokio::test]
async fn what_follows_gets_what_comes_and_is_told_what_it_missed() {
    let state = tempfile::tempdir().unwrap();
    let (sender, _pipeline, reader) = testing::start(state.path());
    sender.log(line("before"));
    reader.flush().await.unwrap();
    let query = LogQuery { services: vec!["a".into()], ..LogQuery::default() };
    let (items, mut follow) = reader.follow_logs(query).await.unwrap();
    assert_eq!(items.len(), 1);
    let patience = std::time::Duration::from_secs(30);
    sender.log(line("after"));
    let followed = follow.next(patience).await.unwrap();
    assert_eq!((followed.items[0].message.as_str(), followed.missed), ("after", 0));
    let quiet = follow.next(std::time::Duration::ZERO).await.unwrap();
    assert!(quiet.items.is_empty());
    let many = wasm_host_limits::telemetry::FOLLOW_BEHIND + 500;
    for number in 0..many {
        sender.log(line(&number.to_string()));
    }
    reader.flush().await.unwrap();
    let followed = follow.next(patience).await.unwrap();
    assert_eq!(followed.missed + followed.items.len() as u64, many);
    assert_eq!(followed.items.last().unwrap().message, (many - 1).to_string());

    let (items, mut follow) = reader.follow_traces(TraceQuery::default()).await.unwrap();
    assert!(items.is_empty());
    sender.batch(batch(1, &[("new", None)]));
    assert_eq!(follow.next(patience).await.unwrap().items[0].name, "new");
}

#[tokio::test]
async fn what_grew_before_the_store_went_on_to_another_file_is_told_all_the_same() {
    let state = tempfile::tempdir().unwrap();
    let (sender, _pipeline, reader) = testing::start(state.path());
    sender.batch(batch(1, &[("server", Some(50))]));
    reader.flush().await.unwrap();
    let (items, mut follow) = reader.follow_traces(TraceQuery::default()).await.unwrap();
    assert_eq!(items.len(), 1);
    let mut more = batch(1, &[("late", Some(1))]);
    more.spans[0].id = SpanId(2);
    sender.batch(more);
    reader.flush().await.unwrap();
    let text = "x".repeat(1000);
    let files = reader.segments().len();
    while reader.segments().len() == files {
        (0..256).for_each(|_| sender.log(line(&text)));
        reader.flush().await.unwrap();
    }
    let told = follow.next(std::time::Duration::ZERO).await.unwrap().items;
    assert_eq!(told.iter().map(|item| item.spans).collect::<Vec<_>>(), [2]);
    assert!(follow.next(std::time::Duration::ZERO).await.unwrap().items.is_empty());
}
