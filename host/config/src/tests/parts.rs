//! `middleware` and `with`: what is read, and what is said of slips.

use super::broken::check;

#[test]
fn parts_of_a_service() {
    check(
        r##"name = "shop"
[service.a]
component = "weather"
middleware = ["weathr", 5, "gone.wasm"]
with = { "acme:a/b" = "gone.wasm", "acme/b" = "weather", "wasi:http/handler@0.3.0" = "weather", "acme:a/c@" = "weather" }
[service.b]
static = "web/dist"
middleware = "weather"
[service.c]
component = "weather"
with = "weather"
"##,
        r##"wasm-host.toml:4:15: error: there is no crate 'components/weathr'; did you mean 'weather'?
"##,
    );
}
