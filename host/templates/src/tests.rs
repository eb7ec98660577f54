use std::collections::BTreeSet;

use wit_parser::Resolve;

use super::wit::{Granted, Style, WORLD, Wasi};
use super::*;

const NONE: With = With { postgres: false, ollama: false, keyvalue: false, config: false };

const ALL: [With; 6] = [
    NONE,
    With { postgres: true, ..NONE },
    With { ollama: true, ..NONE },
    With { keyvalue: true, ..NONE },
    With { config: true, ..NONE },
    With { postgres: true, ollama: true, keyvalue: true, config: true },
];

fn service(language: Language, with: With) -> Service<'static> {
    Service { application: "market", name: "shop", language, route: "/", with }
}

fn text(file: &NewFile) -> &str {
    std::str::from_utf8(&file.bytes).unwrap()
}

#[test]
fn no_template_leaves_a_mark_and_every_path_is_its_own() {
    for language in Language::ALL {
        for with in ALL {
            let files = of_service(&service(language, with)).unwrap();
            for file in files.iter().filter(|file| file.library.is_none()) {
                let path = file.path.display();
                for mark in ["{{#", "{{/", "{{name}}", "{{model}}", "{{paths}}"] {
                    assert!(!text(file).contains(mark), "{path}: {mark}");
                }
                assert!(file.path.starts_with("services/shop"), "{path}");
            }
            let paths: BTreeSet<_> = files.iter().map(|file| &file.path).collect();
            assert_eq!(paths.len(), files.len());
            let has = |name: &str| files.iter().any(|file| file.path.ends_with(name));
            assert_eq!(has("init.sql"), with.postgres);
            assert_eq!(has("cases/a-chat-comes-as-the-model-says-it.toml"), with.ollama);
            assert_eq!(has("cases/a-visit-is-counted.toml"), with.keyvalue);
            assert_eq!(has("cases/the-motto-is-the-configured-one.toml"), with.config);
            assert!(has("services/shop/README.md"));
        }
    }
}

#[test]
fn a_world_has_what_is_granted_and_nothing_else() {
    let of_0_2 = Style { wasi: Wasi::P2, is_blocking: true };
    for style in [Style::ASYNC, Style::BLOCKING, of_0_2] {
        for with in ALL {
            for calls in [false, true] {
                let capabilities = with.capabilities();
                let configuration = with.config;
                let granted = Granted { capabilities: &capabilities, configuration, calls };
                let imports = imports(&wit::text("shop", style, granted));
                let has = |name: &str| imports.iter().any(|import| import.contains(name));
                let way = if style.is_blocking { "blocking" } else { "client" };
                assert_eq!(has(&format!("postgres/{way}")), with.postgres, "{imports:?}");
                let way = if style.is_blocking { "blocking" } else { "inference" };
                assert_eq!(has(&format!("ollama/{way}")), with.ollama, "{imports:?}");
                assert_eq!(has("http/client") || has("outgoing-handler"), calls, "{imports:?}");
                assert_eq!(has("wasi:keyvalue/store"), with.keyvalue, "{imports:?}");
                assert_eq!(has("wasi:config/store"), with.config, "{imports:?}");
                assert!(!has("wasi:filesystem") && !has("wasi:sockets"), "{imports:?}");
                assert_eq!(Style::of(&wit::text("shop", style, granted)), Some(style));
            }
        }
    }
}

/// What the world of a text with its packages inside imports.
fn imports(text: &str) -> Vec<String> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("all.wit", text).unwrap();
    let world = resolve.select_world(&[package], Some(WORLD)).unwrap();
    resolve.worlds[world].imports.keys().map(|key| resolve.name_world_key(key)).collect()
}

