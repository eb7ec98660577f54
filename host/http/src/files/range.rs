//! Which part of a file is asked for. Pure.

use http::{HeaderMap, header};

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    /// From one byte to another, both included.
    Of {
        first: u64,
        last: u64,
    },
    /// It begins behind the end.
    Beyond,
}

/// The part that a GET asks for, of a file with this many bytes. `honoured` is what its `If-Range` says. What is not
/// understood, units of others and several parts at once included, is no reason to send nothing: then all of it is
/// sent.
pub(super) fn asked(headers: &HeaderMap, honoured: bool, bytes: u64) -> Part {
    let mut ranges = headers.get_all(header::RANGE).iter();
    let (Some(range), None, true) = (ranges.next(), ranges.next(), honoured) else {
        return Part::Whole;
    };
    range.to_str().ok().and_then(|range| one(range, bytes)).unwrap_or(Part::Whole)
}

fn one(range: &str, bytes: u64) -> Option<Part> {
    let (unit, range) = range.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    let (first, last) = match (first, last) {
        ("", last) => (bytes.saturating_sub(number(last)?), u64::MAX),
        (first, "") => (number(first)?, u64::MAX),
        (first, last) => (number(first)?, number(last)?),
    };
    if last < first {
        return None;
    }
    if first >= bytes {
        return Some(Part::Beyond);
    }
    Some(Part::Of { first, last: last.min(bytes - 1) })
}

/// Digits; more of them than a number can have are more bytes than any file has.
fn number(digits: &str) -> Option<u64> {
    let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    plain.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(range: &'static str, bytes: u64) -> Part {
        let headers =
            HeaderMap::from_iter([(header::RANGE, http::HeaderValue::from_static(range))]);
        assert_eq!(asked(&headers, false, bytes), Part::Whole);
        asked(&headers, true, bytes)
    }

    #[test]
    fn one_part_is_sent_and_what_is_not_understood_is_ignored() {
        for (range, expected) in [
            ("bytes=0-0", Part::Of { first: 0, last: 0 }),
            ("bytes=4-7", Part::Of { first: 4, last: 7 }),
            ("Bytes=4-", Part::Of { first: 4, last: 9 }),
            ("bytes=4-99999999999999999999999", Part::Of { first: 4, last: 9 }),
            ("bytes=-3", Part::Of { first: 7, last: 9 }),
            ("bytes=-30", Part::Of { first: 0, last: 9 }),
            ("bytes=10-", Part::Beyond),
            ("bytes=-0", Part::Beyond),
            ("bytes=99999999999999999999999-", Part::Beyond),
            ("lines=1-2", Part::Whole),
            ("bytes=0-1,4-5", Part::Whole),
            ("bytes=7-4", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("bytes=1 -2", Part::Whole),
            ("bytes", Part::Whole),
            ("", Part::Whole),
        ] {
            assert_eq!(part(range, 10), expected, "{range}");
        }
        for range in ["bytes=0-", "bytes=-5"] {
            assert_eq!(part(range, 0), Part::Beyond, "{range}");
        }
    }

    #[test]
    fn two_headers_are_two_parts() {
        let mut headers = HeaderMap::new();
        for range in ["bytes=0-1", "bytes=4-5"] {
            headers.append(header::RANGE, range.parse().unwrap());
        }
        assert_eq!(asked(&headers, true, 10), Part::Whole);
    }
}
