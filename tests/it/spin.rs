//! Components that were built with Spin's own SDKs, unmodified: what they ask of Spin is answered by what the application
//! file grants.

mod import;
mod outbound;
mod shop;

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::telemetry::{span, trace};
use wasm_host_tests::client::Reply;
use wasm_host_tests::host::{App, Host, component};
use wasm_host_tests::postgres::Postgres;
use wasm_host_tests::upstream::{Step, Upstream, chunk, end, json, ndjson_head};
use wasm_host_tests::{eventually, within};

/// The component in Rust, with these grants.
fn app(tables: &str, grants: &str) -> App {
    App::new(&format!(
        r#"
name = "spun"
{tables}

[service.spin]
component = "$(spin-rust)"
route = "/"
{grants}
"#
    ))
}

/// Letters and digits as they are, everything else as `%XX`.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

async fn ask(host: &Host, path: &str, argument: &str) -> Reply {
    host.get(&format!("{path}?{}", encoded(argument))).await
}

async fn with_database(postgres: &Postgres) -> Host {
    app("[postgres.shop]\nurl = \"${DB_URL}\"", "postgres = \"shop\"")
        .env("DB_URL", &postgres.url())
        .serve()
        .await
}

#[tokio::test]
async fn rows_and_errors_come_as_spin_has_them() {
    let postgres = Postgres::start();
    let host = with_database(&postgres).await;
    let values = "select 1::int2 as a, 'x'::text as b, null::int as c, date '2024-02-29' as d, 1.50::numeric as e, \
                  array[1, null]::int[] as f, '{\"k\": 1}'::jsonb as g";
    let reply = ask(&host, "/query", values).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let (columns, row) = reply.text().split_once('\n').unwrap();
    assert!(columns.contains("a:DbDataType::Int16"), "{columns}");
    assert!(columns.contains("f:DbDataType::ArrayInt32"), "{columns}");
    for part in [
        "Int16(1)",
        "Str(\"x\")",
        "DbNull",
        "Date((2024, 2, 29))",
        "Decimal(\"1.50\")",
        "ArrayInt32([Some(1), None])",
        "Jsonb([",
    ] {
        assert!(row.contains(part), "{part}: {row}");
    }
    let many = ask(&host, "/query", "select i from generate_series(1, 5000) as i").await;
    assert_eq!(many.text().lines().count(), 5001);
    assert!(many.text().ends_with("DbValue::Int32(5000)"), "{}", many.text().len());
    let wrong = ask(&host, "/query", "select * from nothing_of_that_name").await;
    assert_eq!(wrong.status, 502);
    assert!(wrong.text().contains("42P01"), "{}", wrong.text());
    let interval = ask(&host, "/query", "select interval '1 day'").await;
    assert!(interval.text().contains("interval"), "{}", interval.text());
}

