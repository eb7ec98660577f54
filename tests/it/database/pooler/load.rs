//! Many statements at once over few sessions of the server, and cancels among them.

use std::sync::Arc;

use tokio::task::JoinSet;
use wasm_host_tests::client::KeepAlive;

use super::*;

/// Set to anything, there are as many as are promised.
const LONG: &str = "WASM_HOST_TEST_LONG";

fn amount(long: usize, short: usize) -> usize {
    if std::env::var_os(LONG).is_some() { long } else { short }
}

/// A statement of one of several shapes that gives `number`, and its answer.
fn statement(number: usize) -> (String, String) {
    match number % 4 {
        0 => (
            format!("select {number} as n from generate_series(1, 1)"),
            format!("{number}\nend 1\n"),
        ),
        1 => (
            format!("select {number} as n, pg_sleep(0.01)"),
            format!("{number} Value::Null\nend 1\n"),
        ),
        2 => (
            format!("select 'it is' as a, {number} as n, 'sure' as b"),
            format!("it is {number} sure\nend 1\n"),
        ),
        _ => (
            format!("select {number}::bigint + i from generate_series(0, 2) i"),
            format!("{number}\n{}\n{}\nend 3\n", number + 1, number + 2),
        ),
    }
}

/// One that runs for long enough to be hit by what is meant for another.
fn nap(number: usize) -> (String, String) {
    (format!("select {number} as n, pg_sleep(0.2)"), format!("{number} Value::Null\nend 1\n"))
}

/// So many clients send so many statements in all. Each gets its own answer.
async fn ask_all(
    host: &Host,
    clients: usize,
    statements: usize,
    statement: fn(usize) -> (String, String),
) {
    let mut asked = JoinSet::new();
    for client in 0..clients {
        let address = host.address.clone();
        asked.spawn(async move {
            let mut connection = KeepAlive::connect(&address).await;
            for number in (client..statements).step_by(clients) {
                let (sql, expected) = statement(number);
                let answer = connection.send("POST", "/query", &[], &sql).await;
                let (status, body) = answer.expect(&sql);
                let text = String::from_utf8_lossy(&body);
                assert_eq!((status.as_u16(), &*text), (200, &*expected), "{sql}");
            }
        });
    }
    while let Some(done) = asked.join_next().await {
        done.unwrap();
    }
    assert!(!host.log().contains("panicked"), "{}", host.log());
}

// Fault (Databases): a pooler that gives each transaction another session | keeps each statement in a transaction, leaves no name | its own rows | nothing
#[tokio::test]
async fn six_clients_over_two_sessions_each_get_their_own_rows() {
    // A pooler that refuses what the host asks of its sessions, and one that drops it.
    for ignored in ["extra_float_digits", "extra_float_digits, options"] {
        let settings = format!(
            "pool_mode = transaction\ndefault_pool_size = 2\nignore_startup_parameters = {ignored}"
        );
        let bench = Bench::new(&settings, "pool = 6").await;
        ask_all(&bench.host, 6, 210, statement).await;
        bench.host.logs(FOUND).await;
    }
}

#[tokio::test]
async fn thousands_of_statements_each_get_their_own_answer_in_transaction_mode() {
    let settings = "pool_mode = transaction\ndefault_pool_size = 3";
    let bench = Bench::new(settings, "pool = 8").await;
    ask_all(&bench.host, 32, amount(5000, 640), statement).await;
}

#[tokio::test]
async fn thousands_of_statements_each_get_their_own_answer_in_session_mode() {
    let bench = Bench::new("pool_mode = session", "pool = 8").await;
    ask_all(&bench.host, 32, amount(5000, 640), statement).await;
}

// Fault (Databases): cancels behind a pooler | closes their connections, sends no request that could come late | its own rows | what was cancelled
#[tokio::test]
async fn a_storm_of_cancels_never_hits_a_neighbour() {
    // Enough for all at once: what a cancel could hit runs when it comes.
    let settings = "pool_mode = transaction\ndefault_pool_size = 16";
    let bench = Bench::new(settings, "pool = 12").await;
    // Another host on the same pooler: its statements run on the sessions that the cancelled ones had.
    let other = databases::app(&bench.pooler.url(), "pool = 4").serve().await;
    let host = Arc::new(bench.host);
    let mut storm = JoinSet::new();
    for client in 0..3 {
        let host = host.clone();
        storm.spawn(async move {
            for turn in 0..amount(100, 8) {
                let sleep = format!("select 'storm', {client}, {turn}, pg_sleep(600)");
                let answer = client::open(&host.address, "POST", "/query", &[], &sleep).await;
                assert_eq!(answer.status, 200);
                drop(answer);
            }
        });
    }
    let storm = tokio::spawn(storm.join_all());
    let mut rounds = 0;
    while !storm.is_finished() || rounds < 2 {
        rounds += 1;
        tokio::join!(ask_all(&host, 4, 16, nap), ask_all(&other, 4, 16, nap));
    }
    storm.await.unwrap();
    println!("{rounds} rounds");
    eventually("the end of every cancelled statement", async || {
        let running = "select count(*) from pg_stat_activity where query like 'select ''storm''%'";
        (bench.postgres.sql(running) == "0").then_some(())
    })
    .await;
}
