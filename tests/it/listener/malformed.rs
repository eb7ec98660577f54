//! What two readers might understand in two ways is refused, and nothing that a client sends ends the host.

use std::time::{Duration, Instant};

use super::*;

/// Each is refused with the status, or without one, and its connection is closed: nothing behind it is read.
async fn refused(requests: &[(&str, u16)]) {
    let host = app("").serve().await;
    for (request, expected) in requests {
        // What a second reader would take for a request of its own.
        let smuggled = get("/count");
        let answer = Raw::open(&host, format!("{request}{smuggled}")).await.rest().await;
        assert_eq!(status(&answer), *expected, "{request:?} was answered with {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{request:?}: {answer:?}");
        assert!(
            answer.to_ascii_lowercase().contains("connection: close"),
            "{request:?}: {answer:?}"
        );
    }
    assert_eq!(host.get("/count").await.status, 200);
}

fn post(headers: &str, body: &str) -> String {
    format!("POST /echo HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n{body}")
}

#[tokio::test]
async fn a_body_has_one_length() {
    let chunked = "transfer-encoding: chunked\r\n";
    let body = "3\r\nabc\r\n0\r\n\r\n";
    let requests = [
        (post("content-length: 5\r\ncontent-length: 6\r\n", "abcde"), 400),
        (post("content-length: 5, 5\r\n", "abcde"), 400),
        (post("content-length: +5\r\n", "abcde"), 400),
        (post("content-length: -5\r\n", "abcde"), 400),
        (post("content-length: 0x5\r\n", "abcde"), 400),
        (post("content-length: 99999999999999999999999\r\n", "abcde"), 400),
        (post("transfer-encoding: identity\r\n", "abcde"), 400),
        (post("transfer-encoding: chunked, gzip\r\n", body), 400),
        (post("transfer-encoding: xchunked\r\n", body), 400),
        (post("transfer-encoding : chunked\r\n", body), 400),
        (post("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", body), 400),
        (post("transfer-encoding: chunked, chunked\r\n", body), 400),
        (post("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", body), 400),
        (post("transfer-encoding: chunked\r\ntransfer-encoding: Chunked , chunked\r\n", body), 400),
        (post("transfer-encoding: chunked, gzip, chunked\r\n", body), 400),
        (post("transfer-encoding: gzip, chunked\r\n", body), 501),
        (post("transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n", body), 501),
        (post(chunked, "zz\r\nabc\r\n0\r\n\r\n"), 400),
        (post(chunked, "-3\r\nabc\r\n0\r\n\r\n"), 400),
        (post(chunked, "fffffffffffffffff\r\nabc\r\n0\r\n\r\n"), 400),
        (post(chunked, "3\nabc\r\n0\r\n\r\n"), 400),
        (post(chunked, "3\r\nabcX0\r\n\r\n"), 400),
        (post(chunked, "3;a=\nb\r\nabc\r\n0\r\n\r\n"), 400),
    ];
    refused(&requests.each_ref().map(|(request, status)| (request.as_str(), *status))).await;
}

/// Allowed by RFC 9112, 6.3: the chunks count, and the connection is closed behind them.
#[tokio::test]
async fn of_a_length_and_chunks_only_the_chunks_count() {
    let host = app("").serve().await;
    for headers in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
    ] {
        let request = post(headers, &format!("3\r\nabc\r\n0\r\n\r\n{}", get("/count")));
        let answer = Raw::open(&host, request).await.rest().await;
        assert!(answer.ends_with("\r\n\r\nabc"), "{answer:?}");
        assert!(answer.contains("connection: close"), "{answer:?}");
    }
    let same = post("content-length: 5\r\ncontent-length: 5\r\nconnection: close\r\n", "abcde");
    assert!(Raw::open(&host, same).await.rest().await.ends_with("\r\n\r\nabcde"));
}

