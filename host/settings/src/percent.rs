//! `%XX`, the way in which a URL writes a byte that it has no character for.
//!
//! It exists because the application file, database addresses and the paths of requests are all
//! written in this way, and two decoders that differ in one case are how a path gets past a check.

use std::fmt::Write as _;

/// `text` with everything encoded that is not a letter, a digit or one of `-._~`.
pub fn encoded(text: &str) -> String {
    encoded_except(text, is_unreserved)
}

/// `text` with everything encoded but the characters that `keep` names.
pub fn encoded_except(text: &str, keep: fn(char) -> bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for character in text.chars() {
        if keep(character) {
            encoded.push(character);
        } else {
            let mut buffer = [0; 4];
            for byte in character.encode_utf8(&mut buffer).bytes() {
                push_encoded(&mut encoded, byte);
            }
        }
    }
    encoded
}

/// `None` if a `%` is not followed by two hex digits or the result is not UTF-8.
pub fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            bytes.push(hex_digit(rest.next()?)? * 16 + hex_digit(rest.next()?)?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// The one spelling of `text`: hex digits in capitals, nothing encoded without need. `None` if a
/// `%` is not followed by two hex digits.
pub fn respelled(text: &str) -> Option<String> {
    let mut spelled = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '%' {
            spelled.push(character);
            continue;
        }
        let high = hex_digit(u8::try_from(rest.next()?).ok()?)?;
        let low = hex_digit(u8::try_from(rest.next()?).ok()?)?;
        let byte = high * 16 + low;
        if is_unreserved(char::from(byte)) {
            spelled.push(char::from(byte));
        } else {
            push_encoded(&mut spelled, byte);
        }
    }
    Some(spelled)
}

/// Characters that mean the same encoded and not.
pub fn is_unreserved(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~".contains(c)
}

fn push_encoded(text: &mut String, byte: u8) {
    // Writing to a String cannot fail.
    let _ = write!(text, "%{byte:02X}");
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
