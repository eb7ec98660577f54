//! Promise 5: a component that traps, loops or eats memory costs at most its own requests.
//! And promise 6: busy is never 500.

mod computing;
mod guests;
mod holding;
mod memory;
mod tables;
mod warm;

use std::time::{Duration, Instant};

use wasm_host_tests::host::App;
use wasm_host_tests::{client, eventually};

const SERVICES: &str = r#"
name = "isolation"

[service.bad]
component = "$(hostile)"
memory = "32MiB"

[service.good]
component = "$(hello-p3)"
"#;

// Fault (Guests): a trap | ends the instance | 502 | the request
#[tokio::test]
async fn a_trap_costs_its_own_request_only() {
    let host = App::new(SERVICES).serve().await;
    let reply = host.get("/bad/trap").await;
    assert_eq!(reply.status, 502);
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert!(!reply.text().contains("wasm"), "insides of the guest: {}", reply.text());
    assert_eq!(host.send("POST", "/bad/echo", "x").await.text(), "x");
    assert_eq!(host.get("/good/").await.status, 200);
}

#[tokio::test]
async fn memory_is_bounded() {
    let host = App::new(SERVICES).serve().await;
    assert_eq!(host.get("/bad/grow").await.status, 502);
    assert_eq!(host.get("/good/").await.status, 200);
}

// Fault (Guests): a loop | ends it at the deadline | 504 | the request
#[tokio::test]
async fn loops_cost_their_own_deadline_and_nobodys_thread() {
    // Long enough that a neighbour on a busy machine is served well before the loops end.
    let patient = SERVICES.replace(
        "memory = \"32MiB\"",
        "memory = \"32MiB\"\nfirst-byte-timeout = \"15s\"\ncpu-timeout = \"1m\"",
    );
    let host = App::new(&patient).serve().await;
    // More loops than the machine has processors.
    let address = host.address.clone();
    let loops: Vec<_> = (0..8)
        .map(|_| {
            let address = address.clone();
            tokio::spawn(async move { client::send(&address, "GET", "/bad/loop", &[], "").await })
        })
        .collect();
    eventually("the loops", async || (host.service("bad").await["in_flight"] == 8).then_some(()))
        .await;
    assert_eq!(host.get("/good/").await.status, 200);
    assert!(!loops.iter().any(|request| request.is_finished()), "the neighbour waited for a loop");
    for request in loops {
        assert_eq!(request.await.unwrap().status, 504);
    }
    assert_eq!(host.send("POST", "/bad/echo", "x").await.text(), "x");
}

// Fault (Guests): a trap or an error in the body | breaks the body off | a body that is not whole | the request
#[tokio::test]
async fn a_body_whose_component_traps_ends_as_an_error() {
    let host = App::new(SERVICES).serve().await;
    for path in ["/bad/trap-in-body", "/bad/fail-in-body"] {
        let mut response = client::open(&host.address, "GET", path, &[], "").await;
        assert_eq!(response.status, 200);
        assert_eq!(response.rest().await, Err(b"half of it".to_vec()), "{path}");
    }
}

#[tokio::test]
async fn what_does_not_fit_waits_and_is_then_told_to_come_back() {
    let app = App::new(
        r#"
name = "busy"

[service.slow]
component = "$(hostile)"
route = "/"
concurrent = 2
queue = 1
queue-timeout = "300ms"
"#,
    );
    let host = app.serve().await;
    // Two streams hold both places for as long as their bodies last.
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = client::open(&host.address, "GET", "/drip", &[], "").await;
        assert!(stream.next().await.unwrap().is_some());
        streams.push(stream);
    }
    let started = Instant::now();
    let reply = host.send("POST", "/echo", "x").await;
    assert_eq!(reply.status, 503);
    assert_eq!(reply.header("retry-after"), "1");
    assert!(started.elapsed() >= Duration::from_millis(300), "it did not wait");
    drop(streams);
    let reply = wasm_host_tests::eventually("a free place", async || {
        let reply = host.send("POST", "/echo", "x").await;
        (reply.status != 503).then_some(reply)
    })
    .await;
    assert_eq!(reply.text(), "x");
}

#[tokio::test]
async fn a_body_over_the_bound_is_refused() {
    let app = App::new(
        r#"
name = "bodies"

[service.guest]
component = "$(hostile)"
route = "/"
max-body = "1KiB"
"#,
    );
    let host = app.serve().await;
    assert_eq!(host.send("POST", "/echo", &"x".repeat(1024)).await.status, 200);
    let reply = host.send("POST", "/echo", &"x".repeat(1025)).await;
    assert_eq!(reply.status, 413);
    assert_eq!(reply.header("content-type"), "application/problem+json");
    // Without a length, it shows only while the guest reads. What it makes of that is not what the client is told.
    let reply =
        client::send_chunked(&host.address, "/echo", &[&"x".repeat(1000), &"x".repeat(1000)]).await;
    assert_eq!(reply.status, 413, "{}", reply.text());
}

#[tokio::test]
async fn an_instance_serves_as_many_requests_as_the_file_says() {
    let app = App::new(
        r#"
name = "reuse"

[service.guest]
component = "$(hostile)"
route = "/"
instances = 1
reuse = 2
idle = "10m"
"#,
    );
    let host = app.serve().await;
    let mut counts = Vec::new();
    for _ in 0..5 {
        counts.push(host.get("/count").await.text().to_string());
    }
    assert_eq!(counts, ["1", "2", "1", "2", "1"]);
}

#[tokio::test]
async fn an_instance_that_trapped_serves_nobody_else() {
    let app = App::new(
        r#"
name = "poisoned"

[service.guest]
component = "$(hostile)"
route = "/"
instances = 1
idle = "10m"
"#,
    );
    let host = app.serve().await;
    assert_eq!(host.get("/count").await.text(), "1");
    assert_eq!(host.get("/count").await.text(), "2");
    assert_eq!(host.get("/trap").await.status, 502);
    assert_eq!(host.get("/count").await.text(), "1");
}

#[tokio::test]
async fn all_services_together_take_so_many_requests() {
    let app = App::new(
        r#"
name = "busy"

[limits]
concurrent = 1
queue = 0

[service.one]
component = "$(hostile)"
services = ["other"]

[service.other]
component = "$(hostile)"
"#,
    );
    let host = app.serve().await;
    // A call inside the host is part of the request that makes it, and does not wait for its end.
    assert_eq!(host.get("/one/call?other/count").await.text(), "1");
    let mut stream = client::open(&host.address, "GET", "/one/drip", &[], "").await;
    assert!(stream.next().await.unwrap().is_some());
    let reply = host.get("/other/count").await;
    assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, "1"));
    drop(stream);
    wasm_host_tests::eventually("a free place", async || {
        (host.get("/other/count").await.status == 200).then_some(())
    })
    .await;
}
