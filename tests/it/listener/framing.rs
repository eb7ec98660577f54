//! Bytes that are no HTTP, or that two servers could read in two ways: refused or closed, and no guest sees them.

use wasm_host_tests::guests::{guests, neighbour_is_well};
use wasm_host_tests::host::Host;
use wasm_host_tests::hostile::Raw;
use wasm_host_tests::seed::Seeded;

/// Send bytes and say that they are all. Answers with the statuses that came back.
async fn statuses(host: &Host, bytes: &[u8]) -> Vec<u16> {
    let mut raw = Raw::connect(&host.address).await;
    // The host may close before it has read all of it.
    let _ = raw.send(bytes).await;
    raw.half_close().await;
    raw.end().await.statuses()
}

/// Each of these is answered with an error of the client's, or with nothing at all.
async fn are_refused(requests: &[&str]) {
    let host = guests("").serve().await;
    for request in requests {
        let found = statuses(&host, request.as_bytes()).await;
        let refused = |status: &u16| matches!(status, 400..=499 | 501);
        assert!(found.len() <= 1, "{found:?} to {request:?}");
        assert!(found.iter().all(refused), "{found:?} to {request:?}");
    }
    // No request was among them.
    let greedy = host.service("greedy").await;
    assert_eq!((&greedy["served"], &greedy["failed"]), (&0.into(), &0.into()), "{greedy}");
    neighbour_is_well(&host).await;
}

// Fault (Clients): a length that is none | refuses | 4xx or a close | nothing
#[tokio::test]
async fn a_length_that_is_none_is_refused() {
    are_refused(&[
        "POST /greedy/mirror HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\nx",
        "POST /greedy/mirror HTTP/1.1\r\nhost: localhost\r\ncontent-length: +1\r\n\r\nx",
        "POST /greedy/mirror HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0x1\r\n\r\nx",
        "POST /greedy/mirror HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1 1\r\n\r\nx",
        "POST /greedy/mirror HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999999999999999\r\n\r\nx",
    ])
    .await;
}

// Fault (Clients): two lengths | refuses | 4xx or a close | nothing
#[tokio::test]
async fn two_lengths_are_refused() {
    are_refused(&[
        "POST /greedy/mirror HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        "POST /greedy/mirror HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3, 4\r\n\r\nabcd",
    ])
    .await;
}

// Fault (Clients): an encoding that is not chunked at its end | refuses | 4xx or a close | nothing
#[tokio::test]
async fn an_encoding_that_is_not_chunked_at_its_end_is_refused() {
    are_refused(&[
        "POST /greedy/mirror HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: identity\r\n\r\nx",
        "POST /greedy/mirror HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        "POST /greedy/mirror HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    ])
    .await;
}

// Fault (Clients): a length beside chunks | answers at most one request | one answer, or a close | nothing
#[tokio::test]
async fn a_length_beside_chunks_smuggles_no_second_request() {
    let host = guests("").serve().await;
    for (length, hidden) in [
        (6, "0\r\n\r\nGET /greedy/ HTTP/1.1\r\nhost: localhost\r\n\r\n"),
        (4, "5\r\nGET /\r\n0\r\n\r\n"),
    ] {
        let request = format!(
            "POST /good/ HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\ntransfer-encoding: chunked\r\n\r\n{hidden}"
        );
        let found = statuses(&host, request.as_bytes()).await;
        assert!(found.len() <= 1, "the hidden request was answered: {found:?}");
        assert_eq!(host.service("greedy").await["served"], 0);
    }
}

// Fault (Clients): chunks that are none | breaks the body off for the guest | an error, or a body that is not whole | the request
#[tokio::test]
async fn chunks_that_are_none_break_the_body_and_nothing_else() {
    let host = guests("").serve().await;
    for chunks in [
        "zz\r\nab\r\n0\r\n\r\n",
        "-1\r\nab\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nab\r\n",
        "2\r\nabc\r\n0\r\n\r\n",
        "2;\r\nab",
    ] {
        let request = format!(
            "POST /greedy/mirror HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n{chunks}"
        );
        let mut raw = Raw::connect(&host.address).await;
        let _ = raw.send(&request).await;
        raw.half_close().await;
        let text = raw.end().await.text();
        // The guest may have begun to answer; the answer must not end as a whole one.
        let whole = text.starts_with("HTTP/1.1 2") && text.ends_with("\r\n0\r\n\r\n");
        assert!(!whole, "{chunks:?} was taken for a body: {text}");
    }
    neighbour_is_well(&host).await;
}

