//! What may be passed on to the server byte for byte: which paths, which headers. Pure.
//!
//! The server has routes that change it, publish models or speak for its owner's cloud account.
//! So a request is passed on only if a rule allows it, and a path that a server might read in
//! another way than the rules do is refused.

use http::{HeaderMap, HeaderName, Method, header};

/// What is open unless the application file lists rules.
const OPEN: [&str; 2] = ["/api/*", "/v1/*"];

/// What stays closed then: writing to the model store (`pull` and `delete` are what the product
/// itself offers), publishing, and the owner's account.
const CLOSED: [&str; 7] = [
    "/api/push",
    "/api/create",
    "/api/copy",
    "/api/blobs",
    "/api/me",
    "/api/signout",
    "/api/experimental",
];

/// Headers about one connection only, beside those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 11] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
    // Its answer comes from whoever is next, and the body is sent at once anyway.
    header::EXPECT,
];

/// The requests that a grant lets through.
#[derive(Clone, Debug)]
pub struct ForwardRules {
    allow: Vec<Rule>,
    deny: &'static [&'static str],
}

#[derive(Clone, Debug)]
struct Rule {
    method: Option<Method>,
    path: String,
    /// `path` is a beginning.
    prefix: bool,
}

impl ForwardRules {
    /// Rules of the form `/path`, `/path*` or `METHOD /path*`. A list replaces the default rules,
    /// and an empty one closes the proxy.
    pub fn parse<S: AsRef<str>>(rules: &[S]) -> Result<Self, String> {
        let allow =
            rules.iter().map(|rule| Rule::parse(rule.as_ref())).collect::<Result<_, _>>()?;
        Ok(Self { allow, deny: &[] })
    }

    /// Whether a request may be passed on; why not otherwise.
    pub fn check(&self, method: &Method, path: &str) -> Result<(), String> {
        if let Some(trick) = ambiguity(path) {
            return Err(format!("the path has {trick}"));
        }
        if !path.starts_with("/api/") && !path.starts_with("/v1/") {
            return Err("only paths under /api/ and /v1/ are passed on".into());
        }
        let closed = self.deny.iter().any(|root| under(path, root));
        if closed || !self.allow.iter().any(|rule| rule.fits(method, path)) {
            return Err(format!("{method} {path} is not open through this service"));
        }
        Ok(())
    }
}

impl Default for ForwardRules {
    fn default() -> Self {
        let open = |pattern: &str| Rule {
            method: None,
            path: pattern.trim_end_matches('*').to_string(),
            prefix: true,
        };
        Self { allow: OPEN.into_iter().map(open).collect(), deny: &CLOSED }
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Self, String> {
        let (method, path) = match text.split_once(' ') {
            Some((method, path)) => (Some(method), path.trim_start()),
            None => (None, text),
        };
        let method = method
            .map(|name| {
                let known = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase());
                let method = known.then(|| Method::from_bytes(name.as_bytes()).ok()).flatten();
                method.ok_or_else(|| format!("`{name}` in the rule `{text}` is no HTTP method"))
            })
            .transpose()?;
        let (path, prefix) = match path.strip_suffix('*') {
            Some(beginning) => (beginning, true),
            None => (path, false),
        };
        if !path.starts_with("/api/") && !path.starts_with("/v1/") {
            return Err(format!("the path of the rule `{text}` is not under /api/ or /v1/"));
        }
        if path.contains('*') {
            return Err(format!("the rule `{text}` has a `*` elsewhere than at its end"));
        }
        Ok(Self { method, path: path.to_string(), prefix })
    }

    fn fits(&self, method: &Method, path: &str) -> bool {
        self.method.as_ref().is_none_or(|own| own == method)
            && if self.prefix { path.starts_with(&self.path) } else { path == self.path }
    }
}

/// Take out what is about the client's connection, not about its request. The server checks
/// `Origin` and `Host` against names of its own; here both are the host's business and already
/// decided.
pub(super) fn strip_request(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    headers.remove(header::HOST);
    headers.remove(header::ORIGIN);
}

pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Whether `path` is `root` or below it, whatever the case: what is closed stays closed behind a
/// server that does not care for case.
fn under(path: &str, root: &str) -> bool {
    match (path.get(..root.len()), path.get(root.len()..)) {
        (Some(beginning), Some(rest)) => {
            beginning.eq_ignore_ascii_case(root) && (rest.is_empty() || rest.starts_with('/'))
        }
        _ => false,
    }
}

/// What in a path two servers may read in two ways.
fn ambiguity(path: &str) -> Option<&'static str> {
    if path.contains("//") {
        return Some("an empty segment");
    }
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Some("a `.` or `..` segment");
    }
    if path.contains('\\') {
        return Some("a backslash");
    }
    for encoded in path.split('%').skip(1) {
        let byte = encoded.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            // A colon, a space or a letter beyond ASCII in a model's name must be encoded or may
            // be.
            Some(b' ' | b':' | b'@' | b'+' | b',' | b'=' | 0x80..) => {}
            Some(_) => return Some("an encoded character that needs no encoding or hides a slash"),
            None => return Some("a `%` that encodes nothing"),
        }
    }
    None
}

#[cfg(test)]
mod tests;
