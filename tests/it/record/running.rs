//! Requests are recorded while a host runs: the next ones, or those that fail.

use serde_json::{Value, json};
use wasm_host_tests::client;
use wasm_host_tests::eventually;
use wasm_host_tests::host::{App, Host};

use super::{replay, with_password};

const HOSTILE: &str = r#"
name = "recorded"

[telemetry]
sample-percent = 0
slow = "1h"

[service.caller]
component = "$(caller)"
route = "/caller"
services = ["inner"]

[service.inner]
component = "$(hostile)"
route = "/inner"
"#;

async fn order(host: &Host, service: &str, requests: usize, only: &str) {
    let order = json!({ "service": service, "requests": requests, "only": only }).to_string();
    let reply = host.ask("POST", "/api/recordings", &[], order).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

async fn list(host: &Host) -> Value {
    host.ask("GET", "/api/recordings", &[], "").await.json()
}

/// What is kept, once there is so much of it.
async fn kept(host: &Host, count: usize) -> Vec<Value> {
    eventually("recordings", async || {
        let items = list(host).await["items"].as_array().expect("a list").clone();
        (items.len() == count).then_some(items)
    })
    .await
}

async fn run(app: &App, arguments: &[&str]) -> String {
    let output = app.run(arguments).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn the_next_requests_are_kept_with_their_trace_and_those_before_and_after_are_not() {
    let app = App::new(HOSTILE);
    let host = app.serve().await;
    assert_eq!(host.get("/inner/print").await.status, 204);
    let told = run(&app, &["record", "inner", "-n", "1"]).await;
    assert!(told.starts_with("The next 1 request of inner, until "), "{told}");
    assert_eq!(host.get("/caller/fetch?http://inner/headers?x").await.status, 200);
    let items = kept(&host, 1).await;
    assert_eq!(host.get("/inner/print").await.status, 204);
    let (item, id) = (&items[0], items[0]["id"].as_str().unwrap());
    assert_eq!((&item["name"], &item["status"]), (&json!("GET /headers"), &json!(200)));
    assert_eq!(item["error"], false);
    assert_eq!(list(&host).await["recording"], json!([]));
    // A sample of none, and it leads to its trace all the same; the trace leads back.
    let trace = eventually("its trace", async || {
        let path = format!("/api/traces/{}", item["trace"].as_str().unwrap());
        let reply = host.ask("GET", &path, &[], "").await;
        (reply.status == 200).then(|| reply.json())
    });
    assert_eq!(trace.await["recording"]["id"], id);
    // What the host says of it belongs to its trace.
    let lines = eventually("the line", async || {
        let path = format!("/api/logs?search=recorded&trace={}", item["trace"].as_str().unwrap());
        let lines = host.ask("GET", &path, &[], "").await.json()["items"].as_array()?.clone();
        (!lines.is_empty()).then_some(lines)
    });
    let lines = lines.await;
    assert_eq!((lines.len(), &lines[0]["service"]), (1, &json!("inner")), "{lines:?}");
    assert_eq!((&lines[0]["span"], &lines[0]["trace"]), (&item["id"], &item["trace"]));

    let listed = run(&app, &["recordings"]).await;
    assert!(listed.contains(id) && listed.contains("GET /headers"), "{listed}");
    let case = run(&app, &["recordings", id]).await;
    assert!(case.contains("path = \"/headers?x\""), "{case}");
    let file = run(&app, &["recordings", id, "--save"]).await;
    assert_eq!(file.trim(), "cases/inner/get-headers-200-1.toml");
    let (passed, told) = replay("hostile", &app.path().join("cases/inner"), &[]).await;
    assert!(passed, "{told}");
    let file = run(&app, &["recordings", id, "--save", "elsewhere"]).await;
    assert_eq!(file.trim(), "elsewhere/get-headers-200-1.toml");
    assert_eq!(list(&host).await["items"][0]["file"], file.trim());
    let outside = app.run(&["recordings", id, "--save", "../elsewhere"]).await;
    let told = String::from_utf8(outside.stderr).unwrap();
    assert!(!outside.status.success() && told.contains("not one below"), "{told}");
}

#[tokio::test]
async fn a_failure_becomes_a_case_that_fails_in_the_same_way() {
    let app = App::new(HOSTILE);
    let host = app.serve().await;
    order(&host, "inner", 1, "failures").await;
    assert_eq!(host.get("/inner/print").await.status, 204);
    assert_eq!(host.get("/inner/trap").await.status, 502);
    let items = kept(&host, 1).await;
    assert_eq!((&items[0]["name"], &items[0]["status"]), (&json!("GET /trap"), &json!(502)));
    assert_eq!(items[0]["error"], true);
    assert_eq!(list(&host).await["recording"], json!([]));
    let id = items[0]["id"].as_str().unwrap();
    let saved = host.ask("POST", &format!("/api/recordings/{id}/save"), &[], "").await.json();
    let file = app.path().join(saved["file"].as_str().unwrap());
    let folder = file.parent().unwrap();
    let (passed, told) = replay("hostile", folder, &[]).await;
    assert!(passed, "{told}");
    // What it should have done instead is what makes it a test of the mending.
    let case = std::fs::read_to_string(&file).unwrap();
    assert!(case.contains("end = \"trap\""), "{case}");
    std::fs::write(&file, case.replace("end = \"trap\"", "status = 204")).unwrap();
    let (passed, told) = replay("hostile", folder, &[]).await;
    assert!(!passed && told.contains("trap"), "{told}");
}

// Fault (Telemetry): a request that is to be recorded, and no room for an instance of its own | answers it as any other, says why there is no recording | its answer | the recording
#[tokio::test]
async fn where_there_is_no_room_for_an_instance_alone_the_request_is_answered_and_not_kept() {
    let app = App::new(&HOSTILE.replace("route = \"/inner\"", "route = \"/inner\"\ninstances = 1"));
    let host = app.serve().await;
    // Its one instance is there, and takes several requests at once.
    let held = client::open(&host.address, "GET", "/inner/hold", &[], "").await;
    order(&host, "inner", 1, "all").await;
    assert_eq!(host.get("/inner/print").await.status, 204);
    host.logs("a request is not recorded: there was no instance").await;
    // It is still to be kept.
    assert_eq!(list(&host).await["recording"][0]["left"], 1);
    drop(held);
}

// Fault (Telemetry): a host that is killed while it has recordings | has those that were written | a reset | one that was being written
#[tokio::test]
async fn what_is_kept_outlives_kill_9_and_is_forgotten_with_all_else() {
    let app = App::new(HOSTILE);
    let host = app.serve().await;
    order(&host, "inner", 2, "all").await;
    assert_eq!(host.get("/inner/print").await.status, 204);
    let before = kept(&host, 1).await;
    host.kill().await;
    let host = app.serve().await;
    assert_eq!(kept(&host, 1).await, before);
    // What was ordered is forgotten with the host that was asked.
    assert_eq!(list(&host).await["recording"], json!([]));
    let id = before[0]["id"].as_str().unwrap();
    let case = host.ask("GET", &format!("/api/recordings/{id}"), &[], "").await;
    assert!(case.text().contains("path = \"/print\""), "{}", case.text());
    host.ask("DELETE", "/api/telemetry?service=caller", &[], "").await;
    kept(&host, 1).await;
    host.ask("DELETE", "/api/telemetry", &[], "").await;
    kept(&host, 0).await;
    assert_eq!(host.ask("GET", &format!("/api/recordings/{id}"), &[], "").await.status, 404);
}

#[tokio::test]
async fn what_is_asked_for_wrongly_is_refused_with_the_reason() {
    let app = App::new(HOSTILE);
    let host = app.serve().await;
    for (body, status, why) in [
        (
            r#"{"service":"innner","requests":1}"#,
            404,
            "There is no service innner; there are caller, inner.",
        ),
        (r#"{"service":"inner","requests":0}"#, 400, "a number from 1 to 1000"),
        (r#"{"service":"inner","requests":1,"only":"errors"}"#, 400, "`all` or `failures`"),
        (r#"{"service":"inner","requests":1,"until":1}"#, 400, "unknown field `until`"),
    ] {
        let reply = host.ask("POST", "/api/recordings", &[], body).await;
        assert_eq!(reply.status, status, "{body}: {}", reply.text());
        assert!(reply.text().contains(why), "{body}: {}", reply.text());
    }
    let absent = host.ask("GET", "/api/recordings/00f067aa0ba902b7", &[], "").await;
    assert_eq!(absent.status, 404, "{}", absent.text());
    order(&host, "inner", 5, "all").await;
    assert_eq!(host.ask("DELETE", "/api/recordings/inner", &[], "").await.status, 200);
    assert_eq!(host.get("/inner/print").await.status, 204);
    assert_eq!(list(&host).await, json!({ "recording": [], "items": [] }));
}

#[tokio::test]
async fn no_case_has_a_secret() {
    let app = with_password();
    let host = app.serve_with(&["--redact", "x-tenant"]).await;
    for service in ["ollamaservice", "demo-ollama"] {
        order(&host, service, 1, "all").await;
    }
    let body = r#"{"model":"nosuch","password":"s3cret-field","iban":"DE-s3cret","system":"hunter2hunter2"}"#;
    let headers = [("authorization", "Bearer s3cret-bearer"), ("x-tenant", "s3cret-tenant")];
    let path = "/ollama/api/show?api_key=s3cret-query&verbose=1";
    let reply = client::send(&host.address, "POST", path, &headers, body).await;
    assert_eq!(reply.status, 404, "{}", reply.text());
    for item in kept(&host, 2).await {
        let path = format!("/api/recordings/{}", item["id"].as_str().unwrap());
        let case = host.ask("GET", &path, &[], "").await;
        assert!(case.text().contains("redacted") && case.text().contains("nosuch"));
        for text in [case.text(), &item.to_string()] {
            assert!(!text.contains("s3cret") && !text.contains("hunter2"), "{text}");
        }
    }
}

#[tokio::test]
async fn an_order_takes_nothing_from_the_folder_in_which_all_is_recorded() {
    let app = App::new(&HOSTILE.replace("route = \"/inner\"", "route = \"/inner\"\nwarm = 1"));
    let host = app.serve_with(&["--record", "recorded"]).await;
    order(&host, "inner", 1, "failures").await;
    assert_eq!(host.get("/inner/print").await.status, 204);
    assert_eq!(host.get("/inner/trap").await.status, 502);
    kept(&host, 1).await;
    let (_, log) = host.stop().await;
    let names: Vec<_> = super::recordings(&app.path().join("recorded/inner"))
        .iter()
        .map(|file| file.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names, ["get-print-204-1.toml", "get-trap-unanswered-1.toml"], "{log}");
}

#[tokio::test]
async fn an_instance_that_does_nothing_makes_room_for_one_alone() {
    let app = App::new(&HOSTILE.replace("route = \"/inner\"", "route = \"/inner\"\ninstances = 1"));
    let host = app.serve().await;
    // It stays, and would take all that comes.
    assert_eq!(host.get("/inner/print").await.status, 204);
    order(&host, "inner", 1, "all").await;
    let recorded = eventually("a recording", async || {
        assert_eq!(host.get("/inner/print").await.status, 204);
        let items = list(&host).await["items"].as_array().unwrap().len();
        (items == 1).then_some(())
    });
    recorded.await;
    assert_eq!(host.get("/inner/print").await.status, 204);
}
