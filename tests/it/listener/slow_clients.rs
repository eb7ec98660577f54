//! Clients that are slow, leave in the middle, or send everything at once.

use std::time::Duration;

use wasm_host_tests::guests::{guests, neighbour_is_well, nothing_in_flight, patient_guests};
use wasm_host_tests::hostile::{Raw, request};
use wasm_host_tests::seed::Seeded;
use wasm_host_tests::{client, eventually};

// Fault (Clients): a head that never ends | closes after the header timeout | 408 or a close | nothing
#[tokio::test]
async fn a_head_that_never_ends_is_given_up() {
    let host = guests("").serve().await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut raw = Raw::connect(&host.address).await;
        raw.send("GET /good/ HTTP/1.1\r\nhost: localhost\r\nx-slow: ").await.unwrap();
        slow.push(raw);
    }
    neighbour_is_well(&host).await;
    for raw in slow {
        // Nothing of a service: at most a 408.
        let ended = raw.end().await;
        assert!(ended.statuses().iter().all(|status| *status == 408), "{}", ended.text());
    }
}

// Fault (Clients): a head in single bytes | waits, within the header timeout | its answer | nothing
#[tokio::test]
async fn a_head_in_single_bytes_is_as_good_as_any() {
    let host = guests("").serve().await;
    let mut raw = Raw::connect(&host.address).await;
    let bytes = request("GET", "/good/", "");
    raw.drip(&bytes, 1, Duration::from_millis(1)).await.unwrap();
    let ended = raw.end().await;
    assert!(ended.text().contains("Hello from 0.3 at /\n"), "{}", ended.text());
}

// Fault (Clients): a body in pieces of any size | streams it to the guest | its answer | nothing
#[tokio::test]
async fn a_body_in_pieces_of_any_size_arrives_intact() {
    let mut chance = Seeded::new();
    let host = guests("").serve().await;
    for _ in 0..10 {
        let length = chance.between(1, 20_000);
        let body: String = (0..length).map(|at| char::from(b'a' + (at % 26) as u8)).collect();
        // Each piece takes a millisecond or more: no more of them than a busy machine sends in a few seconds.
        let piece = chance.between(length.div_ceil(2000), 3000);
        let raw = Raw::connect(&host.address).await;
        let bytes = request("POST", "/greedy/mirror", &body);
        // The guest answers while it reads: the answer is taken while the request is still sent.
        let text = raw.exchange(&bytes, piece, Duration::from_micros(200)).await.text();
        let (head, chunks) = text.split_once("\r\n\r\n").expect("an answer");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(unchunk(chunks), body, "{length} bytes in pieces of {piece}");
    }
}

/// The content of a whole chunked body.
fn unchunk(mut rest: &str) -> String {
    let mut content = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a size");
        content.push_str(&after[..size]);
        if size == 0 {
            return content;
        }
        rest = &after[size + 2..];
    }
}

// Fault (Clients): a body that stops | gives up after the idle time, ends the guest's work | an error or a close | the request
#[tokio::test]
async fn a_body_that_stops_is_given_up() {
    let host = guests("").serve().await;
    let mut raw = Raw::connect(&host.address).await;
    raw.send(
        "POST /greedy/mirror HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\nthe start",
    )
    .await
    .unwrap();
    raw.read_until("the start").await;
    neighbour_is_well(&host).await;
    assert!(raw.closes_within(wasm_host_tests::PATIENCE).await, "it waits for ever");
    nothing_in_flight(&host, "greedy").await;
}

