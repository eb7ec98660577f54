//! Plain data as YAML: keys sorted, texts of several lines as such.
//!
//! Only what JSON can say is written, and with the least of YAML that reads well, which is a page of code; what is hard
//! in YAML is to read it, and nothing is read here. A text stands without quotes only where every reader takes it for a
//! text, in all others it is as in JSON, which is YAML, too. The tests of the deployment read all of it with PyYAML and
//! with kubectl, and compare.

use serde_json::{Map, Value};

/// One document.
pub(crate) fn document(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => entries(&mut text, map, 0, false),
        Value::Array(list) if !list.is_empty() => items(&mut text, list, 0),
        other => {
            scalar(&mut text, other, 0);
            text.push('\n');
        }
    }
    text
}

/// The entries of a mapping. `continues`: the first one goes on in a line that is begun.
fn entries(text: &mut String, map: &Map<String, Value>, indent: usize, continues: bool) {
    for (index, (key, value)) in map.iter().enumerate() {
        if index > 0 || !continues {
            spaces(text, indent);
        }
        plain_or_quoted(text, key);
        text.push(':');
        match value {
            Value::Object(map) if !map.is_empty() => {
                text.push('\n');
                entries(text, map, indent + 2, false);
            }
            // As Kubernetes writes them: not indented further.
            Value::Array(list) if !list.is_empty() => {
                text.push('\n');
                items(text, list, indent);
            }
            other => {
                text.push(' ');
                scalar(text, other, indent + 2);
                text.push('\n');
            }
        }
    }
}

fn items(text: &mut String, list: &[Value], indent: usize) {
    for value in list {
        spaces(text, indent);
        text.push_str("- ");
        match value {
            Value::Object(map) if !map.is_empty() => entries(text, map, indent + 2, true),
            other => {
                scalar(text, other, indent + 2);
                text.push('\n');
            }
        }
    }
}

/// What stands in a line, or is a text of several lines at this depth, without the end of the last one. Lists in lists
/// are as in JSON.
fn scalar(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::String(string) => match block(string) {
            Some((head, lines)) => {
                text.push_str(head);
                for line in lines {
                    text.push('\n');
                    if !line.is_empty() {
                        spaces(text, indent);
                        text.push_str(line);
                    }
                }
            }
            None => plain_or_quoted(text, string),
        },
        other => text.push_str(&other.to_string()),
    }
}

/// A text as lines, if it has several and each of them is read back as it is.
fn block(string: &str) -> Option<(&'static str, Vec<&str>)> {
    let (head, body) = match string.strip_suffix('\n') {
        Some(body) => ("|", body),
        None => ("|-", string),
    };
    let is_shown = |c: char| c == '\n' || c == '\t' || (!c.is_control() && !is_break(c));
    // An empty line at the end and a space at the beginning would need to be counted.
    let is_fit = string.contains('\n')
        && !body.is_empty()
        && !body.starts_with([' ', '\t', '\n'])
        && !body.ends_with('\n')
        && body.chars().all(is_shown);
    is_fit.then(|| (head, body.split('\n').collect()))
}

/// Ends of lines, for some readers, and the mark at the beginning of a file.
fn is_break(c: char) -> bool {
    matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

fn plain_or_quoted(text: &mut String, string: &str) {
    if is_plain(string) {
        text.push_str(string);
        return;
    }
    for c in Value::from(string).to_string().chars() {
        match is_break(c) || (c.is_control() && !c.is_ascii()) || c == '\u{7f}' {
            true => text.push_str(&format!("\\u{:04X}", u32::from(c))),
            false => text.push(c),
        }
    }
}

/// Whether a text without quotes is a text to every reader: no number, no date, no word for true, false or nothing.
fn is_plain(string: &str) -> bool {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let begins = |c: char| c.is_ascii_alphabetic() || c == '/' || c == '_';
    let goes_on = |c: char| c.is_ascii_alphanumeric() || "/_.:=-".contains(c);
    string.starts_with(begins)
        // There it would be the key of something.
        && !string.ends_with(':')
        && string.chars().all(goes_on)
        && !WORDS.iter().any(|word| word.eq_ignore_ascii_case(string))
}

fn spaces(text: &mut String, count: usize) {
    text.extend(std::iter::repeat_n(' ', count));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_reads_as_people_write_it() {
        let value = json!({
            "kind": "ConfigMap",
            "list": [{ "a": 1, "b": ["x"] }, "two words", [1, 2]],
            "none": {},
            "text": "# one\n\n  two: 'x'\n",
            "without": "one\ntwo",
        });
        let expected = "kind: ConfigMap\nlist:\n- a: 1\n  b:\n  - x\n- \"two words\"\n- [1,2]\nnone: {}\ntext: |\n  \
                        # one\n\n    two: 'x'\nwithout: |-\n  one\n  two\n";
        assert_eq!(document(&value), expected);
    }

    #[test]
    fn what_could_be_something_else_is_in_quotes() {
        for text in [
            "",
            "1",
            "1.5",
            "0x1F",
            "true",
            "No",
            "~",
            "null",
            "2020-01-01",
            "12:30",
            "-",
            "- a",
            "a: b",
            "a #b",
            "{{ x }}",
            "${A}",
            "*a",
            "&a",
            "!a",
            "@a",
            "%a",
            "'",
            "\"",
            "a,b",
            "1e3",
            ".inf",
            "=",
            "a:",
        ] {
            assert_eq!(document(&json!(text)), format!("{}\n", json!(text)), "{text}");
        }
        for text in ["a", "/live", "registry.example:5000/a:7", "RollingUpdate", "a-b_c", "a=b"] {
            assert_eq!(document(&json!(text)), format!("{text}\n"));
        }
    }

    #[test]
    fn lines_that_would_not_come_back_as_they_are_stay_in_quotes() {
        for text in ["\n", " a\nb", "a\n\n", "a\r\nb", "a\u{85}\nb", "\u{feff}a\nb", "\ta\nb"] {
            let written = document(&json!(text));
            assert!(written.starts_with('"') && written.lines().count() == 1, "{written}");
        }
        assert_eq!(document(&json!("\u{feff}")), "\"\\uFEFF\"\n");
    }
}
