//! Components of Spin call hosts outside by Spin's own clients: those that `allowed_outbound_hosts` of their manifest listed,
//! and no others.

use super::ask;
use wasm_host_tests::host::{App, COMPILATION, component};
use wasm_host_tests::upstream::{Step, Upstream, json};

async fn hello() -> Upstream {
    Upstream::start(|_| vec![Step::Send(json("200 OK", "\"hello\""))]).await
}

/// Serve what `import` makes of a manifest that allows one host, and ask for that and for another one.
async fn reaches_what_its_manifest_allows(guest: &str) {
    let (allowed, other) = (hello().await, hello().await);
    let app = App::new("name = \"other\"\n");
    let manifest = format!(
        r#"
spin_manifest_version = 2

[application]
name = "spun"

[[trigger.http]]
route = "/..."
component = "spin"

[component.spin]
source = "{}"
allowed_outbound_hosts = ["{}"]
"#,
        component(guest).display(),
        allowed.url
    );
    std::fs::write(app.path().join("spin.toml"), manifest).unwrap();
    let imported = app.run(&["import", "--output", "spun.toml"]).await;
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    // Where it is an interpreter, it takes long to compile.
    let checked = app.run_within(COMPILATION, &["check", "spun.toml"]).await;
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let host = app.serve_with(&["spun.toml"]).await;
    let reply = ask(&host, "/fetch", &format!("{}/greeting?a=b", allowed.url)).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, "200 \"hello\""), "{guest}");
    let asked = allowed.requests();
    assert!(asked[0].starts_with("GET /greeting?a=b HTTP/1.1"), "{guest}: {asked:?}");
    let refused = ask(&host, "/fetch", &other.url).await;
    assert_eq!(refused.status, 502, "{guest}: {}", refused.text());
    assert_eq!(other.requests().len(), 0, "{guest}");
    let line = format!("add \"{}\" to outbound = [...] under [service.spin]", other.url);
    host.logs(&line).await;
}

#[tokio::test]
async fn a_component_in_rust_reaches_what_its_manifest_allows() {
    reaches_what_its_manifest_allows("spin-rust").await;
}

#[tokio::test]
async fn a_component_in_python_reaches_what_its_manifest_allows() {
    reaches_what_its_manifest_allows("spin-py").await;
}

#[tokio::test]
async fn a_component_in_javascript_reaches_what_its_manifest_allows() {
    reaches_what_its_manifest_allows("spin-js").await;
}
