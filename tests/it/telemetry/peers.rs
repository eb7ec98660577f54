//! What servers outside the host are told of the trace that a call is part of. They are not ours.

use serde_json::{Value, json};
use wasm_host_tests::client;
use wasm_host_tests::eventually;
use wasm_host_tests::host::{App, Host};
use wasm_host_tests::models::CHAT;
use wasm_host_tests::peer::Peer;

const ID: &str = "4bf92f3577b34da6a3ce929d0e0e47";

/// Components of both kinds that ask a host outside, and one that asks a model server.
fn app(url: &str, more: &str) -> App {
    App::new(&format!(
        r#"
name = "seen"
{more}
[ollama.local]
url = "{url}"
forward = ["default", "GET /api/tags"]

[service.caller]
component = "$(caller)"
outbound = ["{url}"]

[service.old]
component = "$(caller-p2)"
outbound = ["{url}"]

[service.chat]
component = "$(ollama)"
ollama = "local"
"#
    ))
}

/// A call with each interface that leads outside: method, path and body of a request, the path that is asked for
/// outside, and the span of that.
fn calls(url: &str) -> [(&'static str, String, &'static str, &'static str, &'static str); 4] {
    let completions = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    [
        ("GET", format!("/caller/fetch?{url}/new"), "", "/new", "GET"),
        ("GET", format!("/old/?{url}/old"), "", "/old", "GET"),
        ("POST", "/chat/api/chat".to_owned(), CHAT, "/api/chat", "chat m"),
        (
            "POST",
            "/chat/v1/chat/completions".to_owned(),
            completions,
            "/v1/chat/completions",
            "POST",
        ),
    ]
}

/// A trace that is kept, with this span in it.
async fn call(host: &Host, id: &str, name: &str) -> Value {
    let path = format!("/api/traces/{id}");
    eventually("the trace", async || {
        let reply = host.ask("GET", &path, &[], "").await;
        let trace = (reply.status == 200).then(|| reply.json())?;
        let mut spans = trace["spans"].as_array()?.iter();
        spans.find(|span| span["name"] == name && span["kind"] == "client").cloned()
    })
    .await
}

#[tokio::test]
async fn who_is_asked_outside_is_told_the_place_of_the_call_in_its_trace() {
    let mut peer = Peer::start().await;
    let host = app(&peer.url, "").serve().await;
    for (number, (method, path, body, asked, name)) in calls(&peer.url).into_iter().enumerate() {
        // Of a trace that begins here, and of one that its client has begun.
        for parent in [None, Some(format!("00-{ID}{number:02}-00f067aa0ba902b7-01"))] {
            let told = parent
                .iter()
                .flat_map(|parent| [("traceparent", parent.as_str()), ("tracestate", "shop=1")]);
            let told: Vec<_> = told.collect();
            let reply = client::send(&host.address, method, &path, &told, body).await;
            assert_eq!(reply.status, 200, "{path}: {}", reply.text());
            let said = peer.asked(asked).await;
            let place = &said["traceparent"];
            // One, and not the component's own beside it.
            assert_eq!(place.as_array().unwrap().len(), 1, "{path}: {said}");
            let parts: Vec<&str> = place[0].as_str().unwrap().split('-').collect();
            let [version, trace, span, flags] = parts[..] else { panic!("{said}") };
            assert_eq!((version, flags), ("00", "01"), "{path}");
            let state = if parent.is_some() { json!(["shop=1"]) } else { json!([]) };
            assert_eq!(said["tracestate"], state, "{path}");
            if parent.is_some() {
                assert_eq!(trace, format!("{ID}{number:02}"), "{path}");
            }
            assert_eq!(call(&host, trace, name).await["span"], *span, "{path}");
        }
    }
}

#[tokio::test]
async fn where_telemetry_is_off_headers_of_traces_pass_as_any_others() {
    let mut peer = Peer::start().await;
    let host = app(&peer.url, "[telemetry]\nenabled = false\n").serve().await;
    let parent = format!("00-{ID}00-00f067aa0ba902b7-01");
    for (method, path, body, asked, name) in calls(&peer.url) {
        let headers = [("traceparent", &*parent)];
        let reply = client::send(&host.address, method, &path, &headers, body).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        let said = peer.asked(asked).await;
        // What the component sends on, which only one that passes requests through does.
        let passes = name == "POST";
        let told = if passes { json!([parent]) } else { json!([]) };
        assert_eq!(said["traceparent"], told, "{path}");
    }
}
