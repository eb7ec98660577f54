//! Promise 7: secrets appear in no output.

mod faults;
mod outputs;

use wasm_host_tests::host::App;
use wasm_host_tests::{eventually, export};

const PASSWORD: &str = "s3cr3t!@#%;'x";
/// The same in a url.
const ENCODED: &str = "s3cr3t%21%40%23%25%3B%27x";

#[tokio::test]
async fn the_password_of_a_database_is_in_no_output() {
    let url = format!("postgres://weather:{ENCODED}@127.0.0.1:1/weather");
    let app = App::new(
        r#"
name = "secrets"

[postgres.weather]
url = "${WEATHER_DB_URL}"
acquire-timeout = "1s"

[ollama.local]
url = "http://user:${OLLAMA_PASSWORD}@127.0.0.1:1"

[service.weather]
component = "$(weather)"
postgres = "weather"
environment = { KEY = "${OLLAMA_PASSWORD}", PLACE = "Berlin" }

[service.chat]
component = "$(ollama)"
ollama = "local"
"#,
    )
    .env("WEATHER_DB_URL", &url)
    .env("OLLAMA_PASSWORD", PASSWORD)
    .env("WASM_HOST_LOG", "trace,mio=trace");
    let mut outputs = Vec::new();
    for arguments in [&["check"][..], &["check", "--format", "json"]] {
        let output = app.run(arguments).await;
        outputs.push(String::from_utf8(output.stdout).unwrap());
        outputs.push(String::from_utf8(output.stderr).unwrap());
    }
    let host = app.serve().await;
    // Nothing listens there: the answer is an error.
    let reply = host.get("/weather/forecast").await;
    assert_eq!(reply.status, 503, "{}", reply.text());
    outputs.push(reply.text().to_string());
    outputs.push(host.get("/chat/api/tags").await.text().to_string());
    outputs.push(host.get("/chat/v1/models").await.text().to_string());
    // All of it has been stored when the last of it can be read.
    eventually("the last request to be seen", async || {
        let seen = host.ask("GET", "/api/traces?service=chat", &[], "").await.json();
        (seen["items"].as_array()?.len() >= 2).then_some(())
    })
    .await;
    for path in [
        "/services",
        "/services/weather/history",
        "/ready",
        "/live",
        "/nowhere",
        "/metrics",
        "/api/resources",
        "/api/resources/weather",
        "/api/logs?limit=1000",
        "/api/traces?limit=1000",
        "/api/metrics",
    ] {
        outputs.push(host.ask("GET", path, &[], "").await.text().to_string());
    }
    // And once more as one file, whose parts are compressed.
    let export = export::files(&host.ask("GET", "/api/export", &[], "").await.body);
    assert!(export["traces.ndjson"].contains("/weather/forecast"), "{export:?}");
    let described = &export["describe/weather.json"];
    assert!(described.contains("KEY") && described.contains("Berlin"), "{described}");
    outputs.extend(export.into_values());
    let (status, log) = host.stop().await;
    assert_eq!(status.code(), Some(0));
    assert!(log.contains("TRACE"), "the log is not as loud as it can be");
    outputs.push(log);
    let stored = std::fs::read_dir(app.path().join(".wasm-host/telemetry")).unwrap();
    let stored: Vec<_> = stored.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(stored.iter().any(|file| file.len() > 4096), "nothing was stored");
    outputs.extend(stored.iter().map(|file| String::from_utf8_lossy(file).into_owned()));
    for output in outputs {
        for secret in [PASSWORD, ENCODED, "s3cr3t"] {
            assert!(!output.contains(secret), "{secret} in:\n{output}");
        }
    }
}

#[tokio::test]
async fn a_literal_password_is_an_error_that_does_not_repeat_it() {
    let app = App::new(&format!(
        r#"
name = "secrets"

[postgres.weather]
url = "postgres://weather:{ENCODED}@127.0.0.1/weather"

[service.weather]
component = "$(weather)"
postgres = "weather"
"#
    ));
    let output = app.run(&["check"]).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(told.contains("wasm-host.toml:5:") && told.contains("password"), "{told}");
    assert!(!told.contains("s3cr3t"), "{told}");
}
