//! What pages are answered, header by header.

use std::time::Duration;

use super::*;
use crate::origin::Names;
use wasm_host_config::HostNames;

const LISTED: &str = "https://app.example.com";
const OTHER: &str = "https://evil.example";

fn config(origins: &[&str]) -> CorsConfig {
    CorsConfig {
        origins: OriginList::parse(origins).unwrap(),
        methods: vec!["GET".to_string(), "POST".to_string()],
        headers: Some(vec!["content-type".to_string(), "x-own".to_string()]),
        expose: Vec::new(),
        credentials: false,
        max_age: Duration::from_secs(600),
    }
}

fn pages(config: CorsConfig) -> Pages {
    Pages::new("shop", Some(&config))
}

fn request(method: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri("/");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

fn admit(pages: &Pages, request: &Request<()>) -> Result<Option<Response<Body>>, Failure> {
    let names = Names::new(HostNames::default(), "127.0.0.1:8080".parse().unwrap());
    let (host, client_host, secure) = ("127.0.0.1:8080", "127.0.0.1:8080", false);
    pages.admit(request, &RequestedHost { host, client_host, secure, names: &names })
}

/// What a page is told of an answer that has these headers.
fn marked(pages: &Pages, origin: &str, own: &[(&'static str, &'static str)]) -> Vec<String> {
    let mut headers = HeaderMap::new();
    for (name, value) in own {
        headers.append(*name, HeaderValue::from_static(value));
    }
    let headers_of_request = match origin {
        "" => HeaderMap::new(),
        origin => HeaderMap::from_iter([(ORIGIN, origin.parse().unwrap())]),
    };
    pages.reader(&headers_of_request).mark(&mut headers);
    shown(&headers)
}

fn shown(headers: &HeaderMap) -> Vec<String> {
    let mut shown: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .map(|line| line.replace("access-control-", ""))
        .collect();
    shown.sort_unstable();
    shown
}

fn preflight(pages: &Pages, origin: &str, method: &str, headers: &str) -> Vec<String> {
    let asked = [
        ("origin", origin),
        ("access-control-request-method", method),
        ("access-control-request-headers", headers),
    ];
    let response = admit(pages, &request("OPTIONS", &asked)).unwrap().unwrap();
    assert_eq!(response.status(), 204);
    shown(response.headers())
}

#[test]
fn a_preflight_is_told_what_the_file_lists() {
    let vary = "vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
    assert_eq!(
        preflight(&pages(config(&[LISTED])), LISTED, "DELETE", "x-foreign"),
        [
            "allow-headers: content-type, x-own",
            "allow-methods: GET, POST",
            &format!("allow-origin: {LISTED}"),
            "max-age: 600",
            vary,
        ]
    );
    let config = CorsConfig { headers: None, credentials: true, ..config(&[LISTED]) };
    assert_eq!(
        preflight(&pages(config), LISTED, "POST", "authorization, x-any"),
        [
            "allow-credentials: true",
            "allow-headers: authorization, x-any",
            "allow-methods: GET, POST",
            &format!("allow-origin: {LISTED}"),
            "max-age: 600",
            vary,
        ]
    );
}

#[test]
fn no_headers_means_none_rather_than_all() {
    let config = CorsConfig { headers: Some(Vec::new()), ..config(&["*"]) };
    let told = preflight(&pages(config), OTHER, "POST", "authorization");
    assert!(told.contains(&"allow-headers: ".to_string()), "{told:?}");
    assert!(told.contains(&"allow-origin: *".to_string()), "{told:?}");
}

#[test]
fn a_preflight_of_somebody_else_is_refused_with_the_line_that_would_let_it_in() {
    let asked = [
        ("origin", OTHER),
        ("access-control-request-method", "DELETE"),
        ("sec-fetch-site", "cross-site"),
    ];
    let told = |pages: &Pages| admit(pages, &request("OPTIONS", &asked)).unwrap_err();
    let failure = told(&Pages::new("shop", None));
    assert_eq!(failure.kind, Kind::CrossOrigin);
    assert_eq!(
        failure.public,
        "A page of https://evil.example may not send DELETE to the service shop. To let it, add cors = { origins = \
         [\"https://evil.example\"], methods = [\"DELETE\"] } under [service.shop] in the application file."
    );
    let listed = told(&pages(config(&[LISTED]))).public;
    assert!(
        listed.contains("add \"https://evil.example\" to the 'origins' of 'cors' under"),
        "{listed}"
    );
}

#[test]
fn only_what_is_listed_changes_anything_from_elsewhere() {
    let closed = Pages::new("shop", None);
    let open = pages(config(&[LISTED]));
    let all = pages(config(&["*"]));
    for (method, headers, in_closed, in_open, in_all) in [
        ("POST", &[][..], true, true, true),
        ("POST", &[("origin", "http://127.0.0.1:8080")], true, true, true),
        ("POST", &[("sec-fetch-site", "same-origin"), ("origin", OTHER)], true, true, true),
        ("POST", &[("origin", OTHER)], false, false, true),
        ("POST", &[("origin", LISTED)], false, true, true),
        ("POST", &[("sec-fetch-site", "cross-site"), ("origin", LISTED)], false, true, true),
        ("POST", &[("sec-fetch-site", "same-site")], false, false, true),
        ("POST", &[("origin", "null")], false, false, true),
        // No form sends it, but a page that is listed for less may try.
        ("DELETE", &[("origin", LISTED)], false, false, false),
        ("PROPFIND", &[("origin", OTHER)], false, false, false),
        ("GET", &[("sec-fetch-site", "cross-site")], true, true, true),
        ("HEAD", &[("origin", OTHER)], true, true, true),
        // Without the method that it asks for it is no preflight.
        ("OPTIONS", &[("origin", OTHER)], true, true, true),
    ] {
        for (pages, is_in) in [(&closed, in_closed), (&open, in_open), (&all, in_all)] {
            let admitted = admit(pages, &request(method, headers));
            assert!(!matches!(admitted, Ok(Some(_))), "no preflight");
            assert_eq!(admitted.is_ok(), is_in, "{method} {headers:?} {}", pages.cors.is_some());
        }
    }
}

#[test]
fn whoever_is_refused_reads_why() {
    let told = |pages: &Pages, method: &str, headers: &[(&str, &str)]| {
        admit(pages, &request(method, headers)).unwrap_err().public
    };
    let open = pages(config(&[LISTED]));
    let method = told(&open, "DELETE", &[("origin", LISTED)]);
    assert!(
        method.contains("add \"DELETE\" to the 'methods' of 'cors' under [service.shop]"),
        "{method}"
    );
    // A proxy may have changed the host, unless the browser itself says that the page is foreign.
    assert!(method.contains("'hosts' under [http]"), "{method}");
    let sure = told(&open, "POST", &[("origin", OTHER), ("sec-fetch-site", "cross-site")]);
    assert!(!sure.contains("'hosts'"), "{sure}");
    for nameless in [&[("origin", "null")][..], &[("sec-fetch-site", "cross-site")]] {
        let told = told(&open, "POST", nameless);
        assert!(told.starts_with("A page that does not say its origin"), "{told}");
        assert!(told.contains("list its origin in 'cors' under [service.shop]"), "{told}");
    }
    let long = "x".repeat(60_000);
    assert!(told(&open, &long, &[("origin", &long)]).len() < 500);
}

#[test]
fn an_answer_says_who_may_read_it() {
    let open = pages(CorsConfig { expose: vec!["x-total".to_string()], ..config(&[LISTED]) });
    assert_eq!(
        marked(&open, LISTED, &[]),
        [&format!("allow-origin: {LISTED}"), "expose-headers: x-total", "vary: Origin"]
    );
    // A cache may hold it for the next client.
    assert_eq!(marked(&open, OTHER, &[]), ["vary: Origin"]);
    assert_eq!(marked(&open, "", &[("vary", "Accept")]), ["vary: Accept", "vary: Origin"]);
    let with_cookies = pages(CorsConfig { credentials: true, ..config(&[LISTED]) });
    assert_eq!(
        marked(&with_cookies, LISTED, &[]),
        ["allow-credentials: true", &format!("allow-origin: {LISTED}"), "vary: Origin"]
    );
    let all = pages(config(&["*"]));
    assert_eq!(marked(&all, "null", &[]), ["allow-origin: *"]);
    assert_eq!(marked(&all, "", &[]), ["allow-origin: *"]);
    assert_eq!(marked(&Pages::new("shop", None), OTHER, &[("x-own", "1")]), ["x-own: 1"]);
}

#[test]
fn what_a_service_says_itself_lets_nobody_in() {
    let own = [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-credentials", "true"),
        ("access-control-expose-headers", "x-secret"),
        ("x-own", "1"),
    ];
    for origin in [OTHER, ""] {
        assert_eq!(marked(&Pages::new("shop", None), origin, &own), ["x-own: 1"]);
        assert_eq!(marked(&pages(config(&[LISTED])), origin, &own), ["vary: Origin", "x-own: 1"]);
    }
    assert_eq!(
        marked(&pages(config(&[LISTED])), LISTED, &own),
        [&format!("allow-origin: {LISTED}"), "vary: Origin", "x-own: 1"]
    );
}
