//! `wasm-host describe`: all that is known of one service.

use serde_json::Value;
use wasm_host_tests::eventually;
use wasm_host_tests::host::{App, component};
use wasm_host_tests::postgres::Postgres;

use super::trace;

const SECRET: &str = "s3cret-key";

#[tokio::test]
async fn a_service_is_described_with_all_that_is_known_of_it() {
    let postgres = Postgres::start();
    let app = App::new(
        r#"
name = "seen"

[postgres.main]
url = "${DB_URL}"

[ollama.away]
url = "http://127.0.0.1:1"

[service.asks]
component = "$(reporter)"
route = "/asks"
postgres = "main"
ollama = "away"
concurrent = 7
instances = 1
idle = "1h"
environment = { PLACE = "Berlin", KEY = "${SECRET_KEY}" }

[service.app]
component = "$(version-one)"
route = "/app"
health = "/health"
"#,
    )
    .env("DB_URL", &postgres.url())
    .env("SECRET_KEY", SECRET);
    let host = app.serve().await;
    assert_eq!(host.send("POST", "/asks/query", "select 1").await.status, 200);
    let failed = host.send("POST", "/asks/execute", "select 1 / 0").await;
    assert!(failed.status.is_server_error(), "{}", failed.text());
    let failure = trace(&host, "service=asks&errors=true", |_| true).await;
    let described = async |service: &str, wanted: &[&str]| {
        // How a backend is, is looked at now and then.
        eventually(&format!("{service}: {wanted:?}"), async || {
            let output = app.run(&["describe", service]).await;
            let text = String::from_utf8(output.stdout).unwrap();
            let is_there = |fact: &&str| text.lines().any(|line| line.trim().starts_with(*fact));
            let missing: Vec<_> = wanted.iter().filter(|fact| !is_there(fact)).collect();
            if !missing.is_empty() {
                println!("no {missing:?} in {text}");
            }
            missing.is_empty().then_some(text)
        })
        .await
    };
    let json = async |service: &str| -> Value {
        let output = app.run(&["describe", service, "--format", "json"]).await;
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let asks = json("asks").await;
    let digest = asks["service"]["version"].as_str().unwrap();
    let id = failure["trace"].as_str().unwrap();
    let text = described(
        "asks",
        &[
            "Kind          component",
            "Route         /asks",
            "State         running",
            &format!("Version       {digest}"),
            "Health path   (none)",
            "Instances     1",
            "Requests      0 running, 0 queued, 2 served, 0 failed, 0 refused, 0 cancelled",
            "Grants",
            "postgres.main: up",
            "ollama.away: down: no Ollama answers for away",
            "Imports",
            "wasm-host:postgres/",
            "Environment",
            "PLACE = Berlin (",
            "KEY = [secret] (",
            "Limits",
            "concurrent = 7 (",
            "Last failures",
        ],
    )
    .await;
    let line = text.lines().find(|line| line.contains(id)).expect("the failure");
    assert!(line.contains("POST /asks") && line.contains("500"), "{line}");
    assert!(!text.contains(SECRET) && !asks.to_string().contains(SECRET), "{text}");
    // The same for programs.
    let asks = json("asks").await;
    assert_eq!(asks["service"]["instances"], 1);
    let granted = asks["granted"].as_array().unwrap();
    let states: Vec<_> = granted.iter().map(|it| (&it["grant"], &it["state"])).collect();
    assert_eq!(
        states,
        [(&"ollama.away".into(), &"down".into()), (&"postgres.main".into(), &"up".into())]
    );
    assert_eq!(asks["failures"][0]["trace"], *id);
    assert_eq!(asks["failures"][0]["path"], "/asks/execute");
    let limits = asks["limits"].as_array().unwrap();
    let limit = limits.iter().find(|it| it["key"] == "concurrent").unwrap();
    assert_eq!(limit["value"], "7");
    // And what becomes of its versions.
    let two = std::fs::read(component("version-two")).unwrap();
    let swapped = host.swap("app", "", &two).await.json();
    let new = &swapped["digest"].as_str().unwrap()[..12];
    described("app", &[&format!("Version       {new}"), "Health path   /health", "History"]).await;
    let told = app.run(&["describe", "app"]).await;
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains(&format!("{new} activated by ")), "{told}");
    let canary = std::fs::read(component("version-one")).unwrap();
    let canary = host.swap("app", "canary=25&for=5m", &canary).await.json();
    assert_eq!(canary["verdict"], "canary", "{canary}");
    let old = &canary["digest"].as_str().unwrap()[..12];
    described("app", &["State         canary", &format!("Canary        {old} 25%")]).await;
}
