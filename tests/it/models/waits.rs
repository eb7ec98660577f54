//! How long who waits for the model server, and what a connection that was closed meanwhile costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use wasm_host_tests::models::{CHAT, LAST, WORD, app};
use wasm_host_tests::upstream::{Step, Upstream, chunk, end, json, ndjson_head};
use wasm_host_tests::{client, eventually};

#[tokio::test]
async fn a_service_waits_as_long_as_its_model_server_and_check_says_where_it_does_not() {
    let check = async |keys: &str| {
        let app = app("http://127.0.0.1:1", "");
        let file = std::fs::read_to_string(app.path().join("wasm-host.toml")).unwrap();
        let file = file.replace("route = \"/\"", &format!("route = \"/\"\n{keys}"));
        std::fs::write(app.path().join("wasm-host.toml"), file).unwrap();
        let output = app.run(&["check", "--limits", "--format", "json"]).await;
        let bounds: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
        let bound = bounds
            .into_iter()
            .find(|bound| bound["table"] == "service.chat" && bound["key"] == "first-byte-timeout")
            .unwrap();
        let told = String::from_utf8(app.run(&["check"]).await.stderr).unwrap();
        (bound["value"].as_str().unwrap().to_string(), told)
    };
    let (value, told) = check("").await;
    assert_eq!((value.as_str(), told.contains("first-byte-timeout")), ("667s", false), "{told}");
    let (value, told) = check("first-byte-timeout = \"30s\"").await;
    let expected = "'first-byte-timeout' of service 'chat' is 30s, but what it waits for may take 10m by \
                    'first-byte-timeout' of [ollama.local]: 30s is what counts";
    assert!(value == "30s" && told.contains(expected), "{value}: {told}");
}

/// A chat that ends when it is let.
fn until(told: &Arc<Notify>) -> Vec<Step> {
    vec![
        Step::Send(ndjson_head()),
        Step::Send(chunk(WORD)),
        Step::Until(told.clone()),
        Step::Send(chunk(LAST)),
        Step::Send(end()),
    ]
}

// Fault (Model servers): calls over the bound | has them wait in line | their answers, later | nothing
#[tokio::test]
async fn a_chat_over_the_bound_waits_for_its_turn() {
    let go_on = Arc::new(Notify::new());
    let told = go_on.clone();
    let upstream = Upstream::start(move |_| until(&told)).await;
    let host = app(&upstream.url, "concurrent = 1").serve().await;
    let mut first = client::open(&host.address, "POST", "/api/chat", &[], CHAT).await;
    assert!(first.next().await.unwrap().is_some());
    let second = host.send("POST", "/api/chat", CHAT);
    let released = async {
        eventually("the second chat to be there", async || {
            (host.service("chat").await["in_flight"] == 2).then_some(())
        })
        .await;
        assert_eq!(host.calls("ollama.local").await, 1);
        go_on.notify_one();
        assert_eq!(first.rest().await.unwrap(), LAST);
        go_on.notify_one();
    };
    let (second, ()) = tokio::join!(second, released);
    assert_eq!(second.status, 200);
    assert_eq!(second.body, [WORD, LAST].concat());
}

// Fault (Model servers): calls that wait in line in vain | refuses | 503 with `Retry-After` | nothing
#[tokio::test]
async fn a_chat_that_waits_in_vain_is_told_to_come_back() {
    let upstream = Upstream::start(|_| until(&Arc::new(Notify::new()))).await;
    let host = app(&upstream.url, "concurrent = 1\nqueue-timeout = \"200ms\"").serve().await;
    let mut first = client::open(&host.address, "POST", "/api/chat", &[], CHAT).await;
    assert!(first.next().await.unwrap().is_some());
    let second = host.send("POST", "/api/chat", CHAT).await;
    assert_eq!((second.status.as_u16(), second.header("retry-after")), (503, "2"));
    assert!(second.text().contains("none of them ended within 0.2 s"), "{}", second.text());
    assert_eq!(upstream.requests().len(), 1);
}

/// A server whose answers go by their number; the first one keeps its connection.
async fn by_number(steps: impl Fn(usize) -> Vec<Step> + Send + Sync + 'static) -> Upstream {
    let number = AtomicUsize::new(0);
    Upstream::start(move |_| match number.fetch_add(1, Ordering::SeqCst) {
        0 => vec![Step::Send(json("200 OK", "{\"models\":[]}"))],
        number => steps(number),
    })
    .await
}

/// All requests come from one thread, which keeps its connections.
fn on_one_thread(upstream: &Upstream) -> wasm_host_tests::host::App {
    app(&upstream.url, "[limits]\nthreads = 1")
}

// Fault (Model servers): a kept connection that the server closes | asks once more on a new one, where that does no harm | the answer, or 503 | nothing
#[tokio::test]
async fn a_kept_connection_that_the_server_closes_costs_no_chat() {
    for close in [Step::Close, Step::Reset] {
        let upstream = by_number(move |number| match number {
            1 => vec![close.clone()],
            _ => vec![Step::Send(ndjson_head()), Step::Send(chunk(LAST)), Step::Send(end())],
        })
        .await;
        let host = on_one_thread(&upstream).serve().await;
        assert_eq!(host.get("/api/tags").await.status, 200);
        let reply = host.send("POST", "/api/chat", CHAT).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.body, LAST);
        let seen = upstream.requests();
        assert_eq!(seen.len(), 3);
        assert_eq!(seen[1], seen[2], "not the same again");
    }
}

#[tokio::test]
async fn a_closed_connection_is_made_up_for_once_and_not_for_what_changes_something() {
    for (method, path, body, seen) in [
        ("POST", "/api/chat", CHAT, 3),
        ("POST", "/v1/chat/completions", CHAT, 3),
        ("DELETE", "/api/delete", "{\"model\":\"m\"}", 2),
    ] {
        let upstream = by_number(|_| vec![Step::Close]).await;
        let host = on_one_thread(&upstream).serve().await;
        assert_eq!(host.get("/api/tags").await.status, 200);
        let reply = host.send(method, path, body).await;
        assert_eq!(reply.status, 503, "{}", reply.text());
        assert_eq!(upstream.requests().len(), seen, "{path}");
    }
}
