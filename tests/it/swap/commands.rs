//! `wasm-host ps`, `history`, `swap` and `rollback`.

use std::process::Output;

use wasm_host_tests::client;
use wasm_host_tests::host::component;

use super::{App, SERVICE, answers};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn done(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn path(name: &str) -> String {
    component(&format!("version-{name}")).to_str().unwrap().to_string()
}

#[tokio::test]
async fn versions_are_swapped_and_looked_at_from_the_command_line() {
    let app = App::new(SERVICE);
    let host = app.serve().await;
    // It outlasts the first swap, which compiles, and nobody waits for its end.
    let mut stream = client::open(&host.address, "GET", "/?pieces=100&ms=300", &[], "").await;
    assert!(stream.next().await.unwrap().is_some());
    let (one, two) = (path("one"), path("two"));

    let told = done(&app.run(&["swap", "app", &two]).await);
    assert!(told.starts_with("activated: ") && told.contains(" -> "), "{told}");
    assert!(told.contains(" ms; 1 request finishes on the old version\n"), "{told}");
    assert_eq!(answers(&host).await, "two");
    let told = done(&app.run(&["swap", "app", &two]).await);
    assert!(told.starts_with("unchanged: "), "{told}");
    let told = done(&app.run(&["rollback", "app"]).await);
    assert!(told.starts_with("activated: "), "{told}");
    assert_eq!(answers(&host).await, "one");
    let output = app.run(&["swap", "app", &one, "--format", "json"]).await;
    assert_eq!(json(&output)["verdict"], "unchanged");

    let told = done(&app.run(&["ps"]).await);
    let version = host.service("app").await["version"].as_str().unwrap().to_string();
    assert!(told.starts_with("SERVICE") && told.contains(&version), "{told}");
    assert_eq!(json(&app.run(&["ps", "--format", "json"]).await)[0]["service"], "app");

    let told = done(&app.run(&["history", "app"]).await);
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].starts_with("NUMBER") && lines.len() == 6, "{told}");
    // Newest first.
    assert!(lines[1].contains("unchanged") && lines[2].contains("wasm-host rollback"), "{told}");
    assert!(lines[4].contains("wasm-host swap ") && lines[5].contains("start"), "{told}");
    let history = json(&app.run(&["history", "app", "--format", "json"]).await);
    assert_eq!((&history[0]["number"], &history[4]["cause"]), (&5.into(), &"start".into()));
}

#[tokio::test]
async fn what_is_rejected_is_exit_code_1_with_the_reason() {
    let app = App::new(SERVICE);
    let host = app.serve().await;
    let bad = path("unstartable");
    let output = app.run(&["swap", "app", &bad]).await;
    let told = text(&output.stderr);
    // A slow machine is told before that what is waited for.
    let told: Vec<_> = told.lines().filter(|line| !line.contains(" INFO waiting for ")).collect();
    let told = told.join("\n");
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.starts_with("rejected: ") && told.contains("does not start"), "{told}");
    assert!(told.contains(" serves as before"), "{told}");
    assert!(!told.contains("backtrace") && told.lines().count() == 2, "{told}");
    let output = app.run(&["swap", "app", &bad, "--format", "json"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(json(&output)["verdict"], "rejected");
    let output = app.run(&["swap", "app", "gone.wasm"]).await;
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output.stderr).contains("cannot read the component gone.wasm"));
    assert_eq!(answers(&host).await, "one");
}

#[tokio::test]
async fn a_canary_returns_at_once_and_says_how_to_watch_it() {
    let app = App::new(SERVICE);
    let host = app.serve().await;
    let two = path("two");
    let told = done(&app.run(&["swap", "app", &two, "--canary", "10%", "--for", "1h"]).await);
    assert!(told.starts_with("canary: ") && told.contains("takes 10% of the requests"), "{told}");
    assert!(told.contains("`wasm-host history app`"), "{told}");
    assert!(done(&app.run(&["ps"]).await).contains("10%"));
    let told = done(&app.run(&["rollback", "app"]).await);
    assert!(told.contains("unchanged: ") && told.contains("the canary "), "{told}");
    assert_eq!(host.service("app").await["state"], "running");
}

#[tokio::test]
async fn wrong_arguments_are_64() {
    let app = App::new(SERVICE);
    for arguments in [
        &["swap", "app"][..],
        &["swap", "app", "x.wasm", "--canary", "100%"],
        &["swap", "app", "x.wasm", "--canary", "10%", "--for", "soon"],
        &["swap", "app", "x.wasm", "--for", "30s"],
        &["ps", "--app", "other.toml"],
    ] {
        let output = app.run(arguments).await;
        assert_eq!(output.status.code(), Some(64), "{arguments:?} {}", text(&output.stderr));
    }
}

#[tokio::test]
async fn a_host_that_is_not_there_is_told_with_the_fix() {
    let app = App::new(SERVICE);
    for arguments in [&["ps"][..], &["history", "app"], &["rollback", "app"]] {
        let output = app.run(arguments).await;
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("no host is running for"), "{told}");
        assert!(told.contains("start one with `wasm-host serve`"), "{told}");
    }
    let host = app.serve().await;
    let pid = host.pid();
    host.kill().await;
    // The file stays behind, and names a process that is gone.
    let told = text(&app.run(&["ps"]).await.stderr);
    assert!(told.contains(&format!("process {pid}")) && told.contains("is gone"), "{told}");
}

#[tokio::test]
async fn the_host_is_found_by_application_file_and_by_state_folder() {
    let app = App::new(&format!("{SERVICE}\n[state]\ndir = \"elsewhere\"\n"));
    let _host = app.serve().await;
    let folder = app.path().display().to_string();
    let other = App::new("");
    for arguments in [
        ["ps", "--app", &format!("{folder}/wasm-host.toml")],
        ["ps", "--state", &format!("{folder}/elsewhere")],
    ] {
        assert!(done(&other.run(&arguments).await).contains("app"));
    }
}

#[tokio::test]
async fn an_unknown_service_is_told_with_the_nearest_name() {
    let app = App::new(SERVICE);
    let _host = app.serve().await;
    let output = app.run(&["history", "apps"]).await;
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(
        told.contains("no component service apps") && told.contains("did you mean app?"),
        "{told}"
    );
}
