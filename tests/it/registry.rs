//! Promise 14 for registries: components from outside are verified before they are believed, and pinned until somebody
//! says otherwise. Against Debian's registry, and against ones that lie.

mod damage;
mod logins;
mod pins;
mod signatures;
mod swaps;

use std::path::Path;
use std::process::Output;

use wasm_host_tests::host::{App, component};
use wasm_host_tests::registry::Registry;

/// What `version-one` and `version-two` are called here.
const REPOSITORY: &str = "shop/app";

/// An application whose one component is `tag` of the registry at this address, which is asked in clear text.
fn app(address: &str, tag: &str) -> App {
    app_with(address, tag, "")
}

/// The same, with more at its end.
fn app_with(address: &str, tag: &str, more: &str) -> App {
    App::new(&format!(
        "name = \"shop\"\n[service.app]\ncomponent = \"oci://{address}/{REPOSITORY}:{tag}\"\nroute = \"/\"\n\
         [registry.\"{address}\"]\nplain-http = true\n{more}"
    ))
    // Whatever logins this machine has.
    .env("REGISTRY_AUTH_FILE", "/nonexistent")
}

/// The same registry under another tag.
fn rewrite(app: &App, from: &str, to: &str) {
    let path = app.path().join("wasm-host.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, text.replace(from, to)).unwrap();
}

/// Push `version-NAME` under a tag; returns the digest of its manifest.
async fn push(app: &App, address: &str, name: &str, tag: &str) -> String {
    push_with(app, address, name, tag, &[]).await
}

async fn push_with(app: &App, address: &str, name: &str, tag: &str, more: &[&str]) -> String {
    let file = component(&format!("version-{name}"));
    let reference = format!("{address}/{REPOSITORY}:{tag}");
    let arguments = ["push", &reference, file.to_str().unwrap(), "--plain-http"];
    let pushed = app.run(&[&arguments, more].concat()).await;
    let printed = answer(pushed);
    let digest = printed.trim().strip_prefix(&format!("oci://{reference}@"));
    digest.expect("what it is called there").to_owned()
}

/// A registry with `version-one` as tag 1 and `version-two` as tag 2, and their digests.
async fn stocked() -> (Registry, String, String) {
    let registry = Registry::start().await;
    let app = app(&registry.address, "1");
    let one = push(&app, &registry.address, "one", "1").await;
    let two = push(&app, &registry.address, "two", "2").await;
    (registry, one, two)
}

/// All that a command said; it must have ended with this code.
#[track_caller]
fn told(output: &Output, code: Option<i32>) -> String {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(output.status.code(), code, "{said}");
    said
}

/// What a command answered, without what it says of work that takes long. It must have succeeded.
#[track_caller]
fn answer(output: Output) -> String {
    told(&output, Some(0));
    String::from_utf8(output.stdout).unwrap()
}

/// What `check` says, which must fail as for a wrong application file.
async fn refused(app: &App) -> String {
    told(&app.run(&["check"]).await, Some(64))
}

/// What is pinned, as text.
fn pinned(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("wasm-host.lock")).unwrap_or_default()
}
