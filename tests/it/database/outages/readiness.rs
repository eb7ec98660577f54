//! What `/ready` tells of a database: what the next statement would find.

use wasm_host_tests::client;
use wasm_host_tests::databases;
use wasm_host_tests::eventually;
use wasm_host_tests::host::Host;
use wasm_host_tests::postgres::Postgres;

use super::{begin, comes_back, is_served, querier};

async fn is_degraded(host: &Host) -> bool {
    let ready = client::send(&host.admin, "GET", "/ready", &[], "").await;
    assert_eq!(ready.status, 200, "{}", ready.text());
    ready.text().contains("does not answer")
}

async fn until_degraded(host: &Host, expected: bool) {
    eventually("the host to tell how the database is", async || {
        (is_degraded(host).await == expected).then_some(())
    })
    .await;
}

// Fault (Databases): a database that lets no connection in any more | tells it at `/ready` when a statement has found out, and its return without one | 503 | nothing
#[tokio::test]
async fn a_database_that_lets_nobody_in_any_more_is_told_and_so_is_its_return() {
    let postgres = Postgres::start();
    postgres.sql("create database other");
    let host = databases::querier(&postgres.url().replace("/postgres", "/other"), "").serve().await;
    is_served(&host).await;
    until_degraded(&host, false).await;
    postgres.sql("alter database other allow_connections false");
    // All but what the host itself asks over.
    postgres.sql(
        "select count(*) from (select pg_terminate_backend(pid, 10000) from pg_stat_activity \
         where datname = 'other' and query not like 'select true%') t",
    );
    eventually("a statement to find that nobody is let in", async || {
        let reply = host.send("POST", "/", "select 'fine'").await;
        (reply.status == 503 && reply.text().contains("refuses connections")).then_some(())
    })
    .await;
    assert!(is_degraded(&host).await);
    postgres.sql("alter database other allow_connections true");
    // Without a statement that tries.
    until_degraded(&host, false).await;
    is_served(&host).await;
}

// Fault (Databases): statements that lose their connections | tells it at `/ready` | an error | the requests
#[tokio::test]
async fn statements_that_lose_their_connections_are_told_until_one_is_served() {
    let postgres = Postgres::start();
    let host = querier(&postgres, "").await;
    is_served(&host).await;
    until_degraded(&host, false).await;
    for _ in 0..3 {
        let mut lost = begin(&host, "select pg_terminate_backend(pg_backend_pid())").await;
        assert!(lost.status != 200 || lost.rest().await.is_err());
    }
    until_degraded(&host, true).await;
    comes_back(&host).await;
    until_degraded(&host, false).await;
}
