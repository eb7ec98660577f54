//! What requests come to, in both encodings.

mod broken;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use serde_json::json;

use wasm_host_system::allocations::within;
use wasm_host_telemetry::id::{SpanId, TraceId};
use wasm_host_telemetry::log::{Level, Source};
use wasm_host_telemetry::span::{Kind, Span, Status, Value};
use wasm_host_telemetry::trace;

use super::*;

/// Seconds since 1970.
const NOW: u64 = 1_800_000_000;

fn rules(by: By) -> Rules {
    Rules {
        by,
        now: NOW * 1_000_000,
        captures_messages: false,
        statement: |text| text.replace("'x'", "?"),
        services: Arc::default(),
        own_instance: Some("me".into()),
    }
}

fn nanos(offset: i64) -> u64 {
    (NOW as i64 + offset) as u64 * 1_000_000_000
}

/// A request of one span of `service`, as JSON, which is the other encoding in other words.
fn spans(service: &str, change: impl Fn(&mut serde_json::Value)) -> serde_json::Value {
    let mut span = json!({
        "traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7", "name": "GET", "kind": 3,
        "startTimeUnixNano": nanos(-2).to_string(), "endTimeUnixNano": nanos(-1).to_string(),
    });
    change(&mut span);
    let named = json!([{ "key": "service.name", "value": { "stringValue": service } }]);
    json!({ "resourceSpans": [{
        "resource": { "attributes": named },
        "scopeSpans": [{ "scope": { "name": "requests" }, "spans": [span] }],
    }] })
}

fn body(request: &serde_json::Value) -> Bytes {
    request.to_string().into()
}

fn taken(received: &Received) -> Vec<&Span> {
    received.batches.iter().flat_map(|batch| &batch.spans).collect()
}

fn read_json(request: &serde_json::Value, by: By) -> Received {
    read(Signal::Traces, Encoding::Json, &body(request), &rules(by)).unwrap()
}

fn string(key: &str, value: &str) -> serde_json::Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

