//! The health path of a service: asked before a version is published, when all that it may call is there.

use wasm_host_tests::host::{App, component};

/// A service that is as well as what its environment names under `PEER`, beside one that is well and one that is ill.
fn app(component: &str) -> App {
    App::new(&format!(
        r#"
name = "health"

[service.a]
component = "$({component})"
health = "/health"
services = ["well", "ill"]
environment = {{ PEER = "${{PEER}}" }}

[service.ill]
component = "$(version-sick)"

[service.well]
component = "$(version-one)"
"#
    ))
}

const WELL: &str = "http://well/health";
const ILL: &str = "http://ill/health";

#[tokio::test]
async fn a_health_path_may_lead_to_another_service() {
    let host = app("caller").env("PEER", WELL).serve().await;
    assert_eq!(host.get("/a/").await.status, 200);
    assert_eq!(host.history("a").await.len(), 1);
}

// Fault (The control plane and swaps): a service whose peer is ill at the start | does not start, and names the line | - | nothing
#[tokio::test]
async fn a_service_whose_peer_is_ill_stops_the_start_with_its_line() {
    let app = app("caller").env("PEER", ILL);
    let start = ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let output = app.run(&start).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{told}");
    assert!(told.contains("wasm-host.toml:4:1: error: [service.a]: "), "{told}");
    assert!(told.contains("is not healthy: GET /health answered 500"), "{told}");
}

// Fault (The control plane and swaps): a version of before that is ill by now | starts with the application file's own | its answer | nothing
#[tokio::test]
async fn a_version_of_before_that_is_ill_by_now_makes_way_for_the_file_s_own() {
    let app = app("version-two").env("PEER", WELL);
    let host = app.serve().await;
    let caller = std::fs::read(component("caller")).unwrap();
    assert_eq!(host.swap("a", "", caller).await.status, 200);
    assert_eq!(
        host.get("/a/").await.text().trim_end(),
        host.get("/well/health").await.text().trim_end()
    );
    host.stop().await;

    // It is left as it was.
    let host = app.serve().await;
    assert_eq!(host.history("a").await.last().unwrap()["cause"], "start, as it was left");
    host.stop().await;

    let host = app.env("PEER", ILL).serve().await;
    assert!(host.get("/a/").await.text().starts_with("begin two"));
    assert_eq!(host.history("a").await.last().unwrap()["cause"], "start");
    host.logs("its last version is left out").await;
}
