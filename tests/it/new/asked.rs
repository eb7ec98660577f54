//! What a terminal is asked for, by `new` and `add`.
#![cfg(target_os = "linux")]

use std::fs;
use std::process::Output;

use super::{empty, said};
use wasm_host_tests::host::App;

/// Run a command in a terminal whose user types these lines and then ends the input.
async fn answered(app: App, folder: &str, lines: &str, arguments: &[&str]) -> (App, Output) {
    let typed = app.path().join("typed");
    fs::write(&typed, lines).unwrap();
    let app = app.in_terminal_of(&format!("cd ./{folder}\nexec < {}", typed.display()));
    let output = app.run(arguments).await;
    (app, output)
}

#[tokio::test]
async fn a_terminal_is_asked_for_what_was_not_said_until_it_can_be() {
    let lines = "Basket\nbasket\n8081\n9000\nx\n/b\n";
    let (app, output) = answered(empty(), "", lines, &["new", "--lang", "python"]).await;
    let told = said(&output);
    assert!(output.status.success(), "{told}");
    for part in [
        "'Basket' cannot be a name",
        "8081 is the port of the control plane",
        "[8080]",
        "route 'x' ",
        "[/]",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let file = app.path().join("basket/wasm-host.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("listen = \"127.0.0.1:9000\""), "{text}");
    assert!(text.contains("[service.basket]") && text.contains("route = \"/b\""), "{text}");
    // Nothing typed is the default, which is another one for what is added.
    let (app, output) = answered(app, "basket", "basket\ntill\n\n", &["add", "--lang", "c"]).await;
    let told = said(&output);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("has a [service.basket]") && told.contains("[/till]"), "{told}");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("[service.till]") && text.contains("route = \"/till\""), "{text}");
    // What was said is not asked for.
    let arguments = ["add", "cart", "--lang", "c", "--route", "/c"];
    let (app, output) = answered(app, "basket", "", &arguments).await;
    let told = said(&output);
    assert!(output.status.success() && !told.contains("Route ["), "{told}");
    // An input that ends in between makes nothing.
    let (app, output) = answered(app, "", "shop\n", &["new", "--lang", "c"]).await;
    let told = said(&output);
    assert_eq!(output.status.code(), Some(64), "{told}");
    assert!(told.contains("nothing was made: the input ended"), "{told}");
    assert!(!app.path().join("shop").exists());
}
