//! What passes through to Ollama as it is.

use super::*;

fn forward(setting: &str) -> ForwardList {
    let text = format!(
        "name = \"shop\"\n[ollama.gpu]\n{setting}\n[service.a]\ncomponent = \"ollama\"\nollama = \"gpu\"\n"
    );
    models(&Application::new().config(&text), "gpu").forward.clone()
}

#[test]
fn by_default_what_clients_need_and_no_more() {
    let default = ForwardList::default();
    for (method, path) in [
        ("HEAD", "/"),
        ("GET", "/api/version"),
        ("HEAD", "/api/tags"),
        ("GET", "/api/ps"),
        ("POST", "/api/show"),
        ("POST", "/api/generate"),
        ("POST", "/api/chat"),
        ("POST", "/api/embed"),
        ("POST", "/api/embeddings"),
        ("POST", "/api/pull"),
        ("DELETE", "/api/delete"),
        ("POST", "/v1/chat/completions"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/a%3Ab"),
        ("GET", "/v1/models/%C3%A4"),
    ] {
        assert_eq!(default.check(method, path), Ok(()), "{method} {path}");
    }
    for (method, path) in [
        ("POST", "/api/push"),
        ("POST", "/api/push/"),
        ("POST", "/api/PUSH"),
        ("POST", "/api/create"),
        ("POST", "/api/copy"),
        ("HEAD", "/api/blobs/sha256:0"),
        ("POST", "/api/blobs/sha256:0"),
        ("POST", "/api/me"),
        ("POST", "/api/signout"),
        ("GET", "/api/experimental/web"),
        ("GET", "/api/chat"),
        ("POST", "/v1"),
        ("POST", "/metrics"),
        ("POST", "api/chat"),
        ("DELETE", "/"),
    ] {
        assert!(default.check(method, path).is_err(), "{method} {path}");
    }
    // No rule of the default list was lost because it could not be read.
    assert_eq!(format!("{default:?}").matches('/').count(), 13 * 2 - 1);
}

#[test]
fn a_path_that_can_be_read_in_two_ways_is_refused() {
    let everything = forward("forward = \"/*\"");
    assert_eq!(everything.check("POST", "/api/push"), Ok(()));
    for path in [
        "/api//push",
        "//api/push",
        "/api/./push",
        "/v1/../api/push",
        "/v1/..",
        "/v1/%2e%2e/api/push",
        "/v1/..%2fapi/push",
        "/v1/%2e./api/push",
        "/v1/..%5capi/push",
        "/v1/models/a%2Fb",
        "/api/%70ush",
        "/api/%2570ush",
        "/api\\push",
        "/api/x%00",
        "/api/%",
        "/api/%7",
        "/api/%zz",
        "/api/%+7",
        "/v1/%ff",
    ] {
        assert!(everything.check("POST", path).is_err(), "{path}");
    }
}

#[test]
fn the_file_decides_what_passes() {
    let none = forward("forward = []");
    assert!(none.check("GET", "/api/tags").is_err());

    let own = forward("forward = [\"/v1/models\", \"POST /v1/chat/*\", \"GET /api/a%3Ab\"]");
    for (method, path, passes) in [
        ("GET", "/v1/models", true),
        ("PROPFIND", "/v1/models", true),
        ("GET", "/v1/models/x", false),
        ("POST", "/v1/chat/completions", true),
        ("GET", "/v1/chat/completions", false),
        ("HEAD", "/api/a:b", true),
        ("GET", "/api/a%3ab", true),
        ("GET", "/api/tags", false),
    ] {
        assert_eq!(own.check(method, path).is_ok(), passes, "{method} {path}");
    }

    let more = forward("forward = [\"default\", \"POST /api/push\"]");
    assert_eq!(more.check("GET", "/api/tags"), Ok(()));
    assert_eq!(more.check("POST", "/api/push"), Ok(()));
    assert!(more.check("POST", "/api/create").is_err());
}

/// And the line does.
#[test]
fn a_refusal_says_which_line_would_let_the_request_pass() {
    assert_eq!(
        forward("").check("POST", "/api/push").unwrap_err(),
        "POST /api/push is not passed on; set forward = [\"default\", \"POST /api/push\"] under \
         [ollama.gpu]"
    );
    let with = forward("forward = [\"default\", \"POST /api/push\"]");
    assert_eq!(with.check("POST", "/api/push"), Ok(()));
    assert_eq!(
        with.check("POST", "/api/copy").unwrap_err(),
        "POST /api/copy is not passed on; add \"POST /api/copy\" to 'forward' under [ollama.gpu]"
    );
    // A method that no rule can name.
    assert_eq!(
        forward("forward = []").check("PROPFIND", "/v1/x").unwrap_err(),
        "/v1/x is not passed on; add \"/v1/x\" to 'forward' under [ollama.gpu]"
    );
}
