//! Promise 12: a request that failed or was slow can be seen whole afterwards, guest uninstrumented, restart or not, and
//! never with a secret in it.

mod access;
mod chains;
mod collector;
mod commands;
mod completion;
mod described;
mod figures;
mod intake;
mod lines;
mod models;
mod pages;
mod peers;
mod processors;
mod prometheus;
mod scrapes;
mod stopped;
mod versions;

use serde_json::Value;
use wasm_host_tests::host::{App, Host, root};
use wasm_host_tests::postgres::Postgres;
use wasm_host_tests::{databases, eventually};

/// Two services, of which the first can call the second one.
const TWO: &str = r#"
name = "seen"

[service.caller]
component = "$(caller)"
services = ["inner"]

[service.inner]
component = "$(hostile)"
route = "/inner"
"#;

/// A trace that is kept and is as wanted, with all that is known of it.
pub(crate) async fn trace(host: &Host, query: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    let found = eventually("a trace", async || {
        let list = host.ask("GET", &format!("/api/traces?{query}"), &[], "").await.json();
        // One of another's is no service before its telemetry is there.
        let mut items = list["items"].as_array()?.iter();
        items.find(|item| is_it(item)).cloned()
    });
    let id = found.await["trace"].as_str().unwrap().to_owned();
    host.ask("GET", &format!("/api/traces/{id}"), &[], "").await.json()
}

/// The span of a trace with this name, of this service.
pub(crate) fn span<'t>(trace: &'t Value, service: &str, name: &str) -> &'t Value {
    let spans = trace["spans"].as_array().expect("spans");
    let found = spans.iter().find(|span| span["service"] == service && span["name"] == name);
    assert!(found.is_some(), "no {name} of {service} in {trace:#}");
    found.unwrap()
}

/// Whether one span was done for another one, itself or by what was done in between.
fn is_below(trace: &Value, span: &Value, above: &Value) -> bool {
    let mut parent = &span["parent"];
    while !parent.is_null() && *parent != above["span"] {
        let spans = trace["spans"].as_array().unwrap();
        parent =
            spans.iter().find(|it| it["span"] == *parent).map_or(&Value::Null, |it| &it["parent"]);
    }
    *parent == above["span"]
}

#[tokio::test]
async fn a_forecast_is_a_trace_with_its_statement_and_without_a_value() {
    let postgres = Postgres::start();
    let init = root().join("components/weather/sql/init.sql");
    let app = App::new(&format!(
        "name = \"seen\"\n[postgres.weather]\nurl = \"${{WEATHER_DB_URL}}\"\ninit = [\"{}\"]\n\
         [service.apiservice]\ncomponent = \"$(weather)\"\nroute = \"/weather\"\npostgres = \"weather\"\n",
        init.display()
    ));
    let host = app.env("WEATHER_DB_URL", &postgres.url()).serve().await;
    assert_eq!(host.get("/weather/forecast?key=s3cret").await.status, 200);
    let trace = trace(&host, "service=apiservice", |item| item["status"] == 200).await;
    let request = span(&trace, "apiservice", "GET /weather");
    assert_eq!(request["kind"], "server");
    assert_eq!(request["attributes"]["url.path"], "/weather/forecast");
    let statement = span(&trace, "apiservice", "SELECT");
    assert_eq!(statement["kind"], "client");
    assert!(is_below(&trace, statement, request));
    let attributes = &statement["attributes"];
    assert_eq!(attributes["db.query.text"], "select summary from weathersummaries");
    assert_eq!(attributes["db.response.returned_rows"], 10);
    // Which of several servers with a database of this name.
    let address = postgres.address();
    let (server, port) = address.split_once(':').unwrap();
    assert_eq!(attributes["server.address"], *server);
    assert_eq!(attributes["server.port"].to_string(), port);
    let metrics = host.ask("GET", "/metrics", &[], "").await;
    let labels = format!("server_address=\"{server}\",server_port=\"{port}\"");
    let is_its = |line: &&str| line.starts_with("db_client_") && line.contains(&labels);
    assert!(metrics.text().lines().any(|line| is_its(&line)), "{}", metrics.text());
    for phase in ["admission", "instance", "guest"] {
        assert!(is_below(&trace, span(&trace, "apiservice", phase), request), "{phase}");
    }
    assert!(!trace.to_string().contains("s3cret"), "{trace}");
    let metrics = host.ask("GET", "/metrics", &[], "").await;
    let counted = "http_server_request_duration_seconds_count{service=\"apiservice\"";
    assert!(metrics.text().contains(counted), "{}", metrics.text());
}

