//! A pgbouncer between the host and Postgres. It may give each transaction another connection to the server, and
//! nothing of that is seen: every answer is a statement's own, no cancel hits a neighbour, nothing is left for others.

mod load;
mod sessions;

use std::time::{Duration, Instant};

use wasm_host_tests::client;
use wasm_host_tests::databases;
use wasm_host_tests::eventually;
use wasm_host_tests::host::Host;
use wasm_host_tests::postgres::Postgres;
use wasm_host_tests::postgres::pooler::Pooler;
use wasm_host_tests::postgres::scripted::{SHORT_ROW, Scripted};
use wasm_host_tests::tls::Authority;

/// What the host says when it finds one.
const FOUND: &str = "a connection pooler answers for a database";

/// A server, a pooler with these settings, and a host that knows the pooler.
struct Bench {
    postgres: Postgres,
    pooler: Pooler,
    host: Host,
}

impl Bench {
    async fn new(settings: &str, keys: &str) -> Self {
        let postgres = Postgres::start();
        let pooler = Pooler::start(&postgres, settings);
        let host = databases::app(&pooler.url(), keys).serve().await;
        Self { postgres, pooler, host }
    }

    /// The status, and the lines of the answer.
    async fn ask(&self, path: &str, sql: &str) -> (u16, String) {
        let reply = self.host.send("POST", path, sql).await;
        (reply.status.as_u16(), reply.text().trim().to_string())
    }

    async fn execute(&self, sql: &str) -> (u16, String) {
        self.ask("/execute", sql).await
    }

    /// The one value that a query gives.
    async fn value(&self, sql: &str) -> String {
        let (status, text) = self.ask("/query", sql).await;
        assert_eq!(status, 200, "{sql}: {text}");
        text.strip_suffix("\nend 1").expect(sql).to_string()
    }

    /// Statements with this mark that the server runs.
    async fn until_running(&self, mark: &str, count: &str) {
        let running = format!(
            "select count(*) from pg_stat_activity where state = 'active' and query like '%{mark}%' \
             and pid <> pg_backend_pid()"
        );
        eventually("the statement on the server", async || {
            (self.postgres.sql(&running) == count).then_some(())
        })
        .await;
    }
}

// Fault (Databases): a pooler that refuses startup parameters | logs in without | its rows | nothing
#[tokio::test]
async fn a_pooler_with_its_default_settings_connects() {
    let bench = Bench::new("", "").await;
    assert_eq!(bench.value("select 1").await, "1");
    bench.host.logs(FOUND).await;
    let ready = client::send(&bench.host.admin, "GET", "/ready", &[], "").await;
    assert_eq!(ready.status, 200);
    assert!(!ready.text().contains("does not answer"), "{}", ready.text());
}

#[tokio::test]
async fn a_pooler_that_requires_encryption_connects() {
    let authority = Authority::new();
    let postgres = Postgres::start();
    let identity = authority.sign(&["127.0.0.1"]);
    let pooler = Pooler::start_encrypted(&postgres, "pool_mode = transaction", &identity);
    let app = databases::app(&pooler.url(), "ca = \"ca.pem\"");
    std::fs::write(app.path().join("ca.pem"), &authority.pem).unwrap();
    let host = app.serve().await;
    let reply = host.send("POST", "/query", "select 1").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, "1\nend 1\n"));
}

// Fault (Databases): a pooler in statement mode | refuses it, says what to set | 503 | nothing
#[tokio::test]
async fn a_pooler_that_tears_transactions_apart_is_refused_with_what_to_set() {
    let postgres = Postgres::start();
    let pooler = Pooler::start(&postgres, "pool_mode = statement");
    let host = databases::querier(&pooler.url(), "").serve().await;
    let advice = "set its pool_mode to transaction or session";
    for _ in 0..2 {
        let reply = host.send("POST", "/", "select 1").await;
        assert_eq!(reply.status, 503, "{}", reply.text());
        assert!(reply.text().contains(advice), "{}", reply.text());
        // A look at the database finds a server, and no end of the trouble.
        let ready = client::send(&host.admin, "GET", "/ready", &[], "").await;
        assert!(ready.text().contains("does not answer"), "{}", ready.text());
    }
    host.logs(advice).await;
    // Once, and not for each request.
    assert_eq!(host.log().matches(advice).count(), 1, "{}", host.log());
}

#[tokio::test]
async fn a_server_is_not_taken_for_a_pooler_and_keeps_prepared_statements() {
    let postgres = Postgres::start();
    let host = databases::app(&postgres.url(), "pool = 1").serve().await;
    for _ in 0..2 {
        assert_eq!(host.send("POST", "/query", "select 1").await.text(), "1\nend 1\n");
    }
    let reply = host.send("POST", "/query", "select count(*) from pg_prepared_statements").await;
    assert_eq!(reply.text(), "2\nend 1\n");
    assert!(!host.log().contains(FOUND), "{}", host.log());
}

