//! Two bounds, one inside the other: which one counts, by default and where the file says something else.

use super::*;

const MODELS: &str = "[service.models]\ncomponent = \"ollama\"\nollama = \"gpu\"\n";

fn config(text: &str) -> Config {
    Application::new().config(&format!("name = 'shop'\n{text}"))
}

fn limits<'c>(config: &'c Config, service: &str) -> &'c ServiceLimits {
    &config.services[service].component().unwrap().limits
}

fn seconds(config: &Config, service: &str) -> (u64, u64) {
    let limits = limits(config, service);
    (limits.first_byte_timeout.as_secs(), limits.stream_idle_timeout.as_secs())
}

#[test]
fn a_service_waits_as_long_as_its_model_server_may_be_silent() {
    // A place at the server, a connection, its first byte, and a moment to hand it on.
    let config = config(&format!("[ollama.gpu]\n{MODELS}"));
    assert_eq!(seconds(&config, "models"), (60 + 2 + 600 + 5, 60 + 2 + 600 + 5));
    assert_eq!(warnings(&config), "");
    // And `check --limits` says so.
    let bound = config.bounds.iter().find(|bound| {
        (bound.table.as_str(), bound.key.as_str()) == ("service.models", "first-byte-timeout")
    });
    let bound = bound.unwrap();
    assert_eq!((bound.value.as_str(), bound.default.as_str(), bound.line), ("667s", "667s", None));
}

#[test]
fn a_service_without_a_slow_backend_waits_as_before() {
    let config = config(&format!(
        "[postgres.p]\n[ollama.gpu]\nfirst-byte-timeout = '10s'\nqueue-timeout = '10s'\n{MODELS}\
         [service.a]\ncomponent = 'guests/other.wasm'\npostgres = 'p'\n\
         [service.a.outbound]\nallow = 'https://example.com'\n"
    ));
    assert_eq!(seconds(&config, "models"), (60, 300));
    assert_eq!(seconds(&config, "a"), (60, 300));
}

#[test]
fn a_shorter_time_of_the_file_stays_and_is_told() {
    let config = config(&format!(
        "[ollama.gpu]\n{MODELS}first-byte-timeout = '30s'\ntimeout = '1m'\nstream-idle-timeout = '2m'\n"
    ));
    assert_eq!(seconds(&config, "models"), (30, 120));
    let told = |line, key, value| {
        format!(
            "wasm-host.toml:{line}:1: warning: '{key}' of service 'models' is {value}, but what it waits for may take \
             10m by 'first-byte-timeout' of [ollama.gpu]: {value} is what counts; remove '{key}' or raise it, or lower \
             the other"
        )
    };
    let expected = [
        told(6, "first-byte-timeout", "30s"),
        told(7, "timeout", "1m"),
        told(8, "stream-idle-timeout", "2m"),
    ];
    assert_eq!(warnings(&config), expected.join("\n"));
    let bound = config.bounds.iter().find(|bound| {
        (bound.table.as_str(), bound.key.as_str()) == ("service.models", "first-byte-timeout")
    });
    let bound = bound.unwrap();
    assert_eq!((bound.value.as_str(), bound.default.as_str()), ("30s", "667s"));
    // Zero is for ever.
    let config = self::config(&format!(
        "[ollama.gpu]\n{MODELS}timeout = '0s'\nstream-idle-timeout = '0s'\n"
    ));
    assert_eq!((warnings(&config), seconds(&config, "models")), (String::new(), (667, 0)));
}

#[test]
fn whoever_calls_a_service_waits_as_long_as_that() {
    let calls = |name: &str, callee: &str| {
        format!("[service.{name}]\ncomponent = 'guests/other.wasm'\nservices = ['{callee}']\n")
    };
    // The page is before the one it calls in the file, and they call one another in a circle.
    let (page, middle, back) = (calls("a", "b"), calls("b", "models"), "services = ['a']\n");
    let config = config(&format!("[ollama.gpu]\n{MODELS}{back}{page}{middle}"));
    assert_eq!(seconds(&config, "a"), (667, 667));
    assert_eq!(seconds(&config, "b"), (667, 667));
    // One that has a time of its own takes no longer.
    let config =
        self::config(&format!("[ollama.gpu]\n{MODELS}{page}{middle}first-byte-timeout = '3m'\n"));
    assert_eq!((seconds(&config, "a").0, seconds(&config, "b").0), (180, 180));
    assert_eq!(config.warnings.len(), 1, "{}", warnings(&config));
}

#[test]
fn other_waits_that_the_file_makes_long_come_to_bear_too() {
    for (text, expected) in [
        ("postgres = 'p'\n[postgres.p]\nstatement-timeout = '10m'\n", 5 + 5 + 600 + 5),
        (
            "[service.a.outbound]\nallow = 'https://example.com'\nfirst-byte-timeout = '5m'\n",
            5 + 300 + 5,
        ),
        ("cpu-timeout = '2m'\n", 120 + 5),
    ] {
        let config = config(&format!("[service.a]\ncomponent = 'guests/other.wasm'\n{text}"));
        assert_eq!(seconds(&config, "a"), (expected, 300), "{text}");
    }
}
