//! The form of libpq: `host=db port=5432 user=app password='..' dbname=app`.
//!
//! It knows no names of settings.

use wasm_host_settings::diagnostic::Problem;

/// A name, its value without quotes, and what follows them. Nothing at the end of the text.
pub(super) fn next(text: &str) -> Result<Option<(&str, String, &str)>, Problem> {
    let text = text.trim_start();
    if text.is_empty() {
        return Ok(None);
    }
    let Some((name, after)) = text.split_once('=') else { return Err(neither()) };
    let name = name.trim_end();
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(neither());
    }
    let (value, after) = value(after.trim_start())?;
    Ok(Some((name, value, after)))
}

pub(super) fn neither() -> Problem {
    Problem::new(
        "the address is neither a URI nor a list of settings",
        "write postgres://user:${PASSWORD}@host:5432/database, or \
         Host=..;Port=..;Username=..;Password=${PASSWORD};Database=.., or \
         host=.. port=.. user=.. password=${PASSWORD} dbname=..",
    )
}

/// A backslash stands before a character that is meant as it is, within quotes or without.
fn value(text: &str) -> Result<(String, &str), Problem> {
    let quoted = text.strip_prefix('\'');
    let mut rest = quoted.unwrap_or(text);
    let mut value = String::new();
    while let Some(character) = rest.chars().next() {
        rest = rest.get(character.len_utf8()..).unwrap_or_default();
        match character {
            '\\' => {
                let meant = rest.chars().next();
                value.extend(meant);
                rest = rest.get(meant.map_or(0, char::len_utf8)..).unwrap_or_default();
            }
            '\'' if quoted.is_some() => return Ok((value, rest)),
            space if quoted.is_none() && space.is_whitespace() => break,
            character => value.push(character),
        }
    }
    match quoted {
        None => Ok((value, rest)),
        Some(_) => Err(Problem::new(
            "a value of the address begins with a quote and does not end with it",
            "end it with a quote, and write \\' for a quote within it",
        )),
    }
}
