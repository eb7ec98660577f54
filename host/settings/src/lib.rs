//! How the tables of an application file are read: by the same rules, with all mistakes reported at once.
//!
//! It exists so that all that have tables in the application file (capabilities, the host's own sections) read them in the
//! same way: from text to tables (`file`), to values (`value`, `interpolate`), to findings with their place, cause and
//! fix (`context`, `diagnostic`). What keys there are and what they mean is for its users. No secret can be printed
//! from what it gives (`secret`), and only `disk` touches files.
//! What a file names that is elsewhere is entered in one list (`named`).

pub mod authorities;
pub mod bounds;
pub mod context;
pub mod diagnostic;
pub mod disk;
pub mod field;
pub mod file;
pub mod interpolate;
pub mod named;
pub mod percent;
pub mod resource;
pub mod secret;
pub mod tls;
pub mod value;

use std::path::Path;
use std::time::Duration;

/// How the environment is asked for a variable.
pub type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// The text of an application file and what it is read against.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub text: &'a str,
    /// The name that messages show.
    pub file: &'a str,
    /// What relative paths are relative to.
    pub folder: &'a Path,
    pub environment: &'a Environment<'a>,
}

/// A duration as the application file writes it, such as `30s`.
pub fn duration(text: &str) -> Result<Duration, String> {
    value::duration(text).map_err(|problem| match problem.hint {
        Some(hint) => format!("{}: {hint}", problem.message),
        None => problem.message,
    })
}
