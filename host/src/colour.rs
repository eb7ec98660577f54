//! What a person reads on a terminal: words that say how bad something is, in colours.
//!
//! Files, pipes and programs read plain text. It knows words, and nothing of what is said.

use std::io::{self, IsTerminal as _};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use wasm_host_system::printable::printable;

/// How bad something is, as messages say it behind their place, and its colour.
const SEVERITIES: [(&str, AnsiColor); 2] =
    [("error", AnsiColor::Red), ("warning", AnsiColor::Yellow)];

/// A message for standard error, which may have words of a database, a component or a registry in it.
pub(crate) fn told(text: &str) -> String {
    let text = lines(text);
    if is_coloured() { coloured(&text) } else { text }
}

/// Several lines, each without what would command a terminal.
fn lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// `NO_COLOR`, `CLICOLOR` and `TERM` say whether, of a terminal alone.
fn is_coloured() -> bool {
    let told = io::stderr();
    told.is_terminal() && AutoStream::choice(&told) != ColorChoice::Never
}

fn coloured(text: &str) -> String {
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// One line, of which the first such word counts: what follows is the words of others.
fn line(line: &str) -> String {
    let found = SEVERITIES.iter().filter_map(|(word, colour)| {
        let place = line.find(&format!(": {word}: "))?;
        Some((place + 2, word, colour))
    });
    let Some((place, word, colour)) = found.min_by_key(|(place, ..)| *place) else {
        return line.to_owned();
    };
    let style = Style::new().bold().fg_color(Some((*colour).into()));
    let (before, after) = (&line[..place], &line[place + word.len()..]);
    format!("{before}{style}{word}{style:#}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_keeps_its_lines_and_commands_no_terminal() {
        // A test's standard error may be a terminal.
        assert_eq!(lines("one\n\ttwo \u{1b}[2J\r\n"), "one\n\ttwo \\u{1b}[2J\\r\n");
        assert!(told("a: warning: \u{1b}[2J").ends_with("\\u{1b}[2J"));
    }

    #[test]
    fn the_first_word_of_a_line_that_says_how_bad_it_is_has_a_colour() {
        for (plain, expected) in [
            (
                "a.toml:1:2: error: no; write 'b: warning: c'",
                "a.toml:1:2: \u{1b}[1m\u{1b}[31merror\u{1b}[0m: no; write 'b: warning: c'",
            ),
            ("a.toml: warning: no", "a.toml: \u{1b}[1m\u{1b}[33mwarning\u{1b}[0m: no"),
            ("error is no such word", "error is no such word"),
            ("", ""),
        ] {
            assert_eq!(coloured(plain), expected);
        }
        let two = coloured("a: error: b\nc: warning: d\n");
        assert_eq!(two.matches("\u{1b}[0m").count(), 2);
        assert!(two.ends_with(": d\n"), "{two:?}");
    }
}
