//! The words of SQL text, as PostgreSQL reads them: where literals, quoted names and comments begin and end, and a
//! statement without its values.
//!
//! It knows no grammar and judges nothing. Literals are read as with `standard_conforming_strings`, which has been
//! on by default since 9.1.

use wasm_host_limits::telemetry::TEXT_BYTES;

/// A piece of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'t> {
    /// A key word or a name without quotes, as it is written.
    Word(&'t str),
    /// A literal, a number or a quoted name.
    Other,
    Symbol(char),
}

impl<'t> Token<'t> {
    /// Empty if it is no word.
    pub fn word(self) -> &'t str {
        match self {
            Token::Word(word) => word,
            Token::Other | Token::Symbol(_) => "",
        }
    }
}

/// The pieces of a text with the places where they begin, in bytes. White space and comments are passed over.
pub struct Tokens<'t> {
    text: &'t str,
    at: usize,
}

pub fn tokens(text: &str) -> Tokens<'_> {
    Tokens { text, at: 0 }
}

/// The operations that are told apart. A function's name or a typing mistake would make a series of its own.
const OPERATIONS: [&str; 19] = [
    "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "VALUES", "CREATE", "ALTER", "DROP",
    "TRUNCATE", "BEGIN", "COMMIT", "ROLLBACK", "CALL", "DO", "EXPLAIN", "REPLACE", "PRAGMA",
];

/// What a statement does, as its first word has it; `OTHER` for most.
pub fn operation(text: &str) -> &'static str {
    let first = tokens(text).map(|(_, token)| token.word()).find(|word| !word.is_empty());
    let is = |operation: &&&str| first.is_some_and(|word| word.eq_ignore_ascii_case(operation));
    OPERATIONS.iter().find(is).copied().unwrap_or("OTHER")
}

/// What is left of a statement behind the comments, empty statements and brackets that it begins with.
pub fn start(statement: &str) -> &str {
    let found = tokens(statement).find(|(_, token)| !matches!(token, Token::Symbol(';' | '(')));
    found.and_then(|(at, _)| statement.get(at..)).unwrap_or_default()
}

impl Tokens<'_> {
    /// Where the last piece ended, in bytes.
    pub fn end(&self) -> usize {
        self.at
    }
}

impl<'t> Iterator for Tokens<'t> {
    type Item = (usize, Token<'t>);

    fn next(&mut self) -> Option<Self::Item> {
        let (text, start) = (self.text, self.at);
        let blank = blank(text.get(start..)?);
        let at = start + blank;
        let rest = text.get(at..)?;
        let first = rest.chars().next()?;
        let (length, token) = match first {
            '\'' => (quoted(rest, '\'', false), Token::Other),
            '"' => (quoted(rest, '"', false), Token::Other),
            '$' => match dollar_tag(rest) {
                Some(tag) => (dollar_quoted(rest, tag), Token::Other),
                None => (1, Token::Symbol('$')),
            },
            _ if first.is_ascii_digit() => (length_of(rest, is_part), Token::Other),
            _ if is_part(first) => {
                let length = length_of(rest, is_part);
                let (word, after) = rest.split_at_checked(length)?;
                if word.eq_ignore_ascii_case("e") && after.starts_with('\'') {
                    (length + escaped(after), Token::Other)
                } else {
                    (length, Token::Word(word))
                }
            }
            _ => (first.len_utf8(), Token::Symbol(first)),
        };
        self.at = at + length;
        Some((at, token))
    }
}

/// Whether a name can have this character, if not at its start.
fn is_part(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '$') || !character.is_ascii()
}

fn length_of(text: &str, is_part: impl Fn(char) -> bool) -> usize {
    text.find(|character| !is_part(character)).unwrap_or(text.len())
}

/// The length of the white space and the comments that a text begins with.
fn blank(text: &str) -> usize {
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        let length = if rest.starts_with("--") {
            rest.find(['\n', '\r']).unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            comment(rest)
        } else {
            length_of(rest, |character| {
                matches!(character, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
            })
        };
        if length == 0 {
            break;
        }
        at += length;
    }
    at
}

