//! `cors` and `hosts`: what they name, and what is said of those that name nothing.

use super::*;

fn service(cors: &str) -> String {
    format!("name = \"shop\"\n[service.a]\nstatic = \"web/dist\"\ncors = {cors}\n")
}

#[track_caller]
fn rejected(text: &str, expected: &str) {
    let told = Application::new().rejected(text);
    assert_eq!(told, expected, "\n{told}");
}

#[test]
fn an_origin_is_one_scheme_host_and_port() {
    let list = OriginList::parse(&[
        "https://App.example.com",
        "http://localhost:5173",
        "https://plain.example:443",
        "https://*.preview.example:8443",
        "https://b\u{fc}cher.example",
        "http://[::1]:3000",
        "tauri://localhost",
        "app://",
        "vscode-webview://*",
    ])
    .unwrap();
    for (origin, is_in) in [
        ("https://app.example.com", true),
        ("HTTPS://APP.example.com", true),
        ("http://app.example.com", false),
        ("https://app.example.com:8443", false),
        ("https://app.example.com.evil.example", false),
        ("https://xapp.example.com", false),
        ("http://localhost:5173", true),
        ("http://localhost", false),
        ("http://localhost:51730", false),
        // As a browser says it: without the port that is meant anyway.
        ("https://plain.example", true),
        ("https://pr-1.preview.example:8443", true),
        ("https://a.b.preview.example:8443", true),
        ("https://preview.example:8443", false),
        ("https://.preview.example:8443", false),
        ("https://pr-1.preview.example", false),
        ("https://evil.example:1.preview.example:8443", false),
        ("https://evil.example/.preview.example:8443", false),
        ("https://xn--bcher-kva.example", true),
        ("http://[::1]:3000", true),
        ("tauri://localhost", true),
        ("tauri://other", false),
        ("app://.", true),
        ("app://obsidian.md", true),
        ("apps://obsidian.md", false),
        ("vscode-webview://1a2b", true),
        ("file://", false),
        ("null", false),
        ("", false),
    ] {
        assert_eq!(list.has(origin), is_in, "{origin}");
    }
    assert!(!list.has_any());
    let all = OriginList::parse(&["*"]).unwrap();
    assert!(all.has_any() && all.has("https://anybody.example") && all.has("null"));
}

#[test]
fn a_name_of_the_host_is_one_name_or_all_below_one() {
    let names = HostNames::parse(&["App.example.com", "*.example.org", "box"]).unwrap();
    for (name, is_in) in [
        ("app.example.com", true),
        ("APP.EXAMPLE.COM", true),
        ("app.example.com.", true),
        ("xapp.example.com", false),
        ("example.com", false),
        ("a.example.org", true),
        ("a.b.example.org", true),
        ("example.org", false),
        (".example.org", false),
        ("evilexample.org", false),
        ("a.example.org.evil.example", false),
        ("box", true),
        ("", false),
    ] {
        assert_eq!(names.has(name), is_in, "{name}");
    }
}

#[test]
fn what_is_not_said_of_cors_is_what_a_form_may_do_and_json() {
    let config = Application::new().config(&service("{ origins = \"http://localhost:5173\" }"));
    let expected = CorsConfig {
        origins: OriginList::parse(&["http://localhost:5173"]).unwrap(),
        methods: ["GET", "HEAD", "POST"].map(str::to_owned).to_vec(),
        headers: Some(vec!["content-type".to_owned()]),
        expose: Vec::new(),
        credentials: false,
        max_age: Duration::from_secs(600),
    };
    assert_eq!(config.services["a"].cors, Some(expected));
    let any = service("{ origins = \"*\", headers = \"*\" }");
    let cors = Application::new().config(&any).services["a"].cors.clone().unwrap();
    assert_eq!((cors.headers, cors.origins.has_any()), (None, true));
    let none = "name = \"shop\"\n[service.a]\nstatic = \"web/dist\"\n";
    assert_eq!(Application::new().config(none).services["a"].cors, None);
}

#[test]
fn credentials_are_for_origins_that_are_named() {
    rejected(
        &service("{ origins = [\"*\"], credentials = true }"),
        "wasm-host.toml:4:27: error: with 'credentials' and the origin '*', every page could act as whoever looks \
         at it; list the origins that may, or remove 'credentials'",
    );
}

