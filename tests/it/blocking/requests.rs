//! Which components may import the interfaces, and how many requests an instance then serves.

use std::time::{Duration, Instant};

use wasm_host_tests::client;
use wasm_host_tests::host::App;
use wasm_host_tests::postgres::Postgres;

use super::{app, running, said};
use wasm_host_tests::eventually;

#[tokio::test]
async fn an_ungranted_blocking_import_is_refused_with_the_line_that_grants_it() {
    let app = App::new(
        r#"
name = "grants"

[postgres.orders]
url = "postgres://app@127.0.0.1:1/orders"

[service.guest]
component = "$(blocking-p2)"
"#,
    );
    for command in ["serve", "check"] {
        let output = app.run(&[command]).await;
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{text}");
        assert!(text.contains("it imports wasm-host:postgres/"), "{text}");
        assert!(text.contains(r#"add postgres = "orders" under [service.guest]"#), "{text}");
    }
}

#[tokio::test]
async fn an_instance_serves_one_request_at_a_time_whatever_the_file_says() {
    let postgres = Postgres::start();
    let keys = "per-instance = 8\nreuse = 100\ninstances = 2";
    let app = app(&postgres, "http://127.0.0.1:1", "statement-timeout = \"10m\"", keys);
    let host = app.serve().await;
    host.logs("'per-instance' is 8, but its component serves one request at a time").await;
    assert_eq!(said(&host, "/begun", "").await, "1\n");
    let mut asked = Vec::new();
    for count in ["1", "2"] {
        let address = host.address.clone();
        asked.push(tokio::spawn(async move {
            client::send(&address, "POST", "/execute", &[], "select pg_sleep(600)").await;
        }));
        let run = async || (running(&postgres, "pg_sleep(600)") == count).then_some(());
        eventually("the statement on the server", run).await;
    }
    // A third would have to share an instance with one that waits.
    assert_eq!(host.service("guest").await["instances"], 2);
    for asked in asked {
        asked.abort();
    }
    eventually("their end", async || (running(&postgres, "pg_sleep(600)") == "0").then_some(()))
        .await;
}

#[tokio::test]
async fn check_and_inspect_say_why_it_serves_one_request_at_a_time() {
    let postgres = Postgres::start();
    let app = app(&postgres, "http://127.0.0.1:1", "", "per-instance = 8");
    let output = app.run(&["check"]).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    assert!(
        told.contains("wasm-host.toml:14:1: warning: [service.guest]: 'per-instance' is 8"),
        "{told}"
    );
    assert!(told.contains("/blocking@0.1.0 holds an instance while it waits"), "{told}");
    let file = wasm_host_tests::host::component("blocking-p2");
    let output = app.run(&["inspect", file.to_str().unwrap()]).await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("instance  one request at a time: wasm-host:"), "{told}");
    let output = app.run(&["inspect", file.to_str().unwrap(), "--format", "json"]).await;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let blocking = ["wasm-host:postgres/blocking@0.1.0", "wasm-host:ollama/blocking@0.1.0"];
    assert_eq!(report["blocking"], serde_json::json!(blocking), "{report}");
    assert_eq!(report["per_instance"], 1);
}

/// An application of a component of WASI 0.3 with a blocking import, on one thread.
fn of_wasi_0_3(postgres: &Postgres, keys: &str) -> App {
    let text = r#"
name = "blocking"

[limits]
threads = 1

[postgres.main]
url = "${DB_URL}"

[service.guest]
component = "$(blocking-p3)"
route = "/"
postgres = "main"
"#;
    App::new(&format!("{text}{keys}\n")).env("DB_URL", &postgres.url())
}

#[tokio::test]
async fn a_component_of_wasi_0_3_with_a_blocking_import_shares_no_instance_either() {
    let postgres = Postgres::start();
    let host = of_wasi_0_3(&postgres, "per-instance = 8").serve().await;
    host.logs("'per-instance' is 8, but its component serves one request at a time").await;
    let mut held = client::open(&host.address, "GET", "/hold", &[], "").await;
    assert_eq!(held.next().await.unwrap().unwrap(), "held");
    // In an instance of its own, which it leaves to the next one.
    for _ in 0..2 {
        assert_eq!(host.get("/").await.text(), "1 live, Ok(1)\n");
    }
    assert_eq!(host.service("guest").await["instances"], 2);
}

// Fault (Guests): a transaction that a component keeps in a global when its request is over | rolls it back after a while, also when other requests came since or none comes | its answer; others: theirs | the transaction
#[tokio::test]
async fn a_transaction_in_a_global_ends_after_its_request_while_its_instance_lives_on() {
    let postgres = Postgres::start();
    let host = of_wasi_0_3(&postgres, "instances = 1\nwarm = 1").serve().await;
    let open = || {
        postgres.sql("select count(*) from pg_stat_activity where state = 'idle in transaction'")
    };
    let asked = Instant::now();
    assert_eq!(host.get("/keep").await.text(), "Ok(())\n");
    // These have the id of its task, one after the other; the last keeps something, too.
    for _ in 0..4 {
        assert_eq!(host.get("/").await.text(), "1 live, Ok(1)\n");
    }
    assert_eq!(host.get("/keep").await.text(), "Ok(())\n");
    assert_eq!(open(), "2");
    // Nothing comes any more, and the instance is kept.
    eventually("both ends", async || (open() == "0").then_some(())).await;
    // What a guest does behind its answer has its time, and no less.
    assert!(asked.elapsed() >= Duration::from_secs(30), "after {:?}", asked.elapsed());
    assert_eq!(host.service("guest").await["instances"], 1);
    assert_eq!(host.get("/").await.text(), "1 live, Ok(1)\n");
}
