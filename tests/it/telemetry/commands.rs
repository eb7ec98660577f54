//! What a user sees at the prompt.

use tokio::io::{AsyncBufReadExt as _, BufReader};
use wasm_host_tests::export;
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
    for (typed, wanted) in [("rec", "record recordings"), ("record --f", "--failures --format")] {
        assert_eq!(completed(&script, typed).await, wanted, "{typed}");
    }
    let unitless = app.run(&["logs", "--since", "10"]).await;
    let told = String::from_utf8(unitless.stderr).unwrap();
    assert_eq!(unitless.status.code(), Some(64), "{told}");
    assert!(told.contains("it has no unit; write 10s, 10m, 10h or 10d"), "{told}");
    let absent = app.run(&["wait", "innner", "--timeout", "30s"]).await;
    let told = String::from_utf8(absent.stderr).unwrap();
    assert!(!absent.status.success() && told.contains("there are caller, inner"), "{told}");
}

#[tokio::test]
async fn what_was_kept_is_one_file_for_somebody_else() {
    let app = App::new(TWO);
    let host = app.serve().await;
    assert_eq!(host.get("/inner/trap").await.status, 502);
    host.get("/caller/").await;
    let failed = trace(&host, "errors=true", |_| true).await;
    trace(&host, "service=caller", |_| true).await;
    // Figures are stored every ten seconds.
    eventually("figures", async || {
        let known = host.ask("GET", "/api/metrics", &[], "").await;
        known.text().contains("http.server.request.duration").then_some(())
    })
    .await;
    let output = app.run(&["export", "--since", "1h", "shop.zip"]).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("shop.zip: ") && said.contains(" 2 traces"), "{said}");
    let path = app.path().join("shop.zip");
    let files = export::files(&std::fs::read(&path).unwrap());
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "README.txt",
            "describe/caller.json",
            "describe/inner.json",
            "logs.ndjson",
            "manifest.json",
            "metrics.ndjson",
            "resources.json",
            "traces.ndjson",
        ]
    );
    let traces = export::lines(&files["traces.ndjson"]);
    let exported = traces.iter().find(|trace| trace["trace"] == failed["trace"]).unwrap();
    assert_eq!(exported["spans"], failed["spans"]);
    assert_eq!((&exported["status"], &exported["error"]), (&502.into(), &true.into()));
    let metrics = export::lines(&files["metrics.ndjson"]);
    let times: Vec<_> = metrics
        .iter()
        .filter(|line| line["name"] == "http.server.request.duration")
        .filter(|line| line["labels"]["service"] == "inner")
        .collect();
    assert_eq!(times[0]["points"][0][2], 1, "{metrics:?}");
    let manifest: serde_json::Value = serde_json::from_str(&files["manifest.json"]).unwrap();
    assert_eq!((&manifest["application"], &manifest["host"]), (&"seen".into(), &"0.1.0".into()));
    assert!(manifest["limits"]["set"].as_array().is_some_and(|limits| limits.len() > 20));
    // What is there stays; of one service, no other is told.
    let again = app.run(&["export", "shop.zip"]).await;
    let told = String::from_utf8(again.stderr).unwrap();
    assert!(!again.status.success() && told.contains("shop.zip is there already"), "{told}");
    let one = app.run(&["export", "--service", "caller", "--format", "json", "caller.zip"]).await;
    assert!(one.status.success());
    let said: serde_json::Value = serde_json::from_slice(&one.stdout).unwrap();
    assert_eq!(said["files"]["traces.ndjson"]["items"], 1);
    let files = export::files(&std::fs::read(app.path().join("caller.zip")).unwrap());
    assert!(!files.contains_key("describe/inner.json") && !files["logs.ndjson"].contains("trap"));
    // What failed leaves nothing behind.
    let absent = app.run(&["export", "--service", "calller", "absent.zip"]).await;
    let told = String::from_utf8(absent.stderr).unwrap();
    assert!(!absent.status.success() && told.contains("no service calller"), "{told}");
    let left = std::fs::read_dir(app.path()).unwrap();
    let left =
        left.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().contains(".zip"));
    assert_eq!(left.count(), 2);
}

/// What bash offers for the last word of what was typed behind the program's name.
async fn completed(script: &str, typed: &str) -> String {
    let ask = r#"
COMP_WORDS=(wasm-host $1)
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_wasm__host wasm-host "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
echo ${COMPREPLY[@]}
"#;
    let mut bash = tokio::process::Command::new("bash");
    bash.args(["-c", &format!("{script}\n{ask}"), "bash", typed]);
    let output = within("bash", bash.output()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
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
    assert_eq!(line["version"].as_str().unwrap().len(), 12);
    // Whatever is on standard error is an object.
    for line in log.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
    assert!(log.contains("Control plane on") && log.contains("\"services\":["), "{log}");
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

/// A service that there is not, at the prompt: an empty answer would not tell.
#[tokio::test]
async fn a_service_that_there_is_not_is_told_with_those_there_are() {
    let app = App::new(TWO);
    let host = app.serve().await;
    assert_eq!(host.get("/inner/print").await.status, 204);
    trace(&host, "service=inner", |_| true).await;
    for arguments in [
        &["logs", "innner"][..],
        &["logs", "inner", "innner"],
        &["logs", "--follow", "innner"],
        &["traces", "--service", "innner"],
        &["export", "--service", "innner", "out.zip"],
        &["describe", "innner"],
        &["record", "innner"],
        &["record", "innner", "--stop"],
        &["wait", "innner"],
    ] {
        let output = app.run(arguments).await;
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {told}");
        let told = told.to_lowercase();
        assert!(told.contains("there is no service innner; there are caller, inner"), "{told}");
    }
    // It has printed nothing, and is a service.
    assert!(app.run(&["logs", "caller"]).await.status.success());
    for path in ["/api/logs?service=innner", "/api/traces?follow=true&service=innner"] {
        assert_eq!(host.ask("GET", path, &[], "").await.status, 404, "{path}");
    }
    assert_eq!(host.ask("DELETE", "/api/telemetry?service=innner", &[], "").await.status, 404);
}
