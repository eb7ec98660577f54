//! What the host says of a request: it leads to its trace and its version, and what the component did wrong is an error.

use serde_json::Value;
use wasm_host_tests::host::{App, Host};
use wasm_host_tests::{client, eventually};

const FAILING: &str = r#"
name = "failing"
[service.bad]
component = "$(hostile)"
route = "/bad"
cpu-timeout = "100ms"
[service.inner]
component = "$(hostile)"
"#;

/// The line of a trace with these words. Those of another request have no part in it.
async fn line(host: &Host, trace: &str, words: &str) -> Value {
    eventually("a line of the trace", async || {
        let path = format!("/api/logs?trace={trace}&source=host");
        let list = host.ask("GET", &path, &[], "").await.json();
        let mut items = list["items"].as_array()?.iter();
        items.find(|it| it["message"].as_str().unwrap().contains(words)).cloned()
    })
    .await
}

/// The text that the span of a request failed with.
async fn failed_with(host: &Host, trace: &str) -> String {
    let trace = eventually("the trace", async || {
        let reply = host.ask("GET", &format!("/api/traces/{trace}"), &[], "").await;
        (reply.status == 200).then(|| reply.json())
    });
    let trace = trace.await;
    let spans = trace["spans"].as_array().unwrap();
    let failed = spans.iter().find(|span| span["message"].is_string());
    failed.expect("a span that failed")["message"].as_str().unwrap().to_owned()
}

// Fault (Telemetry): a component traps, computes for too long, or asks for what it may not | its lines lead to trace and version, and the span says why | the answers of each | nothing
#[tokio::test]
async fn each_line_of_a_request_has_its_trace_and_version_and_its_span_the_cause() {
    let host = App::new(FAILING).serve().await;
    let version = host.service("bad").await["version"].as_str().unwrap().to_owned();
    for (number, (path, words, level, cause)) in [
        ("/bad/trap", "an instance trapped: wasm trap: ", "error", "wasm trap: "),
        ("/bad/trap", "failed while it handled this request", "error", "wasm trap: "),
        ("/bad/loop", "an instance was ended: it computed for 100ms", "error", "'cpu-timeout'"),
        ("/bad/loop", "computed for too long", "error", "'cpu-timeout' sets the bound"),
        ("/bad/trap-in-body", "its response broke off: ", "error", "wasm trap: "),
        ("/bad/call?inner/", "refused a request to", "warn", ""),
    ]
    .into_iter()
    .enumerate()
    {
        let trace = format!("4bf92f3577b34da6a3ce929d0e0e47{number:02}");
        let traceparent = format!("00-{trace}-00f067aa0ba902b7-01");
        let headers = [("traceparent", &*traceparent)];
        let mut answer = client::open(&host.address, "GET", path, &headers, "").await;
        // Whole or not.
        let _ = answer.rest().await;
        let line = line(&host, &trace, words).await;
        assert_eq!(line["level"], level, "{line:#}");
        assert_eq!(line["service"], "bad", "{line:#}");
        assert_eq!(line["request"].as_str().unwrap().len(), 16, "{line:#}");
        assert_eq!(line["request"], line["span"], "{line:#}");
        assert!(line["version"].as_str().unwrap().starts_with(&version), "{line:#}");
        if !cause.is_empty() {
            let span = failed_with(&host, &trace).await;
            let message = line["message"].as_str().unwrap();
            assert!(span.contains(cause) && message.contains(cause), "{span:?} {message:?}");
        }
    }
    let errors = host.ask("GET", "/api/logs?level=error&service=bad", &[], "").await.json();
    assert!(errors["items"].as_array().unwrap().len() >= 5, "{errors:#}");
}

/// What a command prints, once it says all of these.
async fn says(app: &App, command: &[&str], all: &[&str]) -> String {
    eventually("the command to say it", async || {
        let output = app.run(command).await;
        let text = String::from_utf8(output.stdout).unwrap();
        all.iter().all(|words| text.contains(words)).then_some(text)
    })
    .await
}

#[tokio::test]
async fn a_service_that_fails_says_so_wherever_it_is_looked_at() {
    let app = App::new(FAILING);
    let host = app.serve().await;
    let version = host.service("bad").await["version"].as_str().unwrap().to_owned();
    for _ in 0..3 {
        assert_eq!(host.get("/bad/trap?query").await.status, 502);
    }
    let failures = [" 502 GET /bad/trap: ", "wasm trap: ", "100% failed (5xx)"];
    says(&app, &["describe", "bad"], &failures).await;
    let table = says(&app, &["ps"], &["5XX/MIN", "100%"]).await;
    let inner = table.lines().find(|line| line.starts_with("inner")).unwrap();
    assert!(!inner.contains('%') || inner.contains(" 0%"), "{table}");
    // By its version a trace is found, and the list says what was asked for.
    let list = says(&app, &["traces", "--search", &version], &["GET /bad/trap"]).await;
    assert_eq!(list.lines().count(), 4, "{list}");
    let json = says(&app, &["traces", "--until", "1h", "--format", "json"], &[""]).await;
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), Value::Array(Vec::new()));
    let waited = says(&app, &["wait", "bad", "--format", "json"], &["\"is\""]).await;
    assert_eq!(serde_json::from_str::<Value>(&waited).unwrap()["is"], "healthy");
    let link = says(&app, &["dashboard", "--format", "json"], &["/login?t="]).await;
    assert!(serde_json::from_str::<Value>(&link).unwrap()["url"].is_string());
    // Each problem of the control plane has an id of its own.
    let ids =
        [host.ask("GET", "/api/nope", &[], "").await, host.ask("GET", "/api/nope", &[], "").await];
    let ids = ids.map(|reply| reply.json()["requestId"].as_str().unwrap().to_owned());
    assert!(ids[0].len() == 16 && ids[0] != ids[1], "{ids:?}");
    let long = app.run(&["logs", "--search", &"a".repeat(5000)]).await;
    let told = String::from_utf8_lossy(&long.stderr).into_owned();
    assert!(told.len() < 200 && told.contains("a search takes at most 2048"), "{told}");
    // All of its time, of which the last part may be shorter than what lies between two looks.
    let nobody = App::new(FAILING);
    let began = std::time::Instant::now();
    assert_eq!(nobody.run(&["wait", "bad", "--timeout", "1500ms"]).await.status.code(), Some(1));
    assert!(began.elapsed() >= std::time::Duration::from_millis(1500), "{:?}", began.elapsed());
    let nowhere = app.run(&["export", "no/such/folder/a.zip"]).await;
    let told = String::from_utf8_lossy(&nowhere.stderr).into_owned();
    assert!(told.contains("there is no folder no/such/folder"), "{told}");
}
