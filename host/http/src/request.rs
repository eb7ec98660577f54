//! A request of the outside as a guest sees it: one authority, its path without the route, and no header that
//! was meant for this connection only.
//!
//! What two readers could understand in two ways is refused here, in so far as hyper has not done so: it
//! takes one length for a body or none, no folded headers, and no bytes that headers cannot have.

use http::header::{self, HeaderMap, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Uri, Version};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Empty};

use crate::body::{BodyOutcome, Bounds, RequestBody, too_large};
use crate::cookies;
use crate::forwarded::{Client, ForwardedHeaders};
use crate::listener::Arriving;
use wasm_host_capabilities::body::Body;
use wasm_host_capabilities::headers::named_by_connection;
use wasm_host_service::failure::{Failure, Kind};

/// The host name and port that the client asked for; none if it did not say, as old clients may.
pub fn host<B>(request: &Request<B>) -> Result<Option<Authority>, Failure> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let named = match (hosts.next().map(HeaderValue::to_str), hosts.next()) {
        (None, _) => None,
        (Some(Ok(host)), None) => Some(host),
        _ => return Err(malformed("The Host header is not one host name.")),
    };
    let host = match (request.uri().authority(), named) {
        // A proxy on the way may have gone by the other one.
        (Some(target), Some(named)) if !target.as_str().eq_ignore_ascii_case(named) => {
            return Err(malformed("The Host header is not the host of the request target."));
        }
        (None, None) if request.version() >= Version::HTTP_11 => {
            return Err(malformed("The request has no Host header."));
        }
        (None, None | Some("")) => return Ok(None),
        (Some(target), _) => target.clone(),
        (None, Some(named)) => {
            Authority::try_from(named).map_err(|_| malformed("The Host header is malformed."))?
        }
    };
    if host.as_str().contains('@') {
        return Err(malformed("A host name has no user name in it."));
    }
    Ok(Some(host))
}

/// Refuse what no service answers, whatever its route.
pub fn check<B>(request: &Request<B>) -> Result<(), Failure> {
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        let why = format!("This server does not do {}.", request.method());
        return Err(Failure::new(Kind::NotImplemented, why));
    }
    check_codings(request.headers())?;
    let path = request.uri().path();
    if path.starts_with('/') || (path == "*" && request.method() == Method::OPTIONS) {
        return Ok(());
    }
    Err(malformed("The request target has no path."))
}

/// hyper undoes chunks once, if they are the last coding, and leaves the rest, of which the guest would not know.
fn check_codings(headers: &HeaderMap) -> Result<(), Failure> {
    let lines = headers.get_all(header::TRANSFER_ENCODING).iter();
    let codings = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let (mut chunked, mut others) = (0, 0);
    for coding in codings {
        match coding.trim_ascii().eq_ignore_ascii_case(b"chunked") {
            true => chunked += 1,
            false => others += 1,
        }
    }
    if chunked > 1 {
        // One reader undoes them once and another one twice, and they see different ends.
        return Err(malformed("The request body is said to be chunked more than once."));
    }
    if others > 0 {
        let why = "This server knows no transfer coding but chunked.";
        return Err(Failure::new(Kind::NotImplemented, why));
    }
    Ok(())
}

/// Where a request goes, and what may come with it.
pub struct GuestTarget<'a> {
    pub host: Option<&'a Authority>,
    /// What the route left of the path.
    pub path: &'a str,
    /// What it took off.
    pub route: &'a str,
    pub client: &'a Client<'a>,
    /// What components have been told of the clients of this connection.
    pub told: &'a ForwardedHeaders,
    pub body: Bounds,
}

/// The request that the guest gets, and how to learn what became of its body, if it has one.
pub fn for_guest(
    request: Request<Arriving>,
    target: &GuestTarget<'_>,
) -> Result<(Request<Body>, Option<BodyOutcome>), Failure> {
    if request.body().size_hint().lower() > target.body.bytes {
        return Err(too_large(target.body.bytes));
    }
    let uri = uri(target, request.uri())?;
    let (mut parts, body) = request.into_parts();
    parts.uri = uri;
    strip(&mut parts.headers);
    cookies::withhold(&mut parts.headers);
    // Behind that, because a client could name these, too.
    target.client.tell(&mut parts.headers, target.route, target.told);
    if parts.version == Version::HTTP_2 {
        join_cookies(&mut parts.headers);
    }
    if body.is_end_stream() {
        // It takes no memory.
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        return Ok((Request::from_parts(parts, body), None));
    }
    let body = RequestBody::new(body, target.body);
    let outcome = body.outcome();
    Ok((Request::from_parts(parts, body.boxed_unsync()), Some(outcome)))
}

