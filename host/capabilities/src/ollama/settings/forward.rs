//! Which requests a component may pass through to Ollama as they are.
//!
//! It exists because pass-through reaches the whole API of Ollama, which can upload, delete and log
//! in. It decides about the path that the server will see, so it compares decoded paths and refuses
//! those that a server might read in another way. It must not know requests or Ollama.

use std::fmt;

use wasm_host_settings::diagnostic::{Problem, quoted};
use wasm_host_settings::percent;

const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// What unmodified clients need to chat and to manage models: the command line asks for `/` before
/// everything, ollama-js and Open WebUI use all under `/api/` that is listed, and clients of OpenAI's
/// API use `/v1/`. Left out: `push`, `create`, `copy` and `blobs`, which publish or write files, and
/// `me`, `signout` and `experimental`, which act for the account of the user who runs Ollama. A list of
/// what is open and not of what is closed, so that what a later Ollama adds is closed.
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

/// What stands for the list above in one that the file writes.
const DEFAULT_NAME: &str = "default";

/// An allow-list; what it does not name is refused.
#[derive(Clone, PartialEq, Eq)]
pub struct ForwardList {
    /// The name of the `[ollama.<name>]` that it belongs to.
    resource: String,
    rules: Vec<ForwardRule>,
    /// The file says nothing of forwarding.
    is_default: bool,
}

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
    /// What the file writes.
    pub(super) fn written(resource: &str, rules: Vec<ForwardRule>) -> ForwardList {
        ForwardList { resource: resource.to_owned(), rules, is_default: false }
    }

    pub(super) fn default_of(resource: &str) -> ForwardList {
        let rules = ForwardRule::defaults();
        ForwardList { resource: resource.to_owned(), rules, is_default: true }
    }

    /// Whether a request may pass. `path` as it stands in the request, without the query. The error
    /// is a sentence for the client that sent it, with the line of the application file that would allow it.
    pub fn check(&self, method: &str, path: &str) -> Result<(), String> {
        if let Some(trick) = ambiguity(path) {
            return Err(format!("the path has {trick}, so it is not passed on"));
        }
        let Some(decoded) = percent::decoded(path) else {
            return Err("the path is not UTF-8, so it is not passed on".to_owned());
        };
        if self.rules.iter().any(|rule| rule.allows(method, &decoded)) {
            return Ok(());
        }
        let method = if METHODS.contains(&method) { format!("{method} ") } else { String::new() };
        let rule = format!("\"{method}{path}\"");
        let fix = if self.is_default {
            format!("set forward = [\"{DEFAULT_NAME}\", {rule}]")
        } else {
            format!("add {rule} to 'forward'")
        };
        Err(format!("{method}{path} is not passed on; {fix} under [ollama.{}]", self.resource))
    }
}

impl Default for ForwardList {
    fn default() -> ForwardList {
        ForwardList::default_of("<name>")
    }
}

impl fmt::Debug for ForwardList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.rules.iter().map(ToString::to_string)).finish()
    }
}

/// What in a path a client and a server, or two servers, may read in two ways.
fn ambiguity(path: &str) -> Option<&'static str> {
    if path.contains("//") {
        return Some("an empty segment");
    }
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Some("a '.' or '..' segment");
    }
    if path.contains('\\') {
        return Some("a backslash");
    }
    for encoded in path.split('%').skip(1) {
        let digits =
            encoded.get(..2).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            // A colon, a space or a letter beyond ASCII in a model's name must be encoded or may
            // be.
            Some(b' ' | b':' | b'@' | b'+' | b',' | b'=' | 0x80..) => {}
            Some(_) => return Some("an encoded character that needs no encoding or hides a slash"),
            None => return Some("a '%' that encodes nothing"),
        }
    }
    None
}

// === impl ForwardRule ===

impl ForwardRule {
    /// One item of the file's list.
    pub(super) fn parse_item(text: &str) -> Result<Vec<ForwardRule>, Problem> {
        if text == DEFAULT_NAME {
            return Ok(ForwardRule::defaults());
        }
        ForwardRule::parse(text).map(|rule| vec![rule])
    }

    fn defaults() -> Vec<ForwardRule> {
        DEFAULT.iter().filter_map(|rule| ForwardRule::parse(rule).ok()).collect()
    }

    /// `METHOD /path`, `METHOD /path*`, or either without the method.
    fn parse(text: &str) -> Result<ForwardRule, Problem> {
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
