//! Who shares an instance: guests in Rust do, and others only where the application file says so.

use wasm_host_tests::client;
use wasm_host_tests::host::{App, component};

/// An application with a component that does not say that it is in Rust, as components in other languages do not.
fn app(keys: &str) -> App {
    // With one thread, which has one set of instances.
    let app = App::new(&format!(
        "name = \"sharing\"\n[limits]\nthreads = 1\n[service.guest]\ncomponent = \"guest.wasm\"\nroute = \"/\"\n{keys}\n"
    ));
    let mut bytes = std::fs::read(component("hostile")).unwrap();
    let (mark, other) = (b"wit-bindgen-rust", b"wit-bindgen-tsur");
    let mut found = 0;
    for at in 0..bytes.len() - mark.len() {
        if bytes[at..].starts_with(mark) {
            bytes[at..at + mark.len()].copy_from_slice(other);
            found += 1;
        }
    }
    assert!(found > 0, "it does not say that it is in Rust");
    std::fs::write(app.path().join("guest.wasm"), bytes).unwrap();
    app
}

// Fault (Guests): a trap in a component that is not in Rust | ends the instance, which no other request shares unless the application file says so | 502; its neighbours: their answers | the request
#[tokio::test]
async fn what_one_request_breaks_costs_no_neighbour_in_a_language_that_is_not_rust() {
    let host = app("").serve().await;
    let mut neighbour = client::open(&host.address, "GET", "/drip", &[], "").await;
    assert!(neighbour.next().await.unwrap().is_some());
    for _ in 0..4 {
        assert_eq!(host.get("/trap").await.status, 502);
        assert!(neighbour.next().await.expect("it goes on").is_some());
    }
}

#[tokio::test]
async fn the_application_file_may_have_any_language_share_instances() {
    let host = app("instances = 1\nper-instance = 2").serve().await;
    let mut neighbour = client::open(&host.address, "GET", "/drip", &[], "").await;
    assert!(neighbour.next().await.unwrap().is_some());
    // In the same instance: there is no other.
    assert_eq!(host.get("/count").await.text(), "1");
    assert!(neighbour.next().await.unwrap().is_some());
}

#[tokio::test]
async fn inspect_shows_how_many_requests_share_an_instance() {
    let app = app("");
    let rust = component("hostile");
    let old = component("hello-p2");
    let other = app.path().join("guest.wasm");
    for (file, per_instance) in [(&rust, 16), (&old, 1), (&other, 1)] {
        let file = file.to_str().unwrap();
        let output = app.run(&["inspect", file, "--format", "json"]).await;
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["per_instance"], per_instance, "{file}");
        let output = app.run(&["inspect", file]).await;
        let told = String::from_utf8(output.stdout).unwrap();
        let expected = if per_instance == 1 { "one request" } else { "16 requests" };
        assert!(told.contains(&format!("instance  {expected} at a time")), "{told}");
    }
}
