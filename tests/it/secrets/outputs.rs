//! Promise 7 where an application is at work: all that shows what goes on, read to its end, tells no secret.

use wasm_host_tests::host::{App, Host};
use wasm_host_tests::postgres::Postgres;
use wasm_host_tests::rotel::Rotel;
use wasm_host_tests::{client, eventually, export};

/// What all secrets of this test begin with, whatever they are for.
const SECRET: &str = "s3cr3t";

/// As they are written in the environment of the host, by name.
const VARIABLES: [(&str, &str); 5] = [
    ("OTLP_KEY", "s3cr3t-intake-key"),
    ("OLLAMA_PASSWORD", "s3cr3t-of-models"),
    ("REDIS_PASSWORD", "s3cr3t-of-redis"),
    ("TOKEN", "s3cr3t-configuration"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20s3cr3t-collector"),
];

/// Services with each kind of secret, of which one has a database that answers, and the others backends that are away.
fn app(database: &str, collector: &str) -> App {
    let text = r#"
name = "secrets"

[telemetry]
intake-key = "${OTLP_KEY}"

[postgres.main]
url = "${DB_URL}"

[ollama.local]
url = "http://user:${OLLAMA_PASSWORD}@127.0.0.1:1"

[keyvalue.carts]
url = "redis://user:${REDIS_PASSWORD}@127.0.0.1:1"

[service.querier]
component = "$(querier)"
route = "/querier"
postgres = "main"
environment = { KEY = "${TOKEN}", PLACE = "Berlin" }

[service.chat]
component = "$(ollama)"
route = "/chat"
ollama = "local"

[service.keeper]
component = "$(keeper)"
route = "/keeper"
keyvalue = "carts"

[service.keeper.config]
token = "${TOKEN}"
"#;
    let mut app = App::new(text)
        .env("DB_URL", database)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        .env("WASM_HOST_LOG", "trace");
    for (name, value) in VARIABLES {
        app = app.env(name, value);
    }
    app
}

/// Requests with a secret wherever one may be: in headers, queries, bodies, values of statements.
async fn ask(host: &Host) {
    let headers = [
        ("authorization", "Bearer s3cr3t-bearer"),
        ("cookie", "session=s3cr3t-cookie"),
        ("x-api-key", "s3cr3t-header"),
    ];
    let send = async |method: &str, path: &str, body: &str| {
        client::send(&host.address, method, path, &headers, body).await.status.as_u16()
    };
    let query = "token=s3cr3t-query";
    for statement in [
        "select 's3cr3t-value'",
        "select 's3cr3t-value'::int",
        "select * from s where a = 's3cr3t-value'",
    ] {
        let status = send("POST", &format!("/querier/?{query}"), statement).await;
        assert!(status == 200 || status >= 400, "{status}");
    }
    // The first one is recorded, in which names tell what is secret; what is said stands there.
    let chat =
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"api_key":"s3cr3t-field"}"#;
    for (path, body) in [
        ("/chat/api/chat", chat),
        ("/chat/api/chat", &chat.replace("hi", "s3cr3t-prompt")),
        ("/chat/v1/chat/completions", &chat.replace("hi", "s3cr3t-prompt")),
    ] {
        let status = send("POST", &format!("{path}?{query}"), body).await;
        assert!(status >= 500, "{path}: {status}");
    }
    assert_eq!(send("PUT", "/keeper/carts/ada?api_key=s3cr3t-query", "three visits").await, 503);
    assert_eq!(send("PUT", "/keeper/carts/ada", "s3cr3t-value").await, 503);
}

/// What of telemetry, figures and descriptions can be asked for.
async fn asked(host: &Host, outputs: &mut Vec<(String, String)>) {
    let paths = [
        "/services",
        "/services/querier/history",
        "/backends",
        "/ready",
        "/live",
        "/metrics",
        "/api/resources",
        "/api/resources/querier",
        "/api/resources/chat",
        "/api/resources/keeper",
        "/api/logs?limit=1000",
        "/api/traces?limit=1000",
        "/api/search?q=select",
        "/api/metrics",
        "/api/metrics/db.client.operation.duration",
        "/api/session",
        "/api/recordings",
        // What the dashboard is.
        "/",
    ];
    let mut paths: Vec<String> = paths.map(str::to_owned).into();
    for list in ["traces", "recordings"] {
        let items = host.ask("GET", &format!("/api/{list}?limit=1000"), &[], "").await.json();
        let items = items["items"].as_array().expect("a list");
        assert!(!items.is_empty(), "no {list}");
        let name = if list == "traces" { "trace" } else { "id" };
        paths.extend(items.iter().map(|it| format!("/api/{list}/{}", it[name].as_str().unwrap())));
    }
    for path in paths {
        let reply = host.ask("GET", &path, &[], "").await;
        outputs.push((path, reply.text().to_owned()));
    }
    let file = export::files(&host.ask("GET", "/api/export", &[], "").await.body);
    outputs.extend(file.into_iter().map(|(name, text)| (format!("export {name}"), text)));
}

