//! What must not be in a recording, and where it is in a text.
//!
//! A recording is a file that people commit and share. Three kinds of things are left out: values of
//! headers, fields and parameters whose name says that they are secret or that were named; the user
//! and password of a URL; and every value that the host itself knows as a secret, wherever it is.
//! What was left out for its name in one place is left out everywhere in that recording: a password that a client
//! sends is a parameter of a statement later, which has no name. It knows texts and names, and nothing of cases.

mod json;
mod named;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;

use anyhow::Result;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use named::Patterns;
use wasm_host_limits::record::{NAMED_BYTES, SECRET_BYTES};
use wasm_host_settings::percent;
use wasm_host_settings::secret::Secret;

/// What stands in the place of what was left out. A word, because it also stands in URLs.
pub(super) const REDACTED: &str = "redacted";

/// The same for what must be a UUID.
pub(super) const NO_UUID: &str = "00000000-0000-0000-0000-000000000000";

/// Decides what is left out of recordings.
pub struct Redactor {
    patterns: Patterns,
    /// In every form in which a text may have them, the longest first.
    secrets: Vec<Vec<u8>>,
}

/// The same for one recording, which has secrets of its own.
pub(super) struct Redaction<'r> {
    redactor: &'r Redactor,
    /// What this recording is known to hold, in every form.
    own: Vec<Vec<u8>>,
    /// Values that were left out for their name so far.
    noted: RefCell<BTreeSet<String>>,
}

impl Redactor {
    /// `named` are headers and fields that the user names; `secrets` what the host knows.
    ///
    /// # Errors
    /// If there are so many names that no pattern can be made of them.
    pub fn new(named: &[String], secrets: &[Secret]) -> Result<Self> {
        let secrets = longest_first(secrets.iter().map(Secret::expose), SECRET_BYTES);
        Ok(Self { patterns: Patterns::new(named)?, secrets })
    }

    pub(super) fn begin(&self) -> Redaction<'_> {
        Redaction { redactor: self, own: Vec::new(), noted: RefCell::default() }
    }

    /// Whether a secret that the host knows is in a text: the last look before it is written.
    pub(super) fn knows_secret_in(&self, text: &str) -> bool {
        self.secrets.iter().any(|secret| occurrences(text.as_bytes(), secret).next().is_some())
    }
}

impl Redaction<'_> {
    /// For a second look at the same recording: what was left out for its name now is a secret.
    pub(super) fn again(self) -> Self {
        let own = longest_first(self.noted.borrow().iter().map(String::as_str), NAMED_BYTES);
        Self { own, ..self }
    }

    /// Whether what has this name is left out: a header, a column, a parameter.
    pub(super) fn is_secret_name(&self, name: &str) -> bool {
        self.redactor.patterns.is_secret_name(name)
    }

    /// The value of a header or variable without what must not be seen.
    pub(super) fn named(&self, name: &str, value: &str) -> String {
        if !self.is_secret_name(name) {
            return self.text(value);
        }
        self.note_header(value);
        REDACTED.to_string()
    }

    /// Whether all of a value was left out elsewhere.
    pub(super) fn is_noted(&self, value: &str) -> bool {
        value.len() >= SECRET_BYTES && self.noted.borrow().contains(value)
    }

    /// Remember a value that is left out for its name.
    pub(super) fn note(&self, value: &str) {
        if !value.is_empty() && value != REDACTED {
            self.noted.borrow_mut().insert(value.to_string());
        }
    }

    /// `Bearer TOKEN`, `Basic BASE64`, `name=value; name=value`, or all of it.
    fn note_header(&self, value: &str) {
        self.note(value);
        if let Some((_, token)) = value.split_once(' ') {
            self.note(token.trim());
            let basic = BASE64_STANDARD.decode(token.trim()).ok();
            let basic = basic.and_then(|bytes| String::from_utf8(bytes).ok());
            if let Some((_, password)) = basic.as_deref().and_then(|basic| basic.split_once(':')) {
                self.note(password);
            }
        }
        for (_, value) in value.split(';').filter_map(|pair| pair.split_once('=')) {
            self.note(value.trim());
        }
    }

    /// The same for a part of a text, as it is and as it is meant.
    fn note_part(&self, value: &[u8]) {
        let Ok(value) = std::str::from_utf8(value) else { return };
        let value = value.trim_matches(['"', '\'', '\\']);
        self.note(value);
        self.note(value.split_once(':').map_or("", |(_, password)| password));
        if let Some(decoded) = percent::decoded(&value.replace('+', " ")) {
            self.note(&decoded);
        }
        if let Ok(meant) = serde_json::from_str::<String>(&format!("\"{value}\"")) {
            self.note(&meant);
        }
    }

    /// What is to be replaced in a text, in order and apart.
    pub(super) fn find(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found = self.redactor.patterns.find(text);
        for range in &found {
            self.note_part(text.get(range.clone()).unwrap_or_default());
        }
        let secrets = self.redactor.secrets.iter().chain(&self.own);
        found.extend(secrets.flat_map(|secret| occurrences(text, secret)));
        found.retain(|range| !range.is_empty());
        found.sort_by_key(|range| (range.start, range.end));
        join(found)
    }

    /// The text without what must not be seen.
    pub(super) fn text(&self, text: &str) -> String {
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
}

/// What stands in the place of a secret. A UUID stays one, and a number in JSON, so that what reads it gets on.
pub(super) fn stand_in(text: &[u8], secret: &Range<usize>) -> &'static str {
    let is = |at: Option<usize>, these: &[u8]| {
        at.and_then(|at| text.get(at)).is_some_and(|byte| these.contains(byte))
    };
    let value = text.get(secret.clone()).and_then(|value| std::str::from_utf8(value).ok());
    if value.is_some_and(is_uuid) {
        return NO_UUID;
    }
    let number = value.is_some_and(|value| value.parse::<f64>().is_ok());
    let in_json =
        is(secret.start.checked_sub(1), b":[, \t\r\n") && is(Some(secret.end), b",}] \r\n\t");
    if number && in_json { "0" } else { REDACTED }
}

fn is_uuid(text: &str) -> bool {
    let like = |(a, b): (u8, u8)| if b == b'-' { a == b } else { a.is_ascii_hexdigit() };
    text.len() == NO_UUID.len() && text.bytes().zip(NO_UUID.bytes()).all(like)
}

/// Secrets of at least this many bytes in every form in which they may be written.
fn longest_first<'s>(secrets: impl Iterator<Item = &'s str>, bytes: usize) -> Vec<Vec<u8>> {
    let long = secrets.map(str::trim).filter(|secret| secret.len() >= bytes);
    let mut forms: Vec<Vec<u8>> = long.flat_map(forms).collect();
    forms.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
    forms.dedup();
    forms
}

/// A secret as it may be written: as it is, in a URL, in JSON.
fn forms(secret: &str) -> [Vec<u8>; 4] {
    let json = serde_json::Value::from(secret).to_string();
    let json = json.trim_start_matches('"').strip_suffix('"').unwrap_or_default().to_string();
    let encoded = percent::encoded(secret);
    [secret.to_string(), encoded.replace("%20", "+"), encoded, json].map(String::into_bytes)
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
mod tests;
