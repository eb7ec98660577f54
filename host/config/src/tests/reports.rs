//! What is said to people, to editors and to tools.

use super::*;

#[test]
fn a_missing_grant_names_the_line_to_add() {
    let text = r#"name = "shop"
[service.one]
component = "weather"
[service.two]
component = "ollama"
"#;
    let application = Application::new();
    let none = application.config(text);
    assert_eq!(
        grant_hint("two", "postgres", &none),
        "add postgres = \"<name>\" under [service.two] (wasm-host.toml:4), and add [postgres.<name>]"
    );
    assert_eq!(
        grant_hint("two", "services", &none),
        "add services = [\"one\"] under [service.two] (wasm-host.toml:4)"
    );
    let one = application.config(&format!("{text}[ollama.local]\n"));
    assert_eq!(
        grant_hint("one", "ollama", &one),
        "add ollama = \"local\" under [service.one] (wasm-host.toml:2)"
    );
    let two = application.config(&format!("{text}[postgres.a]\n[postgres.b]\n"));
    assert_eq!(
        grant_hint("one", "postgres", &two),
        "add postgres = \"a\" under [service.one] (wasm-host.toml:2); there is also b"
    );
    let single = Config::single(Path::new("shop.wasm"));
    assert_eq!(
        grant_hint("shop", "postgres", &single),
        "add postgres = \"<name>\" under [service.shop] of an application file (wasm-host.toml), and \
         add [postgres.<name>]"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_one_sentence() {
    let application = Application::new();
    let read = |path: &Path| Config::read(path, &|_| None).unwrap_err();
    let absent = application.path("absent.toml");
    assert_eq!(
        read(&absent).to_string(),
        format!(
            "{}: error: cannot read the application file: it does not exist; name another one, as \
             in wasm-host serve path/to/wasm-host.toml",
            absent.display()
        )
    );
    let folder = application.path("web");
    assert!(read(&folder).to_string().contains("is a folder"));
    let binary = application.path("binary.toml");
    fs::write(&binary, [0xff, 0xfe]).unwrap();
    assert!(read(&binary).to_string().contains("it is not UTF-8 text"));
    let large = application.path("large.toml");
    fs::write(&large, "#".repeat(1024 * 1024 + 1)).unwrap();
    assert!(read(&large).to_string().contains("it has more than 1048576 bytes"));
}

#[test]
fn a_file_is_read_relative_to_its_own_folder() {
    let application = Application::new();
    let path = application.path("wasm-host.toml");
    fs::write(&path, REFERENCE).unwrap();
    let config = Config::read(&path, &|_| None).unwrap();
    assert_eq!(config.file, Some(path.display().to_string()));
    assert_eq!(config.folder, application.folder.path());
}

#[test]
fn tools_get_a_list() {
    let found = Application::new().parse("name = \"a\"\nfoo = 1\n[service.b]\n").unwrap_err();
    let json = serde_json::to_value(&found).unwrap();
    let expected = serde_json::json!([
        {
            "file": "wasm-host.toml",
            "line": 2,
            "column": 1,
            "severity": "error",
            "message": "unknown key 'foo'",
            "hint": "the file may have: name, http, admin, state, postgres, ollama, keyvalue, sqlite, service, registry, trust, watch, limits, record, telemetry, replicas, deploy"
        },
        {
            "file": "wasm-host.toml",
            "line": 3,
            "column": 1,
            "severity": "error",
            "message": "service 'b' has neither 'component' nor 'static'",
            "hint": "add component = \"<crate or .wasm file>\" or static = \"<folder>\""
        }
    ]);
    assert_eq!(json, expected);
}

/// Cuts and damages a good file everywhere: whatever is found has a place in the file, and a file
/// that is refused says why.
#[test]
fn every_error_has_a_line_inside_the_file() {
    let application = Application::new();
    let cuts = (0..REFERENCE.len()).map(|end| REFERENCE[..end].to_owned());
    let damaged = REFERENCE.char_indices().flat_map(|(offset, character)| {
        ["", "\"", "[", "=", "\n", "ä", "\u{0}", "{"].map(|put| {
            let rest = &REFERENCE[offset + character.len_utf8()..];
            format!("{}{put}{rest}", &REFERENCE[..offset])
        })
    });
    for text in cuts.chain(damaged) {
        let lines = text.lines().count().max(1);
        let Err(found) = application.parse(&text) else {
            continue;
        };
        assert!(found.iter().any(|found| found.severity == Severity::Error), "{text}");
        for diagnostic in &found {
            assert!((1..=lines).contains(&diagnostic.line), "{diagnostic} of {lines}:\n{text}");
            let line = text.lines().nth(diagnostic.line - 1).unwrap_or_default();
            assert!(diagnostic.column <= line.chars().count() + 1, "{diagnostic}:\n{text}");
        }
    }
}

#[test]
fn an_address_of_a_model_server_goes_without_v1() {
    for url in ["http://gpu:11434/v1", "http://gpu:11434/v1/", "https://gateway.example/openai/v1"]
    {
        let text = format!(
            "name = 'shop'\n[ollama.gpu]\nurl = '{url}'\n[service.a]\ncomponent = 'ollama'\nollama = 'gpu'\n"
        );
        let told = Application::new().rejected(&text);
        assert!(told.starts_with("wasm-host.toml:3:7: error: the address ends with /v1"), "{told}");
        assert!(told.contains("write it without /v1"), "{told}");
        // Where the variable says it, too.
        let told = Application::new()
            .with("OLLAMA_HOST", url)
            .rejected(&text.replace(&format!("url = '{url}'"), ""));
        assert!(told.contains("OLLAMA_HOST the address ends with /v1"), "{told}");
    }
}
