//! Lists: order, pages, filters.

use wasm_host_telemetry::Collector as _;
use wasm_host_telemetry::attributes as names;
use wasm_host_telemetry::id::{SpanId, TraceId};
use wasm_host_telemetry::log::{Level, LogRecord, Source};
use wasm_host_telemetry::sampling::KeepReason;
use wasm_host_telemetry::span::{Status, Value};

use crate::testing::{self, batch, line};
use crate::{LogQuery, Page, ReadError, TraceItem, TraceQuery};
use wasm_host_telemetry::Batch;

fn messages<T: AsRef<[crate::LogItem]>>(items: T) -> Vec<String> {
    items.as_ref().iter().map(|item| item.message.clone()).collect()
}

fn names_of(page: &Page<TraceItem>) -> Vec<&str> {
    page.items.iter().map(|item| item.name.as_str()).collect()
}

// Fault (Telemetry): a clock that is set back | keeps the order of writing, in pages, too | - | nothing
#[tokio::test]
async fn lines_come_newest_first_whatever_the_clock_says_and_page_by_page() {
    let state = tempfile::tempdir().unwrap();
    let (sender, _pipeline, reader) = testing::start(state.path());
    for number in 0..10_u64 {
        // The clock is set back all the time.
        sender.log(LogRecord { time: 1000 - number, ..line(&number.to_string()) });
    }
    reader.flush().await.unwrap();
    let query = LogQuery { limit: Some(4), ..LogQuery::default() };
    let first = reader.logs(&query).await.unwrap();
    assert_eq!(messages(&first.items), ["9", "8", "7", "6"]);
    let next = |page: &Page<_>| LogQuery { before: page.next.clone(), ..query.clone() };
    let second = reader.logs(&next(&first)).await.unwrap();
    assert_eq!(messages(&second.items), ["5", "4", "3", "2"]);
    let last = reader.logs(&next(&second)).await.unwrap();
    assert_eq!((messages(&last.items), last.next), (vec!["1".into(), "0".into()], None));
    let wrong = LogQuery { before: Some("no cursor".into()), ..query.clone() };
    assert!(matches!(reader.logs(&wrong).await, Err(ReadError::Cursor)));
}

#[tokio::test]
async fn lines_are_filtered_by_each_thing_that_they_say() {
    let state = tempfile::tempdir().unwrap();
    let (sender, _pipeline, reader) = testing::start(state.path());
    let field = |name: &'static str, value: &'static str| (name.into(), value.into());
    sender.log(LogRecord { time: 10, level: Level::Warn, ..line("one") });
    sender.log(LogRecord { time: 20, service: None, source: Source::Host, ..line("two") });
    sender.log(LogRecord {
        time: 30,
        service: Some("b".into()),
        request: Some(SpanId(7)),
        trace: Some(TraceId(9)),
        fields: vec![field("stream", "stderr"), field("version", "abc"), field("key", "value")],
        ..line("three")
    });
    reader.flush().await.unwrap();
    let asked = async |query: LogQuery| messages(reader.logs(&query).await.unwrap().items);
    let all = LogQuery::default;
    assert_eq!(asked(LogQuery { level: Some(Level::Warn), ..all() }).await, ["one"]);
    assert_eq!(
        asked(LogQuery { services: vec!["b".into(), "a".into()], ..all() }).await,
        ["three", "one"]
    );
    assert_eq!(asked(LogQuery { since: Some(20), until: Some(30), ..all() }).await, ["two"]);
    assert_eq!(asked(LogQuery { source: Some("host".into()), ..all() }).await, ["two"]);
    assert_eq!(asked(LogQuery { request: Some(SpanId(7)), ..all() }).await, ["three"]);
    assert_eq!(asked(LogQuery { trace: Some(TraceId(9)), ..all() }).await, ["three"]);
    assert_eq!(asked(LogQuery { search: Some("VAL".into()), ..all() }).await, ["three"]);
    let both = LogQuery { trace: Some(TraceId(9)), search: Some("three".into()), ..all() };
    assert_eq!(asked(both).await, ["three"]);
    let page = reader.logs(&LogQuery { services: vec!["b".into()], ..all() }).await.unwrap();
    let told = serde_json::to_value(&page).unwrap();
    let first = page.items[0].id;
    let expected = serde_json::json!({"items": [{
        "id": first, "time": 30, "level": "info", "service": "b", "version": "abc", "request": "0000000000000007",
        "trace": "00000000000000000000000000000009", "span": null, "source": "guest", "stream": "stderr",
        "message": "three", "fields": {"key": "value"}}], "next": null, "dropped": 0});
    assert_eq!(told, expected);
}

