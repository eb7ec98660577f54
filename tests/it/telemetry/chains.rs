//! What is done for one request is one trace, and every piece of it has its own duration, as the command shows it.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;
use wasm_host_tests::client;
use wasm_host_tests::eventually;
use wasm_host_tests::host::{App, root};
use wasm_host_tests::postgres::Postgres;
use wasm_host_tests::upstream::{Step, Upstream, chunk, end, ndjson_head};

use super::intake::spans;
use super::{TWO, span};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PAGE: &str = "00f067aa0ba902b7";

/// How long the model server waits before its first token, and before its last.
const PAUSE: Duration = Duration::from_millis(20);

/// The trace as `wasm-host traces TRACE --format json` has it, once it is this tree.
async fn shown(app: &App, tree: &str) -> Value {
    let mut last = String::new();
    let whole = async || {
        let output = app.run(&["traces", TRACE, "--format", "json"]).await;
        // It may not be there yet.
        let trace: Value = serde_json::from_slice(&output.stdout).ok()?;
        let mut text = String::new();
        write(&mut text, &trace, &Value::from(PAGE), 0);
        let is_it = text.trim_end() == tree.trim();
        if text != last {
            println!("{text}");
            last = text;
        }
        is_it.then_some(trace)
    };
    eventually("the whole trace", whole).await
}

/// What is below a span: a line for each, of those beside each other by name.
fn write(text: &mut String, trace: &Value, parent: &Value, depth: usize) {
    let all = trace["spans"].as_array().expect("spans").iter();
    // The page is its own root, where there is one.
    let is_below =
        |it: &&Value| if depth == 0 { is_first(trace, it) } else { it["parent"] == *parent };
    let mut below: Vec<_> = all.filter(is_below).collect();
    below.sort_by_key(|span| span["name"].to_string());
    for span in below {
        assert!(span["duration"].is_u64(), "{span}");
        let (service, name) = (span["service"].as_str().unwrap(), span["name"].as_str().unwrap());
        writeln!(text, "{}{service}: {name}", "  ".repeat(depth)).unwrap();
        write(text, trace, &span["span"], depth + 1);
    }
}

/// Whether nothing of what is kept has asked for it.
fn is_first(trace: &Value, span: &Value) -> bool {
    let mut spans = trace["spans"].as_array().unwrap().iter();
    !spans.any(|other| other["span"] == span["parent"])
}

/// A span of the host took no longer than the one that it is below.
fn is_within(inner: &Value, outer: &Value) {
    let times = |span: &Value| {
        let start = span["start"].as_u64().unwrap();
        (start, start + span["duration"].as_u64().unwrap())
    };
    let ((begins, ends), (from, to)) = (times(inner), times(outer));
    // Both are cut to microseconds.
    assert!(begins + 1 >= from && ends <= to + 1, "{inner} in {outer}");
}

fn parent() -> String {
    format!("00-{TRACE}-{PAGE}-01")
}

