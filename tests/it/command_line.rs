//! What users type and what they are told: exit codes, `check`, `inspect`.

use wasm_host_tests::host::{App, component};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn wrong_arguments_are_64_and_help_is_0() {
    let app = App::new("");
    assert_eq!(app.run(&["--help"]).await.status.code(), Some(0));
    assert_eq!(app.run(&["--version"]).await.status.code(), Some(0));
    assert_eq!(app.run(&["sevre"]).await.status.code(), Some(64));
    assert_eq!(app.run(&["serve", "--listen", "here"]).await.status.code(), Some(64));
}

#[tokio::test]
async fn all_errors_of_an_application_file_are_told_at_once_with_line_and_fix() {
    let app = App::new(
        r#"name = "broken"
[http]
lisen = "127.0.0.1:0"
[service.weather]
component = "$(weather)"
postgers = "weather"
route = "weather"
first-byte-timeout = "soon"
"#,
    );
    for command in ["check", "serve"] {
        let output = app.run(&[command]).await;
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{told}");
        assert_eq!(output.stdout, b"");
        for expected in [
            "wasm-host.toml:3:1: error: unknown key 'lisen'",
            "listen",
            "wasm-host.toml:6:1: error: unknown key 'postgers'",
            "wasm-host.toml:7:",
            "wasm-host.toml:8:",
            "'soon' is not a duration",
        ] {
            assert!(told.contains(expected), "{expected} is not in:\n{told}");
        }
    }
    let output = app.run(&["check", "--format", "json"]).await;
    assert_eq!(output.status.code(), Some(64));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(found.as_array().unwrap().len() >= 4, "{found}");
    assert_eq!(found[0]["line"], 3);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_output_that_cannot_be_written_is_told_and_no_panic() {
    let app = App::new("name = \"full\"\n[service.hello]\ncomponent = \"$(hello-p3)\"\n")
        .before("exec 1>/dev/full");
    for command in
        [&["check"][..], &["check", "--limits"], &["check", "--limits", "--format", "json"]]
    {
        let told = text(&app.run(command).await.stderr);
        assert!(told.contains("cannot write to standard output"), "{told}");
        assert!(!told.contains("panicked"), "{told}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_component_is_told_apart() {
    let app = App::new("");
    std::fs::write(app.path().join("text.wasm"), "hello").unwrap();
    std::fs::write(app.path().join("core.wasm"), b"\0asm\x01\0\0\0").unwrap();
    for (file, reason) in [
        ("text.wasm", "not WebAssembly"),
        ("core.wasm", "core WebAssembly module"),
        ("gone.wasm", "gone.wasm"),
    ] {
        for command in ["serve", "inspect"] {
            let output = app.run(&[command, file]).await;
            let told = text(&output.stderr);
            assert_eq!(output.status.code(), Some(64), "{told}");
            assert!(told.contains(reason), "{told}");
        }
    }
}

#[tokio::test]
async fn inspect_shows_what_a_component_needs() {
    let app = App::new("");
    let weather = component("weather");
    let output = app.run(&["inspect", weather.to_str().unwrap(), "--format", "json"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["handler"], "wasi:http/handler@0.3.0");
    assert_eq!(report["digest"].as_str().unwrap().len(), 64);
    assert_eq!(report["grants"][0]["key"], "postgres", "{report}");
}

#[tokio::test]
async fn an_address_in_use_is_told_with_the_fix() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let app = App::new("");
    let hello = component("hello-p3");
    let output = app
        .run(&["serve", hello.to_str().unwrap(), "--listen", &address, "--admin", "127.0.0.1:0"])
        .await;
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains(&address) && told.contains("another program") && told.contains("--listen"),
        "{told}"
    );
}

#[tokio::test]
async fn check_shows_every_bound_that_is_in_effect() {
    let app = App::new(
        "name = \"bounds\"\n[service.a]\ncomponent = \"$(hello-p3)\"\nmemory = \"64MiB\"\n",
    );
    let output = app.run(&["check", "--limits", "--format", "json"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let bounds: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let find = |table: &str, key: &str| {
        let mut bounds = bounds.as_array().unwrap().iter();
        bounds.find(|bound| bound["table"] == table && bound["key"] == key).unwrap().clone()
    };
    let expected = serde_json::json!({
        "table": "service.a", "key": "memory", "value": "64MiB", "default": "256MiB",
        "minimum": "1MiB", "maximum": "4GiB", "line": 4,
    });
    assert_eq!(find("service.a", "memory"), expected);
    assert_eq!(find("limits", "instances")["line"], serde_json::Value::Null);
    let fixed = serde_json::json!({
        "name": "outgoing::HEADER_BYTES", "value": "64KiB", "what": "Bytes of an answer's head",
    });
    assert!(bounds.as_array().unwrap().contains(&fixed), "{bounds}");

    let output = app.run(&["check", "--limits"]).await;
    let table = text(&output.stdout);
    assert!(table.contains("[service.a]"), "{table}");
    assert!(table.contains("wasm-host.toml:4"), "{table}");
    let (_, fixed) = table.split_once("\nFIXED ").expect("a second table");
    let hops = fixed.lines().find(|line| line.starts_with("HOP_LIMIT ")).expect("a fixed bound");
    let hops: Vec<_> = hops.split_whitespace().collect();
    assert_eq!(hops.join(" "), "HOP_LIMIT 8 Calls from service to service in one chain");
}