#[tokio::test]
async fn traces_are_filtered_by_each_thing_that_a_list_shows() {
    let state = tempfile::tempdir().unwrap();
    let (sender, _pipeline, reader) = testing::start(state.path());
    let mut slow = batch(1, &[("slow", None), ("SELECT", Some(1))]);
    slow.spans[0].duration = 5000;
    slow.spans[0].attributes = vec![("http.route".into(), "/weather".into())];
    slow.spans[1].attributes = vec![("db.query.text".into(), "select name from cities".into())];
    slow.spans[1].service = "postgres".into();
    sender.batch(slow);
    let mut failed = batch(2, &[("failed", None)]);
    failed.spans[0].status = Status::Error("no such city".into());
    failed.spans[0].start = 50;
    sender.batch(failed);
    reader.flush().await.unwrap();
    let all = TraceQuery::default;
    let asked = async |query: TraceQuery| {
        let page = reader.traces(&query).await.unwrap();
        names_of(&page).join(" ")
    };
    assert_eq!(asked(all()).await, "failed slow");
    assert_eq!(asked(TraceQuery { errors: true, ..all() }).await, "failed");
    assert_eq!(asked(TraceQuery { slower: Some(5000), ..all() }).await, "slow");
    assert_eq!(asked(TraceQuery { slower: Some(5001), ..all() }).await, "");
    assert_eq!(asked(TraceQuery { service: Some("postgres".into()), ..all() }).await, "slow");
    assert_eq!(asked(TraceQuery { route: Some("/weather".into()), ..all() }).await, "slow");
    assert_eq!(asked(TraceQuery { until: Some(100), ..all() }).await, "failed");
    assert_eq!(asked(TraceQuery { since: Some(100), ..all() }).await, "slow");
    assert_eq!(asked(TraceQuery { search: Some("cities sel".into()), ..all() }).await, "slow");
    assert_eq!(asked(TraceQuery { search: Some("no such".into()), ..all() }).await, "failed");
    let both = TraceQuery { search: Some("select".into()), service: Some("b".into()), ..all() };
    assert_eq!(asked(both).await, "");
}

