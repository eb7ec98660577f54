//! An answer that breaks off is never taken for a whole one, whatever the client speaks: HTTP/1.0 has no other end of
//! an answer without a length than that of the connection, so that is a reset.

use wasm_host_tests::hostile::{ConnectionEnd, Raw};
use wasm_host_tests::models;
use wasm_host_tests::upstream::{Step, Upstream, chunk, ndjson_head};

use super::{app, in_flight};

fn old(path: &str) -> String {
    format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n")
}

async fn answer(address: &str, request: String) -> ConnectionEnd {
    let mut raw = Raw::connect(address).await;
    raw.send(request).await.unwrap();
    raw.end().await
}

/// It got what was sent, and an error.
#[track_caller]
fn is_reset_after(ended: &ConnectionEnd, sent: &str) {
    let text = ended.text();
    assert!(text.contains(" 200 OK") && text.contains(sent), "{text}");
    assert!(!ended.orderly, "a client of HTTP/1.0 takes this for all of it: {text}");
}

// Fault (Clients): a client of HTTP/1.0 whose answer breaks off | resets the connection | an error after what was sent | the request
#[tokio::test]
async fn a_client_of_http_1_0_sees_an_error_where_an_answer_breaks_off() {
    let host = app("").serve().await;
    for path in ["/trap-in-body", "/fail-in-body"] {
        is_reset_after(&answer(&host.address, old(path)).await, "half of it");
    }
    // Also where it meant to go on.
    let request = "GET /fail-in-body HTTP/1.0\r\nhost: localhost\r\nconnection: keep-alive\r\n\r\n";
    is_reset_after(&answer(&host.address, request.to_string()).await, "half of it");
}

#[tokio::test]
async fn a_client_of_http_1_0_sees_a_whole_answer_end_in_order() {
    let host = app("").serve().await;
    let ended = answer(&host.address, old("/pieces/slow?pieces=3&ms=10")).await;
    assert!(ended.orderly && ended.text().ends_with("end one\n"), "{}", ended.text());
    let ended = answer(&host.address, old("/count")).await;
    assert!(ended.orderly && ended.text().contains(" 200 OK"), "{}", ended.text());
}

#[tokio::test]
async fn a_client_of_http_1_1_reads_all_that_was_sent_and_no_last_chunk() {
    let host = app("").serve().await;
    let request = "GET /fail-in-body HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let ended = answer(&host.address, request.to_string()).await;
    let text = ended.text();
    assert!(text.contains("half of it") && !text.contains("\r\n0\r\n"), "{text}");
}

#[tokio::test]
async fn an_answer_that_has_had_its_time_is_not_whole_for_http_1_0() {
    let host = wasm_host_tests::host::App::new(
        "name = \"late\"\n[service.pieces]\ncomponent = \"$(version-one)\"\nroute = \"/\"\ntimeout = \"1s\"\n",
    );
    let host = host.serve().await;
    let ended = answer(&host.address, old("/slow?pieces=1000&ms=50")).await;
    is_reset_after(&ended, "\r\n\r\n");
}

// Fault (SIGTERM): the same for a client of HTTP/1.0 | resets the connection | an error after what was sent | what was running
#[tokio::test]
async fn an_answer_that_is_cut_at_the_stop_is_not_whole_for_http_1_0() {
    let host = app("drain = \"0s\"").serve().await;
    let mut raw = Raw::connect(&host.address).await;
    raw.send(old("/pieces/slow?pieces=1000&ms=50")).await.unwrap();
    raw.read_until("\r\n\r\n").await;
    in_flight(&host, "pieces", 1).await;
    host.terminate();
    assert!(!raw.end().await.orderly, "a client of HTTP/1.0 takes this for all of it");
    assert_eq!(host.stop_after_signal().await.0.code(), Some(0));
}

// Fault (Clients): a client of HTTP/1.0 that only stops sending | takes it for a departure, and resets | its answer, or an error | nothing, or the request
#[tokio::test]
async fn who_stops_sending_over_http_1_0_and_still_reads_takes_no_part_for_the_whole() {
    let host = app("").serve().await;
    let mut raw = Raw::connect(&host.address).await;
    raw.send(old("/pieces/slow?pieces=1000&ms=50")).await.unwrap();
    raw.read_until("\r\n\r\n").await;
    raw.half_close().await;
    assert!(!raw.end().await.orderly, "a client of HTTP/1.0 takes this for all of it");
}

// Fault (Model servers): a chat that is cut, for a client of HTTP/1.0 | resets the connection | an error | the request
#[tokio::test]
async fn a_model_server_that_is_cut_off_is_an_error_for_a_client_of_http_1_0() {
    let upstream = Upstream::start(|_| {
        let half = chunk(b"{\"message\":{\"content\":\"half\"},\"done\":false}\n");
        vec![Step::Send(ndjson_head()), Step::Send(half), Step::Reset]
    })
    .await;
    let host = models::app(&upstream.url, "").serve().await;
    for path in ["/api/chat", "/v1/chat/completions"] {
        let body = models::CHAT;
        let request = format!(
            "POST {path} HTTP/1.0\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let ended = answer(&host.address, request).await;
        assert!(!ended.orderly, "{path}: {}", ended.text());
    }
}
