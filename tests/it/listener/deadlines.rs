//! Whatever a client may keep the host waiting for has an end.

use std::time::{Duration, Instant};

use wasm_host_tests::client;

use super::*;

#[tokio::test]
async fn a_head_that_does_not_end_is_given_up() {
    let host = app("header-timeout = \"300ms\"").serve().await;
    for begin in ["", "G", "GET /count HTTP/1.1\r\nhost: localhost\r\nx-slow:"] {
        assert_eq!(Raw::open(&host, begin).await.rest().await, "", "{begin:?}");
    }
    // However often a byte of it comes.
    let mut slow = Raw::open(&host, "GET /count HTTP/1.1\r\nhost: localhost\r\nx: ").await;
    let dripping = async {
        loop {
            if slow.0.write_all(b"a").await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within("the end of a head that drips", dripping).await;
}

#[tokio::test]
async fn a_head_that_drips_behind_a_request_is_given_up() {
    let host = app("header-timeout = \"300ms\"\nkeep-alive = \"1h\"").serve().await;
    let mut raw = Raw::open(&host, get("/count")).await;
    raw.until("\r\n\r\n").await;
    raw.send("GET /cou").await;
    raw.rest().await;
}

#[tokio::test]
async fn a_quiet_connection_is_closed_and_one_that_is_used_is_not() {
    let host = app("keep-alive = \"3s\"").serve().await;
    let mut quiet = Raw::open(&host, get("/print")).await;
    let mut used = client::KeepAlive::connect(&host.address).await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(4500) {
        assert_eq!(used.get("/count").await.unwrap().0, 200);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // A request may take longer than a connection may be quiet.
    let slow = used.get("/pieces/slow?pieces=2&ms=2000").await.unwrap();
    assert!(slow.1.ends_with(b"end one\n"), "{slow:?}");
    assert_eq!(status(&quiet.rest().await), 204);
}

#[tokio::test]
async fn a_body_that_stops_is_408_and_one_that_is_slow_is_not() {
    let host = app("body-idle = \"3s\"").serve().await;
    let head = "POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n";
    let mut stopped = Raw::open(&host, format!("{head}abc")).await;
    let mut slow = Raw::open(&host, head).await;
    for _ in 0..10 {
        slow.send("a").await;
        tokio::time::sleep(Duration::from_millis(450)).await;
    }
    let stopped = stopped.rest().await;
    assert_eq!(status(&stopped), 408, "{stopped}");
    assert!(stopped.contains("connection: close") && stopped.contains("problem+json"), "{stopped}");
    assert!(slow.until("aaaaaaaaaa").await.contains("200 OK"));
    in_flight(&host, "guest", 0).await;
}

/// Ask for more than all buffers hold.
const FLOOD: &str = "/pieces/slow?pieces=100000&bytes=60000";

#[tokio::test]
async fn a_client_that_does_not_read_keeps_its_place_for_so_long_only() {
    let host = app("write-idle = \"1s\"").serve().await;
    let _deaf = Raw::open(&host, get(FLOOD)).await;
    eventually("its end", async || (host.service("pieces").await["cancelled"] == 1).then_some(()))
        .await;
    in_flight(&host, "pieces", 0).await;
    let (_, log) = host.stop().await;
    assert!(log.contains("clients that were cut off: 1 did not read"), "{log}");
}

#[tokio::test]
async fn a_client_that_reads_slowly_is_served() {
    let host = app("write-idle = \"3s\"").serve().await;
    let mut slow = Raw::open(&host, get(FLOOD)).await;
    let mut bytes = vec![0; 2_000_000];
    for _ in 0..20 {
        within("more", slow.0.read_exact(&mut bytes)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(host.service("pieces").await["in_flight"], 1);
}

// Fault (The machine): connections over the bound while others are idle | closes the one that is idle longest | its answer | nothing
#[tokio::test]
async fn a_connection_that_is_idle_makes_room_for_a_new_one() {
    let host = app("connections = 2").serve().await;
    let mut idle = Vec::new();
    for _ in 0..5 {
        let mut raw = Raw::open(&host, get("/print")).await;
        raw.until("\r\n\r\n").await;
        idle.push(raw);
    }
    // The oldest ones made room, by an end and not by a reset.
    assert_eq!(idle[0].rest().await, "");
}

// Fault (The machine): connections over the bound, and others become idle while a newcomer waits | closes the first that is idle | its answer | nothing
#[tokio::test]
async fn a_connection_that_becomes_idle_makes_room_for_one_that_waits() {
    let host = app("connections = 2\nkeep-alive = \"10m\"").serve().await;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut raw = Raw::open(&host, get("/pieces/slow?pieces=2&ms=1000")).await;
        raw.until("begin one").await;
        busy.push(raw);
    }
    let mut newcomer = Raw::open(&host, get("/print")).await;
    assert_eq!(status(&newcomer.until("\r\n\r\n").await), 204);
}

// Fault (The machine): a client with too many connections | closes what is too many | a close | nothing
#[tokio::test]
async fn a_client_has_so_many_connections() {
    let host = app("connections-per-client = 2").serve().await;
    let [first, _second] =
        [Raw::open(&host, get("/silent")).await, Raw::open(&host, get("/silent")).await];
    in_flight(&host, "guest", 2).await;
    let mut third = Raw::connect(&host.address).await;
    let mut bytes = Vec::new();
    // Refused without a look at what it sends.
    let refused = within("an end", third.0.read_to_end(&mut bytes)).await;
    assert!(matches!(refused, Ok(0) | Err(_)), "{refused:?} {bytes:?}");
    drop(third);
    drop(first);
    eventually("a place for another", async || {
        let mut raw = Raw::open(&host, get("/count")).await;
        let mut bytes = Vec::new();
        (raw.0.read_buf(&mut bytes).await.ok()? > 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_client_that_sends_on_behind_a_refusal_holds_no_thread_and_is_given_up() {
    let app = App::new(
        "name = \"flood\"\n[limits]\nthreads = 1\n[service.hello]\ncomponent = \"$(hello-p3)\"\n",
    );
    let host = app.serve().await;
    let mut flood = std::net::TcpStream::connect(&host.address).unwrap();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (ended, has_ended) = tokio::sync::oneshot::channel();
    // As fast as the machine can, from a thread of its own.
    std::thread::spawn(move || {
        use std::io::Write as _;
        let bytes = vec![b'x'; 1024 * 1024];
        let mut sent = flood.write_all(b"this is no head\r\n\r\n");
        sent = sent.and_then(|()| flood.write_all(&bytes)).and_then(|()| flood.write_all(&bytes));
        let _ = begun.send(());
        while sent.is_ok() && !ended.is_closed() {
            sent = flood.write_all(&bytes);
        }
        let _ = ended.send(sent.is_err());
    });
    has_begun.await.unwrap();
    assert_eq!(host.get("/hello/").await.status, 200);
    assert!(within("the end of the connection", has_ended).await.unwrap());
}
