//! A database that is away, slow, restarted, full, or lost in the middle of an answer.

use std::time::Duration;

use tokio::net::TcpListener;
use wasm_host_tests::client::{self, Reply};
use wasm_host_tests::guests::neighbour_is_well;
use wasm_host_tests::host::{App, Host};
use wasm_host_tests::postgres::Postgres;
use wasm_host_tests::proxy::{Damage, Plan, Proxy};
use wasm_host_tests::seed::Seeded;
use wasm_host_tests::{databases, eventually};

/// A real server behind a proxy, and a host that knows the proxy.
pub(super) struct Bench {
    pub(super) postgres: Postgres,
    pub(super) proxy: Proxy,
    pub(super) host: Host,
}

impl Bench {
    pub(super) async fn new(keys: &str) -> Self {
        let postgres = Postgres::start();
        let proxy = Proxy::start(&postgres.address()).await;
        let host = app(keys, &proxy.address).serve().await;
        Self { postgres, proxy, host }
    }

    pub(super) async fn ask(&self, path: &str, sql: &str) -> Reply {
        self.host.send("POST", path, sql).await
    }

    /// Statements with this mark that the server runs.
    fn running(&self, mark: &str) -> String {
        self.postgres.sql(&format!(
            "select count(*) from pg_stat_activity where state = 'active' and query like '%{mark}%' \
             and pid <> pg_backend_pid()"
        ))
    }

    async fn until_running(&self, mark: &str, count: &str) {
        eventually("the statement on the server", async || {
            (self.running(mark) == count).then_some(())
        })
        .await;
    }

    /// Everything is as before the fault: within the time that a probe or a backoff may take.
    pub(super) async fn recovers(&self) {
        eventually("the database to be used again", async || {
            let reply = self.ask("/query", "select 1").await;
            (reply.status == 200 && reply.text() == "1\nend 1\n").then_some(())
        })
        .await;
        neighbour_is_well(&self.host).await;
        eventually("no call to be left", async || {
            (self.host.calls("postgres.any").await == 0).then_some(())
        })
        .await;
    }
}

/// The application with the database at this address.
fn app(keys: &str, address: &str) -> App {
    databases::app(&format!("postgres://app@{address}/postgres"), keys)
}

/// Rows that fill more than the server's buffer, then nothing for a long time.
const SLOW: &str = "select i, case when i > 100 then pg_sleep(600)::text else repeat('r', 1000) end \
                    from generate_series(1, 200) i";

// Fault (Databases): a server that refuses connections | says so, finds it again | 503 | nothing
#[tokio::test]
async fn a_server_that_refuses_is_503_and_found_again() {
    let bench = Bench::new("").await;
    bench.recovers().await;
    bench.proxy.set(Plan { refuse: true, ..Plan::default() });
    bench.proxy.reset_all();
    for _ in 0..3 {
        let reply = bench.ask("/query", "select 1").await;
        assert_eq!((reply.status.as_u16(), reply.text()), (503, "unavailable\n"));
    }
    bench.proxy.heal();
    bench.recovers().await;
}

// Fault (Databases): a server that accepts and says nothing | gives up after the connect time | 503 | nothing
#[tokio::test]
async fn a_server_that_says_nothing_is_503_in_bounded_time() {
    let bench = Bench::new("connect-timeout = \"500ms\"\nacquire-timeout = \"5m\"").await;
    let silent = Damage { stalled: true, ..Damage::default() };
    bench.proxy.set(Plan { down: silent, ..Plan::default() });
    let asked = std::time::Instant::now();
    let reply = bench.ask("/query", "select 1").await;
    println!("a silent server: {} after {:?}", reply.status, asked.elapsed());
    assert_eq!(reply.status, 503, "{}", reply.text());
    // Without the bound it would be all of the five minutes.
    assert!(asked.elapsed() < Duration::from_secs(60), "{:?}", asked.elapsed());
    // The page is not taken down with it.
    let ready = client::send(&bench.host.admin, "GET", "/ready", &[], "").await;
    assert_eq!(ready.status, 200);
    assert!(ready.text().contains("the database any does not answer"), "{}", ready.text());
    bench.proxy.heal();
    bench.proxy.reset_all();
    bench.recovers().await;
}

