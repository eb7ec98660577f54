//! From text to tables: the TOML parser, and its complaints in plain words.
//!
//! It exists so that a file with several slips shows all of them at once. After a slip inside one
//! value the rest is read as it was meant; a key without a value and a header without its bracket
//! are left out and the rest is read; after anything else, what is found behind it is withheld.
//! Only the parser's own words are repeated, never the text it saw.

mod slip;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue, Error};

use self::slip::{Notation, Slip};
use super::NamedService;
use wasm_host_limits as limits;
use wasm_host_settings::context::{Context, Damage};
use wasm_host_settings::diagnostic::{Problem, quoted};

/// The tables of `text`, as far as they can be read. Lines that are left out become blank.
pub(super) fn parse<'t>(cx: &mut Context<'_>, text: &'t mut String) -> DeTable<'t> {
    for _ in 0..limits::SYNTAX_ROUNDS {
        let Some((error, slip)) = first_leaving_lines_out(text) else {
            break;
        };
        let at = error.span().unwrap_or(0..0);
        cx.syntax_error(&at, explain(&error, slip, text), damage(slip));
        if !blank(text, at.start, slip == Slip::OpenHeader) {
            break;
        }
    }
    let notation = Notation::of(text);
    let (tables, mut errors) = DeTable::parse_recoverable(text);
    errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
    for error in &errors {
        let slip = notation.slip(error);
        let at = error.span().unwrap_or(0..0);
        cx.syntax_error(&at, explain(error, slip, text), damage(slip));
    }
    tables.into_inner()
}

/// One text of a file, whatever else is in it.
pub(super) fn text_at(text: &str, table: &str, key: &str) -> Option<String> {
    let (tables, _errors) = DeTable::parse_recoverable(text);
    let value = tables.get_ref().get(table)?.get_ref().as_table()?.get(key)?;
    value.get_ref().as_str().map(str::to_owned)
}

/// The services of a file, whatever else is in it.
pub(super) fn services(text: &str) -> Vec<NamedService> {
    let (tables, _errors) = DeTable::parse_recoverable(text);
    let services = tables.get_ref().get("service").and_then(|it| it.get_ref().as_table());
    let named = |(name, table): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| NamedService {
        name: name.get_ref().to_string(),
        is_component: table.get_ref().as_table().is_some_and(|it| it.contains_key("component")),
    };
    services.into_iter().flatten().map(named).collect()
}

/// Whether a file has telemetry on, whatever else is in it. None: it says nothing that is either.
pub(super) fn keeps_telemetry(text: &str) -> Option<bool> {
    let (tables, _errors) = DeTable::parse_recoverable(text);
    let table = tables.get_ref().get("telemetry")?.get_ref().as_table()?;
    table.get("enabled")?.get_ref().as_bool()
}

fn first_leaving_lines_out(text: &str) -> Option<(Error, Slip)> {
    let notation = Notation::of(text);
    let (_, errors) = DeTable::parse_recoverable(text);
    let slips = errors.into_iter().map(|error| {
        let slip = notation.slip(&error);
        (error, slip)
    });
    slips.into_iter().find(|(_, slip)| damage(*slip) == Damage::Lines)
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

/// What a slip makes unreadable.
fn damage(slip: Slip) -> Damage {
    match slip {
        Slip::LoneKey | Slip::OpenHeader => Damage::Lines,
        Slip::SecondKey
        | Slip::OpenString(_)
        | Slip::MissingQuotes
        | Slip::Number
        | Slip::LeadingZero
        | Slip::Value => Damage::Value,
        Slip::ExtendedKey
        | Slip::OpenDoubleHeader
        | Slip::OpenList
        | Slip::MissingComma
        | Slip::OpenTable
        | Slip::Other => Damage::Rest,
    }
}

/// What is said of a slip, and its fix.
fn explain(error: &Error, slip: Slip, text: &str) -> Problem {
    // Only of a key, so never a value that might be secret.
    let key = || quoted(error.span().and_then(|at| text.get(at)).unwrap_or_default());
    let (plain, hint) = match slip {
        Slip::LoneKey => ("a key without a value", "write key = \"value\""),
        Slip::SecondKey => {
            let message = format!("{} stands here for the second time", key());
            return Problem::new(message, "keep one of them");
        }
        Slip::ExtendedKey => {
            let message = format!("{} stands before, and nothing can be added to it", key());
            return Problem::new(message, "write all of it in one place");
        }
        Slip::OpenHeader => ("a table header that is not closed", "end it with ']'"),
        Slip::OpenDoubleHeader => ("a table header that is not closed", "end it with ']]'"),
        Slip::OpenList => ("a list that is not closed", "end it with ']'"),
        Slip::MissingComma => ("a list that is not closed, or a missing comma", "end it with ']'"),
        Slip::OpenTable => ("a table that is not closed", "end it with '}'"),
        Slip::OpenString('"') => ("a string that is not valid", "does it end with '\"'?"),
        Slip::OpenString(_) => ("a string that is not valid", "does it end with \"'\"?"),
        Slip::MissingQuotes => ("a value is missing or needs quotes", "write key = \"value\""),
        Slip::Number => ("not a valid number", "what is not a number needs quotes"),
        Slip::LeadingZero => ("a number with a leading zero", "remove the zero"),
        Slip::Value | Slip::Other => {
            let message = format!("not valid TOML: {}", error.message());
            return Problem { message, hint: None };
        }
    };
    Problem::new(plain, hint)
}
