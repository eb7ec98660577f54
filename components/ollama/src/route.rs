//! Which request is which call, as a table. Pure.

use wasm_host_guest::Method;

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// What clients ask first, to see whether there is an Ollama.
    Heartbeat,
    Call(Call),
    /// A part of the API that this component does not know itself.
    PassOn,
    WrongMethod {
        allow: &'static str,
    },
    Unknown,
}

/// A call of the typed interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Version,
    Tags,
    Ps,
    Show,
    Pull,
    Generate,
    Chat,
    Embed,
    Delete,
}

/// Path, methods as `Allow` lists them, call.
const CALLS: [(&str, &str, Call); 9] = [
    ("/api/version", "GET, HEAD", Call::Version),
    ("/api/tags", "GET, HEAD", Call::Tags),
    ("/api/ps", "GET", Call::Ps),
    ("/api/show", "POST", Call::Show),
    ("/api/pull", "POST", Call::Pull),
    ("/api/generate", "POST", Call::Generate),
    ("/api/chat", "POST", Call::Chat),
    ("/api/embed", "POST", Call::Embed),
    ("/api/delete", "DELETE", Call::Delete),
];

pub(crate) fn route(method: &Method, path: &str) -> Route {
    if path == "/" {
        return allowed("GET, HEAD", method, Route::Heartbeat);
    }
    if let Some((_, allow, call)) = CALLS.iter().find(|(known, ..)| *known == path) {
        return allowed(allow, method, Route::Call(*call));
    }
    if path.starts_with("/api/") || path.starts_with("/v1/") {
        return Route::PassOn;
    }
    Route::Unknown
}

fn allowed(allow: &'static str, method: &Method, route: Route) -> Route {
    let name = match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Delete => "DELETE",
        _ => return Route::WrongMethod { allow },
    };
    if allow.split(", ").any(|one| one == name) { route } else { Route::WrongMethod { allow } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_of_the_api_are_found_by_method_and_path() {
        for (method, path, expected) in [
            (Method::Get, "/", Route::Heartbeat),
            (Method::Head, "/", Route::Heartbeat),
            (Method::Head, "/api/version", Route::Call(Call::Version)),
            (Method::Get, "/api/tags", Route::Call(Call::Tags)),
            (Method::Get, "/api/ps", Route::Call(Call::Ps)),
            (Method::Post, "/api/chat", Route::Call(Call::Chat)),
            (Method::Delete, "/api/delete", Route::Call(Call::Delete)),
        ] {
            assert_eq!(route(&method, path), expected, "{method:?} {path}");
        }
    }

    #[test]
    fn a_wrong_method_is_told_the_right_one() {
        for (method, path, allow) in [
            (Method::Post, "/", "GET, HEAD"),
            (Method::Head, "/api/ps", "GET"),
            (Method::Get, "/api/generate", "POST"),
            (Method::Other("PROPFIND".into()), "/api/tags", "GET, HEAD"),
            (Method::Options, "/api/delete", "DELETE"),
        ] {
            assert_eq!(route(&method, path), Route::WrongMethod { allow }, "{method:?} {path}");
        }
    }

    #[test]
    fn the_rest_of_the_api_is_passed_on_and_nothing_else() {
        for path in ["/api/embeddings", "/api/blobs/sha256:0", "/v1/chat/completions", "/api/tags/"]
        {
            assert_eq!(route(&Method::Post, path), Route::PassOn, "{path}");
        }
        for path in ["/api", "/v1", "/x", "//", "/apis/x", "/API/tags", ""] {
            assert_eq!(route(&Method::Get, path), Route::Unknown, "{path}");
        }
    }
}
