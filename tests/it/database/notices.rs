//! What a database says beside its answers is output of the service whose statement made it say it: named, bounded,
//! and on lines of its own.

use std::pin::pin;

use wasm_host_tests::client::open;
use wasm_host_tests::eventually;
use wasm_host_tests::host::{App, Host};
use wasm_host_tests::postgres::Postgres;

/// Two services that run the statements they are sent.
fn app(postgres: &Postgres, database: &str, keys: &str) -> App {
    let service = |name: &str| {
        format!("[service.{name}]\ncomponent = \"$(querier)\"\npostgres = \"main\"\n{keys}\n")
    };
    let services = service("loud") + &service("quiet");
    App::new(&format!(
        "name = \"notices\"\n[postgres.main]\nurl = \"${{DB_URL}}\"\n{database}\n{services}"
    ))
    .env("DB_URL", &postgres.url())
}

/// Warnings with this text in front of their numbers.
fn warn(text: &str, count: u32) -> String {
    format!("do $$ begin for i in 1..{count} loop raise warning '{text} %', i; end loop; end $$")
}

async fn run(host: &Host, service: &str, statement: &str) {
    let reply = host.send("POST", &format!("/{service}"), statement).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

/// Wait until so many lines were told to be left out.
async fn left_out(host: &Host, lines: usize) {
    eventually("all that was left out to be told", async || {
        let log = host.log();
        let notes = log.lines().filter_map(|line| line.split_once("left out ")?.1.split_once(' '));
        let told: usize = notes.filter_map(|(count, _)| count.parse::<usize>().ok()).sum();
        (told == lines).then_some(())
    })
    .await;
}

fn lines(log: &str, text: &str) -> Vec<String> {
    log.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
}

// Fault (Databases): a flood of warnings | logs as many as of a guest's output, with service and request, and counts the rest | its answer | lines beyond the bound
#[tokio::test]
async fn warnings_of_a_database_are_bounded_like_output_and_name_service_and_request() {
    let postgres = Postgres::start();
    let keys = "log-lines = 1000000\nlog-lines-per-request = 20";
    let host = app(&postgres, "", keys).serve().await;
    run(&host, "loud", &warn("noise", 20_000)).await;
    run(&host, "quiet", &warn("word", 15)).await;
    left_out(&host, 19_980).await;
    // Nothing says that the guest printed it.
    let path = "/api/logs?service=quiet&source=host&search=word&limit=1";
    let line = eventually("a line", async || {
        host.ask("GET", path, &[], "").await.json()["items"].get(0).cloned()
    });
    let line = line.await;
    assert_eq!((&line["stream"], &line["level"]), (&"postgres".into(), &"warn".into()), "{line}");
    assert!(line["trace"].is_string() && line["version"].is_string(), "{line}");
    let (_, log) = host.stop().await;
    let (noise, words) = (lines(&log, "noise "), lines(&log, "word "));
    assert_eq!((noise.len(), words.len()), (20, 15), "{log}");
    for (told, service) in [(&noise, "loud"), (&words, "quiet")] {
        let is_named = |line: &&String| {
            line.contains("WARN") && line.contains(&format!("service={service} request=\""))
        };
        assert_eq!(told.iter().filter(is_named).count(), told.len(), "{told:?}");
    }
    assert_eq!(lines(&log, "more of request").len(), 1);
}

#[tokio::test]
async fn warnings_of_a_database_have_the_second_of_their_service() {
    let postgres = Postgres::start();
    let host = app(&postgres, "", "log-lines = 50").serve().await;
    run(&host, "loud", &warn("noise", 900)).await;
    host.logs("lines of its output").await;
    // As many for each second that it took.
    let told = lines(&host.log(), "noise ").len();
    assert!((50..900).contains(&told), "{told} lines");
}

// Fault (Databases): a warning that looks like another line of the log | writes out what is not seen | its answer | nothing
#[tokio::test]
async fn no_text_of_a_database_forges_a_line_or_commands_a_terminal() {
    let postgres = Postgres::start();
    let host = app(&postgres, "", "").serve().await;
    let forged = "first\n2026-11-28T00:00:00Z ERROR forged\r\u{1b}[2J\u{202e}";
    run(&host, "loud", &warn(forged, 1)).await;
    host.logs("forged").await;
    let (_, log) = host.stop().await;
    let told = lines(&log, "forged");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("first\\n2026-11-28T00:00:00Z ERROR forged\\r\\u{1b}[2J\\u{202e} 1"),
        "{told:?}"
    );
    assert!(!log.contains(['\r', '\u{1b}', '\u{202e}']));
}

#[tokio::test]
async fn what_a_database_says_of_the_hosts_own_commands_is_not_logged() {
    let postgres = Postgres::start();
    let host = app(&postgres, "", "").serve().await;
    for _ in 0..3 {
        run(&host, "loud", "rollback").await;
    }
    let (_, log) = host.stop().await;
    // Each component's own is, and not the one with which its connection was then put in order.
    assert_eq!(lines(&log, "no transaction in progress").len(), 3, "{log}");
}

#[tokio::test]
async fn what_a_database_says_to_an_init_script_is_bounded_and_names_it() {
    let postgres = Postgres::start();
    let app = app(&postgres, "init = \"init.sql\"", "");
    std::fs::write(app.path().join("init.sql"), warn("made", 150)).unwrap();
    let (_, log) = app.serve().await.stop().await;
    let told = lines(&log, "made ");
    assert_eq!(told.len(), 100);
    assert!(told.iter().all(|line| line.contains("script=\"init.sql\"")), "{told:?}");
    assert_eq!(lines(&log, "left out 50 more lines").len(), 1, "{log}");
}

#[tokio::test]
async fn warnings_without_end_are_given_up_and_leave_others_their_turn() {
    let postgres = Postgres::start();
    let app = app(&postgres, "statement-timeout = \"2s\"\n[limits]\nthreads = 1", "");
    let host = app.serve().await;
    let endless = "do $$ begin perform set_config('statement_timeout', '0', false); \
         loop raise warning 'again'; end loop; end $$";
    let address = host.address.clone();
    let mut loud = pin!(async { open(&address, "POST", "/loud", &[], endless).await.rest().await });
    let mut answered = 0;
    let told = loop {
        tokio::select! {
            biased;
            told = &mut loud => break told,
            () = run(&host, "quiet", "select 1") => answered += 1,
        }
    };
    assert!(told.is_err(), "it came to an end: {told:?}");
    assert!(answered > 0, "the thread was held from beginning to end");
    run(&host, "loud", "select 1").await;
}
