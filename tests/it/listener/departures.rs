//! Promise 4, where nobody reads from the client that leaves: its request body is not wanted, or another
//! request waits in front of the end.

use std::time::{Duration, Instant};

use wasm_host_tests::models::one_word;
use wasm_host_tests::upstream::Upstream;

use super::*;

/// The promise is a second; the rest is for a busy machine. What has its client no longer would go on for a minute.
const SOON: Duration = Duration::from_secs(10);

/// `/silent` never reads its body; some of it waits in hyper's buffer, some in the socket. No more than both hold:
/// an end behind that does not arrive.
fn unread() -> String {
    let head = "POST /silent HTTP/1.1\r\nhost: localhost\r\ncontent-length: 900000\r\n\r\n";
    format!("{head}{}", "a".repeat(50_000))
}

async fn ends(host: &Host, left: Instant) {
    in_flight(host, "guest", 0).await;
    assert!(left.elapsed() < SOON, "the request went on for {:?}", left.elapsed());
}

async fn is_noticed(leave: impl FnOnce(Raw)) {
    let host = app("").serve().await;
    let raw = Raw::open(&host, unread()).await;
    in_flight(&host, "guest", 1).await;
    // Nothing comes that could be taken for an end.
    tokio::time::sleep(Duration::from_millis(500)).await;
    in_flight(&host, "guest", 1).await;
    let left = Instant::now();
    leave(raw);
    ends(&host, left).await;
    assert_eq!(host.service("guest").await["cancelled"], 1);
}

// Fault (Clients): a client that closes while its body is unread | notices it all the same, if the buffers hold what is unread | - | nothing that anybody waits for
#[tokio::test]
async fn a_client_that_closes_while_its_body_is_unread_is_noticed() {
    is_noticed(drop).await;
}

#[tokio::test]
async fn a_client_that_resets_while_its_body_is_unread_is_noticed() {
    is_noticed(Raw::reset).await;
}

#[tokio::test]
async fn a_client_that_leaves_behind_more_requests_is_noticed() {
    let host = app("").serve().await;
    let raw = Raw::open(&host, format!("{}{}", get("/silent"), get("/count"))).await;
    in_flight(&host, "guest", 1).await;
    let left = Instant::now();
    drop(raw);
    ends(&host, left).await;
}

#[tokio::test]
async fn what_a_client_with_an_unread_body_asked_of_a_model_is_ended_there() {
    let upstream = Upstream::start(|_| one_word()).await;
    let app = App::new(
        "name = \"listener\"\n[ollama.local]\n[postgres.any]\n[service.holder]\ncomponent = \"$(holder)\"\nollama = \"local\"\npostgres = \"any\"\n",
    )
    .env("OLLAMA_HOST", &upstream.url);
    let host = app.serve().await;
    let raw = Raw::open(&host, unread().replace("/silent", "/holder/chat")).await;
    eventually("the request upstream", async || (!upstream.requests().is_empty()).then_some(()))
        .await;
    let left = Instant::now();
    drop(raw);
    eventually("the close upstream", async || (upstream.hung_up() == 1).then_some(())).await;
    assert!(left.elapsed() < SOON, "the upstream saw the close after {:?}", left.elapsed());
}

#[tokio::test]
async fn a_client_that_only_ends_its_sending_side_gets_a_quick_answer() {
    let host = app("").serve().await;
    // Warm: an instance that has to be made on a busy machine is not quick.
    let mut raw = Raw::open(&host, get("/count")).await;
    raw.until("\r\n\r\n1").await;
    raw.send(get("/count")).await;
    raw.0.shutdown().await.unwrap();
    assert_eq!(status(&raw.rest().await), 200);
}

#[tokio::test]
async fn a_body_that_ends_before_its_end_is_no_request() {
    let host = app("").serve().await;
    let mut raw =
        Raw::open(&host, "POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nabc")
            .await;
    raw.0.shutdown().await.unwrap();
    let answer = raw.rest().await;
    assert!(answer.is_empty() || status(&answer) == 400, "{answer}");
    in_flight(&host, "guest", 0).await;
}
