//! What clients see of a Postgres that is away, restarts, kills, is full or slow: 503 or a body that
//! ends as an error, never a wrong answer, and the next request after it is back is served.

mod limits;
mod readiness;

use std::time::Duration;

use wasm_host_tests::client::{self, Streaming};
use wasm_host_tests::eventually;
use wasm_host_tests::host::{App, Host};
use wasm_host_tests::postgres::Postgres;

/// A service that runs the statements it is sent. `keys` are further ones of the database.
async fn querier(postgres: &Postgres, keys: &str) -> Host {
    App::new(&format!(
        r#"
name = "faults"

[postgres.main]
url = "${{DB_URL}}"
{keys}

[service.querier]
component = "$(querier)"
route = "/"
postgres = "main"
"#
    ))
    .env("DB_URL", &postgres.url())
    .serve()
    .await
}

async fn begin(host: &Host, statement: &str) -> Streaming {
    client::open(&host.address, "POST", "/", &[], statement).await
}

/// Rows without end, some of which have arrived.
async fn rows(host: &Host) -> Streaming {
    // The server makes all numbers first, and sends rows by eight KiB.
    let endless = "select g::text || repeat('.', 200), pg_sleep(0.01) \
                   from generate_series(1, 100000) g";
    let mut rows = begin(host, endless).await;
    assert_eq!(rows.status, 200);
    assert!(rows.next().await.unwrap().is_some());
    rows
}

async fn is_served(host: &Host) {
    let reply = host.send("POST", "/", "select 'fine'").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, "fine\n"));
}

async fn comes_back(host: &Host) {
    eventually("the database to be used again", async || {
        (host.send("POST", "/", "select 'fine'").await.status == 200).then_some(())
    })
    .await;
}

async fn is_unavailable(host: &Host) {
    let reply = host.send("POST", "/", "select 'fine'").await;
    assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, "1"));
    assert!(reply.text().contains("Unavailable"), "{}", reply.text());
}

/// The line that a database is away names the request that found out, by service, id and trace.
async fn is_told_in_its_trace(host: &Host) {
    is_unavailable(host).await;
    let line = eventually("the line", async || {
        let path = "/api/logs?service=querier&search=cannot+connect";
        let lines = host.ask("GET", path, &[], "").await.json();
        lines["items"].as_array()?.first().cloned()
    });
    let line = line.await;
    let trace = line["trace"].as_str().expect("a trace");
    assert!(trace.ends_with(line["request"].as_str().expect("a request")), "{line}");
}

#[tokio::test]
async fn a_database_that_is_away_at_the_start_is_503_until_it_is_there() {
    let mut postgres = Postgres::start();
    postgres.stop();
    let host = querier(&postgres, "").await;
    is_told_in_its_trace(&host).await;
    is_unavailable(&host).await;
    postgres.resume();
    comes_back(&host).await;
}

#[tokio::test]
async fn rows_that_a_restart_cuts_off_end_as_an_error() {
    let mut postgres = Postgres::start();
    let host = querier(&postgres, "").await;
    let mut cut = rows(&host).await;
    postgres.stop();
    cut.rest().await.expect_err("the rows are not whole");
    is_unavailable(&host).await;
    postgres.resume();
    comes_back(&host).await;
}

#[tokio::test]
async fn rows_whose_backend_is_killed_end_as_an_error() {
    let postgres = Postgres::start();
    let host = querier(&postgres, "").await;
    let mut cut = rows(&host).await;
    let killed = postgres.sql(
        "select count(*) from (select pg_terminate_backend(pid) from pg_stat_activity \
         where query like '%generate_series%' and pid <> pg_backend_pid()) k",
    );
    assert_eq!(killed, "1");
    cut.rest().await.expect_err("the rows are not whole");
    is_served(&host).await;
}

#[tokio::test]
async fn a_restart_between_requests_is_not_seen() {
    let mut postgres = Postgres::start();
    let host = querier(&postgres, "").await;
    is_served(&host).await;
    postgres.stop();
    postgres.resume();
    // The pool's connections died with the old server, and nothing was sent over them since.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    is_served(&host).await;
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for_by_every_request() {
    // It accepts and is silent, which costs each attempt the whole time to connect.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let host = App::new(
        r#"
name = "faults"

[postgres.main]
url = "${DB_URL}"
breaker-failures = 1
breaker-wait = "1m"
breaker-wait-max = "1m"

[service.querier]
component = "$(querier)"
route = "/"
postgres = "main"
"#,
    )
    .env("DB_URL", &format!("postgres://app@127.0.0.1:{port}/app"))
    .serve()
    .await;
    is_unavailable(&host).await;
    for _ in 0..20 {
        is_unavailable(&host).await;
    }
    let reply = host.send("POST", "/", "select 'fine'").await;
    assert!(reply.text().contains("is tried again soon"), "{}", reply.text());
    // One attempt for a request, and one look when the host started.
    silent.set_nonblocking(true).unwrap();
    let attempts = std::iter::from_fn(|| silent.accept().ok()).count();
    assert_eq!(attempts, 2);
    let ready = client::send(&host.admin, "GET", "/ready", &[], "").await;
    let told = "the database main does not answer; calls fail at once until it does";
    assert!(ready.text().contains(told), "{}", ready.text());
    host.logs("could not be reached").await;
    let log = host.log();
    assert_eq!(log.matches("could not be reached").count(), 1, "{log}");
}