#[test]
fn a_span_is_the_same_in_both_encodings() {
    let request = spans("python", |span| {
        span["parentSpanId"] = "00000000000000aa".into();
        span["status"] = json!({ "code": 2, "message": "broken" });
        span["attributes"] = json!([
            { "key": "http.response.status_code", "value": { "intValue": "502" } },
            { "key": "is", "value": { "boolValue": true } },
            { "key": "many", "value": { "arrayValue": { "values": [{ "stringValue": "a" }, { "intValue": 1 }] } } },
        ]);
        span["events"] = json!([{ "name": "first", "timeUnixNano": nanos(-1).to_string() }]);
        span["links"] = json!([{ "traceId": "00000000000000000000000000000001", "spanId": "0000000000000002" }]);
    });
    let from_json = read_json(&request, By::Key);
    let message: ExportTraceServiceRequest = serde_json::from_value(request).unwrap();
    let in_protobuf = Bytes::from(message.encode_to_vec());
    let from_protobuf =
        read(Signal::Traces, Encoding::Protobuf, &in_protobuf, &rules(By::Key)).unwrap();
    assert_eq!(taken(&from_json), taken(&from_protobuf));
    assert_eq!((from_json.taken, from_json.left_out), (1, LeftOut::default()));
    let [span] = taken(&from_protobuf)[..] else { panic!() };
    assert_eq!(span.trace, TraceId(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736));
    assert_eq!((span.id, span.parent), (SpanId(0x00f0_67aa_0ba9_02b7), Some(SpanId(0xaa))));
    assert_eq!((&*span.service, &*span.scope, &*span.name), ("python", "requests", "GET"));
    assert_eq!((span.kind, span.duration), (Kind::Client, 1_000_000));
    assert_eq!(span.status, Status::Error("broken".into()));
    let of = |name| span.attribute(name).unwrap();
    assert_eq!(of("http.response.status_code"), &Value::Integer(502));
    assert_eq!(of("is"), &Value::Boolean(true));
    assert_eq!(of("many"), &Value::from(r#"["a",1]"#));
    assert_eq!(of("wasm_host.received"), &Value::from("key"));
    assert_eq!((span.events[0].time, span.links.len()), (nanos(-1) / 1000, 1));
    assert_eq!(from_protobuf.batches[0].why, KeepReason::Outside);
}

#[test]
fn spans_are_batches_by_their_traces() {
    let mut request = spans("a", |_| {});
    let one = request["resourceSpans"][0]["scopeSpans"][0]["spans"][0].clone();
    let all = [1, 2, 1].map(|trace| {
        let mut span = one.clone();
        span["traceId"] = format!("{trace:032x}").into();
        span
    });
    request["resourceSpans"][0]["scopeSpans"][0]["spans"] = all.to_vec().into();
    let received = read_json(&request, By::Key);
    let sizes: Vec<_> = received.batches.iter().map(|batch| batch.spans.len()).collect();
    assert_eq!(sizes, [2, 1]);
    let mut some = received;
    some.keep(2, "slower");
    assert_eq!((some.taken, some.left_out.count, &*some.left_out.why), (2, 1, "slower"));
    assert_eq!(some.batches.len(), 1);
}

// Fault (Telemetry): secrets in telemetry of others | leaves out what names tell | 200 | these attributes
#[test]
fn what_must_not_be_kept_is_not() {
    let request = spans("a", |span| {
        span["attributes"] = json!([
            string("url.full", "https://me:hunter2@a.example/x?key=hunter2"),
            string("http.request.header.x-tenant", "hunter2"),
            string("user.password", "hunter2"),
            string("url.query", "key=hunter2"),
            string("db.system.name", "postgresql"),
            string("db.query.text", "select 'x'"),
            string("db.query.parameter.0", "hunter2"),
            string("gen_ai.input.messages", "hunter2"),
            string("wasm_host.received", "host"),
            { "key": "both", "value": { "kvlistValue": { "values": [string("token", "hunter2"), string("ok", "yes")] } } },
        ]);
        span["events"] = json!([{ "name": "e", "attributes": [string("http.request.header.cookie", "hunter2")] }]);
    });
    let received = read_json(&request, By::Key);
    let [span] = taken(&received)[..] else { panic!() };
    assert!(!format!("{span:?}").contains("hunter2"), "{span:#?}");
    let of = |name| span.attribute(name).unwrap();
    assert_eq!(of("url.full"), &Value::from("https://a.example/x"));
    assert_eq!(of("db.query.text"), &Value::from("select ?"));
    assert_eq!(of("both"), &Value::from(r#"{"ok":"yes"}"#));
    assert_eq!(of("wasm_host.received"), &Value::from("key"));
    // Where the words are another system's, none of the text is kept.
    let request = spans("a", |span| {
        span["attributes"] =
            json!([string("db.system", "mysql"), string("db.statement", "select \"x\"")]);
    });
    let received = read_json(&request, By::Key);
    assert_eq!(taken(&received)[0].attribute("db.statement"), None);
}

// Fault (Telemetry): a page that says that it is a service of the application | keeps it as `browser` | 200 | what it said that it is
#[test]
fn a_page_is_a_browser_whatever_it_says() {
    let request = spans("apiservice", |span| {
        span["attributes"] = json!([string("wasm_host.request.id", "1"), string("ok", "yes")]);
    });
    let received = read_json(&request, By::Page);
    let [span] = taken(&received)[..] else { panic!() };
    assert_eq!((&*span.service, &*span.scope), ("browser", "browser"));
    assert_eq!(span.attribute("wasm_host.request.id"), None);
    assert_eq!(span.attribute("ok"), Some(&Value::from("yes")));
    assert_eq!(span.attribute("wasm_host.received"), Some(&Value::from("page")));
    assert_eq!(received.batches[0].why, KeepReason::Page);
}

// Fault (Telemetry): spans without ids, of another century, or too large | takes the others | what was left out, and why | these spans
#[test]
fn what_is_no_span_is_left_out_and_said() {
    let left_out = |change: &dyn Fn(&mut serde_json::Value)| {
        let received = read_json(&spans("a", change), By::Key);
        assert_eq!((received.taken, received.left_out.count), (0, 1));
        received.left_out.why.into_owned()
    };
    assert!(left_out(&|span| span["traceId"] = "".into()).contains("trace_id"));
    assert!(left_out(&|span| span["spanId"] = "0000000000000000".into()).contains("span_id"));
    let time = "startTimeUnixNano";
    assert!(left_out(&|span| span[time] = "0".into()).contains("its time"));
    assert!(left_out(&|span| span[time] = nanos(-90_000).to_string().into()).contains("its time"));
    let end = "endTimeUnixNano";
    assert!(left_out(&|span| span[end] = nanos(4000).to_string().into()).contains("its time"));
    let long = "x".repeat(limits::INTAKE_ITEM_BYTES);
    assert!(left_out(&|span| span["name"] = long.clone().into()).contains("too large"));
    let of_page = spans("a", |span| span["name"] = "x".repeat(limits::PAGE_SPAN_BYTES).into());
    assert_eq!(read_json(&of_page, By::Page).left_out.count, 1);
    assert_eq!(read_json(&of_page, By::Key).left_out.count, 0);
    // What this host sent comes back from a collector.
    let mut own = spans("a", |_| {});
    own["resourceSpans"][0]["resource"]["attributes"] =
        json!([string("service.instance.id", "me")]);
    assert!(read_json(&own, By::Key).left_out.why.contains("this host"));
    // A clock that was set back within a span makes no long one.
    let mut back = spans("a", |_| {});
    back["resourceSpans"][0]["scopeSpans"][0]["spans"][0][end] = nanos(-9).to_string().into();
    assert_eq!(taken(&read_json(&back, By::Key))[0].duration, 0);
}

// Fault (Telemetry): names of services without end in telemetry of others | takes so many | what was left out | spans of the others
#[test]
fn spans_of_a_request_and_names_of_services_are_bounded() {
    let mut request = spans("a", |_| {});
    let one = request["resourceSpans"][0]["scopeSpans"][0]["spans"][0].clone();
    request["resourceSpans"][0]["scopeSpans"][0]["spans"] =
        vec![one; limits::PAGE_SPANS + 5].into();
    let received = read_json(&request, By::Page);
    assert_eq!((received.taken, received.left_out.count), (limits::PAGE_SPANS as u64, 5));
    let rules = rules(By::Key);
    for number in 0..limits::INTAKE_SERVICES + 3 {
        let request = body(&spans(&format!("s{number}"), |_| {}));
        let received = read(Signal::Traces, Encoding::Json, &request, &rules).unwrap();
        assert_eq!(received.taken == 1, number < limits::INTAKE_SERVICES, "{number}");
    }
    // Those of programs take none from pages, and what is known goes on.
    let pages = Rules { by: By::Page, ..rules.clone() };
    let request = body(&spans("s0", |_| {}));
    for rules in [&rules, &pages] {
        assert_eq!(read(Signal::Traces, Encoding::Json, &request, rules).unwrap().taken, 1);
    }
}

#[test]
fn a_name_of_which_nothing_is_taken_has_no_place() {
    let rules = rules(By::Key);
    let about = |number| json!({ "attributes": [string("service.name", &format!("s{number}"))] });
    let names = 0..limits::INTAKE_SERVICES + 1;
    let empty = |number| json!({ "resource": about(number), "scopeSpans": [{ "spans": [{}] }] });
    let request = json!({ "resourceSpans": names.clone().map(empty).collect::<Vec<_>>() });
    let received = read(Signal::Traces, Encoding::Json, &body(&request), &rules).unwrap();
    assert_eq!((received.taken, received.left_out.count), (0, names.len() as u64));
    let metrics =
        |number| json!({ "resource": about(number), "scopeMetrics": [{ "metrics": [{}] }] });
    let request = json!({ "resourceMetrics": names.map(metrics).collect::<Vec<_>>() });
    read(Signal::Metrics, Encoding::Json, &body(&request), &rules).unwrap();
    let request = body(&spans("another", |_| {}));
    assert_eq!(read(Signal::Traces, Encoding::Json, &request, &rules).unwrap().taken, 1);
}

#[test]
fn what_is_in_too_many_resources_and_scopes_is_left_out_and_said() {
    let one = spans("a", |_| {})["resourceSpans"][0].clone();
    let mut last = one.clone();
    last["scopeSpans"] = json!([one["scopeSpans"][0], one["scopeSpans"][0]]);
    let mut all = vec![json!({}); limits::INTAKE_GROUPS - 2];
    all.extend([last, one]);
    let received = read_json(&json!({ "resourceSpans": all }), By::Key);
    assert_eq!((received.taken, received.left_out.count), (1, 2));
    assert!(received.left_out.why.contains("resources and scopes"), "{}", received.left_out.why);
}

/// Ten bytes are an attribute, which takes seven times as many in memory.
#[test]
fn what_a_request_comes_to_in_memory_is_bounded() {
    let attribute = KeyValue {
        key: "a".into(),
        value: Some(AnyValue { value: Some(Any::BoolValue(true)) }),
        ..Default::default()
    };
    let span = otlp::Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        start_time_unix_nano: nanos(0),
        attributes: vec![attribute; limits::INTAKE_ATTRIBUTES],
        ..Default::default()
    };
    let count = 2000;
    let item = ProtobufMany { items: vec![span.encode_to_vec().into(); count] };
    let resource = ProtobufMany { items: vec![item.encode_to_vec().into()] };
    let request = ProtobufOne { items: vec![resource.encode_to_vec().into()] }.encode_to_vec();
    assert!((request.len() as u64) < limits::INTAKE_BYTES);
    let received =
        read(Signal::Traces, Encoding::Protobuf, &request.into(), &rules(By::Key)).unwrap();
    let bytes: usize = taken(&received).iter().map(|span| trace::size(span)).sum();
    let most = limits::INTAKE_REQUEST_BYTES + limits::INTAKE_ITEM_BYTES;
    assert!((limits::INTAKE_REQUEST_BYTES..most).contains(&bytes), "{bytes}");
    assert_eq!(received.taken + received.left_out.count, count as u64);
    assert!(received.left_out.why.contains("smaller batches"));
}

// Fault (Telemetry): a request of very many empty items | makes nothing of them before it is their turn, and no list of them | what was left out | what is empty
/// Two bytes are an empty item, which takes some hundred in memory; some bytes for each would be a mebibyte in one piece.
#[tokio::test]
async fn many_empty_items_are_no_more_in_memory_than_they_are() {
    let count = 2_000_000;
    let many = |field: u8| [field << 3 | 2, 0].repeat(count);
    let with = |field: u8, rest: Vec<u8>| {
        let message = Nested { items: rest.into() }.encode_to_vec();
        [&[field << 3 | 2], &message[1..]].concat()
    };
    // As items of one scope, as scopes, as resources, and as points of one sum.
    let items = with(1, with(2, many(2)));
    let nested =
        [items.clone(), with(1, many(2)), many(1), with(1, with(2, with(2, with(7, many(1)))))];
    for (request, signal, left_out) in [
        (&nested[0], Signal::Traces, count),
        (&nested[0], Signal::Metrics, 0),
        (&nested[1], Signal::Traces, 0),
        (&nested[2], Signal::Logs, 0),
        (&nested[3], Signal::Metrics, count),
    ] {
        let received = small(signal, Encoding::Protobuf, request.clone().into()).await;
        assert_eq!((received.taken, received.left_out.count), (0, left_out as u64), "{signal:?}");
    }
    // Lines need nothing to be some: they are taken until there are as many as may be.
    let read = read(Signal::Logs, Encoding::Protobuf, &items.into(), &rules(By::Key)).unwrap();
    let most = limits::INTAKE_ITEMS as u64;
    assert_eq!((read.taken, read.left_out.count), (most, count as u64 - most));
    let count = 1_000_000;
    let list = "{},".repeat(count - 1) + "{}";
    for (request, signal, left_out) in [
        (
            format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{list}]}}]}}]}}"#),
            Signal::Traces,
            count,
        ),
        (format!(r#"{{"resourceLogs":[{{"scopeLogs":[{list}]}}]}}"#), Signal::Logs, 0),
        (format!(r#"{{"resourceLogs":[{list}]}}"#), Signal::Logs, 0),
        (
            format!(
                r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"sum":{{"dataPoints":[{list}]}}}}]}}]}}]}}"#
            ),
            Signal::Metrics,
            count,
        ),
    ] {
        let received = small(signal, Encoding::Json, request.into()).await;
        assert_eq!((received.taken, received.left_out.count), (0, left_out as u64), "{signal:?}");
    }
}

