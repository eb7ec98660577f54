//! What others send: a program that OpenTelemetry's library traces stands in the same trace as the host.

use serde_json::{Value, json};
use wasm_host_tests::client::{self, Reply};
use wasm_host_tests::host::{App, Host, root};
use wasm_host_tests::postgres::Postgres;
use wasm_host_tests::{eventually, export, opentelemetry};

use super::{TWO, is_below, span, trace};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Two services, and what others send.
fn app(more: &str) -> App {
    App::new(&format!("{TWO}\n[telemetry]\nintake-key = \"${{OTLP_KEY}}\"\n{more}"))
        .env("OTLP_KEY", KEY)
}

/// A request of one span without a parent.
pub(super) fn spans(service: &str, name: &str, trace: &str, span: &str) -> Value {
    let end = std::time::SystemTime::now();
    let end = end.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    json!({ "resourceSpans": [{
        "resource": { "attributes": [
            { "key": "service.name", "value": { "stringValue": service } },
            { "key": "process.command_args", "value": { "stringValue": "--password=hunter2" } },
        ] },
        "scopeSpans": [{ "spans": [{
            "traceId": trace, "spanId": span, "name": name, "kind": 1,
            "startTimeUnixNano": (end - 2_000_000).to_string(), "endTimeUnixNano": end.to_string(),
            "attributes": [{ "key": "user.password", "value": { "stringValue": "hunter2" } }],
        }] }],
    }] })
}

