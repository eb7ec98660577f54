//! `KEY=VALUE,KEY=VALUE`, the notation of OpenTelemetry for headers and for attributes of resources.
//!
//! Complaints do not repeat the text: it may be secret.

use wasm_host_settings::percent;

/// Keys and values, `%XX` read.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    // One comma too many is no mistake that anything depends on.
    let parts = text.split(',').enumerate().filter(|(_, part)| !part.trim().is_empty());
    for (number, part) in parts {
        let number = number + 1;
        let (key, value) = part
            .split_once('=')
            .map(|(key, value)| (key.trim(), value.trim()))
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| {
                format!("part {number} is not NAME=VALUE; write NAME=VALUE,NAME=VALUE, and a comma within a value as %2C")
            })?;
        let value = percent::decoded(value).ok_or_else(|| {
            format!(
                "part {number} has a `%` that is not followed by two hex digits; write it as %25"
            )
        })?;
        pairs.push((key.to_owned(), value));
    }
    Ok(pairs)
}

/// Keys may be encoded, too; the last of equal ones counts.
pub(super) fn attributes(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut attributes: Vec<(String, String)> = Vec::new();
    for (key, value) in pairs(text)? {
        let key = percent::decoded(&key).unwrap_or(key);
        attributes.retain(|(known, _)| *known != key);
        attributes.push((key, value));
    }
    Ok(attributes)
}
