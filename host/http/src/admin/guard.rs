//! Which requests the control plane takes: those with the token, and none of a web page.
//!
//! A browser on this machine reaches the port. It cannot read the token, but what it sends must not even be
//! looked at: a page of another origin says so in `Origin` or `Sec-Fetch-Site`, and a page whose name was
//! bent to this address (DNS rebinding) asks under that name.

use http::header::{AUTHORIZATION, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request};

use super::session::Sessions;
use crate::control::Token;
use crate::intake::Intake;
use crate::origin::{SEC_FETCH_SITE, is_address_or_localhost};
use crate::request;
use wasm_host_service::failure::{Failure, Kind};

/// Refuse what comes from a web page.
pub(super) fn same_origin<B>(request: &Request<B>) -> Result<(), Failure> {
    let forbidden = |detail: &str| Err(Failure::new(Kind::Forbidden, detail));
    let site = request.headers().get(SEC_FETCH_SITE);
    if site.is_some_and(|site| site != "none" && site != "same-origin") {
        return forbidden("The control plane takes no requests from web pages of other sites.");
    }
    let host = request::host(request)?;
    let host = host.as_ref().map_or("", Authority::as_str);
    if !is_address_or_localhost(host) {
        return forbidden("The control plane is asked by its IP address, or as localhost.");
    }
    // Its own page says where it comes from when it changes something. A browser that knows `Sec-Fetch-Site` has
    // compared already, and also where a proxy in front has another name.
    let is_own = |origin: &HeaderValue| {
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        origin.is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
    };
    let origins = request.headers().get_all(ORIGIN);
    if site.is_none() && !origins.iter().all(is_own) {
        return forbidden("The control plane takes no requests from pages of other origins.");
    }
    Ok(())
}

/// Refuse what comes from any web page. What has a key of its own may be sent under any name: a name that was bent to this
/// address brings a page here, and no page has the key.
pub(super) fn no_page<B>(request: &Request<B>) -> Result<(), Failure> {
    let headers = request.headers();
    match headers.contains_key(ORIGIN) || headers.contains_key(SEC_FETCH_SITE) {
        false => Ok(()),
        true => Err(Failure::new(
            Kind::Forbidden,
            "Pages send no telemetry to the control plane: page-route under [telemetry] in the application file says \
             where they do.",
        )),
    }
}

/// Let in a request that has the token, or comes from a page that is signed in. `changes`: it does something.
pub(super) fn may<B>(
    request: &Request<B>,
    token: &Token,
    sessions: &Sessions,
    changes: bool,
) -> Result<(), Failure> {
    let headers = request.headers();
    let Some(session) = sessions.of(headers).filter(|_| given(headers).is_none()) else {
        return has_token(request, token);
    };
    if !changes || sessions.is_of_page(session, headers) {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Forbidden,
        "What changes something has the header X-CSRF-Token with the `csrf` of /api/session.",
    ))
}

/// Let in a request that has the token.
pub(super) fn has_token<B>(request: &Request<B>, token: &Token) -> Result<(), Failure> {
    let how =
        "send `authorization: Bearer TOKEN` with the token from control.json in the state folder";
    let why = match given(request.headers()) {
        Some(given) if token.is(given) => return Ok(()),
        Some(_) => "This token is not of the host that runs now, and each start has a new one",
        None => "There is no token",
    };
    Err(Failure::new(Kind::Unauthorised, format!("{why}: {how}.")))
}

/// Let in a request with telemetry that has the key for it, or the token.
pub(super) fn has_key<B>(
    request: &Request<B>,
    token: &Token,
    intake: &Intake,
) -> Result<(), Failure> {
    const HOW: &str =
        "`authorization: Bearer KEY`, in OTEL_EXPORTER_OTLP_HEADERS as authorization=Bearer%20KEY";
    let why = match given(request.headers()) {
        Some(given) if intake.is_key(given) || token.is(given) => return Ok(()),
        Some(_) if !intake.has_key() => {
            let why = "No key lets telemetry in here, as the application file has none: add intake-key = \"${OTLP_KEY}\" \
                under [telemetry], and send that as";
            return Err(Failure::new(Kind::Unauthorised, format!("{why} {HOW}.")));
        }
        Some(_) => "This is not the key for telemetry",
        None => "There is no key, or not as `Bearer`",
    };
    let key = match intake.has_key() {
        true => "with the key that the application file has, intake-key of [telemetry]",
        false => {
            "with a key that the application file has: intake-key = \"${OTLP_KEY}\" under [telemetry]"
        }
    };
    Err(Failure::new(Kind::Unauthorised, format!("{why}: send {HOW}, {key}.")))
}

