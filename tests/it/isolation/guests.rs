//! Promise 5 in its details: guests that use up stack, memory, handles, processor and log, or answer with what
//! is no answer.

use std::time::Duration;

use wasm_host_tests::guests::{guests, neighbour_is_well, nothing_in_flight};
use wasm_host_tests::hostile::{Raw, request};
use wasm_host_tests::{PATIENCE, client, eventually};

// Fault (Guests): recursion without end | ends the instance | 502 | the request
#[tokio::test]
async fn a_recursion_without_end_costs_its_own_request() {
    let host = guests("").serve().await;
    for _ in 0..3 {
        assert_eq!(host.get("/greedy/recurse").await.status, 502);
        neighbour_is_well(&host).await;
    }
    assert_eq!(host.get("/greedy/").await.status, 200);
}

// Fault (Guests): a leak over many requests | ends the instance at its bound | 502 once per instance | the requests in it
#[tokio::test]
async fn a_leak_ends_the_instance_that_leaks_and_nobody_else() {
    // Never replaced for its age: only the bound on its memory can end it.
    let host =
        guests("memory = \"32MiB\"\nreuse = 1000000\nidle = \"1h\"\ninstances = 1").serve().await;
    let mut refused = 0;
    for _ in 0..100 {
        let status = host.get("/greedy/leak?1024").await.status.as_u16();
        assert!(matches!(status, 200 | 502), "{status}");
        refused += u32::from(status == 502);
    }
    // 100 MiB in instances of 32: three of them at least came to their end.
    assert!((2..20).contains(&refused), "{refused} of 100 requests failed");
    neighbour_is_well(&host).await;
}

// Fault (Guests): handles without end | ends the instance | 502 | the request
#[tokio::test]
async fn handles_are_bounded() {
    let host = guests("").serve().await;
    assert_eq!(host.get("/greedy/handles?1000").await.status, 200);
    assert_eq!(host.get("/greedy/handles").await.status, 502);
    // Those that the engine makes by itself: two for each stream.
    assert_eq!(host.get("/greedy/streams?1000").await.status, 200);
    assert_eq!(host.get("/greedy/streams?8000").await.status, 502);
    assert_eq!(host.get("/greedy/").await.status, 200);
    neighbour_is_well(&host).await;
}

// Fault (Guests): a call with millions of entries | refuses to copy more than 128 MiB, ends the instance | 502 | the request
#[tokio::test]
async fn what_is_handed_over_in_one_call_is_bounded() {
    let host = guests("memory = \"512MiB\"").serve().await;
    let reply = host.get("/greedy/hand-over?1000000").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, "Err(HeaderError::InvalidSyntax)\n"));
    // 48 bytes each in the host's memory: more than its 128 MiB, and less than the guest's own memory.
    assert_eq!(host.get("/greedy/hand-over?3000000").await.status, 502);
    host.logs("fuel").await;
    assert_eq!(host.get("/greedy/").await.status, 200);
    neighbour_is_well(&host).await;
}

// Fault (Guests): a write of a megabyte in one piece | takes it in pieces of 64 KiB | its body | nothing
#[tokio::test]
async fn a_body_is_taken_in_small_pieces_however_it_is_written() {
    let host = guests("").serve().await;
    let mut raw = Raw::connect(&host.address).await;
    raw.send(request("GET", "/greedy/at-once?1024", "")).await.unwrap();
    let text = raw.end().await.text();
    let (_, mut rest) = text.split_once("\r\n\r\n").unwrap();
    let mut pieces = Vec::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        pieces.push(size);
        rest = &after[size + "\r\n".len()..];
    }
    assert_eq!(pieces.iter().sum::<usize>(), 1024 * 1024);
    assert!(pieces.iter().all(|&size| size <= 64 * 1024), "{pieces:?}");
}

// Fault (Guests): a flood of log lines | writes up to a bound, says how much it left out | its answer | log lines over the bound
#[tokio::test]
async fn a_flood_of_log_lines_is_bounded() {
    let host = guests("first-byte-timeout = \"30s\"").serve().await;
    host.get("/greedy/flood?16").await;
    neighbour_is_well(&host).await;
    let written = host.log().len() / 1024;
    assert!(written < 8 * 1024, "one request wrote {written} KiB of log");
}

