//! JSON of clients that is almost JSON. Pure.

use std::borrow::Cow;

/// What Go's decoder, which most servers of models have, makes of half a character.
const REPLACEMENT: &str = "\\ufffd";

/// JSON text in which every half of a character, such as `\ud83d` with nothing that completes it, is the replacement
/// character: a client that cuts its texts anywhere sends them, and no Rust string can hold one. Everything else stays
/// as it is, whether it is JSON or not.
pub fn without_half_characters(text: &str) -> Cow<'_, str> {
    // Backslashes are ASCII, so that all places found are between characters.
    let mut mended = String::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(backslash) = find(text, at) {
        let escape = text.get(backslash..).unwrap_or_default();
        at = match unit(escape) {
            // What is escaped may be a backslash.
            None => (backslash + 2).min(text.len()),
            Some(0xd800..=0xdbff) if escape.get(6..).and_then(unit).is_some_and(is_second_half) => {
                backslash + 12
            }
            Some(0xd800..=0xdfff) => {
                mended.push_str(text.get(copied..backslash).unwrap_or_default());
                mended.push_str(REPLACEMENT);
                copied = backslash + 6;
                copied
            }
            Some(_) => backslash + 6,
        };
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    mended.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(mended)
}

fn find(text: &str, from: usize) -> Option<usize> {
    let rest = text.as_bytes().get(from..)?;
    rest.iter().position(|byte| *byte == b'\\').map(|at| from + at)
}

/// The number of `\uXXXX` at the beginning of a text.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let are_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    are_hex.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}

fn is_second_half(unit: u16) -> bool {
    matches!(unit, 0xdc00..=0xdfff)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn half_a_character_is_the_replacement_and_a_whole_one_stays() {
        for (text, expected) in [
            (r#""a\ud83d""#, r#""a\ufffd""#),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\uD83D\uDE00""#, r#""\uD83D\uDE00""#),
            (r#""\ude00\ud83d""#, r#""\ufffd\ufffd""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ud83d\n""#, r#""\ufffd\n""#),
            (r#""\ud83dde00""#, r#""\ufffdde00""#),
            // An escaped backslash and four letters.
            (r#""\\ud83d""#, r#""\\ud83d""#),
            (r#""\\\ud83d""#, r#""\\\ufffd""#),
            (r#""é\ud83dé""#, r#""é\ufffdé""#),
            (r#""\ud83"#, r#""\ud83"#),
            ("\"\\é\\", "\"\\é\\"),
        ] {
            assert_eq!(without_half_characters(text), expected, "{text}");
        }
    }

    /// Units of UTF-16 as a client writes them that knows nothing of characters.
    fn escaped(units: &[u16]) -> String {
        let escapes: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
        format!("\"{escapes}\"")
    }

    fn units() -> impl Strategy<Value = Vec<u16>> {
        let halves = prop_oneof![0xd7fe_u16..=0xe001, 0_u16..=0x80, any::<u16>()];
        proptest::collection::vec(halves, 0..12)
    }

    proptest! {
        #[test]
        fn every_text_of_halves_is_read_as_utf_16_is(units in units()) {
            let text = escaped(&units);
            let read: String = serde_json::from_str(&without_half_characters(&text)).unwrap();
            prop_assert_eq!(read, String::from_utf16_lossy(&units));
        }

        #[test]
        fn what_has_no_half_stays_and_nothing_panics(text in r#"(\\|u|d8|\\ud83d|\\ude00|"|é|[ -~]){0,12}"#) {
            let mended = without_half_characters(&text);
            prop_assert_eq!(&without_half_characters(&mended), &mended);
            if serde_json::from_str::<String>(&text).is_ok() {
                prop_assert_eq!(mended.as_ref(), text.as_str());
            }
        }
    }
}
