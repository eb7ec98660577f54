//! Commands in the application file: a program and its arguments, which no shell takes apart.

use wasm_host_settings::context::{Context, Located};
use wasm_host_settings::diagnostic::{Problem, quoted};
use wasm_host_settings::file::Table;

/// Says what is wrong with the words of `build`; `example` is what it is to look like.
pub(super) fn check(cx: &Context<'_>, table: &Table<'_>, words: &[Located<String>], example: &str) {
    match words {
        [] => cx.error(&table.at("build"), Problem::new("'build' is empty", example)),
        [program, ..] if program.value.is_empty() => {
            cx.error(&program.at, Problem::new("'build' names no program", example));
        }
        // No shell takes it apart.
        [program] if program.value.contains(char::is_whitespace) => {
            let words: Vec<String> =
                program.value.split_whitespace().map(|word| format!("{word:?}")).collect();
            let message = format!("{} is one word with spaces", quoted(&program.value));
            let hint = format!("did you mean [{}]?", words.join(", "));
            cx.error(&program.at, Problem::new(message, hint));
        }
        _ => {}
    }
}