// Fault (Clients): header lines that are none | refuses | 4xx or a close | nothing
#[tokio::test]
async fn header_lines_that_are_none_are_refused() {
    are_refused(&[
        "GET /greedy/ HTTP/1.1\r\nhost h\r\n\r\n",
        "GET /greedy/ HTTP/1.1\r\nhost: localhost\r\n: nameless\r\n\r\n",
        "GET /greedy/ HTTP/1.1\r\nhost: localhost\r\nx-space : 1\r\n\r\n",
        "GET /greedy/ HTTP/1.1\r\nhost: localhost\r\nx-zero: a\0b\r\n\r\n",
        "GET /greedy/ HTTP/1.1\r\nhost: localhost\r\nx(y): 1\r\n\r\n",
        "GET /greedy/ HTTP/1.1\r\nhost: localhost\r\nx-folded: 1\r\n 2\r\n\r\n",
    ])
    .await;
}

// Fault (Clients): request lines that are none | refuses | 4xx or a close | nothing
#[tokio::test]
async fn request_lines_that_are_none_are_refused() {
    are_refused(&[
        "\0\0\0\0",
        "GET\r\n\r\n",
        "GET /greedy/\r\n\r\n",
        "GET /greedy/ HTTP/9.9\r\nhost: localhost\r\n\r\n",
        "G<T /greedy/ HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "GET /gre edy/ HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03",
        "SSH-2.0-OpenSSH_9.2\r\n",
    ])
    .await;
}

// Fault (Clients): a host that is none, or two | refuses | 4xx or a close | nothing
#[tokio::test]
async fn a_host_that_is_none_or_two_is_refused() {
    are_refused(&[
        "GET /greedy/ HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET /greedy/ HTTP/1.1\r\nhost: a b\r\n\r\n",
        "GET /greedy/ HTTP/1.1\r\nhost: a/../b\r\n\r\n",
    ])
    .await;
}

// Fault (Clients): a head over the bound | refuses | 4xx or a close | nothing
#[tokio::test]
async fn a_head_over_the_bound_is_refused() {
    let large = "l".repeat(200_000);
    let many: String = (0..2000).map(|number| format!("x-{number}: 1\r\n")).collect();
    are_refused(&[
        &format!("GET /greedy/ HTTP/1.1\r\nhost: localhost\r\nx-large: {large}\r\n\r\n"),
        &format!("GET /greedy/{large} HTTP/1.1\r\nhost: localhost\r\n\r\n"),
        &format!("GET /greedy/ HTTP/1.1\r\nhost: localhost\r\n{many}\r\n"),
    ])
    .await;
}

// Fault (Clients): bytes by chance | refuses or answers | anything but a 5xx, save 501 for what it does not speak | nothing
#[tokio::test]
async fn bytes_by_chance_are_never_a_fault_of_the_host() {
    let mut chance = Seeded::new();
    let host = guests("").serve().await;
    let sound = b"POST /greedy/mirror HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\nx-a: b\r\n\r\nhello";
    for round in 0..200 {
        let mut bytes = if round % 4 == 0 { chance.bytes(200) } else { sound.to_vec() };
        for _ in 0..chance.between(1, 4) {
            let at = chance.between(0, bytes.len() - 1);
            match chance.between(0, 2) {
                0 => bytes[at] = chance.number() as u8,
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, *chance.pick(b"\r\n :0/\0;,")),
            }
        }
        for status in statuses(&host, &bytes).await {
            // 501 is the host's word for what it does not speak, such as another coding than chunked.
            assert!(
                status < 500 || status == 501,
                "{status} to {:?}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
    neighbour_is_well(&host).await;
    assert!(!host.log().contains("panicked"), "{}", host.log());
}
