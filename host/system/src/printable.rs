//! Text from outside on one line of a log or a table: it can neither forge another line nor command a terminal.
//!
//! It must not know where a text comes from: what it leaves out would be trusted.

use std::fmt::{self, Write};

/// Prints a text with what is not seen written out, and without what is beyond its bound.
pub struct Printable<W> {
    to: W,
    /// Nothing once the sign that there was more is written.
    room: Option<usize>,
}

impl<W: Write> Printable<W> {
    /// At most this many bytes go on to `to`, and a sign that there were more.
    pub fn new(to: W, bytes: usize) -> Self {
        Self { to, room: Some(bytes) }
    }

    fn push(&mut self, text: &str) -> fmt::Result {
        let Some(room) = self.room else { return Ok(()) };
        self.room = room.checked_sub(text.len());
        if self.room.is_some() {
            return self.to.write_str(text);
        }
        let fits = text.get(..text.floor_char_boundary(room)).unwrap_or_default();
        self.to.write_str(fits)?;
        self.to.write_char('…')
    }
}

impl<W: Write> Write for Printable<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_unseen) {
            let (seen, after) = rest.split_at(at);
            self.push(seen)?;
            let mut characters = after.chars();
            if let Some(unseen) = characters.next() {
                self.push(&unseen.escape_default().to_string())?;
            }
            rest = characters.as_str();
        }
        if rest.is_empty() { Ok(()) } else { self.push(rest) }
    }
}

/// One text as it is printed.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    // A string takes everything.
    let _ = Printable::new(&mut shown, usize::MAX).write_str(text);
    shown
}

/// What moves the cursor, commands a terminal, or turns the direction of what follows.
fn is_unseen(character: char) -> bool {
    (character.is_control() && character != '\t')
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_written_out() {
        for (text, expected) in [
            ("plain ä€😀\ttext", "plain ä€😀\ttext"),
            ("one\nWARN two\r\n", "one\\nWARN two\\r\\n"),
            ("\u{1b}[2J\u{7}\u{9b}1m\u{7f}", "\\u{1b}[2J\\u{7}\\u{9b}1m\\u{7f}"),
            ("a\u{202e}b\u{2066}c\u{2028}d\u{feff}", "a\\u{202e}b\\u{2066}c\\u{2028}d\\u{feff}"),
            ("\u{85}\0", "\\u{85}\\u{0}"),
        ] {
            assert_eq!(printable(text), expected);
        }
    }

    #[test]
    fn what_is_beyond_the_bound_is_left_out_and_told_once() {
        let mut shown = String::new();
        let mut printable = Printable::new(&mut shown, 5);
        for text in ["ab", "c\n€", "more"] {
            printable.write_str(text).unwrap();
        }
        assert_eq!(shown, "abc\\n…");
        let mut shown = String::new();
        Printable::new(&mut shown, 2).write_str("a€").unwrap();
        assert_eq!(shown, "a…");
    }
}