fn given(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (scheme, token) = all.next()?.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && all.next().is_none()).then_some(token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().uri("/services");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    // Fault (Telemetry): a page of another site, another origin or a bent name that asks the control plane | refuses | 403 | nothing
    #[test]
    fn requests_of_web_pages_are_refused() {
        for headers in [
            [("host", "127.0.0.1:8081"), ("origin", "http://evil.example")],
            [("host", "127.0.0.1:8081"), ("origin", "null")],
            [("host", "127.0.0.1:8081"), ("sec-fetch-site", "cross-site")],
            [("host", "127.0.0.1:8081"), ("sec-fetch-site", "same-site")],
            [("host", "evil.example"), ("sec-fetch-site", "same-origin")],
            [("host", "127.0.0.1.evil.example:8081"), ("x", "y")],
            [("host", "localhost.evil.example"), ("x", "y")],
            [("host", "a"), ("host", "127.0.0.1")],
            [("host", "127.0.0.1:8081"), ("origin", "http://127.0.0.1:8080")],
        ] {
            assert!(same_origin(&request(&headers)).is_err(), "{headers:?}");
        }
    }

    #[test]
    fn telemetry_comes_under_any_name_and_from_no_page() {
        assert!(no_page(&request(&[("host", "wasm-host:8081")])).is_ok());
        for header in [("origin", "http://127.0.0.1:8081"), ("sec-fetch-site", "same-origin")] {
            assert!(no_page(&request(&[("host", "127.0.0.1:8081"), header])).is_err());
        }
    }

    #[test]
    fn requests_of_its_own_page_are_not() {
        let host = ("host", "127.0.0.1:8081");
        let own = ("origin", "http://127.0.0.1:8081");
        assert!(same_origin(&request(&[host, own])).is_ok());
        let behind_a_proxy =
            [host, ("origin", "https://ops.example"), ("sec-fetch-site", "same-origin")];
        assert!(same_origin(&request(&behind_a_proxy)).is_ok());
    }

    // Fault (Telemetry): a request with a stolen ride on a session (CSRF) | changes nothing | 403 | nothing
    #[test]
    fn a_page_that_is_signed_in_reads_and_shows_more_to_change() {
        let folder = tempfile::tempdir().unwrap();
        let (token, sessions) = (Token::new().unwrap(), Sessions::open(folder.path()).unwrap());
        let cookie = sessions.begin(false).unwrap();
        let cookie = cookie.to_str().unwrap().split(';').next().unwrap();
        let may = |headers: &[(&str, &str)], changes| {
            may(&request(headers), &token, &sessions, changes).map_err(|failure| failure.kind)
        };
        let signed_in = ("cookie", cookie);
        assert_eq!(may(&[signed_in], false), Ok(()));
        assert_eq!(may(&[signed_in], true), Err(Kind::Forbidden));
        let mut headers = HeaderMap::new();
        headers.insert("cookie", cookie.parse().unwrap());
        let csrf = sessions.csrf(sessions.of(&headers).unwrap());
        assert_eq!(may(&[signed_in, ("x-csrf-token", &csrf)], true), Ok(()));
        assert_eq!(may(&[("x-csrf-token", &csrf)], true), Err(Kind::Unauthorised));
        assert_eq!(
            may(&[signed_in, ("authorization", "Bearer x")], false),
            Err(Kind::Unauthorised)
        );
        let bearer = format!("Bearer {}", token.expose());
        assert_eq!(may(&[("authorization", &bearer)], true), Ok(()));
    }

    #[test]
    fn requests_of_programs_are_not() {
        for host in ["127.0.0.1:8081", "localhost:8081", "LOCALHOST", "[::1]:8081", "10.0.0.7", ""]
        {
            assert!(same_origin(&request(&[("host", host)])).is_ok(), "{host}");
        }
        let mut old = request(&[]);
        *old.version_mut() = http::Version::HTTP_10;
        assert!(same_origin(&old).is_ok());
        let typed = [("host", "127.0.0.1:8081"), ("sec-fetch-site", "none")];
        assert!(same_origin(&request(&typed)).is_ok());
    }

    #[test]
    fn the_token_is_needed_once_and_whole() {
        let token = Token::new().unwrap();
        let with = |value: &str| has_token(&request(&[("authorization", value)]), &token);
        assert!(with(&format!("Bearer {}", token.expose())).is_ok());
        assert!(with(&format!("bearer {}", token.expose())).is_ok());
        for wrong in ["", "Bearer", "Bearer ", "Bearer x", token.expose()] {
            assert!(with(wrong).is_err(), "{wrong}");
        }
        assert!(with(&format!("Basic {}", token.expose())).is_err());
        assert!(has_token(&request(&[]), &token).is_err());
    }
}
