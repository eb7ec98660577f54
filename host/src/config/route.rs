//! Routes: the path prefixes under which services are reached.
//!
//! It exists so that a route has one spelling: two routes that mean the same compare equal, and the
//! router can compare bytes. It must not know services or requests.

use std::fmt::Write as _;

use super::diagnostic::{Problem, quoted};

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

/// `text` with everything encoded that is not a letter, a digit or one of `-._~`.
pub(super) fn percent_encoded(text: &str) -> String {
    encoded_except(text, is_unreserved)
}

/// Decodes `%XX`; `None` if one is malformed or the result is not UTF-8.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = hex_digit(rest.next()?)?;
            let low = hex_digit(rest.next()?)?;
            bytes.push(high * 16 + low);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
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
        let encoded = encoded_except(text, is_path_character);
        return Err(Problem::new(
            "has characters that cannot stand in a URL",
            format!("write {}", quoted(&encoded)),
        ));
    }
    let spelled = respelled(text)
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

fn respelled(text: &str) -> Option<String> {
    let mut spelled = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '%' {
            spelled.push(character);
            continue;
        }
        let high = hex_digit(u8::try_from(rest.next()?).ok()?)?;
        let low = hex_digit(u8::try_from(rest.next()?).ok()?)?;
        let byte = high * 16 + low;
        if is_unreserved(char::from(byte)) {
            spelled.push(char::from(byte));
        } else {
            push_encoded(&mut spelled, byte);
        }
    }
    Some(spelled)
}

fn encoded_except(text: &str, keep: fn(char) -> bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for character in text.chars() {
        if keep(character) {
            encoded.push(character);
        } else {
            let mut buffer = [0; 4];
            for byte in character.encode_utf8(&mut buffer).bytes() {
                push_encoded(&mut encoded, byte);
            }
        }
    }
    encoded
}

fn push_encoded(text: &mut String, byte: u8) {
    // Writing to a String cannot fail.
    let _ = write!(text, "%{byte:02X}");
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn is_unreserved(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~".contains(c)
}

fn is_path_character(c: char) -> bool {
    is_unreserved(c) || "/%!$&'()*+,;=:@".contains(c)
}
