//! What components take of the machine: processor time of services and of single requests, and memory.

use serde_json::Value;
use wasm_host_tests::client;
use wasm_host_tests::host::{App, Host};

use super::{span, trace};

/// One instance, which takes several requests.
const ONE: &str = r#"
name = "taken"

[service.app]
component = "$(hostile)"
route = "/app"
instances = 1
"#;

const TIME: &str = "wasm_host.guest.cpu_time";

/// A figure of the service.
async fn figure(host: &Host, name: &str) -> f64 {
    let metrics = host.ask("GET", "/metrics", &[], "").await;
    let start = format!("{name}{{service=\"app\"}} ");
    let value = metrics.text().lines().find_map(|line| line.strip_prefix(&start));
    value.expect("the figure").parse().unwrap()
}

async fn guest(host: &Host, query: &str) -> Value {
    let trace = trace(host, query, |_| true).await;
    span(&trace, "app", "guest").clone()
}

#[tokio::test]
async fn a_request_that_computes_says_how_much_and_so_does_its_service() {
    let host = App::new(ONE).serve().await;
    let before = figure(&host, "wasm_host_cpu_time_seconds_total").await;
    // Two seconds by the clock, of which it has as much as the machine gives it, and a tick at least.
    assert_eq!(host.get("/app/work").await.status, 200);
    let guest = guest(&host, "search=work").await;
    let time = guest["attributes"][TIME].as_f64().expect("a time");
    let most = guest["duration"].as_f64().unwrap() / 1e6 + 0.01;
    assert!(time > 0.001 && time <= most, "{time} of {most}: {guest}");
    let all = figure(&host, "wasm_host_cpu_time_seconds_total").await - before;
    // Up to a millisecond of an instance is told later.
    assert!(all > time - 0.002, "{all}, of which {time}");
    assert!(figure(&host, "wasm_host_memory_bytes").await > 65_536.0);
}

#[tokio::test]
async fn requests_that_share_an_instance_say_nothing_of_its_time() {
    let host = App::new(ONE).serve().await;
    let mut drip = client::open(&host.address, "GET", "/app/drip", &[], "").await;
    assert!(drip.next().await.unwrap().is_some());
    assert_eq!(host.get("/app/print").await.status, 204);
    let other = guest(&host, "search=print").await;
    assert!(other["attributes"].get(TIME).is_none(), "{other}");
    drop(drip);
    let first = guest(&host, "search=drip").await;
    assert!(first["attributes"].get(TIME).is_none(), "{first}");
}
