//! The way of a call that leaves the host and comes back to it, by the header `CDN-Loop` (RFC 8586).
//!
//! Calls between services inside the host count their hops; a call to the host's own public port
//! would begin at zero again, and a service that calls itself that way would never end.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue};

const HEADER: HeaderName = HeaderName::from_static("cdn-loop");

/// The name of this host in the header. Another host may pass a call on to this one; that is not
/// yet a loop.
static NAME: LazyLock<String> =
    LazyLock::new(|| format!("wasm-host-{:x}", RandomState::new().hash_one("hops")));

/// Write down that a call has passed `hops` services and leaves.
pub(super) fn stamp(headers: &mut HeaderMap, hops: u8) {
    if let Ok(value) = HeaderValue::try_from(format!("{}; hops={hops}", *NAME)) {
        // Beside what others wrote, which is not ours to change.
        headers.append(HEADER, value);
    }
}

/// How many services a request has passed in this host before it came in.
pub fn passed(headers: &HeaderMap) -> u8 {
    let values = headers.get_all(HEADER);
    let entries = values.iter().filter_map(|value| value.to_str().ok());
    let hops = entries.flat_map(|value| value.split(',')).filter_map(|entry| {
        let (name, hops) = entry.trim().split_once("; hops=")?;
        (name == *NAME).then(|| hops.parse().unwrap_or(u8::MAX))
    });
    hops.max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_are_read_back_from_among_those_of_others() {
        let mut headers = HeaderMap::new();
        assert_eq!(passed(&headers), 0);
        headers.append(HEADER, "somebody, wasm-host-1; hops=200".parse().unwrap());
        assert_eq!(passed(&headers), 0);
        stamp(&mut headers, 3);
        assert_eq!(passed(&headers), 3);
        // A proxy may put them into one line.
        let lines: Vec<_> = headers.get_all(HEADER).iter().map(|v| v.to_str().unwrap()).collect();
        let joined = HeaderMap::from_iter([(HEADER, lines.join(", ").parse().unwrap())]);
        assert_eq!(passed(&joined), 3);
    }

    #[test]
    fn a_count_that_cannot_be_read_is_the_largest() {
        let value = format!("{}; hops=x", *NAME);
        assert_eq!(passed(&HeaderMap::from_iter([(HEADER, value.parse().unwrap())])), u8::MAX);
    }
}