#[test]
fn what_is_no_origin_is_told_with_the_one_that_was_meant() {
    for (origin, hint) in [
        ("app.example.com", "did you mean 'https://app.example.com'?"),
        ("https://a.example/app", "it has no path and no user; did you mean 'https://a.example'?"),
        ("https://a.example/", "it has no path and no user; did you mean 'https://a.example'?"),
        ("https://me@a.example", "it has no path and no user; did you mean 'https://a.example'?"),
        ("app", "write a scheme and a host, as in \"https://app.example.com\""),
        ("https://", "write a scheme and a host, as in \"https://app.example.com\""),
        ("https://a.example:99999", "write a scheme and a host, as in \"https://app.example.com\""),
        ("tauri://a/b", "write \"app://name\", or \"app://\" for all"),
        (
            "null",
            "every sandboxed frame and local file calls itself so; serve the page over http, and list that origin",
        ),
        (
            "https://*",
            "a '*' may stand alone, for every page, or before a name, as in \"https://*.example.com\"",
        ),
        (
            "https://a.*.example",
            "a '*' may stand alone, for every page, or before a name, as in \"https://*.example.com\"",
        ),
    ] {
        rejected(
            &service(&format!("{{ origins = [\"{origin}\"] }}")),
            &format!("wasm-host.toml:4:21: error: '{origin}' is not an origin; {hint}"),
        );
    }
}

#[test]
fn what_cors_lacks_or_cannot_be_is_told_at_once() {
    rejected(
        &service(
            "{ methods = [\"get\", \"*\"], headers = [\"x y\"], credentials = 1, max-age = \"25h\" }",
        ),
        "wasm-host.toml:4:8: error: 'cors' lets nobody in; as in cors = { origins = [\"https://app.example.com\"] }\n\
         wasm-host.toml:4:21: error: 'get' is not a method; did you mean 'GET'?\n\
         wasm-host.toml:4:28: error: '*' is not a method; name each one, as in [\"GET\", \"POST\", \"DELETE\"]\n\
         wasm-host.toml:4:45: error: 'x y' is not the name of a header; name each one, as in [\"content-type\", \
         \"authorization\"]\n\
         wasm-host.toml:4:67: error: 'credentials' is a whole number; it must be true or false\n\
         wasm-host.toml:4:80: error: 'max-age' is too large; the maximum is 24h",
    );
    rejected(
        &service("[\"https://a.example\"]"),
        "wasm-host.toml:4:8: error: 'cors' is a list; it must be a table, as in cors = { origins = \
         [\"https://app.example.com\"] }",
    );
}

#[test]
fn an_internal_service_has_no_pages() {
    rejected(
        "name = \"shop\"\n[service.a]\ncomponent = \"guests/other.wasm\"\nservices = \"b\"\n[service.b]\n\
         component = \"guests/other.wasm\"\ninternal = true\ncors = { origins = \"*\" }\n",
        "wasm-host.toml:8:1: error: service 'b' is internal and has 'cors'; remove it: no page reaches an internal \
         service",
    );
}

#[test]
fn what_is_no_name_of_a_host_is_told_with_the_one_that_was_meant() {
    for (name, hint) in [
        (
            "https://app.example.com/",
            "it has no scheme, port or path; did you mean 'app.example.com'?",
        ),
        ("app.example.com:8080", "it has no scheme, port or path; did you mean 'app.example.com'?"),
        ("127.0.0.1", "addresses are answered anyway; remove it"),
        ("127.0.0.1:8080", "addresses are answered anyway; remove it"),
        ("[::1]", "addresses are answered anyway; remove it"),
        ("*", "name each one, or write \"*.example.com\" for all below a name of yours"),
        ("a b", "write a name as it stands in an address, as in \"app.example.com\""),
        ("", "write a name as it stands in an address, as in \"app.example.com\""),
    ] {
        rejected(
            &format!(
                "name = \"shop\"\n[http]\nhosts = [\"{name}\"]\n[service.a]\nstatic = \"web/dist\"\n"
            ),
            &format!("wasm-host.toml:3:10: error: '{name}' is not the name of a host; {hint}"),
        );
    }
}