#[tokio::test]
async fn health_looks_through_a_pooler_at_the_server() {
    let mut bench = Bench::new("pool_mode = transaction", "").await;
    assert_eq!(bench.value("select 1").await, "1");
    let told = "the database any does not answer";
    let is_told = async |host: &Host| {
        client::send(&host.admin, "GET", "/ready", &[], "").await.text().contains(told)
    };
    assert!(!is_told(&bench.host).await);
    bench.postgres.stop();
    assert!(is_told(&bench.host).await);
    bench.postgres.resume();
    eventually("the database to answer", async || (!is_told(&bench.host).await).then_some(()))
        .await;
    eventually("the database to be used again", async || {
        (bench.ask("/query", "select 1").await.0 == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_asks_after_the_server_keeps_no_session_that_others_need() {
    let settings = "pool_mode = session\ndefault_pool_size = 2\nquery_wait_timeout = 10";
    let bench = Bench::new(settings, "pool = 1").await;
    assert_eq!(bench.value("select 1").await, "1");
    let ready = client::send(&bench.host.admin, "GET", "/ready", &[], "").await;
    assert!(!ready.text().contains("does not answer"), "{}", ready.text());
    assert_eq!(bench.pooler.sql(&["select 2"]), "2");
}

#[tokio::test]
async fn a_pooler_that_has_no_session_to_spare_is_busy() {
    let settings = "pool_mode = transaction\ndefault_pool_size = 1";
    let bench = Bench::new(settings, "").await;
    // Two at once: from now on the host has two connections.
    let short = "select 1 from pg_sleep(1)";
    let (one, other) = tokio::join!(bench.value(short), bench.value(short));
    assert_eq!((&*one, &*other), ("1", "1"));
    let sleep = "select 'held', pg_sleep(600)";
    let held = client::open(&bench.host.address, "POST", "/query", &[], sleep).await;
    bench.until_running("held", "1").await;
    assert_eq!(bench.ask("/query", "select 1").await, (503, "busy".to_string()));
    drop(held);
    eventually("a session", async || {
        (bench.ask("/query", "select 1").await.0 == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_pooler_with_fewer_sessions_than_the_pool_says_so() {
    let postgres = Postgres::start();
    let pooler = Pooler::start(&postgres, "pool_mode = session\ndefault_pool_size = 1");
    let keys = "pool = 2\nconnect-timeout = \"3s\"";
    let host = databases::querier(&pooler.url(), keys).serve().await;
    let sleep = "select pg_sleep(600)";
    let held = client::open(&host.address, "POST", "/", &[], sleep).await;
    let reply = host.send("POST", "/", "select 1").await;
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert!(reply.text().contains("fewer connections to the server"), "{}", reply.text());
    drop(held);
}

// Fault (Databases): a client that leaves behind a pooler | closes the connection, which ends the statement on the server | - | nothing that anybody waits for
#[tokio::test]
async fn a_statement_whose_client_leaves_ends_on_the_server() {
    for mode in ["transaction", "session"] {
        let bench = Bench::new(&format!("pool_mode = {mode}"), "").await;
        let sleep = "select 'left', pg_sleep(600)";
        let answer = client::open(&bench.host.address, "POST", "/query", &[], sleep).await;
        bench.until_running("left", "1").await;
        let left = Instant::now();
        drop(answer);
        bench.until_running("left", "0").await;
        println!("{mode}: gone after {:?}", left.elapsed());
        assert!(left.elapsed() < Duration::from_secs(20), "{:?}", left.elapsed());
        assert_eq!(bench.value("select 1").await, "1");
    }
}

#[tokio::test]
async fn a_statement_that_takes_too_long_ends_on_the_server() {
    let bench = Bench::new("pool_mode = transaction", "statement-timeout = \"1s\"").await;
    assert_eq!(bench.execute("select pg_sleep(601)").await, (500, "timedout".to_string()));
    bench.until_running("pg_sleep(601)", "0").await;
    assert_eq!(bench.value("select 1").await, "1");
}

// Fault (Databases): a panic of the driver | closes the connection | 503, or a body that is not whole | the request
#[tokio::test]
async fn a_panic_of_the_driver_is_the_error_of_one_call() {
    let scripted = Scripted::start().await;
    let url = format!("postgres://app@{}/postgres", scripted.address);
    let host = databases::app(&url, "").serve().await;
    let is_served = async || {
        let reply = host.send("POST", "/query", "select 1").await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, "1\nend 1\n"));
    };
    is_served().await;
    let short = format!("select '{SHORT_ROW}'");
    let mut answer = client::open(&host.address, "POST", "/query", &[], &short).await;
    // The columns may be out before the row is there.
    let (status, told) = match answer.rest().await {
        Ok(told) => (503, told),
        Err(told) => (200, told),
    };
    let told = String::from_utf8(told).unwrap();
    assert!(told.ends_with("unavailable\n"), "{told}");
    assert_eq!(answer.status, status);
    is_served().await;
    // It is a fault to be mended, and found in the log.
    host.logs("panicked").await;
}
