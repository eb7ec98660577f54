//! Numbers under keys: texts in decimal digits, as Redis has them.

use super::backend::Error;

/// What is under a key, and something more.
pub(super) fn sum(found: Option<&[u8]>, delta: i64) -> Result<i64, Error> {
    let number = match found {
        None => 0,
        Some(found) => {
            let number = str::from_utf8(found).ok().and_then(|text| text.parse::<i64>().ok());
            number.ok_or_else(no_number)?
        }
    };
    number.checked_add(delta).ok_or_else(beyond)
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
        for wrong in [&b""[..], b"three", b"1.5", b"\xff", b"9223372036854775808"] {
            assert_eq!(sum(Some(wrong), 1), Err(no_number()), "{wrong:?}");
        }
        assert_eq!(sum(Some(b"9223372036854775807"), 1), Err(beyond()));
    }
}