async fn send(host: &Host, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Reply {
    client::send(&host.admin, "POST", path, headers, body).await
}

const JSON: (&str, &str) = ("content-type", "application/json");

fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

#[tokio::test]
async fn a_program_in_python_the_host_and_its_statement_are_one_trace() {
    let postgres = Postgres::start();
    let init = root().join("components/weather/sql/init.sql");
    let app = App::new(&format!(
        "name = \"seen\"\n[telemetry]\nintake-key = \"${{OTLP_KEY}}\"\nslow = \"1m\"\n\
         [postgres.weather]\nurl = \"${{WEATHER_DB_URL}}\"\ninit = [\"{}\"]\n\
         [service.apiservice]\ncomponent = \"$(weather)\"\nroute = \"/weather\"\npostgres = \"weather\"\n",
        init.display()
    ));
    let app = app.env("WEATHER_DB_URL", &postgres.url()).env("OTLP_KEY", KEY);
    let host = app.serve().await;
    let url = format!("http://{}/weather/forecast?key=hunter2", host.address);
    let told = opentelemetry::ask(&url, &host.admin, KEY).await;
    assert_eq!(told.complaints, "");
    // All of it has been handed over; what comes last are the lines.
    eventually("the line", async || {
        let lines = host.ask("GET", "/api/logs?search=mild", &[], "").await.json();
        (!lines["items"].as_array()?.is_empty()).then_some(())
    })
    .await;
    let is_whole = |item: &Value| {
        let has = |name: &str| item["services"].to_string().contains(&format!("\"{name}\""));
        item["name"] == "plan a walk" && has("walker") && has("apiservice")
    };
    let whole = trace(&host, "service=walker", is_whole).await;
    assert_eq!(whole["trace"], *told.trace);
    let root = span(&whole, "walker", "plan a walk");
    assert_eq!(root["parent"], Value::Null);
    let ask = span(&whole, "walker", "ask");
    assert_eq!(ask["kind"], "client");
    let shown = url.split_once('?').unwrap().0;
    assert_eq!(ask["attributes"]["url.full"], *shown);
    assert_eq!(ask["attributes"]["wasm_host.received"], "key");
    let request = span(&whole, "apiservice", "GET /weather");
    assert_eq!(request["parent"], ask["span"]);
    assert!(is_below(&whole, span(&whole, "apiservice", "guest"), root));
    let statement = span(&whole, "apiservice", "SELECT");
    assert!(is_below(&whole, statement, root));
    let line = &whole["logs"].as_array().unwrap()[0];
    assert_eq!((&line["message"], &line["level"]), (&json!("it will be mild"), &json!("warn")));
    assert_eq!((&line["source"], &line["service"]), (&json!("outside"), &json!("walker")));
    assert_eq!(line["span"], root["span"]);
    assert!(!whole.to_string().contains("hunter2"), "{whole:#}");
    // A list shows it once, by what came first of it, though that came last.
    let all = host.ask("GET", "/api/traces", &[], "").await.json();
    let mut items = all["items"].as_array().unwrap().iter();
    let item = items.find(|item| item["trace"] == *told.trace).unwrap();
    assert!(!items.any(|item| item["trace"] == *told.trace), "{all}");
    assert_eq!((&item["service"], &item["why"]), (&json!("walker"), &json!("parent")));
    assert!(item["duration"].as_u64() >= request["duration"].as_u64(), "{item}");
    let metrics = host.ask("GET", "/metrics", &[], "").await;
    let refused = "wasm_host_telemetry_intake_refused_total{from=\"key\",signal=\"metrics\"} 1.0\n";
    assert!(metrics.text().contains(refused), "{}", metrics.text());
}

// Fault (Telemetry): a wrong key, or none | looks at nothing | 401 with the line to add | what was sent
#[tokio::test]
async fn telemetry_of_others_needs_the_key_or_the_token_and_the_answer_says_how_to_give_it() {
    let host = app("").serve().await;
    let body = spans("a", "b", &"1".repeat(32), &"2".repeat(16)).to_string();
    for path in ["/v1/traces", "/v1/logs", "/v1/metrics"] {
        let denied = send(&host, path, &[JSON], &body).await;
        assert_eq!(denied.status, 401, "{path}");
        let problem = denied.json();
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("authorization=Bearer%20KEY"), "{detail}");
        assert!(detail.contains("intake-key of [telemetry]"), "{detail}");
        assert!(detail.starts_with("There is no key"), "{detail}");
        let wrong = bearer(&KEY.replace('0', "1"));
        let denied = send(&host, path, &[JSON, ("authorization", &wrong)], &body).await;
        assert_eq!(denied.status, 401, "{path}");
        let problem = denied.json();
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with("This is not the key for telemetry: "), "{detail}");
    }
    for given in [bearer(KEY), host.authorization()] {
        let taken = send(&host, "/v1/traces", &[JSON, ("authorization", &given)], &body).await;
        assert_eq!((taken.status.as_u16(), taken.text()), (200, "{}"));
        assert_eq!(taken.header("content-type"), "application/json");
    }
    // The key is for telemetry, and for nothing else.
    let headers = [("authorization", &*bearer(KEY))];
    let other = client::send(&host.admin, "GET", "/api/traces", &headers, "").await;
    assert_eq!(other.status, 401);
    // No page sends here, whatever it has.
    let page = [JSON, ("authorization", &bearer(KEY)), ("origin", "http://evil.example")];
    assert_eq!(send(&host, "/v1/traces", &page, &body).await.status, 403);
    // The public port knows none of it.
    let public = client::send(&host.address, "POST", "/v1/traces", &[JSON], &body).await;
    assert_eq!(public.status, 404);
}

#[tokio::test]
async fn what_is_sent_is_found_like_the_hosts_own_without_what_is_secret() {
    let host = app("").serve().await;
    let id = "5".repeat(32);
    let body = spans("walker", "plan a walk", &id, &"6".repeat(16));
    let headers = [JSON, ("authorization", &*bearer(KEY))];
    assert_eq!(send(&host, "/v1/traces", &headers, body.to_string()).await.status, 200);
    let line = json!({ "resourceLogs": [{
        "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "walker" } }] },
        "scopeLogs": [{ "logRecords": [
            { "severityNumber": 9, "body": { "stringValue": "a marmot" }, "traceId": id, "spanId": "6".repeat(16) },
        ] }],
    }] });
    assert_eq!(send(&host, "/v1/logs", &headers, line.to_string()).await.status, 200);
    let whole = trace(&host, "search=walk", |_| true).await;
    assert_eq!((&whole["trace"], &whole["dropped"]), (&json!(id), &json!(0)));
    assert_eq!(whole["spans"][0]["attributes"], json!({ "wasm_host.received": "key" }));
    let lines = eventually("the line", async || {
        let path = "/api/logs?source=outside&search=marmot";
        let lines = host.ask("GET", path, &[], "").await.json();
        (lines["items"].as_array()?.len() == 1).then_some(lines)
    })
    .await;
    assert_eq!(lines["items"][0]["service"], "walker");
    let found = host.ask("GET", "/api/search?q=walker", &[], "").await.json();
    assert_eq!(found["services"], json!([{ "service": "walker" }]));
    // One service of others is forgotten like one of the host's.
    let cleared = host.ask("DELETE", "/api/telemetry?service=walker", &[], "").await;
    assert_eq!(cleared.status, 200);
    let gone = host.ask("GET", &format!("/api/traces/{id}"), &[], "").await;
    assert_eq!(gone.status, 404);
}

