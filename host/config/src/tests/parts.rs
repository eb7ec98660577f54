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
wasm-host.toml:4:25: error: 'middleware' is a whole number; it must be a string
wasm-host.toml:4:28: error: the component 'gone.wasm' does not exist; build it first; paths are relative to the folder of the application file
wasm-host.toml:5:23: error: the component 'gone.wasm' does not exist; build it first; paths are relative to the folder of the application file
wasm-host.toml:5:36: error: 'acme/b' is no interface; write it as components import it, such as "namespace:package/interface", which means every version of it, or "namespace:package/interface@0.1.0"
wasm-host.toml:5:58: error: 'wasi:http/handler@0.3.0' is what middleware imports; write middleware = ["other.wasm"] for what stands in front of the component
wasm-host.toml:5:97: error: 'acme:a/c@' is no interface; write it as components import it, such as "namespace:package/interface", which means every version of it, or "namespace:package/interface@0.1.0"
wasm-host.toml:8:1: error: 'middleware' means nothing for a service of static files; remove it; it is for components
wasm-host.toml:11:8: error: 'with' is a string; it must be a table, as in { "namespace:package/interface" = "other.wasm" }
"##,
    );
}