#[tokio::test]
async fn a_component_opens_the_granted_database_by_name_or_address_and_no_other() {
    let postgres = Postgres::start();
    let host = with_database(&postgres).await;
    let url = postgres.url();
    for address in ["shop", &url] {
        let reply = ask(&host, "/open", address).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    for address in ["", "other", "postgres://u:hunter2@elsewhere/app", "host=elsewhere dbname=app"]
    {
        let reply = ask(&host, "/open", address).await;
        assert_eq!(reply.status, 502, "{address}");
        assert!(reply.text().contains("is granted the database shop"), "{}", reply.text());
        assert!(!reply.text().contains("hunter2"), "{}", reply.text());
    }
}

#[tokio::test]
async fn transactions_that_a_component_begins_by_a_statement_hold_and_are_not_left_open() {
    let postgres = Postgres::start();
    let host = with_database(&postgres).await;
    for (end, kept) in [("commit", 1), ("rollback", 1), ("", 1), ("commit", 2)] {
        let reply = ask(&host, "/transaction", end).await;
        assert_eq!((reply.status, reply.text()), (200.try_into().unwrap(), "1"), "{end}");
        // One that is left open is rolled back beside the answer.
        eventually("what was kept", async || {
            let counted = ask(&host, "/query", "select count(*) from kept").await;
            counted.text().ends_with(&format!("DbValue::Int64({kept})")).then_some(())
        })
        .await;
    }
}

// Fault (Guests): a component of Spin asks its database by a function that is no `async func` while rows of its transaction's stream are unread | refuses it at once | the component's error, which says what to do | nothing
#[tokio::test]
async fn a_function_that_stops_the_component_does_not_wait_for_rows_that_it_could_not_read() {
    let postgres = Postgres::start();
    let host = with_database(&postgres).await;
    for (how, expected) in [
        ("", (502, "are unread")),
        ("commit", (502, "are unread")),
        ("rollback", (200, "rollback")),
        ("read", (200, "Int32(7)")),
    ] {
        let reply = ask(&host, "/unread", how).await;
        let (status, text) = expected;
        assert_eq!(reply.status, status, "{how}: {}", reply.text());
        assert!(reply.text().contains(text), "{how}: {}", reply.text());
    }
}

#[tokio::test]
async fn a_model_is_asked_with_spins_parameters_and_says_what_it_used() {
    let asked = AtomicUsize::new(0);
    let upstream = Upstream::start(move |request| {
        if request.contains("/api/embed") {
            let answer = r#"{"model":"m","embeddings":[[0.5,-1.0]],"prompt_eval_count":3}"#;
            return vec![Step::Send(json("200 OK", answer))];
        }
        if asked.fetch_add(1, Ordering::Relaxed) > 0 {
            let answer = r#"{"error":"model 'gemma3' not found"}"#;
            return vec![Step::Send(json("404 Not Found", answer))];
        }
        let lines = [
            r#"{"response":"Hel","done":false}"#,
            r#"{"response":"lo","done":true,"done_reason":"stop","prompt_eval_count":5,"eval_count":2}"#,
        ];
        let mut steps = vec![Step::Send(ndjson_head())];
        steps.extend(lines.map(|line| Step::Send(chunk(format!("{line}\n").as_bytes()))));
        steps.push(Step::Send(end()));
        steps
    })
    .await;
    let host =
        app(&format!("[ollama.gpu]\nurl = \"{}\"", upstream.url), "ollama = \"gpu\"").serve().await;
    let said = ask(&host, "/infer", "hi").await;
    assert_eq!((said.status.as_u16(), said.text()), (200, "Hello (5, 2)"));
    let asked = upstream.requests();
    let asked = asked.iter().find(|request| request.contains("/api/generate")).unwrap();
    for part in ["\"model\":\"gemma3\"", "\"prompt\":\"hi\"", "\"num_predict\":100", "\"top_k\":40"]
    {
        assert!(asked.contains(part), "{part}: {asked}");
    }
    let embedded = ask(&host, "/embed", "hi").await;
    assert_eq!(embedded.text(), "[[0.5, -1.0]] (3)");
    let missing = ask(&host, "/infer", "again").await;
    assert!(missing.text().contains("ModelNotSupported"), "{}", missing.text());
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_inference_that_its_component_waits_for() {
    let upstream = Upstream::start(|_| vec![Step::Send(ndjson_head()), Step::Hold]).await;
    let host =
        app(&format!("[ollama.gpu]\nurl = \"{}\"", upstream.url), "ollama = \"gpu\"").serve().await;
    let asked = tokio::spawn({
        let address = host.address.clone();
        async move { wasm_host_tests::client::send(&address, "GET", "/infer?hi", &[], "").await }
    });
    eventually("the model is asked", async || (!upstream.requests().is_empty()).then_some(()))
        .await;
    asked.abort();
    eventually("the call has ended", async || (upstream.hung_up() == 1).then_some(())).await;
    // The instance that waited is free for others.
    within("another answer", ask(&host, "/", "")).await;
}

// Fault (Guests): a component imports interfaces of Spin that nothing grants, or that this host does not have | is a service; what it calls of them is refused | the component's error, which says so | a warning of `check`
#[tokio::test]
async fn without_grants_a_component_is_a_service_and_its_calls_are_refused() {
    let app = app("", "");
    let checked = app.run(&["check"]).await;
    let told = String::from_utf8(checked.stderr).unwrap();
    assert!(checked.status.success(), "{told}");
    assert!(told.contains("that nothing grants it (keyvalue, ollama, postgres, sqlite)"), "{told}");
    assert!(told.contains("does not answer (spin:redis)"), "{told}");
    let host = app.serve().await;
    for (path, expected) in [
        ("/infer", "access denied"),
        ("/query", "access denied"),
        ("/sqlite", "AccessDenied"),
        ("/store", "AccessDenied"),
        ("/variable", "InvalidName"),
        ("/redis", "no client of Redis"),
    ] {
        let reply = ask(&host, path, "select 1").await;
        assert_eq!(reply.status, 502, "{path}");
        assert!(reply.text().contains(expected), "{path}: {}", reply.text());
    }
}

#[tokio::test]
async fn sqlite_is_a_file_of_the_state_folder_that_outlives_the_host() {
    let app = app("[sqlite.notes]", "sqlite = \"notes\"");
    let host = app.serve().await;
    for statement in
        ["create table t (id integer primary key, it text)", "insert into t (it) values ('one')"]
    {
        let reply = ask(&host, "/sqlite", statement).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    host.kill().await;
    let host = app.serve().await;
    let reply = ask(&host, "/sqlite", "select id, it from t").await;
    assert_eq!(reply.text(), "id it\nValue::Integer(1) Value::Text(\"one\")");
    let escaped = ask(&host, "/sqlite", "attach '/etc/hostname' as other").await;
    assert!(escaped.text().contains("not authorized"), "{}", escaped.text());
    assert!(host.state().join("sqlite/notes.sqlite").exists());
}

#[tokio::test]
async fn a_statement_of_sqlite_is_seen_without_what_it_says() {
    let host = app("[sqlite.notes]", "sqlite = \"notes\"").serve().await;
    let reply = ask(&host, "/sqlite", "select 'hunter2' as it").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let trace = trace(&host, "service=spin", |item| item["path"] == "/sqlite").await;
    let seen = span(&trace, "spin", "SELECT");
    for (name, expected) in [
        ("db.system.name", "sqlite".into()),
        ("db.namespace", "notes.sqlite".into()),
        ("db.response.returned_rows", serde_json::json!(1)),
    ] {
        assert_eq!(seen["attributes"][name], expected, "{seen:#}");
    }
    assert!(!seen.to_string().contains("hunter2"), "{seen:#}");
}

#[tokio::test]
async fn a_component_with_calls_that_wait_as_a_whole_serves_one_request_an_instance() {
    let app = app("", "per-instance = 4");
    let checked = app.run(&["check"]).await;
    let told = String::from_utf8(checked.stderr).unwrap();
    assert!(checked.status.success(), "{told}");
    assert!(told.contains("'per-instance' is 4"), "{told}");
    assert!(told.contains("spin:postgres/postgres@4.2.0 holds an instance"), "{told}");
    let component = component("spin-rust");
    let inspected = app.run(&["inspect", component.to_str().unwrap()]).await;
    let told = String::from_utf8(inspected.stdout).unwrap();
    assert!(
        told.contains("one request at a time: spin:postgres/postgres@4.2.0 holds it"),
        "{told}"
    );
}

#[tokio::test]
async fn stores_are_buckets_and_variables_are_the_configuration() {
    let host = app("[keyvalue.carts]", "keyvalue = \"carts\"\nconfig = { api_key = \"${KEY}\" }")
        .env("KEY", "k3y")
        .serve()
        .await;
    let kept = ask(&host, "/store", "größe").await;
    assert_eq!(kept.text(), "größe false [\"one\"]");
    assert_eq!(ask(&host, "/variable", "api_key").await.text(), "k3y");
    let missing = ask(&host, "/variable", "other").await;
    assert!(missing.text().contains("Undefined"), "{}", missing.text());
}

/// A component that is an interpreter, with all that it can be granted.
async fn interpreter(postgres: &Postgres, guest: &str) -> (String, Host) {
    let app = App::new(&format!(
        r#"
name = "spun"

[postgres.shop]
url = "${{DB_URL}}"

[sqlite.notes]

[keyvalue.carts]

[service.spin]
component = "$({guest})"
route = "/"
postgres = "shop"
sqlite = "notes"
keyvalue = "carts"
config = {{ api_key = "k3y" }}
"#
    ))
    .env("DB_URL", &postgres.url());
    let told = app.compile(&[]).await;
    (told, app.serve().await)
}

async fn answers_from_what_it_is_granted(host: &Host) {
    let rows = ask(host, "/query", "select i, 'x' || i from generate_series(1, 200) as i").await;
    assert_eq!(rows.status, 200, "{}", rows.text());
    assert!(rows.text().ends_with("\n200 x200"), "{}", rows.text());
    let wrong = ask(host, "/query", "select * from nothing_of_that_name").await;
    assert_eq!(wrong.status, 502, "{}", wrong.text());
    assert!(wrong.text().contains("nothing_of_that_name"), "{}", wrong.text());
    let note = ask(host, "/sqlite", "select 1 as one, 'two' as two").await;
    assert_eq!(note.text(), "one two\n1 two");
    assert_eq!(ask(host, "/store", "größe").await.text(), "größe");
    assert_eq!(ask(host, "/variable", "api_key").await.text(), "k3y");
    let model = ask(host, "/infer", "hi").await;
    assert!(model.text().contains("access denied"), "{}", model.text());
}

// It imports all of Spin's platform, whatever it uses.
#[tokio::test]
async fn a_component_in_python_is_served_unmodified() {
    let postgres = Postgres::start();
    let (told, host) = interpreter(&postgres, "spin-py").await;
    assert!(told.contains("WASI 0.3.0-rc-2026-03-15"), "{told}");
    assert_eq!(host.get("/").await.text(), "Hello from Spin's Python\n");
    answers_from_what_it_is_granted(&host).await;
    let wrong = ask(&host, "/query", "select * from nothing_of_that_name").await;
    assert!(wrong.text().contains("42P01"), "{}", wrong.text());
    let redis = ask(&host, "/redis", "").await;
    assert!(redis.text().contains("no client of Redis"), "{}", redis.text());
}

#[tokio::test]
async fn a_component_in_javascript_is_served_unmodified() {
    let postgres = Postgres::start();
    let (_, host) = interpreter(&postgres, "spin-js").await;
    assert_eq!(host.get("/").await.text(), "Hello from Spin's JavaScript\n");
    answers_from_what_it_is_granted(&host).await;
}