// Fault (Telemetry): telemetry of others that is too large, or of another kind | takes nothing of it | 413, 415 | what was sent
#[tokio::test]
async fn what_cannot_be_taken_is_answered_as_otlp_has_it() {
    let host = app("").serve().await;
    let key = bearer(KEY);
    let with = |kind| [("content-type", kind), ("authorization", &*key)];
    let json_kind = with("application/json");
    let status = async |path: &str, headers: &[(&str, &str)], body: &[u8]| {
        send(&host, path, headers, body).await.status.as_u16()
    };
    assert_eq!(status("/v1/traces", &json_kind, b"junk").await, 400);
    assert_eq!(status("/v1/traces", &with("application/x-protobuf"), b"junk").await, 400);
    assert_eq!(status("/v1/traces", &with("text/plain"), b"{}").await, 415);
    let zipped = [&json_kind[..], &[("content-encoding", "br")]].concat();
    assert_eq!(status("/v1/traces", &zipped, b"{}").await, 415);
    let zipped = [&json_kind[..], &[("content-encoding", "gzip")]].concat();
    assert_eq!(status("/v1/traces", &zipped, b"{}").await, 400);
    let large = vec![b' '; 4 * 1024 * 1024 + 1];
    assert_eq!(status("/v1/traces", &json_kind, &large).await, 413);
    let get = client::send(&host.admin, "GET", "/v1/traces", &json_kind, "").await;
    assert_eq!((get.status.as_u16(), get.header("allow")), (405, "POST"));
    // What is no span is left out and said, and the others are taken.
    let mut some = spans("a", "good", &"1".repeat(32), &"2".repeat(16));
    let all = &mut some["resourceSpans"][0]["scopeSpans"][0]["spans"];
    let mut bad = all[0].clone();
    bad["startTimeUnixNano"] = "1".into();
    all.as_array_mut().unwrap().push(bad);
    let partly = send(&host, "/v1/traces", &json_kind, some.to_string()).await;
    assert_eq!(partly.status, 200);
    assert_eq!(partly.json()["partialSuccess"]["rejectedSpans"], "1");
    let why = partly.json()["partialSuccess"]["errorMessage"].as_str().unwrap().to_owned();
    assert!(why.contains("last day"), "{why}");
    trace(&host, "search=good", |item| item["spans"] == 1).await;
    let metrics = host.ask("GET", "/metrics", &[], "").await;
    for counted in [
        "wasm_host_telemetry_intake_taken_total{from=\"key\",signal=\"traces\"} 1.0\n",
        "wasm_host_telemetry_intake_refused_total{from=\"key\",signal=\"traces\"} 8.0\n",
    ] {
        assert!(metrics.text().contains(counted), "{counted} in {}", metrics.text());
    }
}

