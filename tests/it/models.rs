//! The Ollama component in front of a scripted server: bytes as they are, errors as Ollama sends them, and the
//! demo when there is no server.

mod compatible;
mod faults;
mod outages;
mod waits;

use std::time::Duration;

use wasm_host_tests::host::{App, Host};
use wasm_host_tests::models::{CHAT, WORD, one_word, with_demo};
use wasm_host_tests::ports::Closed;
use wasm_host_tests::upstream::{Step, Upstream, chunk, end, json, ndjson_head};
use wasm_host_tests::{client, eventually};

async fn serve(upstream: &Upstream) -> Host {
    App::new(
        r#"
name = "models"

[ollama.local]

[service.ollamaservice]
component = "$(ollama)"
ollama = "local"
route = "/ollama"
"#,
    )
    .env("OLLAMA_HOST", &upstream.url)
    .serve()
    .await
}

fn lines() -> Vec<u8> {
    let mut lines = Vec::new();
    for word in ["Grüße", " 🌦 ", "\\\"quoted\\\""] {
        lines.extend_from_slice(
            format!("{{\"model\":\"m\",\"message\":{{\"role\":\"assistant\",\"content\":\"{word}\"}},\"x\":1,\"done\":false}}\n").as_bytes(),
        );
    }
    lines.extend_from_slice(b"{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"eval_count\":3}\n");
    lines
}

#[tokio::test]
async fn a_chat_split_at_any_byte_arrives_intact() {
    let all = lines();
    let (cuts, expected) = (all.len(), all.clone());
    let counter = std::sync::atomic::AtomicUsize::new(1);
    let upstream = Upstream::start(move |_| {
        let cut = counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % cuts;
        vec![
            Step::Send(ndjson_head()),
            Step::Send(chunk(&all[..cut.max(1)])),
            // Long enough that the pieces arrive apart.
            Step::Wait(Duration::from_millis(2)),
            Step::Send(chunk(&all[cut.max(1)..])),
            Step::Send(end()),
        ]
    })
    .await;
    let host = serve(&upstream).await;
    for cut in 1..cuts {
        let reply = host.send("POST", "/ollama/api/chat", CHAT).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), "application/x-ndjson");
        assert_eq!(reply.body, expected, "cut at {cut}");
    }
}

#[tokio::test]
async fn items_are_sent_on_as_they_come() {
    let upstream = Upstream::start(|_| one_word()).await;
    let host = serve(&upstream).await;
    let mut chat = client::open(&host.address, "POST", "/ollama/api/chat", &[], CHAT).await;
    // The script holds the rest back for ever: what comes now was not waiting for it.
    let first = chat.next().await.unwrap().unwrap();
    assert_eq!(first, WORD);
}

