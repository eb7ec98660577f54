//! What `check --limits` shows.

use super::*;

fn bound<'c>(config: &'c Config, table: &str, key: &str) -> &'c Bound {
    let found = config.bounds.iter().find(|bound| bound.table == table && bound.key == key);
    found.unwrap_or_else(|| panic!("[{table}] {key} in {:#?}", config.bounds))
}

#[test]
fn every_bound_is_told_with_what_is_in_effect() {
    let config = Application::new().config(
        "name = \"shop\"\n[service.a]\ncomponent = \"guests/other.wasm\"\nmemory = \"64MiB\"\n\
         [service.b]\nstatic = \"web/dist\"\n[limits]\nqueue = 7\n",
    );
    let expected = Bound {
        table: "service.a".to_owned(),
        key: "memory".to_owned(),
        value: "64MiB".to_owned(),
        default: "256MiB".to_owned(),
        minimum: "1MiB".to_owned(),
        maximum: "4GiB".to_owned(),
        line: Some(4),
    };
    assert_eq!(*bound(&config, "service.a", "memory"), expected);
    assert_eq!(bound(&config, "limits", "queue").value, "7");
    let idle = bound(&config, "service.a", "idle");
    assert_eq!((idle.value.as_str(), idle.line), ("1s", None));
    // Also where the file has no such table.
    assert_eq!(bound(&config, "watch", "build-timeout").value, "10m");
    assert!(!config.bounds.iter().any(|bound| bound.table == "service.b"), "files have no bounds");
}

#[test]
fn a_component_without_a_file_has_the_same_bounds() {
    let config = Config::single(Path::new("greeter.wasm"));
    assert_eq!(bound(&config, "service.greeter", "concurrent").value, "256");
    assert_eq!(bound(&config, "limits", "instances").value, "1000");
}
