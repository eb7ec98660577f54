//! Components that know nothing of this host are served with one word, whatever toolchain made them.

mod answers;
mod printing;
mod sharing;

use wasm_host_tests::host::{App, component};

const NO_FILE: &str = "";

#[tokio::test]
async fn a_component_of_wasi_0_2_is_served_by_itself() {
    let app = App::new(NO_FILE);
    let host = app.serve_with(&[component("hello-p2").to_str().unwrap()]).await;
    for _ in 0..3 {
        assert_eq!(host.get("/x?y").await.text(), "Hello from 0.2 at /x?y\n");
    }
}

#[tokio::test]
async fn a_component_of_wasi_0_3_is_served_by_itself() {
    let app = App::new(NO_FILE);
    let host = app.serve_with(&[component("hello-p3").to_str().unwrap()]).await;
    for _ in 0..3 {
        assert_eq!(host.get("/x?y").await.text(), "Hello from 0.3 at /x?y\n");
    }
}

#[tokio::test]
async fn the_services_are_listed_once_they_serve() {
    let app = App::new(NO_FILE);
    let host = app.serve_with(&[component("hello-p3").to_str().unwrap()]).await;
    assert_eq!(host.get("/").await.status, 200);
    let log = host.log();
    let table: Vec<&str> = log.lines().skip_while(|line| !line.starts_with("Serving")).collect();
    assert!(table[1].starts_with("SERVICE"), "{log}");
    for column in ["ROUTE", "KIND", "VERSION", "STATE", "ADDRESS"] {
        assert!(table[1].contains(column), "{log}");
    }
    assert!(table[2].starts_with("hello-p3"), "{log}");
    assert!(table[2].contains("running") && table[2].contains(&host.address), "{log}");
}
