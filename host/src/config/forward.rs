//! Which requests a component may pass through to Ollama as they are.
//!
//! It exists because pass-through reaches the whole API of Ollama, which can upload, delete and log
//! in. It decides about the path that the server will see, so it compares decoded paths and refuses
//! those that a client or server might resolve to another one. It must not know requests or Ollama.

use std::fmt;

use super::diagnostic::{Problem, quoted};
use crate::percent;

const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// What unmodified clients need to chat and to manage models. Left out: `push`, `create`, `copy`
/// and `blobs`, which publish or write files, and `me`, `signout` and `experimental`, which act for
/// the account of whoever runs Ollama.
const DEFAULT: &[&str] = &[
    "GET /",
    "GET /api/version",
    "GET /api/tags",
    "GET /api/ps",
    "GET /api/status",
    "POST /api/show",
    "POST /api/generate",
    "POST /api/chat",
    "POST /api/embed",
    "POST /api/embeddings",
    "POST /api/pull",
    "DELETE /api/delete",
    "/v1/*",
];

/// An allow-list; what it does not name is refused.
#[derive(Clone, PartialEq, Eq)]
pub struct ForwardList(Vec<ForwardRule>);

#[derive(Clone, PartialEq, Eq)]
pub(super) struct ForwardRule {
    /// `None` allows every method.
    method: Option<&'static str>,
    path: String,
    /// `true` for a rule that was written with `*` at its end.
    prefix: bool,
}

// === impl ForwardList ===

impl ForwardList {
    pub(super) fn new(rules: Vec<ForwardRule>) -> ForwardList {
        ForwardList(rules)
    }

    /// `path` as it stands in the request, without the query.
    pub fn allows(&self, method: &str, path: &str) -> bool {
        let Some(path) = percent::decoded(path) else {
            return false;
        };
        let ambiguous = path.contains(['\\', '\0'])
            || path.contains("//")
            || path.split('/').any(|segment| segment == "." || segment == "..");
        !ambiguous && self.0.iter().any(|rule| rule.allows(method, &path))
    }
}

impl Default for ForwardList {
    fn default() -> ForwardList {
        ForwardList(DEFAULT.iter().filter_map(|rule| ForwardRule::parse(rule).ok()).collect())
    }
}

impl fmt::Debug for ForwardList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(ToString::to_string)).finish()
    }
}

// === impl ForwardRule ===

impl ForwardRule {
    /// `METHOD /path`, `METHOD /path*`, or either without the method.
    pub(super) fn parse(text: &str) -> Result<ForwardRule, Problem> {
        let invalid = |hint: String| {
            Problem::new(format!("{} is not a rule for forwarding", quoted(text)), hint)
        };
        let (method, path) = match text.split_once(' ') {
            Some((method, path)) => (Some(method), path.trim_start()),
            None => (None, text),
        };
        let method = match method {
            None => None,
            Some(method) => {
                let known = METHODS.iter().find(|known| known.eq_ignore_ascii_case(method));
                let known = known.filter(|known| **known == method).ok_or_else(|| {
                    let meant = known.map_or("one of ", |_| "");
                    let list = known.map_or(METHODS.join(", "), |known| (*known).to_owned());
                    invalid(format!("its method must be {meant}{list}"))
                })?;
                Some(*known)
            }
        };
        let (path, prefix) = match path.strip_suffix('*') {
            Some(path) => (path, true),
            None => (path, false),
        };
        if !path.starts_with('/') || path.contains(['*', '?', '#', ' ']) {
            return Err(invalid(
                "write \"/path\" or \"METHOD /path\"; a '*' may stand at the end only".to_owned(),
            ));
        }
        let path = percent::decoded(path)
            .ok_or_else(|| invalid("a '%' needs two hex digits after it".to_owned()))?;
        Ok(ForwardRule { method, path, prefix })
    }

    fn allows(&self, method: &str, path: &str) -> bool {
        // A server answers HEAD wherever it answers GET.
        let method_allowed = self
            .method
            .is_none_or(|allowed| allowed == method || (allowed == "GET" && method == "HEAD"));
        let path_allowed =
            if self.prefix { path.starts_with(&self.path) } else { path == self.path };
        method_allowed && path_allowed
    }
}

impl fmt::Display for ForwardRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(method) = self.method {
            write!(f, "{method} ")?;
        }
        write!(f, "{}{}", self.path, if self.prefix { "*" } else { "" })
    }
}
