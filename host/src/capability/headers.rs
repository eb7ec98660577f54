//! Which headers of a request that is passed on, and of its answer, stay behind. Pure.

use http::{HeaderMap, HeaderName, header};

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

/// What a client says to this host and to nobody behind it: which page asks, which host it asked for, and who it is.
/// A server would check it against names of its own; here all of it is the host's business and already decided.
const TO_THE_HOST: [HeaderName; 11] = [
    header::HOST,
    header::ORIGIN,
    header::REFERER,
    header::COOKIE,
    header::AUTHORIZATION,
    header::ACCESS_CONTROL_REQUEST_METHOD,
    header::ACCESS_CONTROL_REQUEST_HEADERS,
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("sec-fetch-mode"),
    HeaderName::from_static("sec-fetch-dest"),
    HeaderName::from_static("sec-fetch-user"),
];

/// Take out what is about the client and its connection, not about its request.
pub(crate) fn strip_request(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    for name in &TO_THE_HOST {
        headers.remove(name);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_connection_stay_behind() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "localhost:8080"),
            ("origin", "http://evil.example"),
            ("referer", "http://evil.example/page"),
            ("sec-fetch-site", "cross-site"),
            ("cookie", "session=s3cret"),
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
        assert_eq!(kept, ["accept-encoding", "x-kept"]);
    }
}
