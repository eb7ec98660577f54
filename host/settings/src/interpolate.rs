//! `${NAME}` and `${file:/path}` inside a text of the application file.
//!
//! It exists to keep, beside the resolved text, a skeleton in which every inserted value is a hole:
//! what stands in the file and what is secret stay apart for ever. It must not read the environment
//! or a file itself, and no message made here contains more than a well-formed name or a path.

use super::diagnostic::Problem;
use crate::percent;

/// Stands for one inserted value in a skeleton. Unicode's "object replacement character".
pub const HOLE: char = '\u{fffc}';

/// A resolved text.
#[derive(Clone)]
pub struct Text {
    /// Ready for use, secret if the skeleton has a hole.
    pub value: String,
    /// The literal parts, with a [`HOLE`] for each inserted value.
    pub skeleton: String,
    /// What belongs into the holes, in order.
    inserted: Vec<String>,
}

/// What stands between `${` and `}`.
#[derive(Clone, Copy)]
pub enum Reference<'t> {
    Variable(&'t str),
    File(&'t str),
}

/// Resolves all references in `text`; all problems are returned, not only the first.
pub fn interpolate(
    text: &str,
    resolve: impl Fn(Reference<'_>) -> Result<String, Problem>,
) -> Result<Text, Vec<Problem>> {
    let mut value = String::new();
    let mut skeleton = String::new();
    let mut all_inserted = Vec::new();
    let mut problems = Vec::new();
    let mut rest = text;
    while let Some((literal, after)) = rest.split_once('$') {
        push_literal(literal, &mut value, &mut skeleton);
        if let Some(after) = after.strip_prefix('$') {
            push_literal("$", &mut value, &mut skeleton);
            rest = after;
        } else if let Some((inside, after)) =
            after.strip_prefix('{').and_then(|after| after.split_once('}'))
        {
            match reference(inside).and_then(&resolve) {
                Ok(inserted) => {
                    value.push_str(&inserted);
                    skeleton.push(HOLE);
                    all_inserted.push(inserted);
                }
                Err(problem) => problems.push(problem),
            }
            rest = after;
        } else {
            problems.push(lone_dollar(after));
            rest = after;
        }
    }
    push_literal(rest, &mut value, &mut skeleton);
    if problems.is_empty() {
        Ok(Text { value, skeleton, inserted: all_inserted })
    } else {
        Err(problems)
    }
}

impl Text {
    pub fn is_secret(&self) -> bool {
        self.skeleton.contains(HOLE)
    }

    /// The values for the holes, in order.
    pub fn inserted(&self) -> impl Iterator<Item = &str> {
        self.inserted.iter().map(String::as_str)
    }

    /// The value of a URL. A value inserted as `user:password` is data and not syntax, so it is
    /// encoded, and a password with an '@' needs no preparation. Without a ':' in the file the
    /// value may be both at once and is left alone.
    pub fn url(&self) -> String {
        let skeleton = self.skeleton.trim();
        let start = skeleton.find("://").map_or(0, |scheme_end| scheme_end + 3);
        let rest = skeleton.get(start..).unwrap_or_default();
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let user_info = authority.rsplit_once('@').map_or("", |(user_info, _)| user_info);
        let encoded = start..start + if user_info.contains(':') { user_info.len() } else { 0 };
        let mut inserted = self.inserted();
        let mut url = String::new();
        for (offset, character) in skeleton.char_indices() {
            match (character, encoded.contains(&offset)) {
                (HOLE, true) => {
                    url.push_str(&percent::encoded(inserted.next().unwrap_or_default()));
                }
                (HOLE, false) => url.push_str(inserted.next().unwrap_or_default()),
                _ => url.push(character),
            }
        }
        url.trim().to_owned()
    }
}

/// `true` if `text` holds something other than inserted values.
pub fn has_literal(text: &str) -> bool {
    text.chars().any(|character| character != HOLE)
}

fn reference(inside: &str) -> Result<Reference<'_>, Problem> {
    if let Some(path) = inside.strip_prefix("file:") {
        if path.is_empty() {
            return Err(Problem::new("'${file:}' names no file", "write ${file:/path/to/secret}"));
        }
        return Ok(Reference::File(path));
    }
    let first = inside.chars().next();
    let well_formed = first.is_some_and(|c| c == '_' || c.is_ascii_alphabetic())
        && inside.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
    if well_formed {
        Ok(Reference::Variable(inside))
    } else {
        // Not repeated: the secret itself may stand between the braces.
        Err(Problem::new(
            "what stands between '${' and '}' is not the name of a variable",
            "a name has letters, digits and '_' only, as in ${API_TOKEN}",
        ))
    }
}

fn lone_dollar(after: &str) -> Problem {
    if after.starts_with('{') {
        return Problem::new("'${' without a closing '}'", "write ${NAME}");
    }
    // What follows is not repeated: it may be part of a password.
    Problem::new("a single '$'", "write ${NAME} for a variable, or $$ for a dollar sign")
}

fn push_literal(literal: &str, value: &mut String, skeleton: &mut String) {
    value.push_str(literal);
    // A hole that a user typed must not pass for an inserted value.
    skeleton.extend(literal.chars().map(|c| if c == HOLE { '\u{fffd}' } else { c }));
}