// Fault (Databases): a server that speaks something else | closes | 5xx of the component | nothing
#[tokio::test]
async fn a_server_that_speaks_something_else_is_503() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let answers: [&[u8]; 4] = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\0\0\0\0\0\0\0\0",
        b"R\xff\xff\xff\xff",
        b"R\0\0\0\x08\0\0\0\0Z\x7f\xff\xff\xff",
    ];
    tokio::spawn(async move {
        for answer in answers.iter().cycle() {
            let (mut stream, _) = socket.accept().await.unwrap();
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
        }
    });
    let host = app("", &address).serve().await;
    for _ in 0..answers.len() {
        let reply = host.send("POST", "/query", "select 1").await;
        assert!(matches!(reply.status.as_u16(), 500 | 503), "{}", reply.status);
        assert_ne!(reply.text(), "1\n");
    }
    neighbour_is_well(&host).await;
    assert!(!host.log().contains("panicked"), "{}", host.log());
}

// Fault (Databases): a session that is killed in its rows | drops the connection | a body that is not whole | the request
#[tokio::test]
async fn a_session_that_is_killed_mid_stream_breaks_the_body_and_nothing_else() {
    let bench = Bench::new("").await;
    let mut answer = client::open(&bench.host.address, "POST", "/query", &[], SLOW).await;
    assert!(answer.next().await.unwrap().is_some());
    bench.postgres.sql(
        "select pg_terminate_backend(pid) from pg_stat_activity where query like 'select i, case%'",
    );
    let seen = answer.rest().await.expect_err("a body that ends as an error");
    let seen = String::from_utf8(seen).unwrap();
    assert!(!seen.contains("end "), "{seen}");
    bench.recovers().await;
}

// Fault (Databases): a connection that breaks in its rows | drops it | a body that is not whole | the request
#[tokio::test]
async fn a_connection_that_breaks_mid_stream_breaks_the_body_and_nothing_else() {
    let bench = Bench::new("").await;
    let mut answer = client::open(&bench.host.address, "POST", "/query", &[], SLOW).await;
    assert!(answer.next().await.unwrap().is_some());
    bench.proxy.reset_all();
    let seen = answer.rest().await.expect_err("a body that ends as an error");
    assert!(!String::from_utf8(seen).unwrap().contains("end "));
    bench.recovers().await;
}

// Fault (Databases): an error in the middle of the rows | tells the component its SQLSTATE | a body that is not whole | the request
#[tokio::test]
async fn an_error_in_the_middle_of_the_rows_is_told_and_breaks_the_body() {
    let bench = Bench::new("").await;
    let sql = "select 10 / (5000 - i), repeat('x', 200) from generate_series(1, 10000) i";
    let mut answer = client::open(&bench.host.address, "POST", "/query", &[], sql).await;
    let seen = answer.rest().await.expect_err("a body that ends as an error");
    let seen = String::from_utf8(seen).unwrap();
    assert!(seen.ends_with("broken: database 22012\n"), "{}", &seen[seen.len() - 80..]);
    bench.recovers().await;
}

// Fault (Databases): a statement that does not end | cancels it on the server | the component's error | the request
#[tokio::test]
async fn a_statement_that_does_not_end_is_cancelled_on_the_server() {
    let bench = Bench::new("statement-timeout = \"1s\"").await;
    let reply = bench.ask("/execute", "select pg_sleep(601)").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (500, "timedout\n"));
    bench.until_running("pg_sleep(601)", "0").await;
    bench.recovers().await;
}