#[test]
fn the_folder_of_a_world_is_the_same_as_its_text() {
    let capabilities = ["postgres", "ollama", "keyvalue"];
    let granted = Granted { capabilities: &capabilities, configuration: true, calls: true };
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in wit::files("shop", Style::ASYNC, granted) {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(folder.path()).unwrap();
    let world = resolve.select_world(&[package], Some(WORLD)).unwrap();
    let keys = resolve.worlds[world].imports.keys();
    let of_folder: Vec<String> = keys.map(|key| resolve.name_world_key(key)).collect();
    assert_eq!(of_folder, imports(&wit::text("shop", Style::ASYNC, granted)));
}

#[test]
fn the_library_for_rust_stands_by_itself() {
    let files = of_service(&service(Language::Rust, With::default())).unwrap();
    let find = |path: &str| {
        let file = files.iter().find(|file| file.path.ends_with(path));
        text(file.unwrap_or_else(|| panic!("{path}")))
    };
    let manifest = find("vendor/wasm-host-guest/Cargo.toml");
    assert!(!manifest.contains("workspace"), "{manifest}");
    assert!(manifest.contains("../wasm-host-guest-derive"), "{manifest}");
    assert!(find("vendor/wasm-host-guest/wit/deps/wasi-0.3/http.wit").contains("wasi:http@0.3"));
    let library = find("vendor/wasm-host-guest/src/lib.rs");
    let named = library.lines().filter_map(|line| line.trim().strip_prefix("\"wit/"));
    for path in named.filter_map(|line| line.strip_suffix("\",")) {
        assert!(files.iter().any(|file| file.path.to_string_lossy().contains(path)), "{path}");
    }
    assert!(library.contains("wit/deps/wasi-0.3/http.wit"));
    let lock = find("services/shop/Cargo.lock");
    assert!(lock.contains("name = \"wit-bindgen\"") && lock.contains("name = \"shop\""));
    assert!(!lock.contains("name = \"wasmtime\""), "{lock}");
}

#[test]
fn the_application_file_of_each_is_toml_with_its_grants() {
    for language in Language::ALL {
        for with in ALL {
            let service = service(language, with);
            let text = application::new("market", 8080) + &application::added(&service, None);
            let table: toml::Table = text.parse().unwrap();
            let shop = &table["service"]["shop"];
            assert_eq!(shop.get("postgres").is_some(), with.postgres, "{text}");
            assert_eq!(table.contains_key("ollama"), with.ollama, "{text}");
            assert_eq!(table.contains_key("keyvalue"), with.keyvalue, "{text}");
            assert_eq!(shop.get("keyvalue").is_some(), with.keyvalue, "{text}");
            assert_eq!(shop.get("config").is_some(), with.config, "{text}");
        }
    }
}

#[test]
fn what_stands_on_npm_or_on_go_is_what_the_bindings_and_the_tests_stand_on() {
    let of = |language| of_service(&service(language, With::default())).unwrap();
    let find = |files: &[NewFile], path: &str| {
        text(files.iter().find(|file| file.path.ends_with(path)).unwrap()).to_owned()
    };
    let files = of(Language::JavaScript);
    let lock = find(&files, "services/shop/package-lock.json");
    assert!(lock.contains("\"name\": \"shop\"") && !lock.contains("\"templates\""), "{lock}");
    let version = find(&files, "package.json");
    let version = version.lines().find(|line| line.contains("componentize-qjs")).unwrap();
    assert!(lock.contains(version.trim()), "{version} {lock}");
    let files = of(Language::Go);
    let module = find(&files, "services/shop/go.mod");
    assert!(module.contains(&wit_bindgen_go::remote_pkg_version()), "{module}");
    for path in ["wit/runtime/runtime.go", "wit/types/option.go", "LICENSE"] {
        find(&files, &format!("vendor/go.bytecodealliance.org-pkg/{path}"));
    }
    let adapter =
        files.iter().find(|file| file.path.ends_with("wasi_snapshot_preview1.reactor.wasm"));
    assert!(adapter.unwrap().bytes.starts_with(b"\0asm"));
    let handler = find(&files, "bindings/export_wasi_http_incoming_handler/handler.go");
    assert!(handler.contains("import \"service/bindings/wasi_http_types\""), "{handler}");
}