/// The length of a comment with those in it.
fn comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| rest.find(['/', '*'])) {
        at += found;
        match text.get(at..at + 2) {
            Some("/*") => {
                depth += 1;
                at += 2;
            }
            Some("*/") => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    text.len()
}

/// The length of what is in quotes. One within it is doubled, which reads like a second literal behind the first.
fn quoted(text: &str, quote: char, escapes: bool) -> usize {
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        if character == quote {
            return at + 1;
        }
        if escapes && character == '\\' {
            characters.next();
        }
    }
    text.len()
}

/// The length of a literal with escapes. What stands in quotes on one of the next lines belongs to it.
fn escaped(text: &str) -> usize {
    let mut at = 0;
    loop {
        at += quoted(text.get(at..).unwrap_or_default(), '\'', true);
        let rest = text.get(at..).unwrap_or_default();
        let between = blank(rest);
        let goes_on = rest.get(between..).is_some_and(|next| next.starts_with('\''));
        let has_line = rest.get(..between).is_some_and(|between| between.contains(['\n', '\r']));
        // At once behind it, it is a doubled quote.
        if !goes_on || (between > 0 && !has_line) {
            return at;
        }
        at += between;
    }
}

/// `$tag$` at the start of a text.
fn dollar_tag(text: &str) -> Option<&str> {
    let end = text.get(1..)?.find('$')? + 2;
    let tag = text.get(..end)?;
    let name = tag.get(1..end - 1)?;
    let fits = !name.starts_with(|first: char| first.is_ascii_digit()) && name.chars().all(is_part);
    fits.then_some(tag)
}

fn dollar_quoted(text: &str, tag: &str) -> usize {
    let inside = text.get(tag.len()..).unwrap_or_default();
    inside.find(tag).map_or(text.len(), |found| found + 2 * tag.len())
}

