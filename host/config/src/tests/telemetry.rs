//! Keys and routes of telemetry that others send.

use super::*;

fn application() -> Application {
    Application::new().with("PW", "S3CRET").with("KEY", "0123456789abcdef")
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let rendered = application().rejected(text);
    assert_eq!(rendered, expected.trim_end(), "\n{rendered}");
    assert!(!rendered.contains("hunter2") && !rendered.contains("S3CRET"), "{rendered}");
}

#[test]
fn keys_and_routes_of_telemetry_that_others_send() {
    check(
        r##"name = "shop"
[telemetry]
intake-key = "hunter2hunter2hunter2"
page-route = "/otlp"
page-spans-per-second = 0
[service.browser]
static = "web/dist"
route = "/"
[service.a]
component = "weather"
route = "/otlp"
[service.b]
component = "weather"
route = "/otlp/v1"
"##,
        r##"wasm-host.toml:3:14: error: the key in 'intake-key' stands in the file; take it from the environment with ${NAME} or from a file with ${file:/path}
wasm-host.toml:4:14: error: service 'a' (line 11) has the route '/otlp', and pages are to send their spans to '/otlp/v1/traces'; change 'page-route', or 'route' of the service
wasm-host.toml:4:14: error: service 'b' (line 14) has the route '/otlp/v1', and pages are to send their spans to '/otlp/v1/traces'; change 'page-route', or 'route' of the service
wasm-host.toml:4:14: error: spans of pages are kept as those of 'browser', and a service has that name (line 6); rename the service, or remove 'page-route'
wasm-host.toml:5:25: error: 'page-spans-per-second' is too small; the minimum is 1
"##,
    );
    check(
        r##"name = "shop"
[telemetry]
enabled = 1
intake-key = "${PW}"
page-route = "/"
[service.a]
component = "weather"
"##,
        r##"wasm-host.toml:3:11: error: 'enabled' is a whole number; it must be true or false
wasm-host.toml:4:14: error: the key in 'intake-key' has fewer than 16 characters; make one with `openssl rand -hex 32`
wasm-host.toml:5:14: error: 'page-route' is '/', which has the paths of services below it; give it one of its own, such as "/otlp"
"##,
    );
}

#[test]
fn a_key_and_a_route_are_read_and_the_key_is_not_shown() {
    let text = "name = \"shop\"\n[telemetry]\nintake-key = \"${KEY}\"\npage-route = \"/%6ftlp\"\n\
                [service.a]\nstatic = \"web/dist\"\nroute = \"/\"\n";
    let config = application().config(text);
    assert_eq!(warnings(&config), "");
    let telemetry = &config.telemetry;
    assert_eq!(telemetry.intake_key.as_ref().map(Secret::expose), Some("0123456789abcdef"));
    assert_eq!(telemetry.page_route.as_deref(), Some("/otlp"));
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
    // It is left out of recordings like all other secrets.
    assert!(config.known_secrets().iter().any(|secret| secret.expose() == "0123456789abcdef"));
    let off = application().config(&text.replace("intake-key", "enabled = false\nintake-key"));
    assert_eq!(warnings(&off).lines().count(), 2, "{}", warnings(&off));
    let static_alone =
        "name = \"shop\"\n[telemetry]\npage-route = \"/a/b\"\n[service.a]\nstatic = \"web/dist\"\n";
    assert_eq!(warnings(&application().config(static_alone)), "");
}