#[tokio::test]
async fn no_value_of_a_statement_is_kept_whether_it_fails_or_not() {
    let postgres = Postgres::start();
    let host = databases::querier(&postgres.url(), "").serve().await;
    host.send("POST", "/", "select 'hunter2' as a, 4700000815").await;
    host.send("POST", "/", "select 'hunter2'::int").await;
    for status in ["unset", "error"] {
        let is_it = |item: &Value| (item["errors"] == 0) == (status == "unset");
        let trace = trace(&host, "service=querier", is_it).await;
        let statement = span(&trace, "querier", "SELECT");
        assert_eq!(statement["status"], status, "{trace:#}");
        assert!(statement["attributes"]["db.query.text"].as_str().unwrap().starts_with("select ?"));
        // Not the ids and times, which may have any digits.
        for said in ["attributes", "name", "message", "events"] {
            assert!(!statement[said].to_string().contains("hunter2"), "{statement:#}");
        }
        assert!(!statement["attributes"].to_string().contains("4700000815"), "{statement:#}");
    }
    let failed = trace(&host, "errors=true", |_| true).await;
    let statement = span(&failed, "querier", "SELECT");
    assert_eq!(statement["attributes"]["db.response.status_code"], "22P02");
}

#[tokio::test]
async fn a_call_between_services_is_one_trace_which_the_client_may_have_begun() {
    let host = App::new(TWO).serve().await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [("traceparent", parent), ("tracestate", "shop=1")];
    let path = "/caller/fetch?http://inner/headers?traceparent,tracestate";
    let reply = wasm_host_tests::client::send(&host.address, "GET", path, &headers, "").await;
    // What the guest at the end sees is its own place in the same trace.
    let told = reply.text().lines().find_map(|line| line.strip_prefix("traceparent: "));
    assert!(told.is_some(), "{}", reply.text());
    let told = told.unwrap().trim().to_owned();
    assert!(told.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{told}");
    assert_ne!(told, parent);
    assert!(reply.text().contains("tracestate: shop=1"), "{}", reply.text());
    let trace = trace(&host, "service=inner", |_| true).await;
    assert_eq!(trace["trace"], "4bf92f3577b34da6a3ce929d0e0e4736");
    let outer = span(&trace, "caller", "GET /caller");
    assert_eq!(outer["parent"], "00f067aa0ba902b7");
    let inner = span(&trace, "inner", "GET");
    assert!(is_below(&trace, inner, span(&trace, "caller", "GET")));
    assert!(is_below(&trace, inner, outer));
    assert_eq!(told.split('-').nth(2), span(&trace, "inner", "guest")["span"].as_str());
}

#[tokio::test]
async fn what_fails_is_kept_with_what_was_printed_whatever_the_sample() {
    let app = App::new(&format!("{TWO}\n[telemetry]\nsample-percent = 0\nslow = \"1h\"\n"));
    let host = app.serve().await;
    assert_eq!(host.get("/inner/print").await.status, 204);
    assert_eq!(host.get("/caller/fetch?http://inner/trap").await.status, 502);
    let trace = trace(&host, "errors=true", |_| true).await;
    let inner = span(&trace, "inner", "GET");
    assert_eq!(inner["status"], "error");
    assert_eq!(inner["attributes"]["http.response.status_code"], 502);
    span(&trace, "caller", "GET /caller");
    // Which of the two was not a failure is counted and not kept.
    let all = host.ask("GET", "/api/traces", &[], "").await.json();
    assert_eq!(all["items"].as_array().unwrap().len(), 1, "{all}");
}

#[tokio::test]
async fn what_was_seen_is_there_after_a_restart_and_after_kill_9() {
    let app = App::new(TWO);
    let host = app.serve().await;
    assert_eq!(host.get("/inner/trap").await.status, 502);
    let before = trace(&host, "errors=true", |_| true).await["trace"].clone();
    // Written means: the host can be asked for it.
    host.kill().await;
    let host = app.serve().await;
    let after = trace(&host, "errors=true", |item| item["trace"] == before).await;
    span(&after, "inner", "GET /inner");
    let found = host.ask("GET", "/api/search?q=inner", &[], "").await.json();
    assert!(found["traces"].to_string().contains(before.as_str().unwrap()), "{found}");
    // What is said until the end is kept by a stop that is waited for.
    let (status, _) = host.stop().await;
    assert_eq!(status.code(), Some(0));
    let host = app.serve().await;
    eventually("what the host said at its end", async || {
        let path = "/api/logs?search=instances+have+ended";
        let ended = host.ask("GET", path, &[], "").await.json();
        (ended["items"].as_array()?.len() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_request_says_which_version_answered_it_and_a_swap_how_long_its_steps_took() {
    let app = App::new("name = \"seen\"\n[service.app]\ncomponent = \"$(version-one)\"\n");
    let host = app.serve().await;
    host.get("/app/").await;
    let first = trace(&host, "service=app", |item| item["name"] == "GET /app").await;
    let version = &span(&first, "app", "GET /app")["attributes"]["wasm_host.service.version"];
    let two = std::fs::read(wasm_host_tests::host::component("version-two")).unwrap();
    let swapped = host.swap("app", "", &two).await.json();
    assert_eq!(swapped["from"], *version);
    let swap = trace(&host, "search=swap", |_| true).await;
    let whole = span(&swap, "app", "swap app");
    assert_eq!(whole["attributes"]["wasm_host.swap.verdict"], "activated");
    assert_eq!(whole["attributes"]["wasm_host.service.version"], swapped["digest"]);
    for step in ["turn", "compile", "start and health", "keep", "publish"] {
        assert!(is_below(&swap, span(&swap, "app", step), whole), "{step}");
    }
}
