//! Requests that are none, and items in them that are none.

use super::*;

// Fault (Telemetry): telemetry of others that is junk | takes nothing of it, counts it | 400 | what was sent
#[test]
fn junk_is_refused_as_a_whole() {
    let all = [Signal::Traces, Signal::Logs, Signal::Metrics];
    for signal in all {
        for (encoding, junk) in [
            (Encoding::Json, "{"),
            (Encoding::Json, "[]"),
            (Encoding::Json, ""),
            (Encoding::Json, r#"{"resourceSpans":[{"scopeSpans":5}]}"#),
            (Encoding::Protobuf, "hello"),
            (Encoding::Protobuf, "\x0a\x7f"),
        ] {
            let read = read(signal, encoding, &Bytes::from(junk), &rules(By::Key));
            assert!(read.is_err(), "{signal:?} {junk}: {read:?}");
        }
        // Nothing is a request, too, and so is what says more than is known.
        let empty = [(Encoding::Json, r#"{"more":1}"#), (Encoding::Protobuf, "")];
        for (encoding, empty) in empty {
            let received = read(signal, encoding, &Bytes::from(empty), &rules(By::Key)).unwrap();
            assert_eq!((received.taken, received.left_out.count), (0, 0));
        }
    }
}

#[test]
fn an_item_that_cannot_be_read_costs_itself_alone() {
    for (key, wrong) in [
        ("traceId", json!("abc")),
        ("traceId", json!("4bf92f3577b34da6a3ce929d0e0e473")),
        ("traceId", json!("4bf92f3577b34da6a3ce929d0e0e47360")),
        ("traceId", json!("4bf92f3577b34da6")),
        ("spanId", json!("00f067aa0ba902b")),
        ("spanId", json!("00f067aa0ba902bx")),
        ("spanId", json!("")),
        ("spanId", json!(7)),
        ("parentSpanId", json!("1")),
        ("startTimeUnixNano", json!("soon")),
        ("attributes", json!("none")),
        ("kind", json!("SPAN_KIND_SERVER")),
    ] {
        let mut request = spans("a", |_| {});
        let items = &mut request["resourceSpans"][0]["scopeSpans"][0]["spans"];
        let (right, mut broken) = (items[0].clone(), items[0].clone());
        broken[key] = wrong.clone();
        *items = json!([right, broken, right]);
        let received = read_json(&request, By::Key);
        assert_eq!((received.taken, received.left_out.count), (2, 1), "{key}: {wrong}");
        assert!(received.left_out.why.starts_with("it "), "{}", received.left_out.why);
        let told = answer(Signal::Traces, Encoding::Json, &received.left_out);
        let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
        assert_eq!(told["partialSuccess"]["rejectedSpans"], "1");
    }
    let lines = json!([{ "body": { "stringValue": "a" } }, { "traceId": "abc" }, "x"]);
    let request = json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": lines }] }] });
    let received = read(Signal::Logs, Encoding::Json, &body(&request), &rules(By::Key)).unwrap();
    assert_eq!((received.taken, received.left_out.count), (1, 2));
    // In Protobuf, a name that is no text.
    let broken = ProtobufMany { items: vec![b"\x2a\x01\xff".as_slice().into(), Bytes::new()] };
    let scope = ProtobufMany { items: vec![broken.encode_to_vec().into()] };
    let request = ProtobufOne { items: vec![scope.encode_to_vec().into()] };
    let request = Bytes::from(request.encode_to_vec());
    let received = read(Signal::Traces, Encoding::Protobuf, &request, &rules(By::Key)).unwrap();
    assert_eq!((received.taken, received.left_out.count), (0, 2));
    assert!(received.left_out.why.starts_with("it cannot be read: "), "{}", received.left_out.why);
}
