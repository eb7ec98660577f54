//! Where the statements of a script are, for error messages. The server splits scripts itself;
//! nothing is run by what is found here.

/// The line on which each statement starts.
pub(super) fn of_statements(text: &str) -> Vec<usize> {
    let mut lines = Vec::new();
    let mut line = 1;
    let mut in_statement = false;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => end_of(rest, "*/"),
            _ if first.is_whitespace() => first.len_utf8(),
            ';' => {
                in_statement = false;
                1
            }
            _ => {
                if !in_statement {
                    lines.push(line);
                    in_statement = true;
                }
                match first {
                    '\'' => end_of(rest, "'"),
                    '"' => end_of(rest, "\""),
                    '$' => dollar_tag(rest).map_or(1, |tag| end_of(rest, tag)),
                    _ => first.len_utf8(),
                }
            }
        };
        let (passed, after) = rest.split_at(length);
        line += passed.matches('\n').count();
        rest = after;
    }
    lines
}

/// The length of what starts with `end` or its like, up to the next `end`.
fn end_of(text: &str, end: &str) -> usize {
    let start = if end == "*/" { 2 } else { end.len() };
    text.get(start..)
        .and_then(|rest| rest.find(end))
        .map_or(text.len(), |found| start + found + end.len())
}

/// `$tag$` at the start of `text`.
fn dollar_tag(text: &str) -> Option<&str> {
    let end = text.get(1..)?.find('$')? + 2;
    let tag = text.get(..end)?;
    let name = tag.trim_matches('$');
    let fits = !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    fits.then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_start_where_their_first_word_is() {
        let text =
            "-- a; b\nselect 'x;\n''y';\n\n/* ; */ do $b$ begin;\n end $b$;\nselect \"a;b\"\n;";
        assert_eq!(of_statements(text), [2, 5, 7]);
        assert_eq!(of_statements(""), [0; 0]);
        assert_eq!(of_statements("select $1; select '"), [1, 1]);
    }
}