#[tokio::test]
async fn headers_are_lines_of_names_and_values() {
    let with = |line: &str| format!("GET /count HTTP/1.1\r\nhost: localhost\r\n{line}\r\n\r\n");
    let requests = [
        with("x-a: b\r\n c"),
        with("x-a: b\rc"),
        with("x-a: b\0c"),
        with("x\0: b"),
        with("x y: b"),
        with(": b"),
        with("x-a"),
        "GET /count HTTP/1.1\r\n x-a: b\r\nhost: localhost\r\n\r\n".to_string(),
    ];
    refused(&requests.each_ref().map(|request| (request.as_str(), 400))).await;
}

#[tokio::test]
async fn a_head_has_a_size() {
    let host = app("").serve().await;
    let long = "a".repeat(70_000);
    let many: String = (0..101).map(|number| format!("x-{number}: a\r\n")).collect();
    for (request, refusal) in [
        (format!("GET /{long} HTTP/1.1\r\nhost: localhost\r\n\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", long.repeat(2)), 431),
        (format!("GET / HTTP/1.1\r\nhost: localhost\r\n{many}\r\n"), 431),
    ] {
        assert_eq!(status(&Raw::open(&host, request).await.rest().await), refusal);
    }
    let narrow = app("max-header = \"8KiB\"\nmax-headers = 10").serve().await;
    let many: String = (0..10).map(|number| format!("x-{number}: a\r\n")).collect();
    for headers in [format!("x: {}\r\n", "a".repeat(17_000)), many] {
        let request = format!("GET /count HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
        assert_eq!(status(&Raw::open(&narrow, request).await.rest().await), 431);
    }
    assert_eq!(narrow.get("/count").await.status, 200);
}

#[tokio::test]
async fn a_request_names_one_host_and_one_path() {
    let requests = [
        ("GET /count HTTP/1.1\r\n\r\n", 400),
        ("GET /count HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n\r\n", 400),
        ("GET /count HTTP/1.1\r\nhost: x y\r\n\r\n", 400),
        ("GET /count HTTP/1.1\r\nhost: me@x\r\n\r\n", 400),
        ("GET http://y/count HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
        ("GET http://me@x/count HTTP/1.1\r\nhost: me@x\r\n\r\n", 400),
        ("GET x:80 HTTP/1.1\r\nhost: x:80\r\n\r\n", 400),
        ("GET count HTTP/1.1\r\nhost: count\r\n\r\n", 400),
        ("GET * HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
        ("GET  /count HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
        ("GET /count HTTP/1.2\r\nhost: localhost\r\n\r\n", 400),
        ("GET /count HTTP/2.0\r\nhost: localhost\r\n\r\n", 400),
        ("GET /count HTTX/1.1\r\nhost: localhost\r\n\r\n", 400),
        ("GET /count\r\n\r\n", 400),
        ("G(T /count HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}", 400),
        ("CONNECT x:80 HTTP/1.1\r\nhost: x:80\r\n\r\n", 501),
        ("TRACE /count HTTP/1.1\r\nhost: localhost\r\n\r\n", 501),
    ];
    refused(&requests).await;
}

// Fault (Clients): a head that could be read and is refused | answers | 4xx or 501 with a problem document | nothing
#[tokio::test]
async fn a_refusal_is_a_problem_document_where_the_head_could_be_read() {
    let host = app("").serve().await;
    let answer = Raw::open(&host, "GET /count HTTP/1.1\r\n\r\n").await.rest().await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    assert!(head.contains("content-type: application/problem+json"), "{head}");
    let id = problem["requestId"].as_str().unwrap();
    assert!(head.contains(&format!("x-request-id: {id}")), "{answer}");
}

// Fault (Clients): a head that cannot be read | answers before there is a request | 400, 414 or 431 without a body, and a close | nothing
/// The library that reads heads answers these itself, before there is a request that could have an id.
#[tokio::test]
async fn what_cannot_be_read_is_answered_with_a_status_and_nothing_else() {
    let host = app("max-header = \"256KiB\"").serve().await;
    let long = "a".repeat(70_000);
    for (request, answer) in [
        ("hello\r\n\r\n".to_string(), "400 Bad Request"),
        (format!("GET /{long} HTTP/1.1\r\nhost: localhost\r\n\r\n"), "414 URI Too Long"),
        (
            format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "a".repeat(600_000)),
            "431 Request Header Fields Too Large",
        ),
    ] {
        let seen = Raw::open(&host, request).await.rest().await;
        let (lines, date) = seen.split_once("date: ").unwrap_or_else(|| panic!("{seen}"));
        let head = format!("HTTP/1.1 {answer}\r\nconnection: close\r\ncontent-length: 0\r\n");
        assert_eq!(lines, head);
        assert!(date.ends_with(" GMT\r\n\r\n"), "{date}");
    }
}

/// In line with RFC 9112, 2.2 and 3.2, and of one meaning.
#[tokio::test]
async fn what_is_unusual_and_clear_is_answered() {
    let host = app("").serve().await;
    for request in [
        "GET /count HTTP/1.0\r\n\r\n",
        "GET /count HTTP/1.1\nhost: localhost\nconnection: close\n\n",
        "\r\n\r\nGET /count HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        "GET http://LOCALHOST/count HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        "GET /count HTTP/1.1\r\nhost:\r\nconnection: close\r\n\r\n",
        "GET /count HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\r\n",
        "GET /count HTTP/1.1\r\nhost: localhost\r\nconnection: close, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n\r\n",
    ] {
        let answer = Raw::open(&host, request).await.rest().await;
        assert_eq!(status(&answer), 200, "{request:?}: {answer:?}");
    }
}

#[tokio::test]
async fn requests_that_come_together_are_answered_in_their_order() {
    let host = app("").serve().await;
    let body = |text: &str| post(&format!("content-length: {}\r\n", text.len()), text);
    let last = post("content-length: 1\r\nconnection: close\r\n", "c");
    let answer = Raw::open(&host, [body("a"), body("b"), last].concat()).await.rest().await;
    let bodies: Vec<&str> = answer
        .split("HTTP/1.1 200")
        .skip(1)
        .filter_map(|answer| answer.split("\r\n\r\n").nth(1))
        .collect();
    assert_eq!(bodies, ["a", "b", "c"], "{answer}");
}

#[tokio::test]
async fn a_body_that_is_expected_is_asked_for_and_one_that_is_too_large_is_not() {
    let host = app("").serve().await;
    let expect = "expect: 100-continue\r\nconnection: close\r\n";
    let mut small = Raw::open(&host, post(&format!("{expect}content-length: 3\r\n"), "")).await;
    small.until("HTTP/1.1 100 Continue\r\n\r\n").await;
    small.send("abc").await;
    assert!(small.rest().await.ends_with("\r\n\r\nabc"));
    let mut large =
        Raw::open(&host, post(&format!("{expect}content-length: 9000000\r\n"), "")).await;
    assert_eq!(status(&large.until("\r\n\r\n").await), 413);
}

#[tokio::test]
async fn who_sends_on_reads_that_it_was_too_much() {
    let host = app("").serve().await;
    let chunk = format!("{:x}\r\n{}\r\n", 500_000, "a".repeat(500_000));
    for headers in ["transfer-encoding: chunked\r\n", "content-length: 9000000\r\n"] {
        eventually("a client that is fast enough", async || {
            let mut raw = Raw::open(&host, post(headers, "")).await;
            let began = Instant::now();
            let sent = async {
                // More than the buffers hold; some of it is sent when the answer is written already.
                for _ in 0..16 {
                    raw.0.write_all(chunk.as_bytes()).await?;
                }
                Ok::<_, std::io::Error>(())
            };
            let sent = within("room for the bytes", sent).await;
            // The host waits for two seconds: on a busy machine a client can need more, and may be reset then.
            if sent.is_err() && began.elapsed() > Duration::from_secs(1) {
                return None;
            }
            sent.unwrap();
            let answer = raw.until("\r\n\r\n").await;
            assert_eq!(status(&answer), 413, "{headers}: {answer}");
            Some(())
        })
        .await;
    }
    // The guest was neither ended nor left with it.
    in_flight(&host, "guest", 0).await;
}
