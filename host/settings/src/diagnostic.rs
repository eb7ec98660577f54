//! What is wrong with an application file, said so that a newcomer can act on it.
//!
//! It exists to give every finding one shape, for people (`file:line:column: error: what; fix`) and
//! for tools (a JSON list). It must not know what is checked, and it must never be handed a
//! resolved secret: messages are printed, logged and sent as they are.

use std::fmt;

use serde::Serialize;

use wasm_host_limits as limits;

/// One finding. `line` and `column` count from 1, columns in characters; both are 0 when the file
/// as a whole is meant (it cannot be read).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub severity: Severity,
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

/// All findings about one file, in the order of the file. At least one of them is an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diagnostics(Vec<Diagnostic>);

/// A cause and its fix, not yet at a place in the file. What the pure value parsers return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub message: String,
    pub hint: Option<String>,
}

/// Turns byte offsets into lines and columns.
pub struct Positions<'a> {
    text: &'a str,
    line_starts: Vec<usize>,
}

// === impl Diagnostic ===

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, ": {severity}: {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

// === impl Diagnostics ===

impl Diagnostics {
    pub fn new(mut found: Vec<Diagnostic>) -> Diagnostics {
        found.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        Diagnostics(found)
    }

    /// The file itself is the problem, not a place in it.
    pub fn of_file(file: &str, problem: Problem) -> Diagnostics {
        Diagnostics(vec![Diagnostic {
            file: file.to_owned(),
            line: 0,
            column: 0,
            severity: Severity::Error,
            message: problem.message,
            hint: problem.hint,
        }])
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(found: Diagnostic) -> Diagnostics {
        Diagnostics(vec![found])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

// === impl Problem ===

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl Problem {
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Problem {
        Problem { message: message.into(), hint: Some(hint.into()) }
    }
}

// === impl Positions ===

impl<'a> Positions<'a> {
    pub fn new(text: &'a str) -> Positions<'a> {
        let after_newlines = text.match_indices('\n').map(|(offset, _)| offset + 1);
        let line_starts = std::iter::once(0).chain(after_newlines).collect();
        Positions { text, line_starts }
    }

    /// The line and column of `offset`. The end of the file counts as the end of its last line, so
    /// that an editor can always jump there.
    pub fn of(&self, offset: usize) -> (usize, usize) {
        let offset = offset.min(self.text.trim_end_matches(['\r', '\n']).len());
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|index| self.line_starts.get(index));
        let before = start.and_then(|start| self.text.get(*start..offset)).unwrap_or_default();
        (line, before.chars().count() + 1)
    }
}

/// `text` in quotes as a message shows it: no control characters, no endless line.
pub fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(limits::QUOTED_CHARACTERS).flat_map(escape).collect();
    if text.chars().nth(limits::QUOTED_CHARACTERS).is_some() {
        shown.push_str("...");
    }
    format!("'{shown}'")
}

/// The candidate that was probably meant: one that begins with what was written, or one that is a
/// few keystrokes away.
pub fn nearest<'c>(written: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let written = written.to_lowercase().replace('_', "-");
    let allowed = (written.chars().count() / 3).clamp(1, 3);
    candidates
        .map(|candidate| {
            let abbreviated = written.len() >= 3 && candidate.starts_with(&written);
            let distance = strsim::damerau_levenshtein(&written, &candidate.to_lowercase());
            (if abbreviated { 1 } else { distance }, candidate)
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn escape(character: char) -> impl Iterator<Item = char> {
    let control = character.is_control();
    let escaped = control.then(|| character.escape_default());
    escaped.into_iter().flatten().chain((!control).then_some(character))
}
