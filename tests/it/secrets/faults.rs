//! Promise 7 while things fail: the errors of backends, and what they send back, tell no secret.

use wasm_host_tests::models::CHAT;
use wasm_host_tests::postgres::Postgres;
use wasm_host_tests::proxy::{Damage, Plan, Proxy, Then};
use wasm_host_tests::upstream::{Step, Upstream, json};
use wasm_host_tests::{databases, models};

const PASSWORD: &str = "pa55w0rd-of-nobody";

// Fault (The control plane and swaps): a login that fails | tells no password | 5xx of the component | nothing
#[tokio::test]
async fn a_login_that_fails_in_any_way_tells_no_password() {
    let postgres = Postgres::start();
    let proxy = Proxy::start(&postgres.address()).await;
    postgres.sql(&format!("create role nologin nologin password '{PASSWORD}'"));
    let url = format!("postgres://nologin:{PASSWORD}@{}/postgres", proxy.address);
    let host = databases::app("${DB_URL}", "")
        .env("DB_URL", &url)
        .env("WASM_HOST_LOG", "trace")
        .serve()
        .await;
    let mut outputs = Vec::new();
    for (after, then) in [(None, Then::Close), (Some(0), Then::Reset), (Some(5), Then::Close)] {
        let down = Damage { after: after.map(|after| (after, then)), ..Damage::default() };
        proxy.set(Plan { down, ..Plan::default() });
        let reply = host.send("POST", "/query", "select 1").await;
        assert!(reply.status.is_server_error(), "{}", reply.text());
        outputs.push(reply.text().to_string());
    }
    for path in ["/ready", "/services", "/backends", "/services/reporter/history"] {
        outputs.push(host.ask("GET", path, &[], "").await.text().to_string());
    }
    let (status, log) = host.stop().await;
    assert_eq!(status.code(), Some(0));
    outputs.push(log);
    for output in outputs {
        assert!(!output.contains(PASSWORD), "the password is in:\n{output}");
    }
}

// Fault (The control plane and swaps): a model server that fails | tells nothing of its url | an error | nothing
#[tokio::test]
async fn a_model_server_that_fails_tells_nothing_of_its_url() {
    let upstream = Upstream::start(|_| {
        vec![Step::Send(json("500 Internal Server Error", "{\"error\":\"no\"}"))]
    })
    .await;
    let address = upstream.url.trim_start_matches("http://").to_string();
    let proxy = Proxy::start(&address).await;
    let url = format!("http://user:${{MODEL_PASSWORD}}@{}", proxy.address);
    let host = models::app(&url, "first-byte-timeout = \"1s\"")
        .env("MODEL_PASSWORD", PASSWORD)
        .env("WASM_HOST_LOG", "trace")
        .serve()
        .await;
    let mut outputs = Vec::new();
    for after in [None, Some((0, Then::Stall)), Some((3, Then::Reset))] {
        proxy.set(Plan { down: Damage { after, ..Damage::default() }, ..Plan::default() });
        proxy.reset_all();
        for (path, body) in [("/api/chat", CHAT), ("/api/tags", "")] {
            let method = if body.is_empty() { "GET" } else { "POST" };
            outputs.push(host.send(method, path, body).await.text().to_string());
        }
    }
    // It was sent: as it must be, and nowhere else.
    assert!(
        String::from_utf8_lossy(&proxy.sent_up())
            .to_ascii_lowercase()
            .contains("authorization: basic")
    );
    let encoded = "dXNlcjpwYTU1dzByZC1vZi1ub2JvZHk";
    let (status, log) = host.stop().await;
    assert_eq!(status.code(), Some(0));
    outputs.push(log);
    for output in outputs {
        for secret in [PASSWORD, encoded] {
            assert!(!output.contains(secret), "{secret} is in:\n{output}");
        }
    }
}
