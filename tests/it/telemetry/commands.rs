//! What a user sees at the prompt.

use tokio::io::{AsyncBufReadExt as _, BufReader};
use wasm_host_tests::host::App;
use wasm_host_tests::{eventually, within};

use super::{TWO, trace};

#[tokio::test]
async fn what_happened_is_read_at_the_prompt() {
    let app = App::new(TWO);
    let host = app.serve().await;
    assert_eq!(host.get("/inner/trap").await.status, 502);
    assert_eq!(host.get("/inner/print").await.status, 204);
    let failed = trace(&host, "errors=true", |_| true).await;
    let run = async |arguments: &[&str]| {
        let output = app.run(arguments).await;
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{arguments:?}: {told}");
        String::from_utf8(output.stdout).unwrap()
    };
    let id = failed["trace"].as_str().unwrap();
    let list = run(&["traces", "--errors"]).await;
    assert!(list.contains(id) && list.contains("GET /inner") && list.contains("502"), "{list}");
    let one = run(&["traces", id]).await;
    assert!(one.contains("    guest") && one.contains("FAILED: "), "{one}");
    let printed = eventually("what it printed", async || {
        let lines = run(&["logs", "inner", "--level", "info"]).await;
        lines.contains(" INFO inner: ").then_some(lines)
    });
    printed.await;
    let described = run(&["describe", "inner"]).await;
    for fact in [
        "Route         /inner",
        "State         running",
        "Last failures",
        "concurrent = 256 (default)",
    ] {
        assert!(described.contains(fact), "{fact} in {described}");
    }
    run(&["wait", "inner", "--timeout", "30s"]).await;
    let link = run(&["dashboard"]).await;
    assert_eq!(
        link.trim(),
        format!("http://{}/login?t={}", host.admin, host.control()["token"].as_str().unwrap())
    );
    let script = run(&["completion", "bash"]).await;
    assert!(script.contains("traces"), "{script}");
    let absent = app.run(&["wait", "innner", "--timeout", "30s"]).await;
    let told = String::from_utf8(absent.stderr).unwrap();
    assert!(!absent.status.success() && told.contains("there are caller, inner"), "{told}");
}

#[tokio::test]
async fn lines_are_followed_as_they_come() {
    let app = App::new(TWO);
    let host = app.serve().await;
    let mut following = app.start_to_read(&["logs", "-f", "inner", "--format", "json"]);
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    assert_eq!(host.get("/inner/print").await.status, 204);
    let line = within("a line", lines.next_line()).await.unwrap().expect("a line");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["service"], &line["source"]), (&"inner".into(), &"guest".into()));
    assert_eq!(line["request"].as_str().unwrap().len(), 16);
    // The host neither waits for a follower nor cuts it off: its stream ends.
    let (status, log) = host.stop().await;
    assert_eq!(status.code(), Some(0));
    assert!(!log.contains("cut 1 connections"), "{log}");
    assert!(within("the command to end", following.wait()).await.unwrap().success());
}

#[tokio::test]
async fn the_log_is_json_where_it_is_asked_for() {
    let app = App::new(TWO);
    let host = app.serve_with(&["wasm-host.toml", "--log-format", "json"]).await;
    assert_eq!(host.get("/inner/print").await.status, 204);
    host.logs("\"source\":\"guest\"").await;
    let (status, log) = host.stop().await;
    assert_eq!(status.code(), Some(0));
    let guest = log.lines().find(|line| line.contains("\"source\":\"guest\"")).unwrap();
    let line: serde_json::Value = serde_json::from_str(guest).unwrap();
    assert_eq!(line["service"], "inner");
    assert_eq!(line["trace"].as_str().unwrap().len(), 32);
    assert!(line["trace"].as_str().unwrap().ends_with(line["request"].as_str().unwrap()));
}

#[tokio::test]
async fn a_variable_of_opentelemetry_that_cannot_be_used_is_told_by_check_as_by_serve() {
    let app = App::new(TWO).env("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317");
    for command in ["check", "serve"] {
        let output = app.run(&[command]).await;
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{command}: {told}");
        assert!(told.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{command}: {told}");
    }
}
