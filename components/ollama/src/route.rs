//! Which request is which call, as a table. Pure.

use wasm_host_guest::{Method, StatusCode};

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
    /// The path is one of the API but for a slash at its end. Says where it is, from there: what is in
    /// front of the path is not known here.
    Redirect {
        status: StatusCode,
        to: String,
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
    if let Some(route) = without_slash(method, path) {
        return route;
    }
    if path.starts_with("/api/") || path.starts_with("/v1/") {
        return Route::PassOn;
    }
    Route::Unknown
}

/// What Ollama's router makes of a path with a slash too many: the path without it, if it has that.
fn without_slash(method: &Method, path: &str) -> Option<Route> {
    let known = path.strip_suffix('/').filter(|known| !known.ends_with('/'))?;
    match route(method, known) {
        Route::Call(_) | Route::PassOn => {}
        Route::WrongMethod { .. } => return Some(Route::Unknown),
        _ => return None,
    }
    let last = known.rsplit('/').next().unwrap_or_default();
    // The second one alone keeps method and body.
    let status = match *method {
        Method::GET => StatusCode::MOVED_PERMANENTLY,
        _ => StatusCode::TEMPORARY_REDIRECT,
    };
    Some(Route::Redirect { status, to: format!("../{last}") })
}

fn allowed(allow: &'static str, method: &Method, route: Route) -> Route {
    if allow.split(", ").any(|one| one == method) { route } else { Route::WrongMethod { allow } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_of_the_api_are_found_by_method_and_path() {
        for (method, path, expected) in [
            (Method::GET, "/", Route::Heartbeat),
            (Method::HEAD, "/", Route::Heartbeat),
            (Method::HEAD, "/api/version", Route::Call(Call::Version)),
            (Method::GET, "/api/tags", Route::Call(Call::Tags)),
            (Method::GET, "/api/ps", Route::Call(Call::Ps)),
            (Method::POST, "/api/chat", Route::Call(Call::Chat)),
            (Method::DELETE, "/api/delete", Route::Call(Call::Delete)),
        ] {
            assert_eq!(route(&method, path), expected, "{method:?} {path}");
        }
    }

    #[test]
    fn a_wrong_method_is_told_the_right_one() {
        for (method, path, allow) in [
            (Method::POST, "/", "GET, HEAD"),
            (Method::HEAD, "/api/ps", "GET"),
            (Method::GET, "/api/generate", "POST"),
            (Method::from_bytes(b"PROPFIND").unwrap(), "/api/tags", "GET, HEAD"),
            (Method::OPTIONS, "/api/delete", "DELETE"),
        ] {
            assert_eq!(route(&method, path), Route::WrongMethod { allow }, "{method:?} {path}");
        }
    }

    #[test]
    fn a_slash_at_the_end_leads_to_the_path_without_it() {
        let redirect = |status, to: &str| Route::Redirect { status, to: to.into() };
        for (method, path, expected) in [
            (Method::GET, "/api/tags/", redirect(StatusCode::MOVED_PERMANENTLY, "../tags")),
            (Method::HEAD, "/api/tags/", redirect(StatusCode::TEMPORARY_REDIRECT, "../tags")),
            (Method::POST, "/api/chat/", redirect(StatusCode::TEMPORARY_REDIRECT, "../chat")),
            (Method::DELETE, "/api/delete/", redirect(StatusCode::TEMPORARY_REDIRECT, "../delete")),
            (
                Method::POST,
                "/v1/chat/completions/",
                redirect(StatusCode::TEMPORARY_REDIRECT, "../completions"),
            ),
            // Where the method is another one's, there is no such path.
            (Method::GET, "/api/chat/", Route::Unknown),
            (Method::GET, "/x/", Route::Unknown),
            (Method::GET, "//", Route::Unknown),
        ] {
            assert_eq!(route(&method, path), expected, "{method:?} {path}");
        }
    }

    #[test]
    fn the_rest_of_the_api_is_passed_on_and_nothing_else() {
        for path in ["/api/embeddings", "/api/blobs/sha256:0", "/v1/chat/completions", "/api/x//"] {
            assert_eq!(route(&Method::POST, path), Route::PassOn, "{path}");
        }
        for path in ["/api", "/v1", "/x", "//", "/apis/x", "/API/tags", ""] {
            assert_eq!(route(&Method::GET, path), Route::Unknown, "{path}");
        }
    }
}
