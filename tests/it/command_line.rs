//! What users type and what they are told: exit codes, `check`, `inspect`.

mod formats;

use wasm_host_tests::handmade;
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

/// As where it is mounted beside an application that is in an image.
#[tokio::test]
async fn an_application_file_may_be_elsewhere_than_what_it_names() {
    let app = App::new("");
    for folder in ["app/web", "config"] {
        std::fs::create_dir_all(app.path().join(folder)).unwrap();
    }
    std::fs::write(app.path().join("app/web/index.html"), "here").unwrap();
    let file = "name = \"x\"\n[service.web]\nstatic = \"web\"\nroute = \"/\"\n";
    std::fs::write(app.path().join("config/wasm-host.toml"), file).unwrap();
    let host = app.serve_with(&["config/wasm-host.toml", "--folder", "app"]).await;
    assert_eq!(host.get("/").await.text(), "here");
    host.stop().await;
    let refused = app.run(&["serve", "config/wasm-host.toml"]).await;
    assert_eq!(refused.status.code(), Some(64), "{}", text(&refused.stderr));
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

/// What `check` tells of a broken file in a terminal with these variables.
async fn told_in_a_terminal(variables: &str) -> String {
    // Whatever those have who run this.
    let unset = "unset NO_COLOR CLICOLOR CLICOLOR_FORCE CI";
    let terminal = "set -- script -qefc \"exec $*\" /dev/null";
    let app = App::new("name = \"broken\"\nlisten = 1\n")
        .before(&format!("{unset}\nexport {variables}\n{terminal}\nexec >&2"));
    let output = app.run(&["check"]).await;
    assert_eq!(output.status.code(), Some(64));
    text(&output.stderr)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn how_bad_something_is_has_a_colour_on_a_terminal_that_wants_it_and_nowhere_else() {
    let coloured = "wasm-host.toml:2:1: \u{1b}[1m\u{1b}[31merror\u{1b}[0m: unknown key 'listen'";
    let told = told_in_a_terminal("TERM=xterm").await;
    assert!(told.contains(coloured), "{told:?}");
    for variables in ["TERM=xterm NO_COLOR=1", "TERM=dumb"] {
        let told = told_in_a_terminal(variables).await;
        assert!(told.contains("toml:2:1: error: unknown key 'listen'"), "{told:?}");
        assert!(!told.contains('\u{1b}'), "{variables}: {told:?}");
    }
    // Errors of commands, too.
    let app = App::new("name = \"gone\"\n")
        .before("unset NO_COLOR CLICOLOR CLICOLOR_FORCE CI\nexport TERM=xterm\nset -- script -qefc \"exec $*\" /dev/null\nexec >&2");
    let told = text(&app.run(&["ps"]).await.stderr);
    assert!(told.contains("wasm-host: \u{1b}[1m\u{1b}[31merror\u{1b}[0m: no host"), "{told:?}");
    // A pipe gets none, whatever is said of colours.
    let app =
        App::new("name = \"broken\"\nlisten = 1\n").env("TERM", "xterm").env("CLICOLOR_FORCE", "1");
    for arguments in [&["check"][..], &["check", "--format", "json"]] {
        let output = app.run(arguments).await;
        let all = [output.stdout, output.stderr].concat();
        assert!(
            text(&all).contains("unknown key 'listen'") && !all.contains(&0x1b),
            "{arguments:?}"
        );
    }
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

/// What no grant gives, and what is said about it.
const MISSING: [(&str, &str); 7] = [
    ("wasi:config/store@0.1.0", "it has wasi:config/store of version 0.2.0-rc.1 and"),
    ("wasi:blobstore/container@0.2.0-draft", "keep it in a database"),
    ("wasi:http/handler@0.3.0", "as an import it is another service"),
    ("wasi:clocks/types@0.3.0-rc-2025-09-16", "it has wasi:clocks/types of version 0.3"),
    ("wasi:random/dice@0.2.99", "of wasi:random it has random, insecure, insecure-seed"),
    ("wasm-host:postgres/client@0.2.0", "it has wasm-host:postgres/client of version 0.1"),
    ("acme:coyote/anvil@1.0.0", "it has WASI 0.2 and 0.3, wasm-host:postgres"),
];

#[tokio::test]
async fn what_this_host_does_not_have_is_told_by_inspect_serve_and_check_alike() {
    let app = App::new("name = \"a\"\n[service.a]\ncomponent = \"all.wasm\"\n");
    let all = handmade::importing(&MISSING.map(|(import, _)| import));
    std::fs::write(app.path().join("all.wasm"), all).unwrap();

    let output = app.run(&["inspect", "all.wasm"]).await;
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert_eq!(text(&output.stderr), "");
    for (command, code) in [(&["serve", "all.wasm"][..], 64), (&["check"], 64)] {
        let output = app.run(command).await;
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(!told.contains("linker") && !told.contains("instance export"), "{told}");
        for (import, advice) in MISSING {
            let sentence = format!("it imports {import}, which this host does not have: {advice}");
            assert!(shown.contains(&sentence), "{sentence} is not in:\n{shown}");
            assert!(told.contains(&sentence), "{sentence} is not in:\n{told}");
        }
    }

    let output = app.run(&["inspect", "all.wasm", "--format", "json"]).await;
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["missing"].as_array().unwrap().len(), MISSING.len(), "{report}");
}

#[tokio::test]
async fn an_interface_of_another_form_than_this_host_s_is_told_with_what_differs() {
    let app = App::new("");
    std::fs::write(app.path().join("a.wasm"), handmade::importing(&["wasi:random/random@0.2.99"]))
        .unwrap();
    let inspected = app.run(&["inspect", "a.wasm"]).await;
    let served = app.run(&["serve", "a.wasm"]).await;
    assert_eq!((inspected.status.code(), served.status.code()), (Some(1), Some(64)));
    let sentence = "it imports wasi:random/random@0.2.99, which this host does not have: there is one of that \
                    name, but its `ask` is not as imported here";
    for told in [text(&inspected.stdout), text(&served.stderr)] {
        assert!(told.contains(sentence), "{told}");
    }
}

#[tokio::test]
async fn a_component_that_is_no_service_is_shown_and_ends_with_1() {
    let app = App::new("");
    std::fs::write(app.path().join("empty.wasm"), b"\0asm\x0d\0\x01\0").unwrap();
    let output = app.run(&["inspect", "empty.wasm"]).await;
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("handler   none: it is not a service"), "{shown}");
}

#[tokio::test]
async fn a_component_is_inspected_without_making_code_of_it() {
    let app = App::new("");
    let cache = app.path().join("cache");
    let app = app.env("XDG_CACHE_HOME", cache.to_str().unwrap());
    let output = app.run(&["inspect", component("weather").to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(!cache.exists() && !app.path().join(".wasm-host").exists());
}

#[tokio::test]
async fn half_a_component_is_not_inspected() {
    let app = App::new("");
    let whole = std::fs::read(component("hello-p3")).unwrap();
    std::fs::write(app.path().join("half.wasm"), &whole[..whole.len() / 2]).unwrap();
    let output = app.run(&["inspect", "half.wasm"]).await;
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{told}");
    assert!(told.contains("half.wasm is not a valid component"), "{told}");
}

#[tokio::test]
async fn a_component_that_is_missing_is_told_beside_a_host_that_runs() {
    let app = App::new("");
    let host = app.serve_with(&[component("hello-p3").to_str().unwrap()]).await;
    std::fs::write(app.path().join("text.wasm"), "hello").unwrap();
    for (file, reason) in [
        ("gone.wasm", "cannot read the component gone.wasm"),
        ("text.wasm", "text.wasm is not a component"),
    ] {
        let output = app.run(&["serve", file]).await;
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{told}");
        assert!(told.contains(reason) && !told.contains("state folder"), "{told}");
    }
    host.stop().await;
}

#[tokio::test]
async fn a_file_that_is_no_application_file_is_one_sentence() {
    let app = App::new("");
    let readme =
        "# Title\n\nSome *words*:\n```toml\n[service.a]\ncomponent = \"a\"\n```\n".repeat(20);
    std::fs::write(app.path().join("README.md"), readme).unwrap();
    std::fs::write(app.path().join("other.toml"), "[package]\nedition = \"2024\"\n").unwrap();
    std::fs::copy(component("hello-p3"), app.path().join("hello")).unwrap();
    std::fs::write(app.path().join("picture.png"), [0x89, b'P', 0xff, 0xfe]).unwrap();
    for (file, reason) in [
        ("README.md", "is taken for an application file and is none: line 3 is not TOML; give"),
        ("other.toml", "is taken for an application file and is none: it has none of name, http"),
        ("hello", "is WebAssembly, and taken for an application file; give it a name that ends"),
        ("picture.png", "it is not UTF-8 text"),
        (".", "'.' is a folder"),
    ] {
        for command in ["serve", "check"] {
            let output = app.run(&[command, file]).await;
            let told = text(&output.stderr);
            assert_eq!(output.status.code(), Some(64), "{told}");
            assert!(told.contains(reason), "{told}");
            assert_eq!(told.lines().count(), 1, "{told}");
        }
    }
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