// Fault (Guests): a log line without end | cuts it | its answer | the rest of the line
#[tokio::test]
async fn a_log_line_without_end_is_bounded() {
    let host = guests("first-byte-timeout = \"30s\"").serve().await;
    neighbour_is_well(&host).await;
    let before = host.resident_kib();
    host.get("/greedy/one-line?16").await;
    let log = host.log();
    let longest = log.lines().map(str::len).max().unwrap_or_default();
    assert!(longest < 64 * 1024, "a line of {longest} bytes");
    let grown = host.resident_kib().saturating_sub(before) / 1024;
    assert!(grown < 256, "it cost {grown} MiB");
    neighbour_is_well(&host).await;
}

// Fault (Guests): a loop behind an answer | ends it | its answer | nothing
#[tokio::test]
async fn a_loop_behind_an_answer_takes_nothing_from_the_next() {
    let host = guests("").serve().await;
    for _ in 0..4 {
        assert_eq!(host.get("/greedy/spin-behind").await.text(), "answered\n");
    }
    // Where guests compute that take long.
    eventually("the loops", async || (host.processor_time("compute") > 0).then_some(())).await;
    for _ in 0..5 {
        neighbour_is_well(&host).await;
        let reply = host.get("/greedy/").await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    eventually("the loops to be ended", async || {
        (host.service("greedy").await["instances"].as_u64() <= Some(1)).then_some(())
    })
    .await;
}

// Fault (Guests): work that is forgotten | ends it after a while | its answer | the work
#[tokio::test]
async fn work_that_is_forgotten_ends_without_its_client() {
    let host = guests("").serve().await;
    assert_eq!(host.get("/greedy/forget").await.text(), "answered\n");
    neighbour_is_well(&host).await;
    // It waits for an hour; nobody waits for it.
    eventually("the instance's end", async || {
        (host.service("greedy").await["instances"] == 0).then_some(())
    })
    .await;
}

// Fault (Guests): a trap behind an answer | replaces the instance | its answer | nothing
#[tokio::test]
async fn a_trap_behind_an_answer_takes_no_other_answer_with_it() {
    let host = guests("per-instance = 1").serve().await;
    for _ in 0..5 {
        let reply = host.get("/greedy/trap-behind").await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, "answered\n"));
        eventually("the trap", async || {
            (host.service("greedy").await["instances"] == 0).then_some(())
        })
        .await;
        assert_eq!(host.get("/greedy/").await.status, 200);
    }
}

// Fault (Guests): an exit instead of an answer | ends the instance | 502 | the request
#[tokio::test]
async fn an_exit_instead_of_an_answer_is_502() {
    let host = guests("").serve().await;
    let reply = host.get("/greedy/exit").await;
    assert_eq!(reply.status, 502);
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert_eq!(host.get("/greedy/").await.status, 200);
}

// Fault (Guests): a body shorter than it says | closes the connection | a body that is not whole | the request
#[tokio::test]
async fn a_body_shorter_than_it_says_is_never_taken_for_whole() {
    let host = guests("").serve().await;
    let mut raw = Raw::connect(&host.address).await;
    raw.send(request("GET", "/greedy/short-body", "")).await.unwrap();
    let text = raw.end().await.text();
    // Closed without an answer, an error, or a head that promises more than came.
    let said = text.to_ascii_lowercase().contains("content-length: 100");
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 502") || said, "whole: {text}");
    neighbour_is_well(&host).await;
}

