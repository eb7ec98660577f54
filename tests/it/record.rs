//! Real traffic becomes cases: what is recorded is replayed with nothing running, and secrets stay out.

mod running;

use std::path::{Path, PathBuf};

use wasm_host_tests::client;
use wasm_host_tests::host::{App, COMPILATION, component, root};
use wasm_host_tests::models::with_demo;
use wasm_host_tests::postgres::Postgres;
use wasm_host_tests::upstream::{Step, Upstream, json};

/// A server whose URL has a password, which is away, and the demo.
fn with_password() -> App {
    let keys = "url = \"http://ada:${OLLAMA_PASSWORD}@127.0.0.1:1\"\n[record]\nredact = [\"iban\"]";
    with_demo(keys).env("OLLAMA_PASSWORD", "hunter2hunter2")
}

/// The recordings in a folder, by name.
fn recordings(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("recordings")
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .collect();
    files.sort();
    files
}

async fn replay(name: &str, folder: &Path, more: &[&str]) -> (bool, String) {
    let (file, folder) = (component(name), folder.display().to_string());
    let arguments = ["test", file.to_str().unwrap(), "--cases", &folder];
    let output = App::new("").run_within(COMPILATION, &[&arguments, more].concat()).await;
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn a_recorded_chat_is_replayed_byte_for_byte_with_no_service_running() {
    let app = with_password();
    let host = app.serve_with(&["--record", "recorded"]).await;
    let body = r#"{"model":"demo:latest","messages":[{"role":"user","content":"Will it rain?"}]}"#;
    let reply = host.send("POST", "/ollama/api/chat", body).await;
    assert_eq!(reply.status, 200);
    let (status, log) = host.stop().await;
    assert!(status.success(), "{log}");

    let folder = app.path().join("recorded/ollamaservice");
    let files = recordings(&folder);
    assert_eq!(files.len(), 1, "{log}");
    let text = std::fs::read_to_string(&files[0]).unwrap();
    let case: toml::Table = text.parse().unwrap();
    // What the client read is what the replay must give, and the tokens come at the times at which they came.
    assert_eq!(case["response"]["text"].as_str(), Some(reply.text()));
    let lines = case["call"][0]["answer"]["lines"].as_array().expect("lines");
    assert!(lines.iter().any(|line| line.get("after").is_some()), "{text}");
    let (passed, told) = replay("ollama", &folder, &[]).await;
    assert!(passed, "{told}");

    // A call that differs fails, with the difference; leniently it does not.
    let other = text.replacen("Will it rain?", "Will it snow?", 1);
    std::fs::write(&files[0], other).unwrap();
    let (passed, told) = replay("ollama", &folder, &[]).await;
    assert!(!passed && told.contains("Will it snow?") && told.contains("Will it rain?"), "{told}");
    let (passed, told) = replay("ollama", &folder, &["--lenient"]).await;
    assert!(passed, "{told}");
}

#[tokio::test]
async fn no_recording_has_a_secret() {
    let app = with_password();
    let host = app.serve_with(&["--record", "recorded", "--redact", "x-tenant"]).await;
    let body = r#"{"model":"nosuch","password":"s3cret-field","iban":"DE-s3cret","options":{"x":"http://ada:s3cret-url@host/"},"system":"hunter2hunter2"}"#;
    let headers = [
        ("authorization", "Bearer s3cret-bearer"),
        ("cookie", "session=s3cret-cookie"),
        ("proxy-authorization", "s3cret-proxy"),
        ("x-api-key", "s3cret-key"),
        ("x-tenant", "s3cret-tenant"),
        ("referer", "http://eve:s3cret-referer@host/?token=s3cret-token&page=7"),
    ];
    let path = "/ollama/api/show?api_key=s3cret-query&verbose=1";
    let reply = client::send(&host.address, "POST", path, &headers, body).await;
    assert_eq!(reply.status, 404, "{}", reply.text());
    let (_, log) = host.stop().await;
    for service in ["ollamaservice", "demo-ollama"] {
        let folder = app.path().join("recorded").join(service);
        let files = recordings(&folder);
        assert_eq!(files.len(), 1, "{log}");
        let text = std::fs::read_to_string(&files[0]).unwrap();
        assert!(!text.contains("s3cret") && !text.contains("hunter2"), "{text}");
        assert!(text.contains("redacted") && text.contains("nosuch"), "{text}");
        let (passed, told) = replay(service.trim_end_matches("service"), &folder, &[]).await;
        assert!(passed, "{told}");
    }
}

#[tokio::test]
async fn statements_time_and_chance_are_recorded() {
    let postgres = Postgres::start();
    let init = root().join("components/weather/sql/init.sql");
    let app = App::new(&format!(
        r#"
name = "weather"

[postgres.weather]
url = "${{WEATHER_DB_URL}}"
init = ["{}"]

[service.apiservice]
component = "$(weather)"
route = "/weather"
postgres = "weather"
"#,
        init.display()
    ));
    let app = app.env("WEATHER_DB_URL", &postgres.url());
    let host = app.serve_with(&["--record", "recorded"]).await;
    let one = host.get("/weather/forecast").await;
    let other = host.get("/weather/forecast").await;
    assert_eq!((one.status.as_u16(), other.status.as_u16()), (200, 200));
    assert_ne!(one.text(), other.text(), "requests that are recorded have chances of their own");
    host.stop().await;
    let folder = app.path().join("recorded/apiservice");
    let texts: Vec<_> =
        recordings(&folder).iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    assert_eq!(texts.len(), 2);
    assert!(texts[0].contains("select summary from weathersummaries"), "{}", texts[0]);
    assert!(texts[0].contains("Scorching"), "{}", texts[0]);
    let (passed, told) = replay("weather", &folder, &[]).await;
    assert!(passed, "{told}");
}

#[tokio::test]
async fn one_component_is_recorded_without_an_application_file() {
    let app = App::new("");
    let host = app.serve_interpreter("hello-js", &["--record", "cases"]).await;
    for path in ["/now", "/dice?sides=100", "/nothing"] {
        host.get(path).await;
    }
    host.send("POST", "/greeting", r#"{"name":"Ada"}"#).await;
    host.stop().await;
    let folder = app.path().join("cases");
    assert_eq!(recordings(&folder).len(), 4);
    let (passed, told) = replay("hello-js", &folder, &[]).await;
    assert!(passed, "{told}");
}

#[tokio::test]
async fn a_recording_that_cannot_be_made_costs_the_recording_and_not_the_request() {
    let upstream = Upstream::start(|_| {
        // More than a case may have.
        vec![Step::Send(json("200 OK", &format!("\"{}\"", "x".repeat(5 * 1024 * 1024))))]
    })
    .await;
    let text = r#"
name = "models"

[ollama.local]

[service.ollamaservice]
component = "$(ollama)"
ollama = "local"
route = "/ollama"
"#;
    let app = App::new(text).env("OLLAMA_HOST", &upstream.url);
    let host = app.serve_with(&["--record", "recorded"]).await;
    let reply = host.get("/ollama/v1/models").await;
    assert_eq!(reply.body.len(), 5 * 1024 * 1024 + 2);
    let (_, log) = host.stop().await;
    assert!(log.contains("a request is not recorded: it has more than"), "{log}");
    assert!(!app.path().join("recorded/ollamaservice").exists(), "{log}");
}