#[tokio::test]
async fn an_error_line_reaches_the_client_as_ollama_sends_it() {
    let upstream = Upstream::start(|_| {
        vec![
            Step::Send(ndjson_head()),
            Step::Send(chunk(WORD)),
            Step::Send(chunk(b"{\"error\":\"model runner has died\"}\n")),
            Step::Send(end()),
        ]
    })
    .await;
    let host = serve(&upstream).await;
    let reply = host.send("POST", "/ollama/api/chat", CHAT).await;
    assert_eq!(reply.status, 200);
    assert!(reply.text().ends_with("{\"error\":\"model runner has died\"}\n"), "{}", reply.text());
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_never_taken_for_whole() {
    for last in [Step::Reset, Step::Send(end())] {
        let upstream = Upstream::start(move |_| {
            vec![
                Step::Send(ndjson_head()),
                Step::Send(chunk(WORD)),
                Step::Wait(Duration::from_millis(50)),
                last.clone(),
            ]
        })
        .await;
        let host = serve(&upstream).await;
        let mut chat = client::open(&host.address, "POST", "/ollama/api/chat", &[], CHAT).await;
        let seen = chat.rest().await.expect_err("a body that ends as an error");
        let seen = String::from_utf8(seen).unwrap();
        assert!(seen.starts_with("{\"message\":{\"content\":\"one\"}"), "{seen}");
        assert!(seen.contains("\"error\""), "nothing says why: {seen}");
    }
}

#[tokio::test]
async fn refusals_keep_their_status_and_body() {
    let body = r#"{"error":"model 'm' not found"}"#;
    let upstream = Upstream::start(move |_| vec![Step::Send(json("404 Not Found", body))]).await;
    let host = serve(&upstream).await;
    let reply = host.send("POST", "/ollama/api/chat", CHAT).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (404, body));
    assert!(reply.header("content-type").starts_with("application/json"));
    let reply = host.send("POST", "/ollama/api/chat", "{}").await;
    assert_eq!(reply.status, 400);
    assert_eq!(reply.text(), r#"{"error":"Model name is required"}"#);
}

#[tokio::test]
async fn the_rest_of_the_api_passes_byte_for_byte() {
    let upstream = Upstream::start(|request| {
        if request.starts_with("POST /v1/chat/completions") {
            vec![
                Step::Send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec()),
                Step::Send(chunk(b"data: {\"a\":1}\n\ndata: [DO")),
                Step::Send(chunk(b"NE]\n\n")),
                Step::Send(end()),
            ]
        } else {
            vec![Step::Send(json("418 I'm a teapot", "\"short and stout\""))]
        }
    })
    .await;
    let host = serve(&upstream).await;
    let own = format!("http://{}", host.address);
    let headers = [("origin", &*own), ("x-kept", "yes")];
    let body = "{ \"model\" :\t\"m\" }";
    let reply =
        client::send(&host.address, "POST", "/ollama/v1/chat/completions?a=b%20c", &headers, body)
            .await;
    assert_eq!(reply.header("content-type"), "text/event-stream");
    assert_eq!(reply.text(), "data: {\"a\":1}\n\ndata: [DONE]\n\n");
    let sent = upstream.requests().remove(0);
    assert!(sent.starts_with("POST /v1/chat/completions?a=b%20c HTTP/1.1\r\n"), "{sent}");
    assert!(sent.contains(body), "{sent}");
    let head = sent.to_ascii_lowercase();
    assert!(head.contains("x-kept: yes") && !head.contains("origin:"), "{sent}");
    let address = upstream.url.trim_start_matches("http://");
    assert!(head.contains(&format!("host: {address}\r\n")), "{sent}");
    // What is not on the list never reaches the server.
    for (method, path) in [("POST", "/ollama/api/push"), ("POST", "/ollama/api/create")] {
        assert_eq!(host.send(method, path, "{}").await.status, 403, "{path}");
    }
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn the_demo_answers_until_a_real_server_appears() {
    // A port that nobody listens on, and where the real server will appear.
    let port = Closed::take();
    let app = with_demo("").env("OLLAMA_HOST", &port.address);
    let host = app.serve().await;
    let tags = host.get("/ollama/api/tags").await.json();
    assert!(tags["models"][0]["name"].as_str().unwrap().starts_with("demo"), "{tags}");
    let body = r#"{"model":"demo:latest","messages":[{"role":"user","content":"Will it rain?"}]}"#;
    let mut chat = client::open(&host.address, "POST", "/ollama/api/chat", &[], body).await;
    let mut pieces = 0;
    let mut text = Vec::new();
    while let Some(piece) = chat.next().await.unwrap() {
        pieces += 1;
        text.extend_from_slice(&piece);
    }
    let text = String::from_utf8(text).unwrap();
    assert!(pieces > 3, "not token by token: {pieces} pieces");
    assert!(text.trim_end().lines().last().unwrap().contains("\"done\":true"), "{text}");
    host.logs("demo").await;

    let _real = Upstream::open(port, |_| {
        vec![Step::Send(json("200 OK", r#"{"models":[{"name":"real:1b"}]}"#))]
    });
    eventually("the real server to take over", async || {
        let tags = host.get("/ollama/api/tags").await.json();
        (tags["models"][0]["name"] == "real:1b").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_demo_that_stands_in_is_a_state_of_its_own_and_well() {
    let port = Closed::take();
    let app = with_demo("").env("OLLAMA_HOST", &port.address);
    let host = app.serve().await;
    let run = async |arguments: &[&str]| {
        let output = app.run(arguments).await;
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{arguments:?}: {told}");
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["wait", "ollamaservice", "--for", "healthy", "--timeout", "30s"]).await;
    run(&["wait", "ollamaservice", "--for", "running", "--timeout", "30s"]).await;
    let all = host.ask("GET", "/api/resources", &[], "").await.json();
    let backend = &all["backends"][0];
    assert_eq!(
        (&backend["state"], &backend["detail"]),
        (&"standing in".into(), &"no Ollama answers for local; its demo stands in".into())
    );
    let edges = all["edges"].as_array().unwrap().iter();
    let edges: Vec<_> = edges.map(|it| (&it["from"], &it["to"])).collect();
    let (backend, demo) = (&"ollama.local".into(), &"demo-ollama".into());
    assert_eq!(edges, [(&"ollamaservice".into(), backend), (backend, demo)]);
    let listed = run(&["ps"]).await;
    let row = |service| listed.lines().find(|line| line.starts_with(service)).unwrap();
    assert!(row("ollamaservice").contains(" standing in "), "{listed}");
    assert!(row("demo-ollama").contains(" running "), "{listed}");
    let described = run(&["describe", "ollamaservice"]).await;
    assert!(described.contains("State         standing in\n"), "{described}");
    // The real server makes it a running one.
    let _real = Upstream::open(port, |_| vec![Step::Send(json("200 OK", r#"{"models":[]}"#))]);
    eventually("the real server to be seen", async || {
        let all = host.ask("GET", "/api/resources", &[], "").await.json();
        let states = (&all["backends"][0]["state"], &all["services"][1]["state"]);
        (states == (&"up".into(), &"running".into())).then_some(())
    })
    .await;
}
