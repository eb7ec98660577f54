//! What is wrong with the parts of a composition, and with which of them.

use std::fmt;

use serde::{Deserialize, Serialize};

use wasm_host_limits as limits;

/// What a fault is about, so that it is told where that is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum At {
    /// All of it.
    Whole,
    /// The part of this number.
    Part(usize),
    /// The interface that a part is to serve, as the application file names it.
    Key(String),
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    pub at: At,
    pub message: String,
    pub hint: Option<String>,
}

/// All that is wrong; at least one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// As many as are told.
    pub(super) fn all(mut faults: Vec<Fault>) -> Self {
        let (count, most) = (faults.len(), limits::COMPOSITION_FAULTS);
        if count > most {
            faults.truncate(most);
            let message = format!("{} more like these are wrong with its parts", count - most);
            faults.push(Fault { at: At::Whole, message, hint: None });
        }
        Self(faults)
    }

    pub(crate) fn of(at: At, message: String) -> Self {
        Self(vec![Fault { at, message, hint: None }])
    }
}

impl Fault {
    pub(super) fn new(at: At, message: String, hint: &str) -> Self {
        Self { at, message, hint: Some(hint.to_owned()) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hint {
            Some(hint) => write!(formatter, "{}; {hint}", self.message),
            None => formatter.write_str(&self.message),
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: Vec<_> = self.0.iter().map(Fault::to_string).collect();
        formatter.write_str(&faults.join("; "))
    }
}

impl std::error::Error for Faults {}
