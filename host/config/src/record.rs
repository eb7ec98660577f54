//! `[record]`: what recordings of real traffic leave out.
//!
//! It exists to turn one table into a list of names. It must not know what is recorded.

use wasm_host_settings::context::Context;
use wasm_host_settings::diagnostic::Problem;
use wasm_host_settings::file::Table;

/// The names of headers and fields, in lower case.
pub(super) fn redact(cx: &Context<'_>, root: &Table<'_>) -> Vec<String> {
    let Some((at, table)) = root.table(cx, "record", "[record]") else {
        return Vec::new();
    };
    let table = Table::open(cx, "[record]", at, table, &["redact"]);
    let names = table.texts(cx, "redact").unwrap_or_default();
    for name in names.iter().filter(|name| name.value.trim().is_empty()) {
        let hint = "name a header or a field, as in redact = [\"x-session\", \"iban\"]";
        cx.error(&name.at, Problem::new("an empty name in 'redact'", hint));
    }
    names.into_iter().map(|name| name.value.trim().to_lowercase()).collect()
}
