//! `[registry.HOST]`, `[trust]`, and references: what is read, and what is said of slips.

use super::broken::{application, check};
use super::*;

#[test]
fn registries_and_references() {
    check(
        r##"name = "shop"
[service.a]
component = "oci://registry.example/Shop:1"
[service.b]
component = "oci://registry.example/shop"
[service.c]
component = "registry.example/shop:1"
[service.d]
component = "oci://registry.example/shop:1"
[registry."registry.example"]
plain_http = true
ca = "web/dist/index.html"
username = "anna"
password = "hunter2"
answer-timeout = "1h"
[registry."127.0.0.1:5000"]
plain-http = "yes"
username = "anna"
[registry.registry]
password = "${PW}"
[trust]
keys = ["web/dist/index.html"]
[registry.x.y]
"##,
        r##"wasm-host.toml:3:13: error: 'oci://registry.example/Shop:1' is no reference: a repository has small letters, digits, and '/', '-', '_' and '.' in between; write oci://HOST/REPOSITORY:TAG, as in oci://registry.example/shop/weather:1.2
wasm-host.toml:5:13: error: 'oci://registry.example/shop' has neither a tag nor a digest; add one, as in :1.2 or @sha256:..., so that the file says which version it means
wasm-host.toml:7:13: error: 'registry.example/shop:1' is no component; did you mean 'oci://registry.example/shop:1'?
wasm-host.toml:11:1: error: unknown key 'plain_http'; did you mean 'plain-http'?
wasm-host.toml:12:6: error: there is no certificate in the PEM file; it begins with -----BEGIN CERTIFICATE-----
wasm-host.toml:14:12: error: a password stands in the file; take it from the environment with ${NAME} or from a file with ${file:/path}
wasm-host.toml:15:18: error: 'answer-timeout' is too large; the maximum is 5m
wasm-host.toml:17:14: error: 'plain-http' is a string; it must be true or false
wasm-host.toml:18:12: error: there is a 'username' but no 'password'; set both, or neither
wasm-host.toml:19:11: error: 'registry' is not the name of a registry; name its host with its port, in quotes, as in [registry."127.0.0.1:5000"]
wasm-host.toml:20:12: error: there is a 'password' but no 'username'; set both, or neither
wasm-host.toml:22:9: error: web/dist/index.html: there is no public key in it; it is an ECDSA key of the curve P-256, -----BEGIN PUBLIC KEY-----, as `wasm-host key generate` and cosign make it
wasm-host.toml:23:11: error: 'x' is not the name of a registry; name its host with its port, in quotes, as in [registry."127.0.0.1:5000"]
wasm-host.toml:23:13: error: unknown key 'y'; [registry.x] may have: plain-http, ca, username, password, answer-timeout, idle-timeout, pull-timeout
"##,
    );
}

#[test]
fn trust_without_keys() {
    for text in ["[trust]", "[trust]\nkeys = []"] {
        let text = format!("name = \"shop\"\n{text}\n[service.a]\ncomponent = \"weather\"\n");
        let told = application().rejected(&text);
        assert!(told.contains("[trust] names no key; name the files of public keys"), "{told}");
    }
}

#[test]
fn what_is_said_of_registries_is_read() {
    let config = application().config(
        r#"name = "shop"
[service.a]
component = "oci://127.0.0.1:5000/shop/a:1"
[service.b]
component = "oci://127.0.0.1:5000/shop/a:1"
[registry."127.0.0.1:5000"]
plain-http = true
username = "anna"
password = "${PW}"
idle-timeout = "1s"
"#,
    );
    let references: Vec<String> =
        config.references().into_iter().map(ToString::to_string).collect();
    assert_eq!(references, ["oci://127.0.0.1:5000/shop/a:1"]);
    // Where paths of the file begin, which is not always where the file is.
    assert_eq!(config.pins_file(), Some(config.folder.join("wasm-host.lock")));
    let registry = config.registries.of("127.0.0.1:5000");
    assert!(registry.plain_http);
    assert_eq!(registry.limits.idle_timeout, Duration::from_secs(1));
    let printed = format!("{registry:?}");
    assert!(printed.contains("anna") && !printed.contains("S3CRET"), "{printed}");
    assert!(config.known_secrets().iter().any(|secret| secret.expose() == "S3CRET"));
    // By default with encryption, and with the logins of the user.
    let other = config.registries.of("registry.example");
    assert!(!other.plain_http && other.credentials.is_none());
}

#[test]
fn references_of_all_parts_are_references_of_the_file() {
    let text = r#"name = "shop"
[service.a]
component = "oci://registry.example/a:1"
middleware = ["oci://registry.example/auth:1", "oci://registry.example/auth:1"]
with = { "acme:a/b" = "oci://registry.example/b:1" }
"#;
    let config = application().parse(text).unwrap();
    let references: Vec<_> = config.references().iter().map(ToString::to_string).collect();
    assert_eq!(
        references,
        [
            "oci://registry.example/a:1",
            "oci://registry.example/auth:1",
            "oci://registry.example/b:1"
        ]
    );
}
