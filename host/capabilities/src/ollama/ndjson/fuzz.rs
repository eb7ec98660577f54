//! Streams by chance, cut by chance.

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::decode::{Decode, chat_line, generate_line, progress_line};
use super::{LineError, Lines};

const LIMIT: usize = 64;

/// All lines of a stream that arrives in pieces which end at these places.
fn lines(bytes: &[u8], cuts: &[Index]) -> Vec<Result<String, LineError>> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    let mut lines = Lines::new(LIMIT);
    let mut found = Vec::new();
    for place in places.windows(2) {
        let piece = &bytes[place[0]..place[1]];
        lines.push(piece);
        while let Some(line) = lines.next() {
            found.push(line);
            if found.last().is_some_and(Result::is_err) {
                return found;
            }
        }
        // What is kept is at most the beginning of a line, or all of it and half of its end.
        let kept = &lines.buffer[lines.start..];
        let line = kept.strip_suffix(b"\r").unwrap_or(kept);
        assert!(line.len() <= LIMIT, "{} bytes are kept", kept.len());
        assert!(lines.buffer.len() <= LIMIT + 1 + piece.len(), "{} bytes", lines.buffer.len());
    }
    lines.end();
    found.extend(std::iter::from_fn(|| lines.next()));
    found
}

fn reads<T, S>(decode: Decode<T, S>, line: &str) {
    // An item or an error, and no third thing.
    let _ = decode(line.to_string());
}

proptest! {
    #[test]
    fn every_split_gives_the_same_lines(
        parts in prop::collection::vec("[a-z{}\":ä€😀 ]{0,12}(\n|\r\n|\n\n)", 0..8),
        tail in "[a-z]{0,5}",
        cuts in prop::collection::vec(any::<Index>(), 0..12),
    ) {
        let text = parts.concat() + &tail;
        let expected: Vec<_> = text
            .split('\n')
            .map(|line| line.strip_suffix('\r').unwrap_or(line))
            .filter(|line| !line.trim().is_empty())
            .map(|line| Ok(line.to_string()))
            .collect();
        prop_assert_eq!(lines(text.as_bytes(), &cuts), expected);
    }

    #[test]
    fn garbage_is_the_same_garbage_however_it_is_split(
        bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..300),
        cuts in prop::collection::vec(any::<Index>(), 0..12),
    ) {
        let (whole, split) = (lines(&bytes, &[]), lines(&bytes, &cuts));
        // A line that is too long may be found so before or after its bad bytes: what matters is where it ends.
        prop_assert_eq!(whole.len(), split.len());
        for (one, other) in whole.iter().zip(&split) {
            match (one, other) {
                (Ok(one), Ok(other)) => prop_assert_eq!(one, other),
                (Err(_), Err(_)) => {}
                _ => prop_assert!(false, "{one:?} and {other:?}"),
            }
        }
    }

    #[test]
    fn no_line_is_too_strange(line in "\\PC{0,60}|[\\[\\]{}\":,0-9a-z\\\\]{0,60}") {
        reads(chat_line, &line);
        reads(generate_line, &line);
        reads(progress_line, &line);
    }

    #[test]
    fn no_value_in_a_known_field_is_too_strange(
        field in prop::sample::select(&[
            "message", "response", "done", "error", "status", "total", "eval_count", "tool_calls",
        ][..]),
        value in prop::sample::select(&[
            "null", "true", "-1", "1e999", "18446744073709551616", "\"\\ud800\"", "[]", "{}", "\"\"",
            "[[[[1]]]]", "{\"content\":{}}", "{\"content\":null}", "\"\\u0000\"",
        ][..]),
        done in any::<bool>(),
    ) {
        let line = format!("{{\"{field}\":{value},\"done\":{done}}}");
        reads(chat_line, &line);
        reads(generate_line, &line);
        reads(progress_line, &line);
    }
}