// Fault (Databases): a server that stalls in a statement | gives the connection up | the component's error | the request
#[tokio::test]
async fn a_server_that_stalls_mid_statement_is_given_up_in_bounded_time() {
    let bench = Bench::new("statement-timeout = \"1s\"").await;
    bench.recovers().await;
    let pulled = Damage { stalled: true, ..Damage::default() };
    bench.proxy.set(Plan { up: pulled.clone(), down: pulled, refuse: false, moved_to: None });
    let asked = std::time::Instant::now();
    let reply = bench.ask("/execute", "select 1").await;
    println!(
        "a stalled statement: {} {:?} after {:?}",
        reply.status,
        reply.text(),
        asked.elapsed()
    );
    assert!(matches!(reply.status.as_u16(), 500 | 503), "{}", reply.text());
    // Much later than the bounds of the file, and before all others: that of statements by default is half a minute,
    // that of an answer a whole one.
    assert!(asked.elapsed() < Duration::from_secs(25), "{:?}", asked.elapsed());
    bench.proxy.heal();
    bench.proxy.reset_all();
    bench.recovers().await;
}

// Fault (Databases): a server out of connections | says so, finds room again | 503 | nothing
#[tokio::test]
async fn a_server_out_of_connections_is_503() {
    let bench = Bench::new("").await;
    bench.postgres.sql("create role few login connection limit 0");
    let url = format!("postgres://few@{}/postgres", bench.postgres.address());
    let host = databases::app(&url, "").serve().await;
    let reply = host.send("POST", "/query", "select 1").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (503, "unavailable\n"));
    bench.postgres.sql("alter role few connection limit 20");
    eventually("a free connection", async || {
        (host.send("POST", "/query", "select 1").await.status == 200).then_some(())
    })
    .await;
}

// Fault (Databases): a pool that is used up | waits as long as the bound says | 503 | nothing
#[tokio::test]
async fn a_pool_that_is_used_up_is_busy_and_comes_back() {
    let bench = Bench::new("pool = 2").await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut answer = client::open(&bench.host.address, "POST", "/query", &[], SLOW).await;
        assert!(answer.next().await.unwrap().is_some());
        held.push(answer);
    }
    let reply = bench.ask("/query", "select 1").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (503, "busy\n"));
    drop(held);
    bench.recovers().await;
}

// Fault (Databases): a restart of the server | replaces its connections | 503 meanwhile | nothing
#[tokio::test]
async fn a_restart_of_the_server_needs_no_restart_of_the_host() {
    let mut bench = Bench::new("").await;
    bench.recovers().await;
    bench.postgres.stop();
    assert_eq!(bench.ask("/query", "select 1").await.status, 503);
    bench.postgres.resume();
    bench.recovers().await;
}

// Fault (Databases): a write whose answer is lost | does not write again | an error | nothing; whether it was written is not known
#[tokio::test]
async fn a_write_whose_answer_is_lost_is_not_written_twice() {
    let bench = Bench::new("").await;
    bench.postgres.sql("create table once(x int)");
    let address = bench.host.address.clone();
    let insert = "insert into once select 1 from pg_sleep(5)";
    let asked =
        tokio::spawn(async move { client::send(&address, "POST", "/execute", &[], insert).await });
    bench.until_running("insert into once", "1").await;
    // The server hears nothing of it: it goes on, and its answer leads nowhere.
    let lost = Damage { stalled: true, ..Damage::default() };
    bench.proxy.set(Plan { down: lost, ..Plan::default() });
    bench.until_running("insert into once", "0").await;
    bench.proxy.reset_all();
    bench.proxy.heal();
    let reply = asked.await.unwrap();
    assert!(reply.status.is_server_error(), "{}", reply.text());
    bench.recovers().await;
    assert_eq!(bench.postgres.sql("select count(*) from once"), "1");
}

// Fault (Databases): a transaction that is cut off | has the server roll it back | an error | nothing
#[tokio::test]
async fn a_transaction_that_is_cut_off_leaves_nothing() {
    let bench = Bench::new("").await;
    bench.postgres.sql("create table half(x int)");
    let address = bench.host.address.clone();
    let asked = tokio::spawn(async move {
        let statements =
            "insert into half values (1)\nselect pg_sleep(602)\ninsert into half values (2)";
        client::send(&address, "POST", "/transaction", &[], statements).await
    });
    bench.until_running("pg_sleep(602)", "1").await;
    bench.proxy.reset_all();
    assert!(asked.await.unwrap().status.is_server_error());
    bench.recovers().await;
    eventually("the transaction's end", async || {
        let open = "select count(*) from pg_locks l join pg_class c on c.oid = l.relation where relname = 'half'";
        (bench.postgres.sql(open) == "0").then_some(())
    })
    .await;
    assert_eq!(bench.postgres.sql("select count(*) from half"), "0");
    assert_eq!(
        bench.ask("/transaction", "insert into half values (3)").await.text(),
        "committed\n"
    );
}

