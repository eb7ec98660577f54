//! The tables of settings in the documentation, made of their declarations. Those are in a crate that needs no other, so
//! that they are at hand in a fresh checkout, before the host is built.

use anyhow::Result;
use wasm_host_limits::setting::Row;

pub(super) const DOCUMENT: &str = "docs/application-file.md";
const END: &str = "<!-- end of settings -->\n";

pub(super) fn problems(text: &str) -> Result<Vec<String>> {
    let is_current = written(text)? == text;
    let told =
        format!("{DOCUMENT}: a table is not that of its settings; `cargo xtask docs` writes it");
    Ok((!is_current).then_some(told).into_iter().collect())
}

/// The document with its tables written anew.
pub(super) fn written(text: &str) -> Result<String> {
    let mut text = text.to_owned();
    for (name, rows) in wasm_host_limits::tables() {
        let begin = format!("<!-- settings of {name}, written by `cargo xtask docs` -->\n");
        text = super::between(&text, &begin, END, &table(&rows))?;
    }
    Ok(text)
}

fn table(rows: &[Row]) -> String {
    let rows = rows.iter().map(|row| {
        let [default, minimum, maximum] = [&row.default, &row.minimum, &row.maximum].map(value);
        let what = within_a_row(&row.what);
        format!("| `{}` | {default} | {minimum} to {maximum} | {what} |\n", row.key)
    });
    format!("| key | default | range | meaning |\n|---|---|---|---|\n{}", rows.collect::<String>())
}

/// Numbers as they are, other values as code.
fn value(text: &String) -> String {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.clone() } else { format!("`{text}`") }
}

/// Without a capital in front, unless it begins an abbreviation, and without the last full stop.
fn within_a_row(sentences: &str) -> String {
    let sentences = sentences.trim_end_matches('.');
    let (first, rest) = sentences.split_at_checked(1).unwrap_or_default();
    let is_abbreviated = rest.starts_with(|second: char| second.is_ascii_uppercase());
    let first = if is_abbreviated { first.to_owned() } else { first.to_lowercase() };
    first + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_a_row() {
        let row = Row {
            key: "patience",
            default: "30s".to_owned(),
            minimum: "0".to_owned(),
            maximum: "1h".to_owned(),
            what: "Time to wait. Then 503.".to_owned(),
        };
        let written = table(&[row]);
        assert!(
            written.ends_with("|\n| `patience` | `30s` | 0 to `1h` | time to wait. Then 503 |\n")
        );
        assert_eq!(within_a_row("TLS and more."), "TLS and more");
    }

    #[test]
    fn a_table_that_is_not_that_of_its_settings_is_told() {
        let document = crate::project::root().join(DOCUMENT);
        let current = written(&std::fs::read_to_string(document).unwrap()).unwrap();
        assert_eq!(problems(&current).unwrap(), Vec::<String>::new());
        let old = current.replace("| `streams` | 100 |", "| `streams` | 200 |");
        assert_eq!(problems(&old).unwrap().len(), 1);
        assert!(problems("no table").is_err());
    }
}
