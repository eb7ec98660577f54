//! Promises 1 and 2: a request is answered by exactly one version of a component, body included; a swap
//! drops no accepted request, and a bad component never replaces a good one.

mod commands;
mod control_plane;
mod ends;
mod faults;
mod restarts;
mod trials;
mod under_load;
mod verdicts;

use wasm_host_tests::client::Reply;
use wasm_host_tests::host::{App, Host, component};

/// A service that begins with the version one.
const SERVICE: &str = r#"
name = "swap"

[service.app]
component = "$(version-one)"
route = "/"
"#;

async fn serve() -> Host {
    App::new(SERVICE).serve().await
}

/// The same with more keys of the service.
fn app_with(keys: &str) -> App {
    App::new(&format!("{SERVICE}{keys}\n"))
}

/// The bytes of `version-NAME`.
fn version(name: &str) -> Vec<u8> {
    std::fs::read(component(&format!("version-{name}"))).unwrap()
}

/// Put `version-NAME` into service.
async fn activate(host: &Host, name: &str) -> serde_json::Value {
    let reply = host.swap("app", "", version(name)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// Try to, and be told why not.
async fn rejected(host: &Host, component: impl AsRef<[u8]>) -> String {
    reason(&host.swap("app", "", component).await)
}

fn reason(reply: &Reply) -> String {
    assert_eq!(reply.status, 422, "{}", reply.text());
    let outcome = reply.json();
    assert_eq!(outcome["verdict"], "rejected");
    outcome["reason"].as_str().expect("a reason").to_string()
}

/// The version that answers now.
async fn answers(host: &Host) -> String {
    let reply = host.get("/").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    wrote(reply.text()).expect("a whole body of one version")
}

/// Which version wrote a body: the name at its start, which must be that at its end, too.
fn wrote(body: &str) -> Option<String> {
    let first = body.lines().next()?.strip_prefix("begin ")?;
    let last = body.lines().last()?.strip_prefix("end ")?;
    (first == last && body.ends_with('\n')).then(|| first.to_string())
}

fn verdicts(history: &[serde_json::Value]) -> Vec<&str> {
    history.iter().map(|record| record["verdict"].as_str().unwrap()).collect()
}
