//! The bounds that the application file may set, as they are in effect.
//!
//! It exists so that `check --limits` shows all of them without a second list that somebody would have to
//! keep: reading a bound is what enters it here. It must not know any key.

use serde::Serialize;

/// One bound of one table. Values are written as the file writes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bound {
    /// Without brackets, as in `service.weather`.
    pub table: String,
    pub key: String,
    /// What is in effect.
    pub value: String,
    pub default: String,
    pub minimum: String,
    pub maximum: String,
    /// Where the file sets it. `None`: it does not.
    pub line: Option<usize>,
}
