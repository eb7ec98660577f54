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
    /// The path is one of the API but for a slash at its end. Says where it is, from there: what is in
    /// front of the path is not known here.
    Redirect {
        status: u16,
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
    let status = if matches!(method, Method::Get) { 301 } else { 307 };
    Some(Route::Redirect { status, to: format!("../{last}") })
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
    fn a_slash_at_the_end_leads_to_the_path_without_it() {
        let redirect = |status, to: &str| Route::Redirect { status, to: to.into() };
        for (method, path, expected) in [
            (Method::Get, "/api/tags/", redirect(301, "../tags")),
            (Method::Head, "/api/tags/", redirect(307, "../tags")),
            (Method::Post, "/api/chat/", redirect(307, "../chat")),
            (Method::Delete, "/api/delete/", redirect(307, "../delete")),
            (Method::Post, "/v1/chat/completions/", redirect(307, "../completions")),
            // Where the method is another one's, there is no such path.
            (Method::Get, "/api/chat/", Route::Unknown),
            (Method::Get, "/x/", Route::Unknown),
            (Method::Get, "//", Route::Unknown),
        ] {
            assert_eq!(route(&method, path), expected, "{method:?} {path}");
        }
    }

    #[test]
    fn the_rest_of_the_api_is_passed_on_and_nothing_else() {
        for path in ["/api/embeddings", "/api/blobs/sha256:0", "/v1/chat/completions", "/api/x//"] {
            assert_eq!(route(&Method::Post, path), Route::PassOn, "{path}");
        }
        for path in ["/api", "/v1", "/x", "//", "/apis/x", "/API/tags", ""] {
            assert_eq!(route(&Method::Get, path), Route::Unknown, "{path}");
        }
    }
}