// Fault (Guests): a body longer than it says | cuts it off | what was said, or a close | the rest
#[tokio::test]
async fn a_body_longer_than_it_says_is_no_second_answer() {
    let host = guests("").serve().await;
    let mut raw = Raw::connect(&host.address).await;
    raw.send("GET /greedy/long-body HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let _ = raw.send(request("GET", "/good/", "")).await;
    let ended = raw.end().await;
    let text = ended.text();
    assert!(!text.contains("far"), "more than was said: {text}");
    // The second answer, if the connection lived on, is the second request's.
    if let [_, second] = ended.statuses()[..] {
        assert_eq!(second, 200);
        assert!(text.ends_with("Hello from 0.3 at /\n"), "{text}");
    }
    neighbour_is_well(&host).await;
}

// Fault (Guests): headers that are the host's own, or two in one | refuses to set them | the answer without | nothing
#[tokio::test]
async fn a_guest_cannot_write_headers_that_are_not_its_own() {
    let host = guests("").serve().await;
    for path in ["header-with-line-end", "connection-header"] {
        let reply = host.get(&format!("/greedy/{path}")).await;
        assert!(reply.headers.get("x-evil").is_none(), "{:?}", reply.headers);
        assert!(reply.headers.get("x-split").is_none(), "{:?}", reply.headers);
        assert!(reply.text().starts_with("refused"), "{}", reply.text());
    }
    assert_eq!(host.get("/greedy/large-header").await.status, 200);
}

// Fault (Guests): a status that is none, or 101 | takes it for no answer | 502 | the request
#[tokio::test]
async fn a_status_that_is_none_is_502() {
    let host = guests("").serve().await;
    for path in ["status-99", "no-answer"] {
        let reply = host.get(&format!("/greedy/{path}")).await;
        assert_eq!(reply.status, 502, "{path}");
    }
    // Not a switch of protocols that nobody asked for.
    let mut raw = Raw::connect(&host.address).await;
    raw.send(request("GET", "/greedy/status-101", "")).await.unwrap();
    let statuses = raw.end().await.statuses();
    assert!(!statuses.contains(&101), "{statuses:?}");
    neighbour_is_well(&host).await;
}

// Fault (Guests): a body without end | goes at the reader's pace | its body | nothing
#[tokio::test]
async fn an_endless_body_goes_at_the_pace_of_its_reader() {
    let host = guests("").serve().await;
    neighbour_is_well(&host).await;
    let before = host.resident_kib();
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(client::open(&host.address, "GET", "/greedy/endless", &[], "").await);
    }
    for _ in 0..200 {
        for stream in &mut streams {
            assert!(stream.next().await.unwrap().is_some());
        }
    }
    let grown = host.resident_kib().saturating_sub(before) / 1024;
    assert!(grown < 200, "four endless bodies cost {grown} MiB");
    drop(streams);
    nothing_in_flight(&host, "greedy").await;
}

// Fault (Guests): a request body that the guest never reads | drops it | its answer | nothing
#[tokio::test]
async fn a_body_that_a_guest_never_reads_disturbs_no_later_request() {
    let host = guests("").serve().await;
    let large = "u".repeat(2 * 1024 * 1024);
    for _ in 0..3 {
        let raw = Raw::connect(&host.address).await;
        let bytes = request("POST", "/greedy/unread", &large);
        let text = raw.exchange(&bytes, 64 * 1024, Duration::ZERO).await.text();
        assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("not read\n"), "{text}");
    }
    nothing_in_flight(&host, "greedy").await;
    neighbour_is_well(&host).await;
}

// Fault (Guests): all of these at once | all of this | 200, 502, 503 or 504 | those requests
#[tokio::test]
async fn every_misbehaviour_at_once_leaves_the_neighbour_alone() {
    let host = guests("first-byte-timeout = \"2s\"\ncpu-timeout = \"100ms\"\nmemory = \"32MiB\"")
        .serve()
        .await;
    let paths = [
        "leak?1024",
        "recurse",
        "handles",
        "flood?1",
        "spin-behind",
        "forget",
        "trap-behind",
        "exit",
        "short-body",
        "long-body",
        "status-99",
        "work?50",
        "unread",
        "slow?1500",
    ];
    let mut asked = tokio::task::JoinSet::new();
    for round in 0..42 {
        let (address, path) = (host.address.clone(), paths[round % paths.len()]);
        asked.spawn(async move {
            let mut raw = Raw::connect(&address).await;
            raw.send(request("GET", &format!("/greedy/{path}"), "")).await.unwrap();
            (path, raw.end().await.statuses())
        });
    }
    for _ in 0..10 {
        neighbour_is_well(&host).await;
    }
    let all = tokio::time::timeout(PATIENCE, asked.join_all()).await.expect("all are answered");
    for (path, statuses) in all {
        // What breaks before its first byte is closed without a status.
        let closed = path == "short-body" && statuses.is_empty();
        let answered = matches!(statuses[..], [200 | 502 | 503 | 504]);
        assert!(closed || answered, "{path}: {statuses:?}");
    }
    neighbour_is_well(&host).await;
}

// Fault (Guests): a call that is synchronous and waits | gives requests to other instances | its neighbours: their answers | nothing
#[tokio::test]
async fn an_instance_that_waits_in_a_synchronous_call_leaves_requests_to_others() {
    let host = guests("").serve().await;
    let address = host.address.clone();
    let sleeping =
        tokio::spawn(
            async move { client::send(&address, "GET", "/greedy/sleep?5000", &[], "").await },
        );
    eventually("the call", async || (host.service("greedy").await["in_flight"] == 1).then_some(()))
        .await;
    // From connections of both threads.
    for _ in 0..4 {
        assert_eq!(host.get("/greedy/").await.text(), "fine\n");
    }
    assert!(!sleeping.is_finished(), "they waited for it");
    assert_eq!(sleeping.await.unwrap().text(), "slept\n");
}
