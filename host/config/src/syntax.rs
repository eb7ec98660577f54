//! From text to tables: the TOML parser, and its complaints in plain words.
//!
//! It exists so that a file with several slips shows all of them at once. After a slip inside one
//! value the rest is read as it was meant; a key without a value and a header without its bracket
//! are left out and the rest is read; after anything else, what is found behind it is withheld.
//! Only the parser's own words are repeated, never the text it saw.

use toml::de::{DeTable, Error};

use wasm_host_limits as limits;
use wasm_host_settings::context::{Context, Damage};
use wasm_host_settings::diagnostic::{Problem, quoted};

/// The tables of `text`, as far as they can be read. Lines that are left out become blank.
pub(super) fn parse<'t>(cx: &mut Context<'_>, text: &'t mut String) -> DeTable<'t> {
    for _ in 0..limits::SYNTAX_ROUNDS {
        let Some(error) = first_leaving_lines_out(text) else {
            break;
        };
        let at = error.span().unwrap_or(0..0);
        let (problem, damage) = explain(&error, "");
        cx.syntax_error(&at, problem, damage);
        if !blank(text, at.start, error.message().starts_with(UNCLOSED_HEADER)) {
            break;
        }
    }
    let (tables, mut errors) = DeTable::parse_recoverable(text);
    errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
    for error in &errors {
        let at = error.span().unwrap_or(0..0);
        let (problem, damage) = explain(error, text.get(at.clone()).unwrap_or_default());
        cx.syntax_error(&at, problem, damage);
    }
    tables.into_inner()
}

/// One text of a file, whatever else is in it.
pub(super) fn text_at(text: &str, table: &str, key: &str) -> Option<String> {
    let (tables, _errors) = DeTable::parse_recoverable(text);
    let value = tables.get_ref().get(table)?.get_ref().as_table()?.get(key)?;
    value.get_ref().as_str().map(str::to_owned)
}

const UNCLOSED_HEADER: &str = "unclosed table";

/// How the parser's message begins, what we say instead, its fix, and what it makes unreadable.
const EXPLAINED: &[(&str, &str, &str, Damage)] = &[
    (
        "string values must be quoted",
        "a value is missing or needs quotes",
        "write key = \"value\"",
        Damage::Value,
    ),
    ("invalid basic string", "a string that is not valid", "does it end with '\"'?", Damage::Value),
    (
        "invalid literal string",
        "a string that is not valid",
        "does it end with \"'\"?",
        Damage::Value,
    ),
    ("invalid float", "not a valid number", "what is not a number needs quotes", Damage::Value),
    ("invalid integer", "not a valid number", "what is not a number needs quotes", Damage::Value),
    ("unexpected leading zero", "a number with a leading zero", "remove the zero", Damage::Value),
    ("key with no value", "a key without a value", "write key = \"value\"", Damage::Lines),
    (UNCLOSED_HEADER, "a table header that is not closed", "end it with ']'", Damage::Lines),
    ("unclosed array table", "a table header that is not closed", "end it with ']]'", Damage::Rest),
    ("unclosed array", "a list that is not closed", "end it with ']'", Damage::Rest),
    (
        "missing comma between array elements",
        "a list that is not closed, or a missing comma",
        "end it with ']'",
        Damage::Rest,
    ),
    ("unclosed inline table", "a table that is not closed", "end it with '}'", Damage::Rest),
];

fn first_leaving_lines_out(text: &str) -> Option<Error> {
    let (_, errors) = DeTable::parse_recoverable(text);
    errors.into_iter().find(|error| explain(error, "").1 == Damage::Lines)
}

/// Replaces the line of `offset` by spaces, and with `table` also those up to the next header,
/// which would otherwise count for the table before. `false` if there was nothing to replace.
fn blank(text: &mut String, offset: usize, table: bool) -> bool {
    let start = text.get(..offset).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let rest = text.get(offset..).unwrap_or_default();
    let length = if table { rest.find("\n[") } else { rest.find('\n') };
    let end = offset + length.unwrap_or(rest.len());
    let Some(lines) = text.get(start..end).filter(|lines| !lines.trim().is_empty()) else {
        return false;
    };
    // Byte for byte, so that all places behind stay where they are.
    let spaces: String = lines.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
    text.replace_range(start..end, &spaces);
    true
}

/// The problem and what it makes unreadable. `spanned` is what the parser points at.
fn explain(error: &Error, spanned: &str) -> (Problem, Damage) {
    let message = error.message();
    if message.starts_with("duplicate key") {
        // A key, so never a value that might be secret.
        let message = format!("{} stands here for the second time", quoted(spanned));
        return (Problem::new(message, "keep one of them"), Damage::Value);
    }
    match EXPLAINED.iter().find(|(begins, ..)| message.starts_with(begins)) {
        Some((_, plain, hint, damage)) => (Problem::new(*plain, *hint), *damage),
        None => {
            (Problem { message: format!("not valid TOML: {message}"), hint: None }, Damage::Rest)
        }
    }
}
