//! Components whose toolchain has no async functions reach databases and models by calls that wait.

mod interfaces;
mod requests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use wasm_host_tests::client;
use wasm_host_tests::eventually;
use wasm_host_tests::host::{App, Host, component};
use wasm_host_tests::models::{LAST, WORD, one_word, words};
use wasm_host_tests::postgres::Postgres;
use wasm_host_tests::upstream::{Step, Upstream, chunk, end, ndjson_head};

/// The promise is a second; the rest is for a busy machine.
const SOON: Duration = Duration::from_secs(10);

/// A service at `/` that is granted a database and a model server, `keys` its own and `database` those of its database.
fn app(postgres: &Postgres, models: &str, database: &str, keys: &str) -> App {
    App::new(&format!(
        r#"
name = "blocking"

[limits]
threads = 1

[postgres.main]
url = "${{DB_URL}}"
{database}

[ollama.local]
url = "{models}"

[service.guest]
component = "$(blocking-p2)"
route = "/"
postgres = "main"
ollama = "local"
{keys}
"#
    ))
    .env("DB_URL", &postgres.url())
}

/// The same where no model is asked.
async fn on_database(postgres: &Postgres, database: &str) -> Host {
    app(postgres, "http://127.0.0.1:1", database, "").serve().await
}

async fn said(host: &Host, path: &str, text: &str) -> String {
    let reply = host.send("POST", path, text).await;
    assert_eq!(reply.status, 200, "{path}: {}", host.log());
    reply.text().to_string()
}

/// What the server runs that has this in its text.
fn running(postgres: &Postgres, text: &str) -> String {
    postgres.sql(&format!(
        "select count(*) from pg_stat_activity where state = 'active' and pid <> pg_backend_pid() \
         and query like '%{text}%'"
    ))
}

async fn ends_on_the_server(postgres: &Postgres, text: &str) {
    eventually("the statement's end", async || (running(postgres, text) == "0").then_some(()))
        .await;
}

#[tokio::test]
async fn ten_thousand_rows_come_in_bounded_batches() {
    let postgres = Postgres::start();
    let host = on_database(&postgres, "").await;
    let told = said(&host, "/count", "select n, 'x' from generate_series(1, 10000) n").await;
    let words: Vec<&str> = told.split_whitespace().collect();
    assert_eq!(words[..5], ["10000", "rows", "of", "int4,", "text"], "{told}");
    let (batches, largest): (usize, usize) =
        (words[6].parse().unwrap(), words[11].parse().unwrap());
    assert!(batches >= 10000_usize.div_ceil(64) && largest <= 64, "{told}");
    // And in their order, with an end that stays one.
    let expected: String = (1..=200).map(|n| format!("{n}\n")).collect();
    let told = said(&host, "/query", "select generate_series(1, 200)").await;
    assert_eq!(told, format!("{expected}then Ok(None)\n"));
    let told = said(&host, "/count", "select 1 where false").await;
    assert_eq!(told, "0 rows of int4 in 0 batches of at most 0\n");
}

#[tokio::test]
async fn what_the_server_refuses_comes_with_its_sqlstate() {
    let postgres = Postgres::start();
    let host = on_database(&postgres, "").await;
    let told = said(&host, "/query", "select nonsense").await;
    assert!(told.contains("sqlstate: \"42703\""), "{told}");
    assert!(told.contains("position: Some(8)"), "{told}");
    let told = said(&host, "/execute", "create table notes (text text unique)").await;
    assert_eq!(told, "0 rows\n");
    let insert = "insert into notes values ('one')";
    assert_eq!(said(&host, "/execute", insert).await, "1 rows\n");
    let told = said(&host, "/execute", insert).await;
    assert!(told.contains("sqlstate: \"23505\"") && told.contains("notes_text_key"), "{told}");
    // After rows that came well.
    let told =
        said(&host, "/query", "select 1 / (64 * 20 - n) from generate_series(1, 2000) n").await;
    assert!(told.starts_with("0\n") && told.contains("sqlstate: \"22012\""), "{told}");
}

#[tokio::test]
async fn a_transaction_is_committed_rolled_back_or_dropped() {
    let postgres = Postgres::start();
    postgres.sql("create table notes (text text)");
    let host = on_database(&postgres, "pool = 1").await;
    let notes = || postgres.sql("select count(*) from notes");
    assert_eq!(said(&host, "/rollback", "").await, "then Err(Error::Ended)\ncounted 1\n");
    assert_eq!(notes(), "0");
    assert_eq!(said(&host, "/drop", "").await, "counted 1\n");
    // A rollback of what is dropped follows; there is one connection, so this comes after it.
    assert_eq!(said(&host, "/commit", "").await, "then Err(Error::Ended)\ncounted 1\n");
    assert_eq!(notes(), "2");
}

