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
    // Its answer comes from the next server, and the body is sent at once anyway.
    header::EXPECT,
];

/// Headers by which a proxy tells which client asks, and how. Every name that begins with one of `CLIENT_PREFIXES`
/// is one, too.
const CLIENT: [&str; 28] = [
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "client-cert",
    "client-cert-chain",
    "client-ip",
    "fastly-client-ip",
    "forwarded",
    "forwarded-for",
    "front-end-https",
    "remote-addr",
    "remote-user",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-host",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-uri",
    "x-original-url",
    "x-originating-ip",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-remote-user",
    "x-rewrite-url",
    "x-scheme",
    "x-script-name",
];

const CLIENT_PREFIXES: [&str; 3] = ["x-forwarded", "x-auth-request-", "x-ssl-client-"];

/// What a client says to this host and to no server behind it: which page asks, which host it asked for, and which user
/// it is. A server would check it against names of its own; here all of it is the host's business and already decided.
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
    strip_client(headers, |_| true);
    for name in &TO_THE_HOST {
        headers.remove(name);
    }
}

/// The headers that `Connection` names: they are for the next hop only.
pub fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect()
}

/// Take out the headers that tell which client asks, of those names that `which` is true for.
pub fn strip_client(headers: &mut HeaderMap, which: impl Fn(&str) -> bool) {
    let told: Vec<HeaderName> = headers
        .keys()
        .filter(|name| tells_of_client(name.as_str()) && which(name.as_str()))
        .cloned()
        .collect();
    for name in told {
        headers.remove(name);
    }
}

/// Whether a header with this name tells which client asks, also to a program that reads `_` as `-`: many languages do.
fn tells_of_client(name: &str) -> bool {
    // Of most requests no header gets further than this.
    if !matches!(name.as_bytes().first(), Some(b'c' | b'f' | b'r' | b't' | b'x')) {
        return false;
    }
    let is_at_start = |known: &str| {
        let same = |(a, b): (u8, u8)| a == b || (a == b'_' && b == b'-');
        name.len() >= known.len() && name.bytes().zip(known.bytes()).all(same)
    };
    CLIENT_PREFIXES.iter().any(|prefix| is_at_start(prefix))
        || CLIENT.iter().any(|known| name.len() == known.len() && is_at_start(known))
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
            ("x-forwarded-for", "192.0.2.1"),
            ("forwarded", "for=192.0.2.1"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        strip_request(&mut headers);
        let mut kept: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        kept.sort_unstable();
        assert_eq!(kept, ["accept-encoding", "x-kept"]);
    }

    #[test]
    fn what_tells_of_a_client_is_known_in_either_spelling_and_nothing_else_is() {
        for name in [
            "forwarded",
            "x-forwarded-for",
            "x_forwarded_for",
            "x-forwarded_proto",
            "x-forwarded-user",
            "x-real-ip",
            "x_real_ip",
            "true-client-ip",
            "client-cert",
            "x-ssl-client-verify",
            "x-original-url",
        ] {
            assert!(tells_of_client(name), "{name}");
        }
        for name in
            ["x-real-ip-2", "forwarder", "x-request-id", "content-type", "x", "from", "referer", ""]
        {
            assert!(!tells_of_client(name), "{name}");
        }
    }
}