fn uri(target: &GuestTarget<'_>, asked: &Uri) -> Result<Uri, Failure> {
    let path_and_query = match (asked.path_and_query(), asked.query()) {
        (Some(same), _) if same.path() == target.path => Ok(same.clone()),
        (_, Some(query)) => PathAndQuery::try_from(format!("{}?{query}", target.path)),
        (_, None) => PathAndQuery::try_from(target.path),
    };
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(if target.client.secure { Scheme::HTTPS } else { Scheme::HTTP });
    // HTTP/1.0 clients may come without a host; a guest must have one.
    let host = target.host.cloned();
    uri.authority = Some(host.unwrap_or_else(|| Authority::from_static("localhost")));
    uri.path_and_query = Some(path_and_query.map_err(|_| malformed("The path is malformed."))?);
    Uri::from_parts(uri).map_err(|_| malformed("The request target is malformed."))
}

/// Remove what is said to the next server and not to the service. wasmtime removes the names that always are
/// (`Connection` itself, `Transfer-Encoding`, `Upgrade`, ...); a client can name more.
fn strip(headers: &mut HeaderMap) {
    // It has been answered, or will be when the body is read.
    headers.remove(header::EXPECT);
    headers.remove(header::TE);
    if !headers.contains_key(header::CONNECTION) {
        return;
    }
    // What the body's length is has been settled, and is not the client's to hide.
    let kept = [header::CONTENT_LENGTH, header::HOST];
    for name in named_by_connection(headers).into_iter().filter(|name| !kept.contains(name)) {
        headers.remove(name);
    }
}

/// HTTP/2 clients may send the cookies one by one; elsewhere two headers of them are one too many.
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(header::COOKIE).iter();
    if (cookies.next(), cookies.next()).1.is_none() {
        return;
    }
    let cookies: Vec<&[u8]> =
        headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

fn malformed(why: &str) -> Failure {
    Failure::new(Kind::Malformed, why)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderName;

    use super::*;
    use crate::forwarded::Proxies;

    fn request(uri: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn the_guest_sees_the_path_without_the_route_and_the_query_as_sent() {
        let body = Bounds { bytes: 0, idle: Duration::ZERO };
        let host = Authority::from_static("weather.localhost:8080");
        let told = ForwardedHeaders::default();
        let peer = std::net::Ipv4Addr::LOCALHOST.into();
        let of = |secure| Proxies::default().client(peer, secure, host.as_str(), &HeaderMap::new());
        let (client, encrypted) = (of(false), of(true));
        let (path, route) = ("/forecast", "");
        let target =
            GuestTarget { host: Some(&host), path, route, client: &client, told: &told, body };
        for asked in ["/weather/forecast?days=3&x=%20", "/forecast?days=3&x=%20"] {
            let plain = uri(&target, &Uri::from_static(asked)).unwrap();
            assert_eq!(plain.to_string(), "http://weather.localhost:8080/forecast?days=3&x=%20");
        }
        let asked = Uri::from_static("http://other/weather/forecast");
        let secure = uri(&GuestTarget { client: &encrypted, ..target }, &asked).unwrap();
        assert_eq!(secure.to_string(), "https://weather.localhost:8080/forecast");
        let nameless = uri(&GuestTarget { host: None, ..target }, &asked).unwrap();
        assert_eq!(nameless.to_string(), "http://localhost/forecast");
    }

    #[test]
    fn a_request_has_one_host() {
        let named = |request| host(&request).unwrap().unwrap().to_string();
        assert_eq!(named(request("/", &[("host", "a:1")])), "a:1");
        assert_eq!(named(request("http://A:1/", &[("host", "a:1")])), "A:1");
        assert_eq!(host(&request("/", &[("host", "")])).unwrap(), None);
        for (uri, headers) in [
            ("/", &[("host", "a"), ("host", "b")][..]),
            ("/", &[("host", "a"), ("host", "a")]),
            ("/", &[]),
            ("/", &[("host", "user@a")]),
            ("/", &[("host", "a b")]),
            ("http://user@a/", &[]),
            ("http://a/", &[("host", "b")]),
            ("http://a:80/", &[("host", "a:81")]),
        ] {
            let refused = host(&request(uri, headers));
            assert_eq!(refused.unwrap_err().kind, Kind::Malformed, "{uri} {headers:?}");
        }
        let mut old = request("/", &[]);
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(host(&old).unwrap(), None);
    }

    #[test]
    fn headers_for_this_connection_do_not_reach_the_guest() {
        let mut headers = request(
            "/",
            &[
                ("connection", "close, X-Secret"),
                ("connection", "content-length, x-other"),
                ("content-length", "5"),
                ("x-secret", "1"),
                ("x-other", "2"),
                ("x-kept", "3"),
                ("te", "trailers"),
                ("expect", "100-continue"),
            ],
        )
        .headers()
        .clone();
        strip(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        // `connection` itself is removed by wasmtime.
        assert_eq!(left, ["connection", "content-length", "x-kept"]);
    }

    #[test]
    fn cookies_are_one_header() {
        let mut headers = request("/", &[("cookie", "a=1"), ("cookie", "b=2")]).headers().clone();
        join_cookies(&mut headers);
        let cookies: Vec<_> = headers.get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=1; b=2"]);
    }
}