// Fault (Guests): a transaction whose rows a component of blocking calls leaves unread when it asks for more | says `busy`, because the component could not read them while it waits | the component's answer | the call
#[tokio::test]
async fn a_statement_that_would_wait_for_rows_that_are_never_read_is_refused() {
    let postgres = Postgres::start();
    let host = on_database(&postgres, "pool = 1").await;
    let told = said(&host, "/unread", "").await;
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 5, "{told}");
    for (line, begin) in
        [(lines[0], "execute: Err(Error::Busy("), (lines[1], "commit: Err(Error::Busy(")]
    {
        assert!(line.starts_with(begin) && line.contains("read its cursor to the end"), "{told}");
    }
    assert_eq!(lines[2..], ["rollback: Ok(())", "next: Err(Error::Cancelled)", "next: Ok(false)"]);
    // The only connection is back.
    assert_eq!(said(&host, "/execute", "select 1").await, "1 rows\n");
}

#[tokio::test]
async fn dropping_a_cursor_of_a_transaction_leaves_it_for_the_rollback() {
    let postgres = Postgres::start();
    let host = on_database(&postgres, "pool = 1").await;
    let told = said(&host, "/dropped", "").await;
    let (execute, rollback) = told.split_once('\n').unwrap();
    // The server takes nothing else after a statement that was cancelled, and a connection whose cancel comes too late is
    // given up.
    let expected = ["sqlstate: \"25P02\"", "connection was lost"];
    assert!(expected.iter().any(|expected| execute.contains(expected)), "{told}");
    assert_eq!(rollback, "rollback: Ok(())\n");
}

#[tokio::test]
async fn dropping_a_cursor_cancels_its_statement_on_the_server() {
    let postgres = Postgres::start();
    let host = on_database(&postgres, "statement-timeout = \"10m\"").await;
    let endless = "select generate_series(1, 2000000000) /* endless */";
    assert_eq!(said(&host, "/first-batch", endless).await, "64 rows\n");
    ends_on_the_server(&postgres, "endless").await;
}

