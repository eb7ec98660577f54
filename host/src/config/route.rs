//! Routes: the path prefixes under which services are reached.
//!
//! It exists so that a route has one spelling: two routes that mean the same compare equal, and the
//! router can compare bytes. It must not know services or requests.

use super::diagnostic::{Problem, quoted};
use crate::percent;

/// The one spelling of the route `text`: hex digits in capitals, nothing encoded without need.
pub(super) fn normalised(text: &str) -> Result<String, Problem> {
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
