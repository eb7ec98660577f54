use super::*;

#[test]
fn by_default_everything_is_open_but_what_changes_or_publishes() {
    let rules = ForwardRules::default();
    for path in ["/api/embeddings", "/api/status", "/v1/chat/completions", "/v1/models/a%3Ab"] {
        assert_eq!(rules.check(&Method::POST, path), Ok(()), "{path}");
    }
    for path in [
        "/api/push",
        "/api/push/",
        "/api/PUSH",
        "/api/create",
        "/api/copy",
        "/api/blobs/sha256:00",
        "/api/me",
        "/api/signout",
        "/api/experimental/web_search",
        "/",
        "/api",
        "/metrics",
        "/apix/y",
    ] {
        assert!(rules.check(&Method::POST, path).is_err(), "{path}");
    }
    // A name that only begins like a closed one is open.
    assert_eq!(rules.check(&Method::GET, "/api/message"), Ok(()));
}

#[test]
fn a_path_that_can_be_read_in_two_ways_is_refused() {
    let rules = ForwardRules::default();
    for path in [
        "/api//push",
        "//api/push",
        "/api/./push",
        "/api/x/../push",
        "/v1/..",
        "/api/%70ush",
        "/api/x%2f..%2fpush",
        "/api/%2e%2e/push",
        "/api/x%5Cy",
        "/api\\push",
        "/api/x%00",
        "/api/%2570ush",
        "/api/%",
        "/api/%zz",
        "/api/%7",
        "/api/%+7",
    ] {
        assert!(rules.check(&Method::POST, path).is_err(), "{path}");
    }
}

#[test]
fn a_list_of_rules_replaces_the_default() {
    let rules = ForwardRules::parse(&["/v1/models", "POST /v1/chat/*", "/api/push"]).unwrap();
    assert_eq!(rules.check(&Method::GET, "/v1/models"), Ok(()));
    assert_eq!(rules.check(&Method::POST, "/v1/chat/completions"), Ok(()));
    assert_eq!(rules.check(&Method::POST, "/api/push"), Ok(()));
    assert!(rules.check(&Method::GET, "/v1/chat/completions").is_err());
    assert!(rules.check(&Method::GET, "/v1/models/x").is_err());
    assert!(rules.check(&Method::GET, "/api/tags").is_err());
    let none: [&str; 0] = [];
    assert!(ForwardRules::parse(&none).unwrap().check(&Method::GET, "/v1/models").is_err());
    for bad in ["", "v1/x", "/x", "get /v1/x", "/v1/*/x", "GET  ", "GET"] {
        assert!(ForwardRules::parse(&[bad]).is_err(), "{bad}");
    }
}

#[test]
fn headers_of_the_connection_stay_behind() {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "localhost:8080"),
        ("origin", "http://evil.example"),
        ("connection", "close, X-Private"),
        ("x-private", "1"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("expect", "100-continue"),
        ("accept-encoding", "zstd"),
        ("authorization", "Bearer ollama"),
        ("x-kept", "a"),
    ] {
        headers.append(name, value.parse().unwrap());
    }
    strip_request(&mut headers);
    let mut kept: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    kept.sort_unstable();
    assert_eq!(kept, ["accept-encoding", "authorization", "x-kept"]);
}
