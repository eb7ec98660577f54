//! Numbers under keys: texts in decimal digits, as Redis has them.

use super::backend::Error;

/// What is under a key, and something more.
pub(super) fn sum(found: Option<&[u8]>, delta: i64) -> Result<i64, Error> {
    let number = match found {
        None => 0,
        Some(found) => number(found).ok_or_else(no_number)?,
    };
    number.checked_add(delta).ok_or_else(beyond)
}

/// A number as Redis writes it, which reads no other: without a plus, and without zeros in front.
fn number(text: &[u8]) -> Option<i64> {
    let text = str::from_utf8(text).ok()?;
    let number = text.parse::<i64>().ok()?;
    (number.to_string() == text).then_some(number)
}

pub(super) fn no_number() -> Error {
    Error::Invalid("the value is no whole number in decimal digits".to_owned())
}

pub(super) fn beyond() -> Error {
    Error::Invalid("the sum is beyond the range of 64-bit numbers".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_are_added_to() {
        assert_eq!(sum(None, 3), Ok(3));
        assert_eq!(sum(Some(b"-5"), 3), Ok(-2));
        assert_eq!(sum(Some(b"9223372036854775806"), 1), Ok(i64::MAX));
        for wrong in [
            &b""[..],
            b"three",
            b"1.5",
            b"\xff",
            b"9223372036854775808",
            b"+5",
            b"007",
            b"-0",
            b" 5",
        ] {
            assert_eq!(sum(Some(wrong), 1), Err(no_number()), "{wrong:?}");
        }
        assert_eq!(sum(Some(b"9223372036854775807"), 1), Err(beyond()));
    }
}