/// What a request came to, for which no room of more than a mebibyte was made in one piece.
async fn small(signal: Signal, encoding: Encoding, body: Bytes) -> Received {
    assert!(body.len() as u64 <= limits::INTAKE_BYTES);
    let work = async { read(signal, encoding, &body, &rules(By::Key)).unwrap() };
    within(1024 * 1024, work).await.unwrap()
}

#[derive(Clone, PartialEq, prost::Message)]
struct Nested {
    #[prost(bytes = "bytes", tag = "1")]
    items: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ProtobufOne {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    items: Vec<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ProtobufMany {
    #[prost(bytes = "bytes", repeated, tag = "2")]
    items: Vec<Bytes>,
}

#[test]
fn a_line_is_one_of_the_log() {
    let request = json!({ "resourceLogs": [{
        "resource": { "attributes": [string("service.name", "worker")] },
        "scopeLogs": [{ "scope": { "name": "logging" }, "logRecords": [
            { "timeUnixNano": nanos(-1).to_string(), "severityNumber": 17, "body": { "stringValue": "no rows" },
              "traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7",
              "attributes": [string("stream", "mine"), string("password", "hunter2")] },
            { "observedTimeUnixNano": nanos(0).to_string(), "eventName": "started" },
            { "timeUnixNano": "1" },
        ] }],
    }] });
    let received = read(Signal::Logs, Encoding::Json, &body(&request), &rules(By::Key)).unwrap();
    let [first, second] = &received.lines[..] else { panic!("{received:?}") };
    assert_eq!((first.level, &*first.message), (Level::Error, "no rows"));
    assert_eq!((first.service.as_deref(), first.source), (Some("worker"), Source::Outside));
    assert_eq!(first.span, Some(SpanId(0x00f0_67aa_0ba9_02b7)));
    assert_eq!(first.fields, [("stream".into(), "mine".into())]);
    assert_eq!((second.level, &*second.message), (Level::Info, "started"));
    assert_eq!(received.left_out.count, 1);
}

// Fault (Telemetry): what is said to models and by them in the log of others | keeps that there was something, unless `capture-messages` is on | 200 | the texts
#[test]
fn what_is_said_to_models_is_kept_in_no_line_unless_the_file_says_so() {
    let said = json!({ "kvlistValue": { "values": [string("content", "hunter2")] } });
    let request = json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [
        { "eventName": "gen_ai.user.message", "body": said },
        { "attributes": [string("event.name", "gen_ai.choice")], "body": said },
        { "eventName": "done", "body": { "stringValue": "as it is" }, "attributes": [
            string("gen_ai.tool.call.arguments", "hunter2"),
            string("gen_ai.tool.call.result", "hunter2"),
            string("gen_ai.tool.definitions", "hunter2"),
            string("gen_ai.event.content", "hunter2"),
            string("gen_ai.tool.name", "search"),
        ] },
    ] }] }] });
    let mut rules = rules(By::Key);
    let read = |rules: &Rules| read(Signal::Logs, Encoding::Json, &body(&request), rules).unwrap();
    let received = read(&rules);
    assert!(!format!("{received:?}").contains("hunter2"), "{received:#?}");
    let messages: Vec<_> = received.lines.iter().map(|line| &*line.message).collect();
    assert_eq!(messages, ["gen_ai.user.message", "gen_ai.choice", "as it is"]);
    assert_eq!(received.lines[2].fields, [("gen_ai.tool.name".into(), "search".into())]);
    rules.captures_messages = true;
    let received = read(&rules);
    assert_eq!(received.lines[0].message, r#"{"content":"hunter2"}"#);
    assert_eq!(received.lines[2].fields.len(), 5);
}