// Fault (Guests): a client that leaves while its component waits in a blocking call | ends the statement on the server, closes the model server's connection | - | nothing
#[tokio::test]
async fn a_statement_ends_on_the_server_when_the_client_leaves() {
    let postgres = Postgres::start();
    let host = on_database(&postgres, "statement-timeout = \"10m\"").await;
    for path in ["/execute", "/query"] {
        let address = host.address.clone();
        let asked = tokio::spawn(async move {
            client::send(&address, "POST", path, &[], "select pg_sleep(600)").await;
        });
        let runs = async || (running(&postgres, "pg_sleep(600)") == "1").then_some(());
        eventually("the statement on the server", runs).await;
        let left = Instant::now();
        asked.abort();
        ends_on_the_server(&postgres, "pg_sleep(600)").await;
        assert!(left.elapsed() < SOON, "the statement went on for {:?}", left.elapsed());
    }
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_an_error() {
    let postgres = Postgres::start();
    let host = on_database(&postgres, "statement-timeout = \"200ms\"").await;
    let told = said(&host, "/execute", "select pg_sleep(600)").await;
    assert!(told.starts_with("Error::TimedOut("), "{told}");
}

#[tokio::test]
async fn a_chat_streams_its_first_token_before_its_last() {
    let postgres = Postgres::start();
    let go_on = Arc::new(Notify::new());
    let told = go_on.clone();
    let upstream = Upstream::start(move |_| {
        let word = || Step::Send(chunk(WORD));
        let last = [Step::Send(chunk(LAST)), Step::Send(end())];
        [vec![Step::Send(ndjson_head()), word(), Step::Until(told.clone()), word()], last.to_vec()]
            .concat()
    })
    .await;
    let host = app(&postgres, &upstream.url, "", "").serve().await;
    let mut chat = client::open(&host.address, "POST", "/chat", &[], "Hi").await;
    assert_eq!(chat.next().await.unwrap().unwrap(), "one");
    go_on.notify_one();
    let rest = String::from_utf8(chat.rest().await.expect("a whole body")).unwrap();
    assert_eq!(rest, "one\n0 tokens\nthen Ok(None)\n");
    assert!(upstream.requests().last().unwrap().starts_with("POST /api/chat "));
}

#[tokio::test]
async fn a_chat_is_closed_upstream_when_it_is_dropped_or_its_client_leaves() {
    let postgres = Postgres::start();
    let upstream = Upstream::start(|_| one_word()).await;
    let host = app(&postgres, &upstream.url, "", "").serve().await;
    assert_eq!(said(&host, "/first-word", "Hi").await, "one");
    let hung_up = async |count| {
        eventually("the close", async || (upstream.hung_up() == count).then_some(())).await;
    };
    hung_up(1).await;
    let mut chat = client::open(&host.address, "POST", "/chat", &[], "Hi").await;
    assert_eq!(chat.next().await.unwrap().unwrap(), "one");
    drop(chat);
    hung_up(2).await;
}

#[tokio::test]
async fn a_chat_that_breaks_off_is_an_error_and_not_an_end() {
    let postgres = Postgres::start();
    let upstream = Upstream::start(|_| {
        vec![Step::Send(ndjson_head()), Step::Send(chunk(WORD)), Step::Send(end())]
    })
    .await;
    let host = app(&postgres, &upstream.url, "", "").serve().await;
    assert_eq!(said(&host, "/chat", "Hi").await, "oneError::Truncated\n");
}

#[tokio::test]
async fn what_its_calls_hand_over_counts_against_the_memory_of_the_instance() {
    let postgres = Postgres::start();
    let upstream = Upstream::start(|_| words(1)).await;
    let host = app(&postgres, &upstream.url, "", "memory = \"8MiB\"").serve().await;
    // Handed over, it counts three times, beside the component's own memory.
    let large = format!("select '{}'", "x".repeat(1_500_000));
    for path in ["/execute", "/query", "/chat"] {
        let told = said(&host, path, &large).await;
        assert!(
            told.contains("Error::Busy(") && told.contains("'memory' sets the bound"),
            "{told:.200}"
        );
    }
    assert_eq!(said(&host, "/execute", "select 1").await, "1 rows\n");
}

#[tokio::test]
async fn each_of_the_calls_has_a_span_and_is_counted() {
    let postgres = Postgres::start();
    let upstream = Upstream::start(|_| words(2)).await;
    let host = app(&postgres, &upstream.url, "", "").serve().await;
    said(&host, "/count", "select 1").await;
    said(&host, "/chat", "Hi").await;
    for name in ["SELECT", "chat tinyllama"] {
        eventually(name, async || {
            let list = host.ask("GET", "/api/traces?service=guest", &[], "").await.json();
            for item in list["items"].as_array()? {
                let trace = format!("/api/traces/{}", item["trace"].as_str()?);
                let trace = host.ask("GET", &trace, &[], "").await.json();
                let mut spans = trace["spans"].as_array()?.iter();
                if spans.any(|span| span["name"] == name && span["kind"] == "client") {
                    return Some(());
                }
            }
            None
        })
        .await;
    }
    for name in [
        "db_client_operation_duration_seconds_count",
        "gen_ai_client_operation_duration_seconds_count",
    ] {
        eventually(name, async || {
            let figures = host.ask("GET", "/metrics", &[], "").await.text().to_string();
            let counted = |line: &str| line.starts_with(name) && line.ends_with(" 1");
            figures.lines().any(counted).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn what_was_recorded_is_replayed() {
    let postgres = Postgres::start();
    let upstream = Upstream::start(|_| {
        let word = || Step::Send(chunk(WORD));
        // In one piece: an end that comes long after the last line is not waited for.
        let last = Step::Send([chunk(LAST), end()].concat());
        vec![Step::Send(ndjson_head()), word(), word(), last]
    })
    .await;
    let app = app(&postgres, &upstream.url, "", "");
    let host = app.serve_with(&["wasm-host.toml", "--record", "recorded"]).await;
    said(&host, "/query", "select generate_series(1, 200)").await;
    assert_eq!(said(&host, "/chat", "Hi").await, "oneone\n0 tokens\nthen Ok(None)\n");
    let (status, log) = host.stop().await;
    assert!(status.success(), "{log}");
    let (file, folder) = (component("blocking-p2"), app.path().join("recorded/guest"));
    let cases = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(cases, 2, "{log}");
    let cases = folder.to_str().unwrap();
    let output = app.run(&["test", file.to_str().unwrap(), "--cases", cases]).await;
    let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success() && told.contains("2 passed"), "{told}");
}
