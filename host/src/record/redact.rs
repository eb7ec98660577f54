//! What must not be in a recording, and where it is in a text.
//!
//! A recording is a file that people commit and share. Three kinds of things are left out: values of
//! headers, fields and parameters whose name says that they are secret or that were named; the user
//! and password of a URL; and every value that the host itself knows as a secret, wherever it is.
//! It knows texts and names, and nothing of cases.

mod json;

use std::ops::Range;

use anyhow::{Context as _, Result};
use regex::bytes::Regex;

use crate::config::Secret;
use crate::limits::record::SECRET_BYTES;
use crate::percent;

/// What stands in the place of what was left out. A word, because it also stands in URLs.
pub(super) const REDACTED: &str = "redacted";

/// Names that end like this are those of secrets. The end, because `max_tokens` is none.
const SECRET_NAMES: &str = "passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|\
     signature|sig|credentials?|session(?:[_-]?id)?|auth(?:orization)?|cookie|jwt|otp|pin";

/// Decides what is left out of recordings.
pub struct Redactor {
    /// A whole name.
    names: Regex,
    /// `"name":`, with the backslashes of a JSON text within another.
    fields: Regex,
    /// `name=value` of a query, a form or a connection string; the value is a group.
    parameters: Regex,
    user_info: Regex,
    /// In every form in which a text may have them, the longest first.
    secrets: Vec<Vec<u8>>,
}

impl Redactor {
    /// `named` are headers and fields that the user names; `secrets` what the host knows.
    ///
    /// # Errors
    /// If there are so many names that no pattern can be made of them.
    pub fn new(named: &[String], secrets: &[Secret]) -> Result<Self> {
        let named = named.iter().map(|name| format!("|(?:{})", regex::escape(name)));
        let names = format!("(?:[\\w.-]*(?:{SECRET_NAMES}){})", named.collect::<String>());
        let pattern = |pattern: String| {
            Regex::new(&pattern).context("cannot make a pattern of the names to redact")
        };
        let mut forms: Vec<Vec<u8>> = secrets.iter().flat_map(forms).collect();
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        forms.dedup();
        Ok(Self {
            names: pattern(format!("(?i-u)^{names}$"))?,
            fields: pattern(format!("(?i-u)\"{names}\\\\*\"\\s*:\\s*"))?,
            parameters: pattern(format!("(?i-u)(?:^|[?&;\\s]){names}=([^&;\\s\"'<>#]+)"))?,
            user_info: pattern("(?-u)://([^/?#\\s\"'<>@]*(?:@[^/?#\\s\"'<>@]*)*)@".to_string())?,
            secrets: forms,
        })
    }

    /// Whether what has this name is left out: a header, a column, a parameter.
    pub fn is_secret_name(&self, name: &str) -> bool {
        self.names.is_match(name.as_bytes())
    }

    /// What is to be replaced in a text, in order and apart.
    pub fn find(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        for field in self.fields.find_iter(text) {
            found.extend(json::values(text, field.end()));
        }
        let groups = [&self.parameters, &self.user_info];
        for captures in groups.iter().flat_map(|pattern| pattern.captures_iter(text)) {
            found.extend(captures.get(1).map(|value| value.range()));
        }
        found.extend(self.secrets.iter().flat_map(|secret| occurrences(text, secret)));
        found.retain(|range| !range.is_empty());
        found.sort_by_key(|range| (range.start, range.end));
        join(found)
    }

    /// The text without what must not be seen.
    pub fn text(&self, text: &str) -> String {
        let mut clean = String::with_capacity(text.len());
        let mut kept = 0;
        for range in self.find(text.as_bytes()) {
            let stand_in = stand_in(text.as_bytes(), &range);
            // A pattern of bytes may begin or end within a character; then all of it goes.
            let start = text.floor_char_boundary(range.start);
            clean.push_str(text.get(kept..start).unwrap_or_default());
            clean.push_str(stand_in);
            kept = text.ceil_char_boundary(range.end);
        }
        clean.push_str(text.get(kept..).unwrap_or_default());
        clean
    }

    /// Whether a secret that the host knows is in a text: the last look before it is written.
    pub fn knows_secret_in(&self, text: &str) -> bool {
        self.secrets.iter().any(|secret| occurrences(text.as_bytes(), secret).next().is_some())
    }
}

/// What stands in the place of a secret. A number in JSON stays one, so that what reads it gets on.
pub(super) fn stand_in(text: &[u8], secret: &Range<usize>) -> &'static str {
    let is = |at: Option<usize>, these: &[u8]| {
        at.and_then(|at| text.get(at)).is_some_and(|byte| these.contains(byte))
    };
    let value = text.get(secret.clone()).and_then(|value| std::str::from_utf8(value).ok());
    let number = value.is_some_and(|value| value.parse::<f64>().is_ok());
    let in_json =
        is(secret.start.checked_sub(1), b":[, \t\r\n") && is(Some(secret.end), b",}] \r\n\t");
    if number && in_json { "0" } else { REDACTED }
}

