//! A model server that is away, stuck, broken or hostile.

use std::time::Duration;

use wasm_host_tests::host::{App, Host};
use wasm_host_tests::models::{CHAT, LAST, WORD};
use wasm_host_tests::ports::Closed;
use wasm_host_tests::upstream::{Step, Upstream, chunk, end, json, ndjson_head};
use wasm_host_tests::{client, eventually};

async fn with(url: &str, keys: &str) -> Host {
    App::new(&format!(
        r#"
name = "models"

[ollama.local]
{keys}

[service.ollamaservice]
component = "$(ollama)"
ollama = "local"
route = "/ollama"
"#
    ))
    .env("OLLAMA_HOST", url)
    .serve()
    .await
}

/// What a chat ends with: its status, and its body up to where it is whole or cut.
async fn chat(host: &Host) -> (u16, Result<String, String>) {
    let mut chat = client::open(&host.address, "POST", "/ollama/api/chat", &[], CHAT).await;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let body = chat.rest().await.map(text).map_err(text);
    (chat.status.as_u16(), body)
}

#[tokio::test]
async fn a_server_that_is_away_is_503_at_once_and_its_return_needs_no_restart() {
    let port = Closed::take();
    let keys = "breaker-failures = 2\nbreaker-wait = \"200ms\"\nbreaker-wait-max = \"400ms\"";
    let host = with(&port.address, keys).await;
    for _ in 0..2 {
        let reply = host.send("POST", "/ollama/api/chat", CHAT).await;
        assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, "2"));
    }
    eventually("a call that fails without being tried", async || {
        let (status, body) = chat(&host).await;
        assert_eq!(status, 503);
        body.unwrap().contains("is tried again soon").then_some(())
    })
    .await;
    assert_eq!(breaker(&host).await, ["1.0", "1.0"]);
    let ready = client::send(&host.admin, "GET", "/ready", &[], "").await;
    let told = "no Ollama answers for local; calls fail at once until it does";
    assert!(ready.text().contains(told), "{}", ready.text());
    let _back = Upstream::open(port, |_| {
        vec![Step::Send(ndjson_head()), Step::Send(chunk(LAST)), Step::Send(end())]
    });
    eventually("the server to be found", async || (chat(&host).await.0 == 200).then_some(())).await;
    host.logs("can be reached again").await;
    let log = host.log();
    assert_eq!(log.matches("could not be reached 2 times in a row").count(), 1, "{log}");
    assert_eq!(log.matches("can be reached again").count(), 1, "{log}");
    assert_eq!(breaker(&host).await, ["0.0", "1.0"]);
}

/// Whether it is open, and how often it opened.
async fn breaker(host: &Host) -> [String; 2] {
    let metrics = host.ask("GET", "/metrics", &[], "").await;
    ["wasm_host_breaker_open", "wasm_host_breaker_openings_total"].map(|name| {
        let start = format!("{name}{{backend=\"ollama.local\"}} ");
        let value = metrics.text().lines().find_map(|line| line.strip_prefix(&start));
        value.expect("the figure").to_owned()
    })
}

#[tokio::test]
async fn a_server_that_stalls_before_its_answer_is_504_and_not_away() {
    let upstream = Upstream::start(|_| vec![Step::Hold]).await;
    let keys = "first-byte-timeout = \"300ms\"\nbreaker-failures = 1\nbreaker-wait = \"5m\"\n\
                breaker-wait-max = \"5m\"";
    let host = with(&upstream.url, keys).await;
    for seen in 1..=3 {
        let (status, body) = chat(&host).await;
        assert_eq!(status, 504, "{body:?}");
        eventually("the close", async || (upstream.hung_up() == seen).then_some(())).await;
    }
    // Every one of them was asked: it answers connections, and may be loading a model.
    assert_eq!(upstream.requests().len(), 3);
}

#[tokio::test]
async fn a_busy_server_is_503_in_its_own_words() {
    let busy = r#"{"error":"server busy, please try again.  maximum pending requests exceeded"}"#;
    let upstream =
        Upstream::start(move |_| vec![Step::Send(json("503 Service Unavailable", busy))]).await;
    let host = with(&upstream.url, "breaker-failures = 1").await;
    for _ in 0..3 {
        assert_eq!(chat(&host).await, (503, Ok(busy.to_string())));
    }
    assert_eq!(upstream.requests().len(), 3);
}

#[tokio::test]
async fn what_is_no_protocol_is_never_an_answer() {
    for (garbage, status) in [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n<html>sorry</html>\n\n".to_vec(), 200),
        (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), 503),
        (vec![0; 1000], 503),
        ([ndjson_head(), b"zz\r\n".to_vec()].concat(), 200),
        ([ndjson_head(), chunk(b"[1,2]\n"), end()].concat(), 200),
    ] {
        let shown = String::from_utf8_lossy(&garbage).into_owned();
        let upstream =
            Upstream::start(move |_| vec![Step::Send(garbage.clone()), Step::Reset]).await;
        let host = with(&upstream.url, "").await;
        let (seen, body) = chat(&host).await;
        assert_eq!(seen, status, "{shown:?}: {body:?}");
        match status {
            200 => assert!(body.as_ref().is_err_and(|body| body.contains("\"error\"")), "{body:?}"),
            _ => assert!(body.as_ref().is_ok_and(|body| body.contains("\"error\"")), "{body:?}"),
        }
        assert!(!format!("{body:?}").contains("\"done\":true"), "{body:?}");
    }
}

#[tokio::test]
async fn a_line_without_end_is_bounded() {
    let upstream = Upstream::start(|_| {
        let mut steps = vec![Step::Send(ndjson_head()), Step::Send(chunk(WORD))];
        let piece = chunk(&vec![b'x'; 1024 * 1024]);
        steps.extend((0..64).map(|_| Step::Send(piece.clone())));
        steps.push(Step::Hold);
        steps
    })
    .await;
    let host = with(&upstream.url, "").await;
    let (status, body) = chat(&host).await;
    let body = body.expect_err("no whole answer");
    assert_eq!(status, 200);
    assert!(body.starts_with("{\"message\"") && body.contains("\"error\""), "{body}");
    eventually("the close", async || (upstream.hung_up() == 1).then_some(())).await;
}

#[tokio::test]
async fn a_slow_drip_is_no_fault() {
    let mut all = [WORD, LAST].concat();
    all.push(b'\n');
    let expected = String::from_utf8([WORD, LAST].concat()).unwrap();
    let upstream = Upstream::start(move |_| {
        let mut steps = vec![Step::Send(ndjson_head())];
        for byte in &all {
            steps.push(Step::Send(chunk(&[*byte])));
            steps.push(Step::Wait(Duration::from_millis(40)));
        }
        steps.push(Step::Send(end()));
        steps
    })
    .await;
    // The wait is for the first byte: as long as something comes, it may take as long as it likes.
    let host = with(&upstream.url, "first-byte-timeout = \"3s\"").await;
    assert_eq!(chat(&host).await, (200, Ok(expected)));
}

#[tokio::test]
async fn a_stream_that_breaks_is_never_asked_for_again() {
    let upstream =
        Upstream::start(|_| vec![Step::Send(ndjson_head()), Step::Send(chunk(WORD)), Step::Reset])
            .await;
    let host = with(&upstream.url, "").await;
    for asked in 1..=3 {
        let (_, body) = chat(&host).await;
        body.expect_err("no whole answer");
        assert_eq!(upstream.requests().len(), asked);
    }
}
