//! Values that are secret because of the name in front of them: of a JSON field, a parameter, a part of a form,
//! an element, and the user of a URL.

use std::ops::Range;

use anyhow::{Context as _, Result};
use regex::bytes::Regex;

use super::json;
use wasm_host_telemetry::secrets;

/// Names that end like this are those of secrets. The end, because `max_tokens` is none.
fn secret_names() -> String {
    let any = |words: &[&str]| words.join("|").replace(' ', "[_-]?");
    let [words, keys, ends, pins] =
        [&secrets::WORDS[..], &secrets::KEYS, &secrets::ENDS, &secrets::PINS].map(any);
    format!("(?:{words}|(?:{keys})[_-]?key)s?|{ends}|{pins}")
}

pub(super) struct Patterns {
    /// A whole name.
    names: Regex,
    /// `"name":`, with the backslashes of a JSON text within another.
    fields: Regex,
    /// `name=value` of a query, a form or a connection string; the value is a group.
    parameters: Regex,
    /// The part of a form that is sent as `multipart/form-data`.
    parts: Regex,
    /// `<name>value<`.
    elements: Regex,
    user_info: Regex,
}

impl Patterns {
    pub(super) fn new(named: &[String]) -> Result<Self> {
        // Forms write `user[password]`, and may encode the brackets.
        let word = r"[\w.%\[\]-]*";
        let named = named.iter().map(|name| regex::escape(name));
        let named: String = named.map(|name| format!(r"|(?:{word}(?:\[|%5B))?{name}")).collect();
        let secret = secret_names();
        let names = format!(r"(?:(?:{word}(?:{secret}){named})(?:\]|%5D)*)");
        let pattern = |pattern: String| {
            Regex::new(&pattern).context("cannot make a pattern of the names to redact")
        };
        // In quotes, also of a text within JSON, or up to what cannot be in it. The end of a JSON text opens none.
        let value =
            r#"("[^",:}\]\s][^"\r\n]*"|'[^'\r\n]+'|\\+"[^"\\]*\\+"|(?:[^&;\s"'<>#\\]|\\[^"])+)"#;
        Ok(Self {
            names: pattern(format!("(?i-u)^{names}$"))?,
            fields: pattern(format!("(?i-u)\"{names}\\\\*\"\\s*:\\s*"))?,
            parameters: pattern(format!(r#"(?i-u)(?:^|[?&;,\s({{"']){names}={value}"#))?,
            parts: pattern(format!(
                r#"(?i-u)name="?{names}"?[^\n]*\n(?:[^\r\n]+\r?\n)*\r?\n((?s-u:.)*?)(?:\r?\n--|$)"#
            ))?,
            elements: pattern(format!(r"(?i-u)<(?:\w+:)?{names}(?:\s[^<>]*)?>([^<]+)<"))?,
            user_info: pattern("(?-u)://([^/?#\\s\"'<>@]*(?:@[^/?#\\s\"'<>@]*)*)@".to_string())?,
        })
    }

    pub(super) fn is_secret_name(&self, name: &str) -> bool {
        self.names.is_match(name.as_bytes())
    }

    /// Where such values are, in no order.
    pub(super) fn find(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        for field in self.fields.find_iter(text) {
            found.extend(json::values(text, field.end()));
        }
        let groups = [&self.parameters, &self.parts, &self.elements, &self.user_info];
        for captures in groups.iter().flat_map(|pattern| pattern.captures_iter(text)) {
            found.extend(captures.get(1).map(|value| value.range()));
        }
        found
    }
}