#[tokio::test]
async fn a_chat_is_one_trace_from_the_page_to_the_tokens_of_its_model() {
    let upstream = Upstream::start(|_| {
        let word = b"{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"mild\"},\"done\":false}\n";
        let last = b"{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\
                     \"done_reason\":\"stop\",\"prompt_eval_count\":26,\"eval_count\":298}\n";
        vec![
            Step::Send(ndjson_head()),
            Step::Wait(PAUSE),
            Step::Send(chunk(word)),
            Step::Wait(PAUSE),
            Step::Send(chunk(last)),
            Step::Send(end()),
        ]
    })
    .await;
    let app = App::new(
        r#"
name = "seen"

[telemetry]
page-route = "/otlp"

[ollama.local]

[service.ollamaservice]
component = "$(ollama)"
ollama = "local"
route = "/ollama"
"#,
    )
    .env("OLLAMA_HOST", &upstream.url);
    let host = app.serve().await;
    let (parent, origin) = (parent(), format!("http://{}", host.address));
    let page = [("traceparent", &*parent), ("origin", &*origin)];
    let asked = r#"{"model":"m","messages":[{"role":"user","content":"Will it rain?"}]}"#;
    let reply = client::send(&host.address, "POST", "/ollama/api/chat", &page, asked).await;
    assert!(reply.text().contains("\"eval_count\":298"), "{}", reply.text());
    // The page says its part when it has ended.
    let kind = [("content-type", "application/json"), ("origin", &*origin)];
    let body = spans("page", "chat", TRACE, PAGE).to_string();
    let sent = client::send(&host.address, "POST", "/otlp/v1/traces", &kind, body).await;
    assert_eq!(sent.status, 200, "{}", sent.text());
    let trace = shown(
        &app,
        "
browser: chat
  ollamaservice: POST /ollama
    ollamaservice: admission
    ollamaservice: guest
      ollamaservice: chat m
    ollamaservice: instance
",
    )
    .await;
    let request = span(&trace, "ollamaservice", "POST /ollama");
    let (guest, call) =
        (span(&trace, "ollamaservice", "guest"), span(&trace, "ollamaservice", "chat m"));
    is_within(guest, request);
    is_within(call, guest);
    for phase in ["admission", "instance"] {
        is_within(span(&trace, "ollamaservice", phase), request);
    }
    // As it was sent.
    assert_eq!(span(&trace, "browser", "chat")["duration"], 2000);
    let pause = PAUSE.as_secs_f64();
    let said = &call["attributes"];
    assert_eq!(said["gen_ai.request.model"], "m");
    assert_eq!(said["gen_ai.usage.input_tokens"], 26);
    assert_eq!(said["gen_ai.usage.output_tokens"], 298);
    let (first, whole) = (
        said["gen_ai.response.time_to_first_chunk"].as_f64().unwrap(),
        call["duration"].as_f64().unwrap() / 1e6,
    );
    // What has microseconds only is cut off there.
    let is_in_order = first >= pause && whole >= 2.0 * pause && whole + 1e-6 >= first;
    assert!(is_in_order, "{first} of {whole}");
    let token = &call["events"][0];
    assert_eq!(token["name"], "first token");
    assert!(token["time"].as_u64() > call["start"].as_u64(), "{call}");
    // Nothing of what is said.
    assert!(!trace.to_string().contains("rain") && !trace.to_string().contains("mild"), "{trace}");
}

#[tokio::test]
async fn a_forecast_is_one_trace_down_to_its_statement() {
    let postgres = Postgres::start();
    let init = root().join("components/weather/sql/init.sql");
    let app = App::new(&format!(
        "name = \"seen\"\n[postgres.weather]\nurl = \"${{WEATHER_DB_URL}}\"\ninit = [\"{}\"]\n\
         [service.apiservice]\ncomponent = \"$(weather)\"\nroute = \"/weather\"\npostgres = \"weather\"\n",
        init.display()
    ));
    let app = app.env("WEATHER_DB_URL", &postgres.url());
    let host = app.serve().await;
    let parent = parent();
    let path = "/weather/forecast";
    let reply = client::send(&host.address, "GET", path, &[("traceparent", &*parent)], "").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let trace = shown(
        &app,
        "
apiservice: GET /weather
  apiservice: admission
  apiservice: guest
    apiservice: SELECT
  apiservice: instance
",
    )
    .await;
    let statement = span(&trace, "apiservice", "SELECT");
    is_within(statement, span(&trace, "apiservice", "guest"));
    assert!(statement["duration"].as_u64() > Some(0), "{statement}");
    let said = &statement["attributes"];
    assert_eq!(said["db.query.text"], "select summary from weathersummaries");
    assert_eq!(said["db.response.returned_rows"], 10);
    let connection = &statement["events"][0];
    assert_eq!(connection["name"], "connection");
}

#[tokio::test]
async fn a_call_through_two_services_is_one_trace() {
    let app = App::new(TWO);
    let host = app.serve().await;
    let parent = parent();
    let path = "/caller/fetch?http://inner/print";
    let reply = client::send(&host.address, "GET", path, &[("traceparent", &*parent)], "").await;
    assert_eq!(reply.status, 204, "{}", reply.text());
    let trace = shown(
        &app,
        "
caller: GET /caller
  caller: admission
  caller: guest
    caller: GET
      inner: GET
        inner: admission
        inner: guest
        inner: instance
  caller: instance
",
    )
    .await;
    let (call, inner) = (span(&trace, "caller", "GET"), span(&trace, "inner", "GET"));
    assert_eq!(call["attributes"]["service.peer.name"], "inner");
    is_within(inner, call);
    is_within(span(&trace, "inner", "guest"), inner);
    is_within(call, span(&trace, "caller", "guest"));
    // What the one at the end printed stands with it.
    let line = &trace["logs"][0];
    assert_eq!((&line["service"], &line["span"]), (&"inner".into(), &inner["span"]));
}
