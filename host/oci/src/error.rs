//! What goes wrong with a registry, a reference or an artifact, said so that whoever reads it can act on it.

use std::fmt::{self, Write as _};

use wasm_host_limits::oci::REASON_BYTES;
use wasm_host_settings::diagnostic::Problem;
use wasm_host_system::printable::Printable;

/// What went wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OciError {
    pub kind: Kind,
    pub message: String,
    /// The fix, where there is one to name.
    pub hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The registry cannot be asked, or does not answer.
    Away,
    /// It does not let this user do this.
    Refused,
    /// It has no such thing.
    Missing,
    /// What came is not what was asked for: cut off, too large, of another digest.
    Damaged,
    /// It is no component, or not one that is trusted.
    Unusable,
    /// Something on this side.
    Local,
}

impl OciError {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// Words from outside, of a registry or of a program that is asked, as all messages repeat them: in quotes, on one line,
/// without what would command a terminal, and no more than [`REASON_BYTES`] of them.
pub fn said(words: &str) -> String {
    let mut shown = String::from("'");
    // A string takes everything.
    let _ = Printable::new(&mut shown, REASON_BYTES).write_str(words.trim());
    shown.push('\'');
    shown
}

impl From<Problem> for OciError {
    fn from(problem: Problem) -> Self {
        Self { kind: Kind::Local, message: problem.message, hint: problem.hint }
    }
}

impl fmt::Display for OciError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(formatter, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for OciError {}
