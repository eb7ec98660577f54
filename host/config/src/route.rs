//! Routes: the path prefixes under which services are reached.
//!
//! It exists so that a route has one spelling: two routes that mean the same compare equal, and the
//! router can compare bytes. It must not know services or requests.

use wasm_host_settings::diagnostic::{Problem, quoted};
use wasm_host_settings::percent;

/// The one spelling of the route `text`: hex digits in capitals, nothing encoded without need.
pub(super) fn normalised(text: &str) -> Result<String, Problem> {
    if let Some(prefix) = before_pattern(text) {
        let prefix = format!("/{}", prefix.trim_matches('/'));
        return Err(Problem::new(
            format!("route {} has a pattern in it", quoted(text)),
            format!(
                "a route is a prefix without patterns; write {}, which covers everything below it",
                quoted(&prefix)
            ),
        ));
    }
    if let Some(trimmed) = text.strip_suffix('/').filter(|trimmed| !trimmed.is_empty()) {
        return Err(Problem::new(
            format!("route {} ends with '/'", quoted(text)),
            format!(
                "write {}, which covers everything below it",
                quoted(&format!("/{}", trimmed.trim_matches('/')))
            ),
        ));
    }
    path(text).map_err(|problem| Problem {
        message: format!("route {} {}", quoted(text), problem.message),
        hint: problem.hint,
    })
}

/// What stands before the first pattern, in the words of other hosts: `*`, `...`, `:name`, `{name}`, `<name>`.
fn before_pattern(text: &str) -> Option<&str> {
    let mut start = 0;
    for segment in text.split('/') {
        if let Some(at) = pattern(segment) {
            return text.get(..start + at);
        }
        start += segment.len() + 1;
    }
    None
}

/// Where in a part of a path a pattern begins.
fn pattern(segment: &str) -> Option<usize> {
    let named = |sign: char| {
        segment.strip_prefix(sign).is_some_and(|name| name.starts_with(char::is_alphabetic))
    };
    if segment.starts_with(['{', '<', '[']) || segment == "(.*)" || named(':') || named('*') {
        return Some(0);
    }
    let ends = [".*", "*", "...", "\u{2026}"];
    let literal = ends.iter().fold(segment, |literal, end| literal.trim_end_matches(end));
    (literal.len() < segment.len()).then_some(literal.len())
}

/// As a route, but the path is asked for as it is and may end with a slash.
pub(super) fn health_path(text: &str) -> Result<String, Problem> {
    path(text).map_err(|problem| Problem {
        message: format!("path {} {}", quoted(text), problem.message),
        hint: problem.hint,
    })
}

/// The message of the problem continues "route '...' ".
fn path(text: &str) -> Result<String, Problem> {
    if !text.starts_with('/') {
        return Err(Problem::new(
            "does not start with '/'",
            format!("did you mean {}?", quoted(&format!("/{text}"))),
        ));
    }
    if text.contains(['?', '#']) {
        return Err(Problem::new(
            "has a '?' or '#'",
            "only the path of a request is compared; remove the rest",
        ));
    }
    if text.chars().any(|c| !is_path_character(c)) {
        let encoded = percent::encoded_except(text, is_path_character);
        return Err(Problem::new(
            "has characters that cannot stand in a URL",
            format!("write {}", quoted(&encoded)),
        ));
    }
    let spelled = percent::respelled(text)
        .ok_or_else(|| Problem::new("has a '%' without two hex digits", "write %25 for '%'"))?;
    if spelled.contains("//") {
        return Err(Problem::new("has an empty part, '//'", "remove one of the slashes"));
    }
    if spelled.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(Problem::new(
            "has a part '.' or '..'",
            "browsers resolve those before they ask; write the path that is meant",
        ));
    }
    Ok(spelled)
}

fn is_path_character(c: char) -> bool {
    percent::is_unreserved(c) || "/%!$&'()*+,;=:@".contains(c)
}
