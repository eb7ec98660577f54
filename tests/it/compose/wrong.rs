//! What is wrong with a composition is told at `check` and at the start, all of it at once, where it is written.

use std::fs;

use wasm_host_tests::handmade::{importing, part};
use wasm_host_tests::host::App;

const ANVIL: &str = "acme:coyote/anvil@1.0.0";
const ROCKET: &str = "acme:coyote/rocket@1.0.0";

async fn told(app: &App) -> Vec<String> {
    let mut all = Vec::new();
    for command in ["check", "serve"] {
        let output = app.run(&[command]).await;
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{text}");
        all = text.lines().map(str::to_owned).collect();
    }
    all
}

#[tokio::test]
async fn all_that_is_wrong_with_parts_is_told_at_once_and_where_it_is_written() {
    let app = App::new(
        r#"
name = "wrong"

[service.mixed]
component = "$(hello-p3)"
middleware = ["$(middleware-p2)", "plain.wasm", "text.wasm"]

[service.unserved]
component = "asks.wasm"
with = { "acme:coyote/anvil" = "other.wasm" }

[service.unused]
component = "$(hello-p3)"
with = { "acme:coyote/anvil" = "anvil.wasm", "acme:coyote/rocket" = "anvil.wasm" }

[service.circle]
component = "asks.wasm"
with."acme:coyote/anvil" = "a.wasm"
with."acme:coyote/rocket" = "b.wasm"

[service.half]
component = "asks.wasm"
with."acme:coyote/anvil" = "anvil.wasm"
"#,
    );
    let write = |name: &str, bytes: Vec<u8>| fs::write(app.path().join(name), bytes).unwrap();
    write("plain.wasm", importing(&[]));
    write("asks.wasm", importing(&[ANVIL, ROCKET]));
    write("other.wasm", part(&[], &["acme:coyote/anvil@2.0.0"]));
    write("anvil.wasm", part(&[], &[ANVIL]));
    write("a.wasm", part(&[ROCKET], &[ANVIL]));
    write("b.wasm", part(&[ANVIL], &[ROCKET]));
    // What cannot be read keeps the rest of its service from being looked at.
    write("text.wasm", importing(&[]));
    let told = told(&app).await;
    for expected in [
        "wasm-host.toml:6:15: error: [service.mixed]: ",
        "is of wasi:http/incoming-handler@0.2.12, and what is behind it of wasi:http/handler@0.3.0",
        "wasm-host.toml:10:32: error: [service.unserved]: asks.wasm imports acme:coyote/anvil@1.0.0, and other.wasm exports acme:coyote/anvil@2.0.0",
        "wasm-host.toml:14:32: error: [service.unused]: no part imports acme:coyote/anvil, which anvil.wasm is to serve; remove it",
        "wasm-host.toml:14:69: error: [service.unused]: anvil.wasm does not export acme:coyote/rocket: it exports acme:coyote/anvil@1.0.0",
        "error: [service.circle]: a.wasm, b.wasm serve each other in a circle",
        "[service.half]: asks.wasm + anvil.wasm cannot be the service half: asks.wasm imports acme:coyote/rocket@1.0.0, which this host does not have",
        "name that in `with` of its service",
    ] {
        assert!(told.iter().any(|line| line.contains(expected)), "{expected}\n{told:#?}");
    }
    let mixed = told.iter().filter(|line| line.contains("[service.mixed]"));
    assert_eq!(mixed.count(), 3, "{told:#?}");
}

#[tokio::test]
async fn files_that_are_not_there_or_no_components_are_told() {
    let app = App::new(
        r#"
name = "wrong"
[service.a]
component = "$(hello-p3)"
middleware = ["gone.wasm", "text.wasm"]
with = { "no interface" = "text.wasm", "wasi:http/handler" = "text.wasm" }
"#,
    );
    fs::write(app.path().join("text.wasm"), "hello").unwrap();
    let before = told(&app).await.join("\n");
    for expected in [
        "5:15: error: the component 'gone.wasm' does not exist",
        "6:10: error: 'no interface' is no interface",
        "6:40: error: 'wasi:http/handler' is what middleware imports",
    ] {
        assert!(before.contains(expected), "{expected}\n{before}");
    }
    let file = app.path().join("wasm-host.toml");
    let text = fs::read_to_string(&file).unwrap();
    let text: Vec<&str> = text.lines().filter(|line| !line.starts_with("with")).collect();
    fs::write(&file, text.join("\n").replace("gone.wasm", "text.wasm")).unwrap();
    let after = told(&app).await.join("\n");
    for column in [15, 28] {
        let expected = format!("5:{column}: error: [service.a]: ");
        assert!(after.contains(&expected), "{after}");
    }
    assert!(after.contains("text.wasm is not a component: it is not WebAssembly"), "{after}");
}

#[tokio::test]
async fn a_grant_that_is_missing_is_told_with_the_parts_that_need_it() {
    let app = App::new(
        r#"
name = "wrong"
[service.a]
component = "$(weather)"
middleware = ["$(middleware)"]
"#,
    );
    let told = told(&app).await.join("\n");
    let expected =
        "weather.wasm imports wasm-host:postgres/types@0.1.0, and nothing grants it postgres";
    assert!(told.contains(expected) && told.contains("add [postgres.<name>]"), "{told}");
}