#[tokio::test]
async fn a_host_sends_what_it_sees_to_another_one_also_with_grpc() {
    let to = app("").serve().await;
    for protocol in ["grpc", "http/protobuf"] {
        let from = App::new(TWO)
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{}", to.admin))
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
            .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
            .env("OTEL_EXPORTER_OTLP_HEADERS", &format!("authorization=Bearer%20{KEY}"))
            .env("OTEL_METRICS_EXPORTER", "none")
            .serve()
            .await;
        assert_eq!(from.get("/caller/fetch?http://inner/print").await.status, 204);
        let there = trace(&from, "service=inner", |_| true).await;
        let here = trace(&to, "service=inner", |item| item["trace"] == there["trace"]).await;
        let ids = |trace: &Value| {
            let spans = trace["spans"].as_array().unwrap().iter();
            let mut ids: Vec<_> = spans.map(|span| span["span"].to_string()).collect();
            ids.sort();
            ids
        };
        assert_eq!(ids(&here), ids(&there), "{protocol}");
        // An attempt that is slow is one more, and no loss.
        let figures = eventually("figures of what arrived", async || {
            let figures = from.ask("GET", "/metrics", &[], "").await.text().to_owned();
            let has_sent = |signal: &str| {
                let sent = format!("wasm_host_telemetry_export_sent_total{{signal=\"{signal}\"}} ");
                let mut lines = figures.lines();
                lines.any(|line| line.strip_prefix(&*sent).is_some_and(|count| count != "0.0"))
            };
            (has_sent("traces") && has_sent("logs")).then_some(figures)
        })
        .await;
        for signal in ["traces", "logs"] {
            let none =
                format!("wasm_host_telemetry_export_dropped_total{{signal=\"{signal}\"}} 0.0\n");
            assert!(figures.contains(&none), "{none} in {figures}");
        }
        let (status, log) = from.stop().await;
        assert_eq!(status.code(), Some(0), "{log}");
    }
    // With a wrong key it is told so, in words of gRPC.
    let from = App::new(TWO)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{}", to.admin))
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        .serve()
        .await;
    assert_eq!(from.get("/inner/print").await.status, 204);
    from.logs("unauthenticated").await;
}

#[tokio::test]
async fn nothing_is_taken_where_telemetry_is_off() {
    let host = app("enabled = false\n").serve().await;
    let body = spans("a", "b", &"1".repeat(32), &"2".repeat(16)).to_string();
    let sent = send(&host, "/v1/traces", &[JSON, ("authorization", &bearer(KEY))], body).await;
    assert_eq!(sent.status, 404);
    assert!(sent.text().contains("enabled = false"), "{}", sent.text());
}

#[tokio::test]
async fn what_others_are_called_is_chosen_by_as_a_service_is() {
    let app = app("");
    let host = app.serve().await;
    let (one, two) = ("1".repeat(32), "3".repeat(32));
    for (service, trace) in [("walker", &one), ("runner", &two)] {
        let body = spans(service, "go", trace, &"2".repeat(16)).to_string();
        let headers = [JSON, ("authorization", &*bearer(KEY))];
        assert_eq!(send(&host, "/v1/traces", &headers, body).await.status, 200);
        trace_of(&host, service).await;
    }
    let others = async || {
        let all = host.ask("GET", "/api/resources", &[], "").await.json();
        all["others"].as_array().unwrap().clone()
    };
    eventually("their names", async || (others().await == ["runner", "walker"]).then_some(()))
        .await;
    let exported = app.run(&["export", "--service", "walker", "walker.zip"]).await;
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let files = export::files(&std::fs::read(app.path().join("walker.zip")).unwrap());
    let traces = export::lines(&files["traces.ndjson"]);
    assert_eq!((traces.len(), &traces[0]["trace"]), (1, &json!(one)));
    let listed = app.run(&["traces", "--service", "walker"]).await;
    assert!(String::from_utf8(listed.stdout).unwrap().contains(&one));
    let cleared = host.ask("DELETE", "/api/telemetry?service=walker", &[], "").await;
    assert_eq!(cleared.status, 200);
    eventually("it to be forgotten", async || (others().await == ["runner"]).then_some(())).await;
    let listed = app.run(&["traces", "--service", "walker"]).await;
    let told = String::from_utf8(listed.stderr).unwrap();
    assert!(told.contains("no service walker; there are caller, inner, runner"), "{told}");
}

async fn trace_of(host: &Host, service: &str) -> Value {
    trace(host, &format!("service={service}"), |_| true).await
}
