//! Figures that tell of trouble before it is one: pools, answers that are cut off, breakers, swaps.

use wasm_host_tests::host::{App, Host, component};
use wasm_host_tests::models::{self, CHAT};
use wasm_host_tests::postgres::Postgres;
use wasm_host_tests::prometheus::complaints;
use wasm_host_tests::upstream::Upstream;
use wasm_host_tests::{client, databases, eventually};

use super::TWO;

/// Wait until all of these lines are among the figures.
async fn says(host: &Host, lines: &[&str]) {
    let mut last = String::new();
    let all_there = async || {
        last = host.ask("GET", "/metrics", &[], "").await.text().to_owned();
        lines.iter().all(|wanted| last.lines().any(|line| line == *wanted)).then_some(())
    };
    eventually(&format!("{lines:?}"), all_there).await;
    assert_eq!(complaints(&last), "");
}

#[tokio::test]
async fn a_pool_of_connections_says_how_many_are_used_and_idle_and_who_waits() {
    let postgres = Postgres::start();
    let app = databases::querier(&postgres.url(), "pool = 1\nacquire-timeout = \"1m\"");
    let host = app.serve().await;
    assert_eq!(host.send("POST", "/", "select 1").await.status, 200);
    let gauge = |name: &str, value: u8| {
        format!("wasm_host_backend_{name}{{backend=\"postgres.any\"}} {value}.0")
    };
    let pool = async |calls, idle, waiting| {
        let lines = [
            gauge("calls", calls),
            gauge("idle", idle),
            gauge("waiting", waiting),
            gauge("most", 1),
        ];
        says(&host, &lines.each_ref().map(String::as_str)).await;
    };
    pool(0, 1, 0).await;
    let endless = "select repeat('.', 1000), pg_sleep(0.01) from generate_series(1, 1000000)";
    let mut rows = client::open(&host.address, "POST", "/", &[], endless).await;
    assert!(rows.next().await.unwrap().is_some());
    pool(1, 0, 0).await;
    let next = host.send("POST", "/", "select 2");
    let seen = async {
        pool(1, 0, 1).await;
        drop(rows);
    };
    let (next, ()) = tokio::join!(next, seen);
    assert_eq!((next.status.as_u16(), next.text()), (200, "2\n"));
    pool(0, 1, 0).await;
}

#[tokio::test]
async fn a_model_server_says_how_many_calls_it_has_and_how_many_wait_in_line() {
    let upstream = Upstream::start(|_| models::one_word()).await;
    let host = models::app(&upstream.url, "concurrent = 1\nqueue-timeout = \"1m\"").serve().await;
    let mut first = client::open(&host.address, "POST", "/api/chat", &[], CHAT).await;
    assert!(first.next().await.unwrap().is_some());
    let line = |name: &str, value: u8| {
        format!("wasm_host_backend_{name}{{backend=\"ollama.local\"}} {value}.0")
    };
    let all = [line("calls", 1), line("waiting", 0), line("most", 1)];
    says(&host, &all.each_ref().map(String::as_str)).await;
    let mut second = Box::pin(client::open(&host.address, "POST", "/api/chat", &[], CHAT));
    let waits = [line("calls", 1), line("waiting", 1)];
    let waits = waits.each_ref().map(String::as_str);
    tokio::select! {
        _ = &mut second => panic!("there is room for one"),
        () = says(&host, &waits) => {}
    }
    drop(first);
    let mut second = second.await;
    assert!(second.next().await.unwrap().is_some());
    says(&host, &[&*line("calls", 1), &*line("waiting", 0)]).await;
    // What its connections do is the business of its client.
    let metrics = host.ask("GET", "/metrics", &[], "").await;
    assert!(!metrics.text().contains("wasm_host_backend_idle{backend=\"ollama.local\"}"));
}

#[tokio::test]
async fn answers_that_are_cut_off_are_told_from_those_that_never_began() {
    let host = App::new(TWO).serve().await;
    assert_eq!(host.get("/inner/print").await.status, 204);
    assert_eq!(host.get("/inner/trap").await.status, 502);
    for path in ["/inner/trap-in-body", "/inner/fail-in-body"] {
        let mut cut = client::open(&host.address, "GET", path, &[], "").await;
        assert_eq!(cut.status, 200);
        assert!(cut.rest().await.is_err(), "{path}");
    }
    let mut left = client::open(&host.address, "GET", "/inner/drip", &[], "").await;
    assert!(left.next().await.unwrap().is_some());
    drop(left);
    let ended = [("served", 1), ("failed", 1), ("cut", 2), ("refused", 0), ("left", 1)];
    let lines = ended.map(|(how, count)| {
        format!("wasm_host_requests_ended_total{{service=\"inner\",how=\"{how}\"}} {count}.0")
    });
    says(&host, &lines.each_ref().map(String::as_str)).await;
    // Commands count all of those that have no whole answer as failed.
    let service = host.service("inner").await;
    assert_eq!((&service["failed"], &service["cut"]), (&3.into(), &2.into()), "{service}");
}

#[tokio::test]
async fn a_breaker_says_that_it_is_open_and_how_often_it_was() {
    // Nothing listens there.
    let keys = "breaker-failures = 1\nbreaker-wait = \"5m\"\nbreaker-wait-max = \"5m\"";
    let host = databases::querier("postgres://app@127.0.0.1:1/app", keys).serve().await;
    let state = |name: &str, value: u8| {
        format!("wasm_host_breaker_{name}{{backend=\"postgres.any\"}} {value}.0")
    };
    says(&host, &[&*state("open", 0), &*state("openings_total", 0)]).await;
    assert_eq!(host.send("POST", "/", "select 1").await.status, 503);
    says(&host, &[&*state("open", 1), &*state("openings_total", 1)]).await;
}

#[tokio::test]
async fn swaps_are_counted_by_their_verdict() {
    let host =
        App::new("name = \"seen\"\n[service.app]\ncomponent = \"$(version-one)\"\nroute = \"/\"\n")
            .serve()
            .await;
    let swap = async |query: &str, name: &str| {
        let version = std::fs::read(component(&format!("version-{name}"))).unwrap();
        let outcome = host.swap("app", query, version).await.json();
        outcome["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!(swap("", "two").await, "activated");
    assert_eq!(swap("", "unstartable").await, "rejected");
    assert_eq!(swap("canary=50&for=5m", "one").await, "canary");
    let counted = |verdict: &str, count: u8| {
        format!("wasm_host_swaps_total{{service=\"app\",verdict=\"{verdict}\"}} {count}.0")
    };
    let lines = ["activated", "rejected", "canary"].map(|verdict| counted(verdict, 1));
    says(&host, &lines.each_ref().map(String::as_str)).await;
}
