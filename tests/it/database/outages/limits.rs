//! A server without connections to give, a pool without, and statements that take too long.

use futures_util::future::join_all;
use wasm_host_tests::host::Host;
use wasm_host_tests::postgres::Postgres;
use wasm_host_tests::{client, eventually};

use super::{begin, comes_back, is_served, querier, rows};

#[tokio::test]
async fn a_server_that_is_out_of_connections_is_503() {
    let mut postgres = Postgres::start();
    postgres.sql("alter system set superuser_reserved_connections = 0");
    postgres.sql("alter system set max_connections = 5");
    // The server's own senders count as well.
    postgres.sql("alter system set max_wal_senders = 0");
    postgres.stop();
    postgres.resume();
    let host = querier(&postgres, "pool = 10").await;
    let asked = (0..10).map(|_| async {
        let reply = host.send("POST", "/", "select 'fine', pg_sleep(5)").await;
        (reply.status.as_u16(), reply.text().to_string())
    });
    let replies = join_all(asked).await;
    let full = "refuses connections (SQLSTATE 53300)";
    let refused = replies.iter().filter(|(status, text)| *status == 503 && text.contains(full));
    let served = replies.iter().filter(|(status, text)| *status == 200 && text == "fine\n");
    let (refused, served) = (refused.count(), served.count());
    assert!(refused >= 5 && served >= 1 && refused + served == 10, "{replies:?}");
    // Those that were refused took nothing away from the others.
    comes_back(&host).await;
    is_served(&host).await;
}

#[tokio::test]
async fn a_pool_that_is_in_use_is_503_after_the_wait_for_a_connection() {
    let postgres = Postgres::start();
    let host = querier(&postgres, "pool = 1\nacquire-timeout = \"200ms\"").await;
    let held = rows(&host).await;
    let reply = host.send("POST", "/", "select 'fine'").await;
    assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, "1"));
    assert!(reply.text().contains("Busy"), "{}", reply.text());
    // Its client leaves, so its statement ends and the connection is free.
    drop(held);
    comes_back(&host).await;
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended_on_the_server() {
    let postgres = Postgres::start();
    let host = querier(&postgres, "statement-timeout = \"3s\"").await;
    let mut slow = begin(&host, "select 'a', pg_sleep(600)").await;
    assert_eq!(slow.rest().await.expect_err("no whole answer"), b"");
    runs_no_more(&postgres).await;
    is_served(&host).await;
    // Before the first row can come: what is waited for is a lock.
    postgres.sql("create table locked (x int)");
    let mut lock = begin(&host, "select 'a' from locked").await;
    assert_eq!(lock.rest().await, Ok(Vec::new()));
    is_served(&host).await;
}

#[tokio::test]
async fn a_slow_answer_that_is_read_slowly_is_still_bounded() {
    let postgres = Postgres::start();
    let host = querier(&postgres, "statement-timeout = \"3s\"").await;
    let mut rows = rows(&host).await;
    // It is ended although nothing of it is read meanwhile.
    runs_no_more(&postgres).await;
    rows.rest().await.expect_err("the rows are not whole");
    is_served(&host).await;
}

async fn runs_no_more(postgres: &Postgres) {
    eventually("the statement to end on the server", async || {
        let running = postgres.sql(
            "select count(*) from pg_stat_activity where query like '%pg_sleep%' \
             and state = 'active' and pid <> pg_backend_pid()",
        );
        (running == "0").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_row_over_the_bound_is_an_error_and_its_memory_is_given_back() {
    let postgres = Postgres::start();
    let host = querier(&postgres, "pool = 1").await;
    let before = resident_mib(&host);
    for _ in 0..3 {
        let mut large = begin(&host, "select repeat('x', 100000000)").await;
        match large.status.as_u16() {
            500 => assert!(text(large.rest().await).contains("larger than")),
            _ => assert_eq!(large.rest().await.expect_err("no whole row"), b""),
        }
        is_served(&host).await;
    }
    eventually("the memory of the rows to be given back", async || {
        (resident_mib(&host) < before + 64).then_some(())
    })
    .await;
    let ready = client::send(&host.admin, "GET", "/ready", &[], "").await;
    assert!(!ready.text().contains("does not answer"), "{}", ready.text());
}

fn text(bytes: Result<Vec<u8>, Vec<u8>>) -> String {
    String::from_utf8(bytes.unwrap()).unwrap()
}

fn resident_mib(host: &Host) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024
}

// Fault (Databases): statements as long as books, each another | forgets them when they have run | its answer | nothing
#[tokio::test]
async fn long_statements_are_not_kept_prepared_and_short_ones_are() {
    let postgres = Postgres::start();
    let host = querier(&postgres, "pool = 1").await;
    is_served(&host).await;
    let kept = async || {
        let kept = "select concat_ws(' ', count(*), sum(length(statement)) < 1000) from pg_prepared_statements";
        host.send("POST", "/", kept).await.text().trim().to_string()
    };
    assert_eq!(kept().await, "2 t");
    for n in 0..20 {
        let long = format!("select 'fine', {n} /* {} */", ".".repeat(50_000));
        assert_eq!(host.send("POST", "/", &long).await.text(), "fine\n");
    }
    assert_eq!(kept().await, "1 t");
    is_served(&host).await;
    assert_eq!(kept().await, "2 t");
}
