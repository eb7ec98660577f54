//! Components that other people's toolchains make are served like those in Rust.
//!
//! What is in them is theirs: an interpreter, a library of theirs, or nothing at all. Each is compiled once here,
//! which takes seconds for an interpreter.

use std::sync::Arc;

use tokio::sync::Notify;
use wasm_host_tests::client;
use wasm_host_tests::eventually;
use wasm_host_tests::host::{App, Host};
use wasm_host_tests::models::words;
use wasm_host_tests::postgres::Postgres;
use wasm_host_tests::upstream::{Step, Upstream};

/// A host that serves one of them by itself.
async fn serve(name: &str) -> Host {
    App::new("").serve_interpreter(name, &[]).await
}

/// What `/stream` is, in every one of them.
fn pieces() -> String {
    (0..100).map(|piece| format!("piece {piece}\n")).collect()
}

/// A whole answer with its length, and one that comes in pieces, some times. Each counts as served: no client left.
async fn answers_whole_and_in_pieces(host: &Host, name: &str, path: &str, whole: &str) {
    for _ in 0..3 {
        let reply = host.get(path).await;
        assert_eq!(reply.status, 200, "{}", host.log());
        assert_eq!(reply.text(), whole);
        let streamed = host.get("/stream").await;
        assert_eq!(streamed.status, 200, "{}", host.log());
        assert_eq!(streamed.text(), pieces());
    }
    let service = eventually("the count of all requests", async || {
        let service = host.service(name).await;
        let counts = ["served", "failed", "cancelled"].map(|key| service[key].as_u64().unwrap());
        (counts.iter().sum::<u64>() == 6).then_some(service)
    });
    let service = service.await;
    assert_eq!(service["served"], 6, "{service}");
}

#[tokio::test]
async fn a_component_of_componentize_js_answers_whole_and_in_pieces() {
    let host = serve("hello-js").await;
    let routes = r#"{"routes":["/","/greeting","/dice","/now","/tomorrow","/stream"]}"#;
    answers_whole_and_in_pieces(&host, "hello-js", "/", routes).await;
}

#[tokio::test]
async fn a_component_of_componentize_js_reads_rows_and_passes_a_chat_on() {
    let postgres = Postgres::start();
    postgres.sql("create table words (id int generated always as identity, text text not null)");
    let go_on = Arc::new(Notify::new());
    let told = go_on.clone();
    let upstream = Upstream::start(move |_| {
        let mut steps = words(2);
        steps.insert(2, Step::Until(told.clone()));
        steps
    })
    .await;
    let app = App::new(&format!(
        r#"
name = "blocking"

[postgres.main]
url = "${{DB_URL}}"

[ollama.local]
url = "{}"

[service.words]
component = "$(blocking-js)"
route = "/"
postgres = "main"
ollama = "local"
"#,
        upstream.url
    ))
    .env("DB_URL", &postgres.url());
    let host = app.serve_compiled().await;
    let lines: String = (1..=500).map(|n| format!("word {n}\n")).collect();
    let added = host.send("POST", "/words", &lines).await;
    assert_eq!((added.status.as_u16(), added.text()), (201, r#"{"added":500}"#), "{}", host.log());
    let counted = host.get("/words?until=400").await;
    let expected = r#"{"columns":["int4","text"],"count":400,"last":[400,"word 400"]}"#;
    assert_eq!((counted.status.as_u16(), counted.text()), (200, expected), "{}", host.log());
    let mut chat = client::open(&host.address, "POST", "/chat", &[], "Hi").await;
    // Before the model has said more.
    assert_eq!(chat.next().await.unwrap().unwrap(), "one");
    go_on.notify_one();
    assert_eq!(chat.rest().await.expect("a whole body"), b"one");
    postgres.sql("drop table words");
    let refused = host.get("/words").await;
    assert_eq!((refused.status.as_u16(), refused.text()), (500, r#"{"error":"42P01"}"#));
}

#[tokio::test]
async fn a_component_of_componentize_py_of_0_2_answers_whole_and_in_pieces() {
    let host = serve("hello-py-p2").await;
    answers_whole_and_in_pieces(&host, "hello-py-p2", "/x?y", "Hello from Python at /x?y\n").await;
    assert_eq!(host.get("/raise").await.status, 502);
    assert_eq!(host.get("/x").await.text(), "Hello from Python at /x\n");
}

#[tokio::test]
async fn a_component_of_componentize_py_of_0_3_answers_whole_and_in_pieces() {
    let host = serve("hello-py-p3").await;
    answers_whole_and_in_pieces(&host, "hello-py-p3", "/x?y", "Hello from Python at /x?y\n").await;
    assert_eq!(host.get("/raise").await.status, 502);
    assert_eq!(host.get("/x").await.text(), "Hello from Python at /x\n");
}

#[tokio::test]
async fn a_component_of_zig_s_c_answers_whole_and_in_pieces() {
    let host = serve("hello-c").await;
    answers_whole_and_in_pieces(&host, "hello-c", "/x?y", "Hello from C at /x?y\n").await;
}