// Fault (Telemetry): a search for what is a command to an index | finds its words | - | nothing
#[tokio::test]
async fn no_search_is_an_error_or_a_command() {
    let state = tempfile::tempdir().unwrap();
    let (sender, _pipeline, reader) = testing::start(state.path());
    sender.log(line("a line OR another"));
    sender.batch(batch(1, &[("a trace", None)]));
    reader.flush().await.unwrap();
    for wrong in [
        "",
        " ",
        "\"",
        "'",
        "*",
        "a*b*",
        "NEAR(",
        "a AND",
        "OR",
        "NOT",
        "-a",
        "a:b",
        "words:a",
        "^a",
        "(",
        ")",
        "{a}",
        "\0",
        "a\0b",
        "'; drop table logs; --",
        "é\u{301}",
        "İ",
        "ﬀ",
        "日本語",
        "👍",
        "\u{202e}",
        "a + b",
    ] {
        let search = Some(wrong.to_owned());
        reader.logs(&LogQuery { search: search.clone(), ..LogQuery::default() }).await.unwrap();
        reader.traces(&TraceQuery { search, ..TraceQuery::default() }).await.unwrap();
    }
    let found = LogQuery { search: Some("or".into()), ..LogQuery::default() };
    assert_eq!(reader.logs(&found).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn one_search_goes_over_services_traces_and_lines() {
    let state = tempfile::tempdir().unwrap();
    let (sender, _pipeline, reader) = testing::start(state.path());
    sender.log(LogRecord { service: Some("Weather-Service".into()), ..line("sunny") });
    sender.log(LogRecord { trace: Some(TraceId(7)), ..line("weather of the week") });
    sender.batch(batch(7, &[("GET /weather", None)]));
    reader.flush().await.unwrap();
    let found = reader.search("weath", None).await.unwrap();
    assert_eq!(found.services, [crate::SearchService { service: "Weather-Service".into() }]);
    assert_eq!((found.traces.len(), found.logs.len()), (1, 1));
    let found = reader.search(" 00000000000000000000000000000007 ", None).await.unwrap();
    assert_eq!((found.services.len(), found.traces.len(), found.logs.len()), (0, 1, 1));
    let found = reader.search("", None).await.unwrap();
    assert_eq!((found.services.len(), found.traces.len(), found.logs.len()), (0, 0, 0));
}

// Fault (Telemetry): a row that cannot be read | leaves it out | its answer | the row
#[tokio::test]
async fn any_text_comes_back_as_it_was_and_a_row_that_cannot_be_read_costs_itself_alone() {
    let state = tempfile::tempdir().unwrap();
    let (sender, pipeline, reader) = testing::start(state.path());
    let text = "a\0b \u{202e}\u{1b}[31m 👍 \"'\\\n{}";
    sender.log(LogRecord {
        fields: vec![(text.to_owned().into(), text.to_owned().into())],
        ..line(text)
    });
    sender.log(LogRecord { time: u64::MAX, ..line("late") });
    sender.log(line("spoilt"));
    pipeline.stop().await;
    let file = state.path().join("telemetry/00000001.sqlite");
    let mut bytes = std::fs::read(&file).unwrap();
    // No text any more.
    while let Some(place) = bytes.windows(6).position(|at| at == b"spoilt") {
        bytes[place] = 0xff;
    }
    std::fs::write(&file, bytes).unwrap();
    let (_sender, _pipeline, reader_of_next) = testing::start(state.path());
    reader_of_next.flush().await.unwrap();
    let items = reader_of_next.logs(&LogQuery::default()).await.unwrap().items;
    assert_eq!(messages(&items), ["late", text]);
    assert_eq!(
        (items[0].time, items[1].fields.get()),
        (u64::MAX, serde_json::json!({text: text}).to_string().as_str())
    );
    drop(reader);
}

#[tokio::test]
async fn a_search_finds_the_same_whether_its_filters_leave_much_or_little() {
    let state = tempfile::tempdir().unwrap();
    let (sender, _pipeline, reader) = testing::start(state.path());
    let much = wasm_host_limits::telemetry::SEARCH_ROWS as u64 + 500;
    for number in 0..much {
        // Every hundredth is an error, and of those every tenth has the word.
        let level = if number % 100 == 0 { Level::Error } else { Level::Info };
        let message = if number % 1000 == 0 { "Common, rare" } else { "common" };
        let fields = vec![("n".into(), number.into())];
        sender.log(LogRecord { time: number, level, fields, ..line(message) });
        let mut one = batch(u128::from(number) + 1, &[(message, None)]);
        one.spans[0].start = number;
        if level == Level::Error {
            one.spans[0].status = Status::Error("why".into());
        }
        sender.batch(one);
    }
    reader.flush().await.unwrap();
    let logs = async |search: &str, query: LogQuery| {
        let query = LogQuery { search: Some(search.into()), limit: Some(1000), ..query };
        let items = reader.logs(&query).await.unwrap().items;
        assert!(items.is_sorted_by_key(|item| std::cmp::Reverse(item.id)));
        items.len()
    };
    let all = LogQuery::default;
    let error = || LogQuery { level: Some(Level::Error), ..all() };
    assert_eq!(logs("rare comm", error()).await, 3);
    assert_eq!(logs("common 100", error()).await, 2);
    assert_eq!(logs("nothing", error()).await, 0);
    assert_eq!(logs("", error()).await, 0);
    assert_eq!(logs("rare", LogQuery { services: vec!["a".into()], ..all() }).await, 3);
    assert_eq!(logs("rare", LogQuery { until: Some(1500), ..all() }).await, 2);
    let traces = async |search: Option<&str>, query: TraceQuery| {
        let query = TraceQuery { search: search.map(str::to_owned), limit: Some(1000), ..query };
        reader.traces(&query).await.unwrap().items.len()
    };
    let all = TraceQuery::default;
    let error = || TraceQuery { errors: true, ..all() };
    assert_eq!(traces(Some("rare comm"), error()).await, 3);
    assert_eq!(traces(Some("why"), error()).await, 25);
    assert_eq!(traces(Some("rare"), TraceQuery { since: Some(0), ..all() }).await, 3);
    assert_eq!(traces(None, TraceQuery { service: Some("a".into()), ..error() }).await, 25);
    assert_eq!(traces(None, TraceQuery { service: Some("b".into()), ..error() }).await, 0);
    // A page may end within what the filters leave.
    let query = LogQuery { search: Some("common".into()), limit: Some(10), ..LogQuery::default() };
    let first = LogQuery { level: Some(Level::Error), ..query };
    let page = reader.logs(&first).await.unwrap();
    let next = LogQuery { before: page.next.clone(), limit: Some(1000), ..first };
    assert_eq!((page.items.len(), reader.logs(&next).await.unwrap().items.len()), (10, 15));
}

#[tokio::test]
async fn all_that_is_shown_of_a_line_is_found_with_and_without_filters() {
    let state = tempfile::tempdir().unwrap();
    let (sender, _pipeline, reader) = testing::start(state.path());
    let host = wasm_host_telemetry::log::Source::Host;
    let fields = vec![
        ("zone".into(), Value::Text("north-west".into())),
        ("version".into(), Value::Text("d65f837a".into())),
        ("stream".into(), Value::Text("stderr".into())),
        ("count".into(), Value::Integer(-42)),
        ("share".into(), Value::Number(0.75)),
    ];
    sender.log(LogRecord { source: host, fields: fields.clone(), ..line("cut it") });
    let version = (names::VERSION.into(), Value::Text("abcdef12".into()));
    sender.log(LogRecord { source: host, fields: vec![version.clone()], ..line("printed") });
    // What others call so is theirs, and is found, too.
    let outside = wasm_host_telemetry::log::Source::Outside;
    sender.log(LogRecord { source: outside, fields, ..line("sent") });
    // Beyond its bound it is found by neither.
    let long = format!("{} beyond", "word ".repeat(1000));
    sender.log(LogRecord { source: host, fields: vec![version], ..line(&long) });
    reader.flush().await.unwrap();
    for (search, expected) in [
        ("d65f837a", 2),
        ("stderr", 2),
        ("abcdef12", 2),
        ("north west", 2),
        ("cut 42", 1),
        ("75", 0),
        ("word", 1),
        ("beyond", 0),
    ] {
        let query = LogQuery { search: Some(search.into()), ..LogQuery::default() };
        let filtered = LogQuery { since: Some(0), ..query.clone() };
        for query in [query, filtered] {
            let found = reader.logs(&query).await.unwrap().items.len();
            assert_eq!(found, expected, "{query:?}");
        }
    }
}

/// Lines whose end is far away, and whose first answer comes too late.
#[derive(Debug)]
struct Late(std::sync::atomic::AtomicBool);

impl crate::List for Late {
    type Item = crate::LogItem;

    fn end(segment: &crate::segment::Segment) -> u64 {
        segment.logs_end() + 20_000
    }

    async fn items(
        &self,
        _: &crate::Reader,
        _: crate::read::Range,
        _: usize,
    ) -> Result<(Vec<crate::LogItem>, bool), ReadError> {
        match self.0.swap(true, std::sync::atomic::Ordering::Relaxed) {
            true => Ok((Vec::new(), true)),
            false => Err(ReadError::Late),
        }
    }

    fn id(item: &crate::LogItem) -> u64 {
        item.id
    }
}

#[tokio::test]
async fn what_was_left_out_is_told_also_after_an_answer_that_came_too_late() {
    let state = tempfile::tempdir().unwrap();
    let (sender, _pipeline, reader) = testing::start(state.path());
    sender.log(line("one"));
    reader.flush().await.unwrap();
    let (_written, is_written) = tokio::sync::watch::channel(());
    let mut follow = crate::Follow::new(reader, Late(false.into()), is_written, 0);
    let next = follow.next(std::time::Duration::ZERO).await;
    assert!(matches!(next, Err(ReadError::Late)), "{next:?}");
    let next = follow.next(std::time::Duration::ZERO).await.unwrap();
    assert_eq!(next.missed, 20_001 - wasm_host_limits::telemetry::PAGE as u64);
    assert_eq!(follow.next(std::time::Duration::ZERO).await.unwrap().missed, 0);
}

#[test]
fn who_asks_may_do_so_from_any_thread() {
    fn assert_send<T: Send>(_: impl FnOnce(&'static crate::Reader) -> T) {}
    assert_send(|reader| async { reader.logs(&LogQuery::default()).await.map(drop) });
    assert_send(|reader| async { reader.traces(&TraceQuery::default()).await.map(drop) });
    assert_send(|reader| async { reader.search("", None).await.map(drop) });
    assert_send(|reader| async { reader.trace(TraceId(1)).await.map(drop) });
    assert_send(|reader| async {
        let (_, mut follow) = reader.follow_logs(LogQuery::default()).await?;
        follow.next(std::time::Duration::ZERO).await.map(drop)
    });
}

#[tokio::test]
async fn a_trace_that_grows_is_told_again_to_whom_it_concerns() {
    let state = tempfile::tempdir().unwrap();
    let (sender, _pipeline, reader) = testing::start(state.path());
    let (_, mut all) = reader.follow_traces(TraceQuery::default()).await.unwrap();
    let of_page = TraceQuery { service: Some("browser".to_owned()), ..TraceQuery::default() };
    let (_, mut of_page) = reader.follow_traces(of_page).await.unwrap();
    let patience = std::time::Duration::from_secs(20);
    sender.batch(batch(1, &[("server", Some(50))]));
    let told = all.next(patience).await.unwrap().items;
    assert_eq!(told.iter().map(|item| &*item.name).collect::<Vec<_>>(), ["server"]);
    let mut page = testing::span(1, 50, None, "click");
    page.service = "browser".into();
    sender.batch(Batch { spans: vec![page], why: KeepReason::Page, dropped: 0 });
    for follow in [&mut all, &mut of_page] {
        let told = follow.next(patience).await.unwrap().items;
        let told: Vec<_> = told.iter().map(|item| (&*item.name, item.spans, &*item.why)).collect();
        // Why the host kept it is still said.
        assert_eq!(told, [("click", 2, "sampled")]);
    }
    // Once.
    let more = all.next(std::time::Duration::from_millis(10)).await.unwrap();
    assert_eq!((more.items.len(), more.missed), (0, 0));
}
