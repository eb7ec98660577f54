//! The bounds as they are in effect: those that the application file may set, and those that it may not.
//!
//! It exists so that `check --limits` shows all of them without a second list that has to be kept by hand: reading a
//! bound is what enters it here, and the fixed ones list themselves. It must not know any key.

use serde::Serialize;

use wasm_host_limits as limits;
use wasm_host_limits::list::{Listed, Value};
use wasm_host_limits::show::{show_duration, show_size};

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

/// One bound that no file changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FixedBound {
    /// As the code has it below its limits: `HOP_LIMIT`, `http::LINGER`.
    pub name: String,
    /// As a file would write it.
    pub value: String,
    /// What it is, in a sentence.
    pub what: String,
}

impl FixedBound {
    /// All of them.
    pub fn all() -> Vec<Self> {
        let mut comment: &[&str] = &[];
        let mut fixed = Vec::new();
        for bound in limits::all() {
            if !bound.comment.is_empty() {
                comment = bound.comment;
            }
            let (name, value) = (path(bound), shown(bound));
            fixed.push(Self { name, value, what: first_sentence(comment) });
        }
        fixed
    }
}

fn path(bound: &Listed) -> String {
    match bound.module {
        "" => bound.name.to_owned(),
        module => format!("{module}::{}", bound.name),
    }
}

fn shown(bound: &Listed) -> String {
    match (bound.value)() {
        Value::Time(time) => show_duration(time),
        Value::Count(bytes) if bound.name.ends_with("_BYTES") => show_size(bytes),
        Value::Count(count) => count.to_string(),
        Value::Number(number) => number.to_string(),
    }
}

/// Without its full stop, and without the brackets of links.
fn first_sentence(comment: &[&str]) -> String {
    let text: Vec<_> = comment.iter().map(|line| line.trim()).collect();
    let text = text.join(" ");
    let sentence = text.split(". ").next().unwrap_or_default();
    sentence.trim_end_matches('.').replace("[`", "`").replace("`]", "`")
}