/// A secret as it may be written: as it is, in a URL, in JSON.
fn forms(secret: &Secret) -> Vec<Vec<u8>> {
    let secret = secret.expose().trim();
    if secret.len() < SECRET_BYTES {
        return Vec::new();
    }
    let json = serde_json::Value::from(secret).to_string();
    let json = json.trim_start_matches('"').strip_suffix('"').unwrap_or_default().to_string();
    let encoded = percent::encoded(secret);
    [secret.to_string(), encoded.replace("%20", "+"), encoded, json]
        .map(String::into_bytes)
        .to_vec()
}

fn occurrences<'t>(text: &'t [u8], wanted: &'t [u8]) -> impl Iterator<Item = Range<usize>> + 't {
    let finder = memchr::memmem::Finder::new(wanted).into_owned();
    let mut from = 0;
    std::iter::from_fn(move || {
        let at = from + finder.find(text.get(from..)?)?;
        from = at + wanted.len().max(1);
        Some(at..at + wanted.len())
    })
}

/// Ranges that touch as one.
fn join(sorted: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut joined: Vec<Range<usize>> = Vec::new();
    for range in sorted {
        match joined.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor() -> Redactor {
        let secrets = ["p@ss w\"rd", "hunter2", "abc"].map(Secret::new);
        Redactor::new(&["iban".to_string(), "x-tenant".to_string()], &secrets).unwrap()
    }

    #[test]
    fn names_that_speak_of_secrets_and_named_ones_are_left_out() {
        for name in [
            "Authorization",
            "proxy-authorization",
            "Cookie",
            "set-cookie",
            "x-api-key",
            "X-Auth-Token",
            "password",
            "db_password",
            "client_secret",
            "iban",
            "X-Tenant",
        ] {
            assert!(redactor().is_secret_name(name), "{name}");
        }
        for name in ["max_tokens", "content-type", "accept", "author", "x-tenants", "tokenizer"] {
            assert!(!redactor().is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn urls_lose_their_users_and_their_secret_parameters() {
        for (text, clean) in [
            ("http://ada:pw@host/x", "http://redacted@host/x"),
            ("see postgres://a:p@ss@host/db now", "see postgres://redacted@host/db now"),
            ("http://host/x@y", "http://host/x@y"),
            ("/a?api_key=1&b=2&Token=3", "/a?api_key=redacted&b=2&Token=redacted"),
            ("/a?max_tokens=100", "/a?max_tokens=100"),
            ("password=x&name=ada", "password=redacted&name=ada"),
            ("Host=db;Password=x;Database=y", "Host=db;Password=redacted;Database=y"),
        ] {
            assert_eq!(redactor().text(text), clean);
        }
    }

    #[test]
    fn known_secrets_are_found_in_every_form() {
        for (text, clean) in [
            ("it is p@ss w\"rd.", "it is redacted."),
            ("/x?q=p%40ss%20w%22rd", "/x?q=redacted"),
            ("q=p%40ss+w%22rd", "q=redacted"),
            (r#"{"a":"p@ss w\"rd"}"#, r#"{"a":"redacted"}"#),
            ("xhunter2y hunter2", "xredactedy redacted"),
            ("too short: abc", "too short: abc"),
        ] {
            assert_eq!(redactor().text(text), clean);
        }
        assert!(redactor().knows_secret_in("-hunter2-") && !redactor().knows_secret_in("hunter"));
    }

    #[test]
    fn fields_lose_their_values_whatever_these_are() {
        for (text, clean) in [
            (r#"{"password":"a\"b","x":1}"#, r#"{"password":"redacted","x":1}"#),
            (r#"{"pin" : 1234, "max_tokens":5}"#, r#"{"pin" : 0, "max_tokens":5}"#),
            (r#"{"token":null,"iban":""}"#, r#"{"token":null,"iban":""}"#),
            (
                r#"{"credentials":{"user":"ada","pw":[1,"x"],"ok":true},"x":"y"}"#,
                r#"{"credentials":{"user":"redacted","pw":[0,"redacted"],"ok":true},"x":"y"}"#,
            ),
            (
                r#"{"content":"{\"password\": \"x\", \"b\": 1}"}"#,
                r#"{"content":"{\"password\": \"redacted\", \"b\": 1}"}"#,
            ),
            (r#"{"password":"cut of"#, r#"{"password":"redacted"#),
        ] {
            assert_eq!(redactor().text(text), clean);
        }
    }
}
