//! What commands show where nothing is kept, and what they read where no host runs.

use wasm_host_tests::host::App;
use wasm_host_tests::ports::Closed;

use super::{TWO, trace};

/// What a command wrote to its two outputs, and how it ended.
async fn ran(app: &App, arguments: &[&str]) -> (String, String, Option<i32>) {
    let output = app.run(arguments).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

// Fault (Telemetry): the host was killed, and somebody asks what it saw before anybody starts it again | `logs` and `traces` read its store, and say that it is not running | nothing | nothing
#[tokio::test]
async fn what_was_kept_is_read_while_no_host_runs() {
    let app = App::new(TWO);
    let host = app.serve().await;
    assert_eq!(host.get("/inner/trap").await.status, 502);
    assert_eq!(host.get("/inner/print").await.status, 204);
    let failed = trace(&host, "errors=true", |_| true).await;
    // In the order of writing, so that the line is there, too.
    trace(&host, "search=print", |_| true).await;
    host.kill().await;
    for is_after in ["a kill", "a second look"] {
        let (shown, told, code) = ran(&app, &["logs", "inner", "--level", "error"]).await;
        assert_eq!(code, Some(0), "{is_after}: {told}");
        assert!(shown.contains("an instance trapped"), "{is_after}: {shown}");
        assert!(
            told.contains("no host is running for ") && told.contains("this is what"),
            "{told}"
        );
        let id = failed["trace"].as_str().unwrap();
        let (shown, _, _) = ran(&app, &["traces", "--errors", "--format", "json"]).await;
        let list: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!((list[0]["trace"].as_str(), list.as_array().unwrap().len()), (Some(id), 1));
        let (shown, _, _) = ran(&app, &["traces", id]).await;
        assert!(shown.contains("GET /inner") && shown.contains("FAILED: "), "{shown}");
    }
    let (shown, _, _) = ran(&app, &["logs", "--search", "printed guest"]).await;
    assert!(shown.contains("printed by the guest"), "{shown}");
    // Its process may still be there, or another one have its number.
    let port = Closed::take();
    let path = app.path().join(".wasm-host/control.json");
    let left = std::fs::read(&path).unwrap();
    let mut control: serde_json::Value = serde_json::from_slice(&left).unwrap();
    control["pid"] = std::process::id().into();
    control["address"] = port.address.as_str().into();
    std::fs::write(&path, control.to_string()).unwrap();
    let (shown, told, _) = ran(&app, &["logs", "--search", "printed guest"]).await;
    assert!(shown.contains("printed by the guest"), "{shown} {told}");
    std::fs::write(&path, left).unwrap();
    // A service of which nothing is kept is one, and a wrong name is none.
    assert_eq!(ran(&app, &["logs", "caller"]).await.2, Some(0));
    let (_, told, code) = ran(&app, &["logs", "innner"]).await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("There is no service innner; there are caller, inner"), "{told}");
    // What goes on, and what tells what runs, needs a host.
    let (_, told, code) = ran(&app, &["logs", "--follow"]).await;
    assert!(code == Some(1) && told.contains("start one with `wasm-host serve`"), "{told}");
    let (_, told, code) = ran(&app, &["export", "out.zip"]).await;
    assert!(code == Some(1) && told.contains("`wasm-host logs` and"), "{told}");
    // Nothing of it is in the way of the next host.
    let host = app.serve().await;
    trace(&host, "errors=true", |item| item["trace"] == failed["trace"]).await;
    let (_, told, _) = ran(&app, &["logs"]).await;
    assert_eq!(told, "");
    // One without anything kept.
    let (_, told, code) = ran(&App::new(TWO), &["logs"]).await;
    assert!(code == Some(1) && told.contains("start one with `wasm-host serve`"), "{told}");
}

