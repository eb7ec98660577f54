//! Which requests the control plane takes: those with the token, and none of a web page.
//!
//! A browser on this machine reaches the port. It cannot read the token, but what it sends must not even be
//! looked at: a page of another origin says so in `Origin` or `Sec-Fetch-Site`, and a page whose name was
//! bent to this address (DNS rebinding) asks under that name.

use http::header::{AUTHORIZATION, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, Request};

use crate::control::Token;
use crate::origin::{SEC_FETCH_SITE, is_address_or_localhost};
use crate::request;
use wasm_host_service::failure::{Failure, Kind};

/// Refuse what comes from a web page.
pub(super) fn same_origin<B>(request: &Request<B>) -> Result<(), Failure> {
    let forbidden = |detail: &str| Err(Failure::new(Kind::Forbidden, detail));
    if request.headers().contains_key(ORIGIN) {
        return forbidden(
            "The control plane takes no requests with an Origin: they come from web pages.",
        );
    }
    let site = request.headers().get(SEC_FETCH_SITE);
    if site.is_some_and(|site| site != "none" && site != "same-origin") {
        return forbidden("The control plane takes no requests from web pages of other sites.");
    }
    let host = request::host(request)?;
    if !is_address_or_localhost(host.as_ref().map_or("", Authority::as_str)) {
        return forbidden("The control plane is asked by its IP address, or as localhost.");
    }
    Ok(())
}

/// Let in a request that has the token.
pub(super) fn has_token<B>(request: &Request<B>, token: &Token) -> Result<(), Failure> {
    if given(request.headers()).is_some_and(|given| token.is(given)) {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Unauthorised,
        "Send `authorization: Bearer TOKEN` with the token from control.json in the state folder.",
    ))
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
        ] {
            assert!(same_origin(&request(&headers)).is_err(), "{headers:?}");
        }
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