// Fault (Clients): a client that stops reading | holds the guest back, gives up after the idle time | a close | the request
#[tokio::test]
async fn a_client_that_stops_reading_costs_no_memory_and_is_given_up() {
    let host = guests("").serve().await;
    neighbour_is_well(&host).await;
    let before = host.resident_kib();
    let mut stalled = Vec::new();
    for _ in 0..20 {
        let mut raw = Raw::connect(&host.address).await;
        raw.send(request("GET", "/greedy/endless", "")).await.unwrap();
        raw.read_until("200 OK").await;
        stalled.push(raw);
    }
    neighbour_is_well(&host).await;
    // To their end, which is after the idle time.
    let mut most = before;
    eventually("the requests to end", async || {
        most = most.max(host.resident_kib());
        (host.service("greedy").await["in_flight"] == 0).then_some(())
    })
    .await;
    let grown = (most - before) / 1024;
    assert!(grown < 200, "20 clients that do not read cost {grown} MiB");
    drop(stalled);
}

// Fault (Clients): a client that vanishes in its answer | ends the guest's work | - | nothing that anybody waits for
#[tokio::test]
async fn a_client_that_vanishes_mid_response_leaves_nothing_behind() {
    let host = patient_guests("").serve().await;
    for orderly in [true, false] {
        let mut raw = Raw::connect(&host.address).await;
        raw.send(request("GET", "/greedy/endless", "")).await.unwrap();
        raw.read_until("...").await;
        if orderly {
            drop(raw)
        } else {
            raw.reset()
        }
        let left = std::time::Instant::now();
        nothing_in_flight(&host, "greedy").await;
        eventually("the instance's end", async || {
            (host.service("greedy").await["instances"] == 0).then_some(())
        })
        .await;
        // A second is promised, and nothing else would have ended it within minutes.
        assert!(left.elapsed() < Duration::from_secs(10), "it took {:?}", left.elapsed());
    }
    neighbour_is_well(&host).await;
}

// Fault (Clients): a client that vanishes in its request | ends the guest's work | - | nothing that anybody waits for
#[tokio::test]
async fn a_client_that_vanishes_mid_request_leaves_nothing_behind() {
    let host = patient_guests("").serve().await;
    let mut raw = Raw::connect(&host.address).await;
    raw.send("POST /greedy/mirror HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\nhalf")
        .await
        .unwrap();
    raw.read_until("half").await;
    raw.reset();
    nothing_in_flight(&host, "greedy").await;
    neighbour_is_well(&host).await;
}

// Fault (Clients): a client that resets while its body is unread | notices it all the same | - | nothing that anybody waits for
#[tokio::test]
async fn a_client_that_leaves_its_body_unread_is_noticed() {
    let host = guests("first-byte-timeout = \"10m\"").serve().await;
    let mut raw = Raw::connect(&host.address).await;
    // More than the guest takes and the host buffers.
    let head =
        "POST /greedy/hold-body HTTP/1.1\r\nhost: localhost\r\ncontent-length: 8000000\r\n\r\n";
    raw.send(head).await.unwrap();
    raw.send(vec![b'x'; 512 * 1024]).await.unwrap();
    eventually("the request to run", async || {
        (host.service("greedy").await["in_flight"] == 1).then_some(())
    })
    .await;
    raw.reset();
    nothing_in_flight(&host, "greedy").await;
}

// Fault (Clients): a client that closes behind more than the buffers hold | notices it when that is read, or at the deadline | - | nothing that anybody waits for
/// What TCP tells of its end comes behind what it has sent, and that stays with it while nobody reads.
#[tokio::test]
async fn a_client_that_closes_behind_more_than_the_buffers_hold_ends_with_its_deadline() {
    let host = guests("first-byte-timeout = \"10s\"\nmax-body = \"1GiB\"").serve().await;
    let mut raw = Raw::connect(&host.address).await;
    let head =
        "POST /greedy/hold-body HTTP/1.1\r\nhost: localhost\r\ncontent-length: 900000000\r\n\r\n";
    raw.send(head).await.unwrap();
    // Until nothing more fits anywhere.
    let more = vec![b'x'; 256 * 1024];
    let sent = async |raw: &mut Raw| {
        tokio::time::timeout(Duration::from_millis(300), raw.send(&more)).await
    };
    while let Ok(sent) = sent(&mut raw).await {
        sent.expect("a connection that is not given up before its deadline");
    }
    assert_eq!(host.service("greedy").await["in_flight"], 1);
    drop(raw);
    let left = std::time::Instant::now();
    nothing_in_flight(&host, "greedy").await;
    // Nothing else would have ended it within minutes.
    assert!(left.elapsed() < Duration::from_secs(25), "it took {:?}", left.elapsed());
    neighbour_is_well(&host).await;
}

