//! Which headers of a request that is passed on, and of its answer, stay behind. Pure.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Headers about one connection only, beside those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 11] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
    // Its answer comes from whoever is next, and the body is sent at once anyway.
    header::EXPECT,
];

/// Content types of answers that are read while they come.
const STREAMS: [&[u8]; 2] = [b"text/event-stream", b"application/x-ndjson"];

/// Take out what is about the client's connection, not about its request. The server checks
/// `Origin` and `Host` against names of its own; here both are the host's business and already
/// decided.
pub(crate) fn strip_request(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    headers.remove(header::HOST);
    headers.remove(header::ORIGIN);
}

/// The headers that `Connection` names: they are for the next hop only.
pub(crate) fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect()
}

pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named = named_by_connection(headers);
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Tell proxies that an answer which comes piece by piece is neither collected nor changed on its way.
pub(crate) fn tell_of_stream(headers: &mut HeaderMap) {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if !STREAMS.iter().any(|stream| kind.starts_with(stream)) {
        return;
    }
    let (buffering, no) =
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    headers.entry(buffering).or_insert(no);
    let cached = headers.get_all(header::CACHE_CONTROL).iter();
    let is_told = cached
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|word| word.trim().eq_ignore_ascii_case("no-transform")));
    if !is_told {
        headers.append(header::CACHE_CONTROL, HeaderValue::from_static("no-transform"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_streams_are_told_of_and_only_once() {
        for (kind, cached, expected) in [
            ("text/event-stream; charset=utf-8", "no-cache", vec!["no-cache", "no-transform"]),
            ("application/x-ndjson", "private, No-Transform", vec!["private, No-Transform"]),
            ("application/json", "no-cache", vec!["no-cache"]),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
            headers.insert(header::CACHE_CONTROL, cached.parse().unwrap());
            tell_of_stream(&mut headers);
            let told: Vec<_> = headers.get_all(header::CACHE_CONTROL).iter().collect();
            assert_eq!(told, expected, "{kind}");
            assert_eq!(headers.contains_key("x-accel-buffering"), kind != "application/json");
        }
    }

    #[test]
    fn headers_of_the_connection_stay_behind() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "localhost:8080"),
            ("origin", "http://evil.example"),
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("expect", "100-continue"),
            ("accept-encoding", "zstd"),
            ("authorization", "Bearer ollama"),
            ("x-kept", "a"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        strip_request(&mut headers);
        let mut kept: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        kept.sort_unstable();
        assert_eq!(kept, ["accept-encoding", "authorization", "x-kept"]);
    }
}
