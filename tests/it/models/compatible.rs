//! Servers and clients that are not quite Ollama's: what they write is taken as Ollama would take it.

use wasm_host_tests::client;
use wasm_host_tests::host::{App, Host};
use wasm_host_tests::models::{CHAT, LAST, WORD, app, words};
use wasm_host_tests::upstream::{Step, Upstream, chunk, end, json, ndjson_head};

/// A chat whose last line is this one.
fn ending_with(last: &'static str) -> Vec<Step> {
    let last = chunk(format!("{last}\n").as_bytes());
    [Step::Send(ndjson_head()), Step::Send(chunk(WORD)), Step::Send(last), Step::Send(end())].into()
}

// Fault (Model servers): figures that are no numbers of Ollama's | passes them on | the answer | nothing
#[tokio::test]
async fn odd_figures_of_a_compatible_server_break_no_chat() {
    const ODD: &str = r#"{"message":{"content":""},"done":true,"load_duration":-1,"total_duration":1.5,"eval_count":12.0}"#;
    let upstream = Upstream::start(|_| ending_with(ODD)).await;
    let host = app(&upstream.url, "").serve().await;
    let reply = host.send("POST", "/api/chat", CHAT).await;
    assert_eq!(reply.body, [WORD, ODD.as_bytes(), b"\n"].concat());
    let whole = host.send("POST", "/api/chat", &CHAT.replacen('{', "{\"stream\":false,", 1)).await;
    let whole = (whole.status.as_u16(), whole.text().to_string());
    assert!(
        whole.0 == 200 && whole.1.contains(r#""load_duration":-1,"total_duration":1.5"#),
        "{whole:?}"
    );
}

#[tokio::test]
async fn one_odd_model_costs_the_list_nothing() {
    let list = r#"{"models":[{"name":"odd","size":-1.5,"digest":7},{"name":"good:1b","size":5}]}"#;
    let upstream = Upstream::start(move |_| vec![Step::Send(json("200 OK", list))]).await;
    let host = app(&upstream.url, "").serve().await;
    for path in ["/api/tags", "/api/ps"] {
        let reply = host.get(path).await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, list), "{path}");
    }
}

#[tokio::test]
async fn half_a_character_and_keys_in_any_case_are_taken_as_ollama_takes_them() {
    let upstream = Upstream::start(|_| words(1)).await;
    let host = app(&upstream.url, "").serve().await;
    let body = r#"{"Model":"m","MESSAGES":[{"Role":"user","content":"cut \ud83d"}],"Stream":true}"#;
    let reply = host.send("POST", "/api/chat", body).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body, [WORD, LAST].concat());
    let sent = upstream.requests().remove(0);
    let expected = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"cut \u{fffd}\"}],\"stream\":true}";
    assert!(sent.ends_with(expected), "{sent}");
}

#[tokio::test]
async fn a_slash_at_the_end_is_redirected_as_ollama_does() {
    // From where it was asked, this is the path without the slash, wherever the service is.
    let upstream = Upstream::start(|_| words(1)).await;
    let host = with_route(&upstream.url, "").await;
    for (method, path, status, location) in [
        ("GET", "/ollama/api/tags/", 301, "../tags"),
        ("POST", "/ollama/api/chat/?a=b", 307, "../chat?a=b"),
        ("POST", "/ollama/v1/chat/completions/", 307, "../completions"),
        ("GET", "/ollama/api/chat/", 404, ""),
    ] {
        let reply = host.send(method, path, "").await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (status, location), "{path}");
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn streams_tell_proxies_to_hold_nothing_back() {
    let upstream = Upstream::start(|request| {
        if request.starts_with("POST /api/chat") {
            return words(1);
        }
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        vec![Step::Send(head.into()), Step::Send(chunk(b"data: [DONE]\n\n")), Step::Send(end())]
    })
    .await;
    let host = app(&upstream.url, "").serve().await;
    for (path, cached) in
        [("/api/chat", "no-transform"), ("/v1/chat/completions", "no-cache, no-transform")]
    {
        let answer = client::open(&host.address, "POST", path, &[], CHAT).await;
        assert_eq!(answer.headers["x-accel-buffering"], "no", "{path}");
        assert_eq!(answer.headers["cache-control"], cached, "{path}");
    }
}

async fn with_route(url: &str, keys: &str) -> Host {
    App::new(&format!(
        r#"
name = "models"

[ollama.local]
url = "{url}"

[service.ollamaservice]
component = "$(ollama)"
ollama = "local"
route = "/ollama"
{keys}

"#
    ))
    .serve()
    .await
}

#[tokio::test]
async fn errors_of_the_host_are_sentences_for_clients_of_ollama() {
    let upstream = Upstream::start(|_| vec![Step::Hold]).await;
    let host =
        with_route(&upstream.url, "first-byte-timeout = \"200ms\"\nmax-body = \"1KiB\"").await;
    let slow = host.send("POST", "/ollama/api/chat", CHAT).await;
    assert_eq!(slow.status, 504);
    let large = host.send("POST", "/ollama/api/chat", &" ".repeat(2000)).await;
    assert_eq!(large.status, 413);
    let of_a_page = [("origin", "http://evil.example")];
    let foreign = client::send(&host.address, "POST", "/ollama/api/chat", &of_a_page, CHAT).await;
    assert_eq!(foreign.status, 403);
    for reply in [slow, large, foreign] {
        // What ollama-js looks for before it looks for `error`.
        assert_eq!(reply.header("content-type"), "application/json");
        let told = reply.json();
        assert!(told["error"].as_str().is_some_and(|told| told.ends_with('.')), "{told}");
        assert_eq!((&told["error"], told["requestId"].is_string()), (&told["detail"], true));
    }
    // Whoever has no models has no such clients.
    let other = host.get("/nowhere").await;
    assert_eq!(other.header("content-type"), "application/problem+json");
    assert_eq!(other.json()["error"], other.json()["detail"]);
}