// Fault (Clients): a half-closed connection | answers whole, or takes it for a departure | its whole answer, or a close | nothing, or the request
#[tokio::test]
async fn a_half_closed_client_is_served_whole_or_given_up() {
    let host = patient_guests("").serve().await;
    // Who is answered at once, is. A busy machine may take longer than the grace, and then there is nothing.
    eventually("a whole answer", async || {
        let mut raw = Raw::connect(&host.address).await;
        raw.send(request("GET", "/greedy/", "")).await.unwrap();
        raw.half_close().await;
        let text = raw.end().await.text();
        assert!(text.is_empty() || text.ends_with("fine\n"), "half: {text}");
        (!text.is_empty()).then_some(())
    })
    .await;
    // Who would wait for long is given up, and gets no beginning of an answer.
    let mut raw = Raw::connect(&host.address).await;
    raw.send(request("GET", "/greedy/slow?3600000", "")).await.unwrap();
    raw.half_close().await;
    let text = raw.end().await.text();
    assert!(text.is_empty(), "{text}");
    // So is who has read half of it; he is still there, and does not take it for whole.
    let mut raw = Raw::connect(&host.address).await;
    raw.send(request("GET", "/greedy/endless", "")).await.unwrap();
    raw.read_until("...").await;
    raw.half_close().await;
    let ended = raw.end_after(64 * 1024, Duration::from_millis(5)).await;
    assert!(!ended.bytes.ends_with(b"\r\n0\r\n\r\n"), "it looks whole");
    nothing_in_flight(&host, "greedy").await;
}

// Fault (Clients): pipelined requests | answers one after the other | all answers in order | nothing
#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let host = guests("").serve().await;
    let mut raw = Raw::connect(&host.address).await;
    let mut all = Vec::new();
    for (path, body) in [("slow?150", ""), ("mirror", "two"), ("slow?1", ""), ("mirror", "four")] {
        let length = body.len();
        let request = format!(
            "POST /greedy/{path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        all.extend_from_slice(request.as_bytes());
    }
    all.extend_from_slice(&request("GET", "/good/", ""));
    raw.send(all).await.unwrap();
    let ended = raw.end().await;
    assert_eq!(ended.statuses(), [200; 5], "{}", ended.text());
    let text = ended.text();
    let places: Vec<_> = ["slow", "two", "slow", "four", "Hello"]
        .iter()
        .scan(0, |from, word| {
            *from += text[*from..].find(word)? + word.len();
            Some(*from)
        })
        .collect();
    assert_eq!(places.len(), 5, "{text}");
}

// Fault (Clients): a hundred requests that nobody waits for | frees their places | - | nothing
#[tokio::test]
async fn a_hundred_requests_that_nobody_waits_for_hold_nobody_up() {
    let host = patient_guests("concurrent = 4").serve().await;
    let mut waiting = Vec::new();
    for _ in 0..100 {
        let mut raw = Raw::connect(&host.address).await;
        raw.send(request("GET", "/greedy/slow?3600000", "")).await.unwrap();
        waiting.push(raw);
    }
    let greedy = async |in_flight: u64, queued: u64| {
        eventually("as many requests", async || {
            let greedy = host.service("greedy").await;
            (greedy["in_flight"] == in_flight && greedy["queued"] == queued).then_some(())
        })
        .await;
    };
    greedy(4, 96).await;
    for raw in waiting {
        raw.reset();
    }
    // Neither the guest nor a bound ends them within minutes.
    greedy(0, 0).await;
    let reply = client::send(&host.address, "GET", "/greedy/", &[], "").await;
    assert_eq!(reply.status, 200);
}
