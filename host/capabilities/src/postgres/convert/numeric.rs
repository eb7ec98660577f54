//! `numeric` between decimal text and the server's form: digits to the base 10 000, the weight of
//! the first one, a sign, and the number of decimals to show. Exact in both directions.

use std::iter::repeat_n;

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;

/// Most digits before and after the point that the server takes.
const INTEGER_DIGITS: usize = 131_072;
const DECIMALS: usize = 16_383;

/// Bytes of the text of a number, at most, however few of its digits were sent.
pub(super) fn text_size(bytes: &[u8]) -> usize {
    let word = |at: usize| bytes.get(at..at + 2).and_then(|word| word.try_into().ok());
    let weight = word(2).map_or(0, i16::from_be_bytes).max(0);
    let scale = word(6).map_or(0, u16::from_be_bytes);
    16 + 4 * usize::from(weight.unsigned_abs()) + usize::from(scale)
}

/// The text that Postgres itself would print.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let mut words = bytes.chunks_exact(2).map(|word| match word {
        [high, low] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    });
    let count = words.next()?;
    let weight = i32::from(words.next()?.cast_signed());
    let sign = words.next()?;
    let scale = usize::from(words.next()?);
    match sign {
        NAN => return Some("NaN".to_string()),
        INFINITY => return Some("Infinity".to_string()),
        NEGATIVE_INFINITY => return Some("-Infinity".to_string()),
        _ => {}
    }
    let groups: Vec<u16> = words.collect();
    if groups.len() != usize::from(count) || groups.iter().any(|group| *group > 9999) {
        return None;
    }
    // The group that stands for 10 000 to this power; those not sent are zero.
    let group = |power: i32| -> u16 {
        usize::try_from(weight - power).ok().and_then(|at| groups.get(at)).copied().unwrap_or(0)
    };

    let mut text = String::with_capacity(scale + 16);
    if sign == NEGATIVE {
        text.push('-');
    }
    text.push_str(&group(weight.max(0)).to_string());
    for power in (0..weight.max(0)).rev() {
        text.push_str(&format!("{:04}", group(power)));
    }
    if scale > 0 {
        text.push('.');
        let end = text.len() + scale;
        let mut power = -1;
        while text.len() < end {
            text.push_str(&format!("{:04}", group(power)));
            power -= 1;
        }
        text.truncate(end);
    }
    Some(text)
}

/// The server's form of decimal text: an optional sign, digits, an optional point and digits; or
/// `NaN`, `Infinity`, `-Infinity`. Nothing for any other text.
pub(super) fn bytes(text: &str) -> Option<Vec<u8>> {
    match text {
        "NaN" => return Some(form(&[], 0, NAN, 0)),
        "Infinity" => return Some(form(&[], 0, INFINITY, 0)),
        "-Infinity" => return Some(form(&[], 0, NEGATIVE_INFINITY, 0)),
        _ => {}
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (NEGATIVE, digits),
        None => (POSITIVE, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + decimals.len() == 0 || !all_digits(whole) || !all_digits(decimals) {
        return None;
    }
    let scale = u16::try_from(decimals.len()).ok()?;
    let whole = whole.trim_start_matches('0');
    if whole.len() > INTEGER_DIGITS || decimals.len() > DECIMALS {
        return None;
    }

    // Groups of four around the point: fill the whole part on the left, the decimals on the right.
    let zeros = |length: usize| repeat_n(b'0', length.next_multiple_of(4) - length);
    let digits = zeros(whole.len())
        .chain(whole.bytes())
        .chain(decimals.bytes())
        .chain(zeros(decimals.len()))
        .collect::<Vec<u8>>();
    let mut groups = digits
        .chunks_exact(4)
        .map(|group| group.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')))
        .collect::<Vec<u16>>();
    while groups.last() == Some(&0) {
        groups.pop();
    }
    let leading = groups.iter().take_while(|group| **group == 0).count();
    groups.drain(..leading);
    let weight = i64::try_from(whole.len().div_ceil(4)).ok()? - 1 - i64::try_from(leading).ok()?;
    let weight = i16::try_from(weight).ok()?;
    // There is no negative zero.
    let (sign, weight) = if groups.is_empty() { (POSITIVE, 0) } else { (sign, weight) };
    Some(form(&groups, weight, sign, scale))
}

fn form(groups: &[u16], weight: i16, sign: u16, scale: u16) -> Vec<u8> {
    let count = u16::try_from(groups.len()).unwrap_or_default();
    [count, weight.cast_unsigned(), sign, scale]
        .iter()
        .chain(groups)
        .flat_map(|word| word.to_be_bytes())
        .collect()
}