#[test]
fn figures_are_counted_and_left_out() {
    let point = json!({ "timeUnixNano": nanos(0).to_string(), "asInt": "1" });
    let request = json!({ "resourceMetrics": [{ "scopeMetrics": [{ "metrics": [
        { "name": "a", "sum": { "dataPoints": [point, point], "aggregationTemporality": 2, "isMonotonic": true } },
        { "name": "b", "gauge": { "dataPoints": [point] } },
    ] }] }] });
    let received = read(Signal::Metrics, Encoding::Json, &body(&request), &rules(By::Key)).unwrap();
    assert_eq!((received.taken, received.left_out.count), (0, 3));
    let answer = answer(Signal::Metrics, Encoding::Json, &received.left_out);
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["partialSuccess"]["rejectedDataPoints"], "3");
    assert!(answer["partialSuccess"]["errorMessage"].as_str().unwrap().contains("Prometheus"));
}

#[test]
fn an_answer_says_what_was_left_out() {
    let mut left_out = LeftOut::default();
    assert_eq!(super::answer(Signal::Traces, Encoding::Protobuf, &left_out), b"");
    assert_eq!(super::answer(Signal::Traces, Encoding::Json, &left_out), b"{}");
    left_out.add(2, "one");
    left_out.add(1, "other");
    let answer = super::answer(Signal::Logs, Encoding::Protobuf, &left_out);
    let answer = ExportTraceServiceResponse::decode(&*answer).unwrap().partial_success.unwrap();
    assert_eq!((answer.rejected_spans, &*answer.error_message), (3, "one"));
}

#[test]
fn a_resource_without_a_name_has_the_one_of_opentelemetry() {
    let span = otlp::Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        start_time_unix_nano: nanos(0),
        ..Default::default()
    };
    let attributes = vec![KeyValue {
        key: "service.name".into(),
        value: Some(AnyValue { value: None }),
        ..Default::default()
    }];
    let request = ExportTraceServiceRequest {
        resource_spans: vec![otlp::ResourceSpans {
            resource: Some(Resource { attributes, ..Default::default() }),
            scope_spans: vec![otlp::ScopeSpans { spans: vec![span], ..Default::default() }],
            ..Default::default()
        }],
    };
    let body = request.encode_to_vec().into();
    let received = read(Signal::Traces, Encoding::Protobuf, &body, &rules(By::Key)).unwrap();
    assert_eq!(&*taken(&received)[0].service, "unknown_service");
}
