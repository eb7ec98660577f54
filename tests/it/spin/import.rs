//! `wasm-host import`: from a manifest of Spin to a service.

use wasm_host_tests::host::{App, component};

const MANIFEST: &str = r#"
spin_manifest_version = 2

[application]
name = "Hello_Spin"

[[trigger.http]]
route = "/api/..."
component = "hello"

[[trigger.redis]]
channel = "c"
component = "hello"

[component.hello]
source = "COMPONENT"
environment = { PRICE = "5$" }
allowed_outbound_hosts = ["https://api.example.com", "redis://cache"]
sqlite_databases = ["default"]
[component.hello.build]
command = "cargo build"
"#;

#[tokio::test]
async fn an_imported_application_is_served_and_sees_its_whole_path() {
    let app = App::new("name = \"other\"\n");
    let component = component("spin-rust");
    let manifest = MANIFEST.replace("COMPONENT", component.to_str().unwrap());
    std::fs::write(app.path().join("spin.toml"), manifest).unwrap();

    let kept = app.run(&["import"]).await;
    assert_eq!(kept.status.code(), Some(64));
    let told = String::from_utf8(kept.stderr).unwrap();
    assert!(told.contains("it is there, and is left alone"), "{told}");

    let imported = app.run(&["import", "spin.toml", "--output", "spun.toml"]).await;
    let told = String::from_utf8(imported.stderr).unwrap();
    assert!(imported.status.success(), "{told}");
    assert!(told.contains("spin.toml: 1 of trigger redis are left out"), "{told}");
    assert!(told.contains("the outbound host redis://cache is left out"), "{told}");
    let written = std::fs::read_to_string(app.path().join("spun.toml")).unwrap();
    for line in [
        "name = \"hello-spin\"",
        "[sqlite.default]",
        "[service.hello]",
        "route = \"/api\"",
        "keep-path = true",
        "sqlite = \"default\"",
        "outbound = [\"https://api.example.com\"]",
        "environment = { PRICE = \"5$$\" }",
        "build = [\"cargo\", \"build\"]",
    ] {
        assert!(written.lines().any(|known| known == line), "{line}:\n{written}");
    }

    let host = app.serve_with(&["spun.toml"]).await;
    // The component knows `/` and not `/api`.
    let reply = host.get("/api").await;
    assert!(reply.text().contains("there is no /api"), "{}", reply.text());
    assert_eq!(host.get("/sqlite").await.status, 404);
}

#[tokio::test]
async fn a_manifest_that_nothing_can_be_made_of_is_refused_and_nothing_is_written() {
    let app = App::new("name = \"other\"\n");
    std::fs::write(app.path().join("spin.toml"), "spin_version = \"1\"\nname = \"a\"\n").unwrap();
    let refused = app.run(&["import", "--output", "spun.toml"]).await;
    assert_eq!(refused.status.code(), Some(64));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.starts_with("spin.toml: error: it is a manifest of version 1"), "{told}");
    assert!(!app.path().join("spun.toml").exists());
}