/// The number of a parameter: PostgreSQL has no more than 65535.
fn is_parameter(text: &str) -> bool {
    text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A statement with `?` for each literal and number in it. Comments go, too: they may have anything in them.
pub fn without_values(text: &str) -> String {
    // No longer than a span has; what it is cut in the middle of is a literal without an end.
    let head = text.get(..text.floor_char_boundary(TEXT_BYTES)).unwrap_or_default();
    let mut shown = String::with_capacity(head.len());
    let (mut end, mut is_dollar, mut is_value) = (0, false, false);
    let mut all = tokens(head);
    while let Some((at, token)) = all.next() {
        let written = head.get(at..all.end()).unwrap_or_default();
        // What is between the two parts of a number, or of two literals that are one.
        let goes_on = is_value && at == end;
        if at > end && !shown.is_empty() {
            shown.push(' ');
        }
        // What touches a dollar is a parameter, or else nothing that PostgreSQL knows and anything at all.
        let is_behind_dollar = is_dollar && at == end;
        let is_name = written.starts_with('"') && !is_behind_dollar
            || is_behind_dollar && is_parameter(written);
        is_value = match token {
            Token::Symbol('.') if goes_on => true,
            Token::Word(word) if !is_behind_dollar => {
                shown.push_str(word);
                false
            }
            Token::Symbol(symbol) => {
                shown.push(symbol);
                false
            }
            Token::Other if is_name => {
                shown.push_str(written);
                false
            }
            Token::Other if goes_on => true,
            Token::Word(_) | Token::Other => {
                shown.push('?');
                true
            }
        };
        is_dollar = matches!(token, Token::Symbol('$'));
        end = all.end();
    }
    if head.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_one_of_few() {
        for (text, seen) in [
            ("select 1", "SELECT"),
            ("  (select 1)", "SELECT"),
            ("-- note\nInsert into t values (1)", "INSERT"),
            ("pragma foreign_keys = on", "PRAGMA"),
            ("my_password_is 5", "OTHER"),
            ("", "OTHER"),
        ] {
            assert_eq!(operation(text), seen, "{text}");
        }
    }

    #[test]
    fn a_statement_is_seen_without_its_values() {
        for (text, seen) in [
            ("select 1", "select ?"),
            ("select * from f where id = $1 and n > 5", "select * from f where id = $1 and n > ?"),
            (
                "insert into t values ('o''clock', E'\\'x', $$a'b$$, 1.5)",
                "insert into t values (?, ?, ?, ?)",
            ),
            (
                "select \"My Name\" from t -- secret\n where x = '5'",
                "select \"My Name\" from t where x = ?",
            ),
            ("/* secret */ select\n\n  now()", "select now()"),
            ("select 'unfinished", "select ?"),
            ("select $1, $65535::int", "select $1, $65535::int"),
            ("select $'hunter2'", "select $?"),
            ("select $\"hunter2\"", "select $?"),
            ("select $ 'hunter2', $ 4111", "select $ ?, $ ?"),
            ("select $1$$hunter2$$", "select $?"),
            ("select $1'hunter2' from $2\"f\"", "select $1? from $2\"f\""),
            ("where n = $4111111111111111", "where n = $?"),
            ("where n = $1hunter2 and m = $hunter2", "where n = $? and m = $?"),
            ("where n = $$$hunter2", "where n = ?"),
            ("where n = $E'hunter2' and m = $$4111", "where n = $? and m = ?"),
            ("", ""),
        ] {
            assert_eq!(without_values(text), seen, "{text}");
        }
    }

    // Fault (Telemetry): a statement that is cut within a literal | shows no part of it | its answer | nothing
    #[test]
    fn a_literal_that_is_cut_is_not_shown() {
        let text = format!("select '{}'", "s3cret".repeat(TEXT_BYTES));
        let seen = without_values(&text);
        assert_eq!(seen, "select ?…");
    }

    fn all(text: &str) -> Vec<&str> {
        tokens(text).map(|(_, token)| token.word()).filter(|word| !word.is_empty()).collect()
    }

    #[test]
    fn words_are_not_looked_for_in_literals_names_and_comments() {
        for (text, expected) in [
            ("select 'a; b' , \"c d\" -- e\n from f", vec!["select", "from", "f"]),
            ("a /* b /* c */ d */ e", vec!["a", "e"]),
            ("a /* b", vec!["a"]),
            ("do $$ begin; end $$ x", vec!["do", "x"]),
            ("do $a$ $$ b $a$ c", vec!["do", "c"]),
            ("a$b$ c $b$", vec!["a$b$", "c"]),
            ("select $1, $2::int", vec!["select", "int"]),
            ("'it''s' a", vec!["a"]),
            ("'a\\' b ' c", vec!["b"]),
            ("e'a\\' b' c", vec!["c"]),
            ("E'a' \n 'b\\' c' d", vec!["d"]),
            ("E'a' -- x\n 'b\\' c' d", vec!["d"]),
            ("E'a''b\\' c' d", vec!["d"]),
            ("E'a' 'b\\' c", vec!["c"]),
            ("größe\u{a0}x 1e5 x", vec!["größe\u{a0}x", "x"]),
            ("x+--y\nz", vec!["x", "z"]),
        ] {
            assert_eq!(all(text), expected, "{text}");
        }
    }

    #[test]
    fn a_statement_starts_behind_what_says_nothing() {
        assert_eq!(start("/* a */ -- b\n;; ((select 1)"), "select 1)");
        assert_eq!(start("/* only */ ;"), "");
        assert_eq!(start("copy t"), "copy t");
    }

    #[test]
    fn any_text_is_read_to_its_end() {
        for text in ["", "'", "\"", "$", "$$", "$a", "e'", "e'\\", "/*", "--", "\\", "\u{fffc}'\0'"]
        {
            assert!(tokens(text).count() <= text.len(), "{text}");
        }
    }
}