// Fault (Telemetry): a host that hangs, or that is starting or stopping, and somebody asks what it saw | `logs` and `traces` read its store beside it, and say what is wrong | nothing | nothing
#[tokio::test]
async fn what_is_kept_is_read_while_the_host_says_nothing() {
    let app = App::new(TWO);
    let host = app.serve().await;
    assert_eq!(host.get("/inner/print").await.status, 204);
    trace(&host, "search=print", |_| true).await;
    signal(&host, "STOP").await;
    let (shown, told, code) = ran(&app, &["logs", "--search", "printed guest"]).await;
    signal(&host, "CONT").await;
    assert_eq!(code, Some(0), "{told}");
    assert!(shown.contains("printed by the guest"), "{shown} {told}");
    assert!(told.contains("has said nothing for 5s: this is what it kept"), "{told}");
    // As while it starts, and while it stops.
    let control = app.path().join(".wasm-host/control.json");
    let left = std::fs::read(&control).unwrap();
    std::fs::remove_file(&control).unwrap();
    let (shown, told, code) = ran(&app, &["logs", "--search", "printed guest"]).await;
    assert_eq!(code, Some(0), "{told}");
    assert!(shown.contains("printed by the guest"), "{shown} {told}");
    let has = format!("(process {}) takes no commands", host.pid());
    assert!(told.contains(&has) && !told.contains("no host is running"), "{told}");
    let (_, told, code) = ran(&app, &["ps"]).await;
    assert!(code == Some(1) && told.contains(&has) && !told.contains("serve"), "{told}");
    // In a container it has another number, and its address leads nowhere from here.
    let port = Closed::take();
    let mut other: serde_json::Value = serde_json::from_slice(&left).unwrap();
    other["pid"] = 0.into();
    other["address"] = port.address.as_str().into();
    std::fs::write(&control, other.to_string()).unwrap();
    let (shown, told, _) = ran(&app, &["logs", "--search", "printed guest"]).await;
    assert!(shown.contains("printed by the guest") && told.contains(&has), "{shown} {told}");
    std::fs::write(&control, left).unwrap();
    assert_eq!(ran(&app, &["logs"]).await.1, "");
}

async fn signal(host: &wasm_host_tests::host::Host, name: &str) {
    let mut kill = tokio::process::Command::new("kill");
    let pid = host.pid().to_string();
    assert!(kill.args(["-s", name, &pid]).status().await.unwrap().success());
}

// Fault (Telemetry): a host that does not start, again and again, in the hands of an orchestrator | `logs` has the reason | nothing | nothing
#[tokio::test]
async fn why_a_host_did_not_start_is_kept() {
    let app = App::new(TWO);
    app.serve().await.stop().await;
    let file = app.path().join("wasm-host.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let broken = "[service.broken]\ncomponent = \"broken.wasm\"\n";
    std::fs::write(&file, format!("{text}\n{broken}")).unwrap();
    std::fs::write(app.path().join("broken.wasm"), "none at all").unwrap();
    let free = ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let (_, told, code) = ran(&app, &free).await;
    assert!(code.is_some_and(|code| code != 0), "{told}");
    let (shown, _, code) = ran(&app, &["logs", "--level", "error"]).await;
    assert_eq!(code, Some(0));
    assert!(shown.contains("the host does not start: ") && shown.contains("broken"), "{shown}");
}

#[tokio::test]
async fn where_telemetry_is_off_it_is_told_how_to_switch_it_on() {
    let app = App::new(&format!("{TWO}\n[telemetry]\nenabled = false\n"));
    let host = app.serve().await;
    assert_eq!(host.get("/inner/print").await.status, 204);
    for arguments in [&["logs"][..], &["traces"], &["traces", "--format", "json"]] {
        let (_, told, code) = ran(&app, arguments).await;
        assert_eq!(code, Some(0), "{told}");
        let how =
            "write enabled = true below [telemetry] in wasm-host.toml and start the host again";
        assert!(told.contains(how), "{arguments:?}: {told}");
    }
    let about = host.ask("GET", "/api/session", &[], "").await.json();
    assert!(about["telemetry_off"].as_str().unwrap().starts_with("Telemetry is off"), "{about}");
    // Zeros would be taken for what is measured.
    for arguments in [&["ps"][..], &["describe", "inner"]] {
        let (_, told, code) = ran(&app, arguments).await;
        assert!(code == Some(0) && told.starts_with("Telemetry is off"), "{arguments:?}: {told}");
    }
    host.stop().await;
    let (_, told, code) = ran(&app, &["logs"]).await;
    assert!(code == Some(0) && told.contains("telemetry is off in "), "{told}");
}