/// What commands print, for people and for programs.
async fn printed(app: &App, host: &Host, outputs: &mut Vec<(String, String)>) {
    let traces = host.ask("GET", "/api/traces?service=querier", &[], "").await.json();
    let trace = traces["items"][0]["trace"].as_str().unwrap().to_owned();
    let recorded = host.ask("GET", "/api/recordings", &[], "").await.json();
    let recording = recorded["items"][0]["id"].as_str().unwrap().to_owned();
    for command in [
        &["ps"][..],
        &["describe", "querier"],
        &["describe", "chat"],
        &["describe", "keeper"],
        &["history", "querier"],
        &["logs", "-n", "1000"],
        &["traces", "-n", "1000"],
        &["traces", &trace],
        &["recordings"],
        &["recordings", &recording],
        &["check"],
        &["check", "--limits"],
        &["manifest"],
    ] {
        for format in ["table", "json"] {
            if command[0] == "manifest" && format == "json" {
                continue;
            }
            let more: &[&str] = if command[0] == "manifest" { &[] } else { &["--format", format] };
            let output = app.run(&[command, more].concat()).await;
            let told = [output.stdout, output.stderr].concat();
            outputs.push((format!("{command:?} {format}"), String::from_utf8(told).unwrap()));
        }
    }
}

#[tokio::test]
async fn nothing_that_shows_what_goes_on_tells_a_secret() {
    let postgres = Postgres::start();
    let collector = Rotel::start().await;
    let database = postgres.url().replace("app@", "app:s3cr3t-of-database@");
    let app = app(&database, &format!("http://{}", collector.http));
    let host = app.serve().await;
    // The next requests are written down, too, with their headers and bodies.
    for service in ["chat", "keeper"] {
        let order = format!("{{\"service\":\"{service}\",\"requests\":1,\"only\":\"all\"}}");
        let reply = host.ask("POST", "/api/recordings", &[], order).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    ask(&host).await;
    eventually("all requests to be kept", async || {
        let seen = host.ask("GET", "/api/traces?limit=1000", &[], "").await.json();
        let recorded = host.ask("GET", "/api/recordings", &[], "").await.json();
        let count = |list: &serde_json::Value| list["items"].as_array().map(Vec::len);
        (count(&seen)? == 8 && count(&recorded)? == 2).then_some(())
    })
    .await;
    let mut outputs = Vec::new();
    asked(&host, &mut outputs).await;
    printed(&app, &host, &mut outputs).await;
    let (status, log) = host.stop().await;
    assert_eq!(status.code(), Some(0));
    outputs.push(("the log".to_owned(), log));
    // What went to a collector, which prints all of it but the key that lets it in. What was left is sent at the stop.
    let sent = eventually("what the collector was sent", async || {
        let printed = collector.printed();
        let wanted = ["http.server.request.duration", "Name           : SELECT", "Body: Str("];
        wanted.iter().all(|wanted| printed.contains(wanted)).then_some(printed)
    });
    outputs.push(("the collector".to_owned(), sent.await));
    for file in std::fs::read_dir(app.path().join(".wasm-host/telemetry")).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        outputs.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
    }
    // It was seen, and so could have been told.
    for (place, wanted) in [
        ("/api/logs", "TRACE"),
        ("export traces.ndjson", "/querier/"),
        ("export describe/querier.json", "Berlin"),
        ("/api/recordings/", "redacted"),
        (".sqlite", "SELECT"),
        ("\"describe\", \"querier\"", "[secret]"),
        ("\"traces\",", "SELECT"),
    ] {
        let mut here = outputs.iter().filter(|(name, _)| name.contains(place));
        let is_there = here.any(|(_, text)| text.to_lowercase().contains(&wanted.to_lowercase()));
        assert!(is_there, "no {wanted} in {place}");
    }
    println!(
        "{} outputs, {} bytes",
        outputs.len(),
        outputs.iter().map(|it| it.1.len()).sum::<usize>()
    );
    let tells = |(name, text): &(String, String)| {
        let at = text.find(SECRET)?;
        let from = text.floor_char_boundary(at.saturating_sub(200));
        let to = text.ceil_char_boundary(at + 60);
        Some(format!("{name}: …{}…", &text[from..to]))
    };
    let told: Vec<_> = outputs.iter().filter_map(tells).collect();
    assert!(told.is_empty(), "{}", told.join("\n\n"));
}
