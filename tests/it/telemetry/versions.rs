//! Which version a request was answered by, while two of them serve.

use serde_json::Value;
use wasm_host_tests::client;
use wasm_host_tests::eventually;
use wasm_host_tests::host::{App, Host, component};

use super::span;

const SERVICE: &str = r#"
name = "seen"

[service.app]
component = "$(version-one)"
route = "/"
"#;

const VERSION: &str = "wasm_host.service.version";

/// The trace that the request of this number is asked for in.
fn id(number: usize) -> String {
    format!("{number:032x}")
}

fn parent(number: usize) -> String {
    format!("00-{}-00f067aa0ba902b7-01", id(number))
}

/// The request of this number, once it is kept, and the lines that were said for it.
async fn kept(host: &Host, number: usize) -> (Value, Vec<Value>) {
    let trace = eventually("the trace of a request", async || {
        let reply = host.ask("GET", &format!("/api/traces/{}", id(number)), &[], "").await;
        (reply.status == 200).then(|| reply.json())
    })
    .await;
    (span(&trace, "app", "GET /").clone(), trace["logs"].as_array().unwrap().clone())
}

fn version(name: &str) -> Vec<u8> {
    std::fs::read(component(&format!("version-{name}"))).unwrap()
}

#[tokio::test]
async fn requests_on_both_sides_of_a_swap_say_which_version_answered_each() {
    let host = App::new(SERVICE).serve().await;
    // More than there is room for on the way to a client that does not read: it runs until that one does.
    let path = "/?pieces=400&bytes=60000&print=piece";
    let (one, two) = (parent(1), parent(2));
    let headers = [("traceparent", &*one)];
    let mut old = client::open(&host.address, "GET", path, &headers, "").await;
    assert_eq!(old.status, 200);
    let swapped = host.swap("app", "", version("two")).await.json();
    assert_eq!(swapped["verdict"], "activated", "{swapped}");
    let headers = [("traceparent", &*two)];
    let reply = client::send(&host.address, "GET", "/?print=piece", &headers, "").await;
    assert!(reply.text().ends_with("end two\n"), "{}", reply.text());
    let body = old.rest().await.expect("a whole body");
    assert!(body.ends_with(b"end one\n"));
    let (old, old_lines) = kept(&host, 1).await;
    let (new, new_lines) = kept(&host, 2).await;
    assert_eq!(old["attributes"][VERSION], swapped["from"]);
    assert_eq!(new["attributes"][VERSION], swapped["digest"]);
    assert_ne!(swapped["from"], swapped["digest"]);
    // At the same time.
    let end = old["start"].as_u64().unwrap() + old["duration"].as_u64().unwrap();
    assert!(new["start"].as_u64() >= old["start"].as_u64() && new["start"].as_u64() < Some(end));
    for (lines, version) in [(old_lines, &swapped["from"]), (new_lines, &swapped["digest"])] {
        assert!(!lines.is_empty());
        assert!(lines.iter().all(|line| line["version"] == *version), "{lines:?}");
    }
}

#[tokio::test]
async fn requests_during_a_canary_say_which_version_answered_each_and_which_is_on_trial() {
    let host = App::new(SERVICE).serve().await;
    let swapped = host.swap("app", "canary=50&for=5m", version("two")).await.json();
    assert_eq!(swapped["verdict"], "canary", "{swapped}");
    let mut wrote = Vec::new();
    for number in 1..=10 {
        let parent = parent(number);
        let headers = [("traceparent", &*parent)];
        let reply = client::send(&host.address, "GET", "/", &headers, "").await;
        let is_new = reply.text().ends_with("end two\n");
        assert!(is_new || reply.text().ends_with("end one\n"), "{}", reply.text());
        let (request, _) = kept(&host, number).await;
        let attributes = &request["attributes"];
        assert_eq!(attributes[VERSION], swapped[if is_new { "digest" } else { "from" }]);
        let is_on_trial = if is_new { Value::Bool(true) } else { Value::Null };
        assert_eq!(attributes["wasm_host.canary"], is_on_trial, "{request}");
        wrote.push(is_new);
    }
    assert_eq!(wrote.iter().filter(|is_new| **is_new).count(), 5, "{wrote:?}");
    // Figures tell them apart, too.
    let metrics = host.ask("GET", "/metrics", &[], "").await;
    for version in [&swapped["from"], &swapped["digest"]] {
        let short = &version.as_str().unwrap()[..12];
        let start = format!(
            "http_server_request_duration_seconds_count{{service=\"app\",wasm_host_service_version=\"{short}\""
        );
        let mut lines = metrics.text().lines();
        let line = lines.find(|line| line.starts_with(&start));
        assert!(line.is_some_and(|line| line.ends_with(" 5")), "{start} in {}", metrics.text());
    }
}
