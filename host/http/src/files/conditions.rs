//! Whether a client has a file already, or wants only a file that it knows: RFC 9110, 13. Pure.

use std::time::{SystemTime, UNIX_EPOCH};

use http::header::{self, GetAll, HeaderMap, HeaderName, HeaderValue};
use httpdate::HttpDate;

/// The first second that no HTTP date can write: of the year 10000.
const END_OF_DATES: u64 = 253_402_300_800;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConditionOutcome {
    /// The file, or a part of it where the client may ask for one.
    Send(bool),
    /// The client has it.
    NotModified,
    /// It is not the one that the client means.
    Failed,
}

/// A time as HTTP writes it; none if it cannot.
pub(super) fn date(time: SystemTime) -> Option<HttpDate> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    (since.as_secs() < END_OF_DATES).then(|| time.into())
}

/// In the order of RFC 9110, 13.2.2.
pub(super) fn judge(
    headers: &HeaderMap,
    tag: Option<&HeaderValue>,
    modified: Option<HttpDate>,
) -> ConditionOutcome {
    let strong = |named: &[u8]| tag.is_some_and(|tag| named == tag.as_bytes());
    let weak = |named: &[u8]| strong(named.strip_prefix(b"W/").unwrap_or(named));
    let told = |name: &HeaderName| headers.get(name).and_then(parsed);

    if headers.contains_key(header::IF_MATCH) {
        if !names(headers.get_all(header::IF_MATCH), strong) {
            return ConditionOutcome::Failed;
        }
    } else if let (Some(since), Some(modified)) = (told(&header::IF_UNMODIFIED_SINCE), modified)
        && modified > since
    {
        return ConditionOutcome::Failed;
    }
    if headers.contains_key(header::IF_NONE_MATCH) {
        if names(headers.get_all(header::IF_NONE_MATCH), weak) {
            return ConditionOutcome::NotModified;
        }
    } else if let (Some(since), Some(modified)) = (told(&header::IF_MODIFIED_SINCE), modified)
        && modified <= since
    {
        return ConditionOutcome::NotModified;
    }
    ConditionOutcome::Send(match headers.get(header::IF_RANGE) {
        None => true,
        // Never by a date: content that is written twice in a second, or deployed with set times, has the same one.
        Some(named) => strong(named.as_bytes()),
    })
}

fn parsed(date: &HeaderValue) -> Option<HttpDate> {
    date.to_str().ok()?.parse().ok()
}

/// Whether one of the listed tags is meant; the star is every tag.
fn names(lists: GetAll<'_, HeaderValue>, is_meant: impl Fn(&[u8]) -> bool) -> bool {
    lists.iter().any(|list| {
        let mut quoted = false;
        let mut tags = list.as_bytes().split(|byte| {
            quoted ^= *byte == b'"';
            *byte == b',' && !quoted
        });
        tags.any(|tag| {
            let tag = tag.trim_ascii();
            tag == b"*" || is_meant(tag)
        })
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOON: &str = "Sun, 06 Nov 1994 12:00:00 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 12:00:01 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 11:59:59 GMT";

    fn verdict(headers: &[(HeaderName, &'static str)]) -> ConditionOutcome {
        let headers = headers.iter().cloned();
        let headers: HeaderMap =
            headers.map(|(name, value)| (name, HeaderValue::from_static(value))).collect();
        let tag = HeaderValue::from_static("\"a,b\"");
        judge(&headers, Some(&tag), NOON.parse().ok())
    }

    #[test]
    fn tags_and_dates_are_compared_as_the_rfc_says() {
        use ConditionOutcome::{Failed, NotModified, Send};
        for (name, value, expected) in [
            (header::IF_NONE_MATCH, "\"a,b\"", NotModified),
            (header::IF_NONE_MATCH, "\"x\", W/\"a,b\" ,\"y\"", NotModified),
            (header::IF_NONE_MATCH, "*", NotModified),
            (header::IF_NONE_MATCH, "\"a\", \"b\"", Send(true)),
            (header::IF_NONE_MATCH, "", Send(true)),
            (header::IF_MODIFIED_SINCE, NOON, NotModified),
            (header::IF_MODIFIED_SINCE, LATER, NotModified),
            (header::IF_MODIFIED_SINCE, EARLIER, Send(true)),
            (header::IF_MODIFIED_SINCE, "yesterday", Send(true)),
            (header::IF_MATCH, "\"a,b\"", Send(true)),
            (header::IF_MATCH, "*", Send(true)),
            (header::IF_MATCH, "W/\"a,b\"", Failed),
            (header::IF_MATCH, "\"x\"", Failed),
            (header::IF_UNMODIFIED_SINCE, NOON, Send(true)),
            (header::IF_UNMODIFIED_SINCE, EARLIER, Failed),
            (header::IF_RANGE, "\"a,b\"", Send(true)),
            (header::IF_RANGE, "W/\"a,b\"", Send(false)),
            (header::IF_RANGE, "\"x\"", Send(false)),
            (header::IF_RANGE, NOON, Send(false)),
            (header::IF_RANGE, LATER, Send(false)),
            (header::IF_RANGE, "yesterday", Send(false)),
        ] {
            assert_eq!(verdict(&[(name.clone(), value)]), expected, "{name}: {value}");
        }
    }

    #[test]
    fn a_tag_counts_more_than_a_date() {
        let tag = (header::IF_NONE_MATCH, "\"x\"");
        assert_eq!(
            verdict(&[tag, (header::IF_MODIFIED_SINCE, NOON)]),
            ConditionOutcome::Send(true)
        );
        let tag = (header::IF_MATCH, "\"a,b\"");
        assert_eq!(
            verdict(&[tag, (header::IF_UNMODIFIED_SINCE, EARLIER)]),
            ConditionOutcome::Send(true)
        );
    }

    #[test]
    fn times_that_http_has_no_word_for_have_no_date() {
        assert!(date(UNIX_EPOCH).is_some());
        assert!(date(UNIX_EPOCH - Duration::from_secs(1)).is_none());
        assert!(date(UNIX_EPOCH + Duration::from_secs(END_OF_DATES - 1)).is_some());
        assert!(date(UNIX_EPOCH + Duration::from_secs(END_OF_DATES)).is_none());
    }
}
