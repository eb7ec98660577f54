//! Where the values are in a piece of JSON: texts without their quotes, and numbers. Names, and what
//! cannot be secret, stay.

use std::ops::Range;

/// The values in the value that begins at `at`. What is cut off counts to its end.
pub(super) fn values(text: &[u8], at: usize) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut at = at;
    while let Some(byte) = text.get(at) {
        let end = match byte {
            b'{' | b'[' => {
                depth += 1;
                at + 1
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                at + 1
            }
            b'"' | b'\\' => {
                let (inside, end) = string(text, at);
                if !is_name(text, end) {
                    found.push(inside);
                }
                end
            }
            b'-' | b'0'..=b'9' => {
                let end = number(text, at);
                found.push(at..end);
                end
            }
            b't' | b'f' | b'n' => skip(text, at, |byte| byte.is_ascii_lowercase()),
            _ => at + 1,
        };
        at = end.max(at + 1);
        let inside_more = matches!(byte, b',' | b':' | b' ' | b'\t' | b'\r' | b'\n');
        if depth == 0 && !inside_more {
            break;
        }
    }
    found
}

/// A text's inside and where it ends. In a text within another, quotes have backslashes before them.
fn string(text: &[u8], at: usize) -> (Range<usize>, usize) {
    let escapes = skip(text, at, |byte| byte == b'\\') - at;
    let start = at + escapes + 1;
    let mut end = start;
    let mut backslashes = 0;
    while let Some(byte) = text.get(end) {
        match byte {
            b'\\' => backslashes += 1,
            b'"' if backslashes == escapes => return (start..end - escapes, end + 1),
            _ => backslashes = 0,
        }
        if *byte == b'"' {
            backslashes = 0;
        }
        end += 1;
    }
    (start.min(end)..end, end)
}

/// Whether a colon follows.
fn is_name(text: &[u8], at: usize) -> bool {
    let next = skip(text, at, |byte| byte.is_ascii_whitespace());
    text.get(next) == Some(&b':')
}

fn number(text: &[u8], at: usize) -> usize {
    skip(text, at, |byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))
}

fn skip(text: &[u8], at: usize, wanted: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| !wanted(*byte)).unwrap_or(rest.len())
}