// Fault (Databases): a row over the bound | cancels the statement, closes the connection, which holds the row | the component's error, or a body that is not whole | the request
#[tokio::test]
async fn a_row_over_the_bound_is_refused_and_its_connection_closed() {
    let bench = Bench::new("pool = 1").await;
    // There is one connection, and it is kept from one request to the next.
    let session = async || {
        let reply = bench.ask("/query", "select pg_backend_pid()").await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.text().lines().next().expect("a row").to_string()
    };
    let before = session().await;
    assert_eq!(session().await, before);
    let large = "select repeat('x', 20000000)";
    let mut answer = client::open(&bench.host.address, "POST", "/query", &[], large).await;
    // The columns may be out before the row is there.
    let (told, whole) = match answer.rest().await {
        Ok(told) => (told, true),
        Err(told) => (told, false),
    };
    let told = String::from_utf8_lossy(&told).into_owned();
    assert!(told.ends_with("unsupported\n"), "{} {told}", answer.status);
    let expected = if whole { 500 } else { 200 };
    assert_eq!(answer.status, expected, "whole: {whole}");
    bench.recovers().await;
    // The driver's buffer for the row went with the connection.
    assert_ne!(session().await, before);
}

// Fault (Databases): a reader that stops | stops the server | its rows, at its pace | nothing
#[tokio::test]
async fn a_reader_that_stops_stops_the_server_and_not_the_host() {
    let bench = Bench::new("").await;
    let before = bench.host.resident_kib();
    // In `from` itself the server would write the whole series to its disk before the first row.
    let endless =
        "select i, repeat('x', 1000) from (select generate_series(1, 100000000) as i) series";
    let mut answer = client::open(&bench.host.address, "POST", "/query", &[], endless).await;
    assert!(answer.next().await.unwrap().is_some());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let grown = bench.host.resident_kib().saturating_sub(before) / 1024;
    assert!(grown < 100, "rows that nobody reads cost {grown} MiB");
    drop(answer);
    bench.until_running("100000000", "0").await;
    bench.recovers().await;
}

// Fault (Databases): bytes in pieces of any size | puts them together | its rows | nothing
#[tokio::test]
async fn rows_are_the_same_however_the_bytes_are_cut() {
    let mut chance = Seeded::new();
    let bench = Bench::new("").await;
    let pieces = |bytes| Damage { pieces: Some(bytes), ..Damage::default() };
    // A login and a statement are some hundred bytes in either direction. The pauses let each piece come by itself.
    let split_at = (0..40).map(|_| chance.between(1, 4000)).collect();
    let split = Damage { split_at, delay: Duration::from_millis(2), ..Damage::default() };
    // Each piece takes a millisecond or more, and all together must stay far below the statement's timeout.
    for (damage, rows) in [(pieces(1), 10), (pieces(7), 100), (pieces(1000), 5000), (split, 400)] {
        let sql = format!("select i, repeat('x', 200) from generate_series(1, {rows}) i");
        let expected = bench.ask("/query", &sql).await.text().to_string();
        assert!(expected.ends_with(&format!("end {rows}\n")));
        let shown = format!("{damage:?}");
        bench.proxy.set(Plan { up: damage.clone(), down: damage, refuse: false, moved_to: None });
        bench.proxy.reset_all();
        let reply = eventually("an answer in small pieces", async || {
            let reply = bench.ask("/query", &sql).await;
            (reply.status == 200).then_some(reply)
        })
        .await;
        assert!(reply.text() == expected, "other rows with {shown}");
        bench.proxy.heal();
    }
    bench.recovers().await;
}
