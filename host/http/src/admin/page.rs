//! The dashboard's page and how a browser signs in. The page itself is no secret: what it shows is asked for with
//! the session.

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use url::form_urlencoded;

use super::session::is_secure;
use super::{Admin, json, reads};
use crate::files::kind;
use wasm_host_capabilities::body::{Body, full};
use wasm_host_dashboard as dashboard;
use wasm_host_service::failure::respond::status;
use wasm_host_service::failure::{Failure, Kind};

/// What the page may do: nothing but load its own files and ask its own host.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Whether a browser is to show the answer, so that it is for a person: programs, and what pages ask, take anything or
/// JSON.
pub(super) fn is_shown(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|it| it.to_str().ok());
    let mut kinds = accepted.flat_map(|it| it.split(',')).map(|it| it.split(';').next());
    kinds.any(|kind| kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/html")))
}

/// Put words for a person in the place of a problem document.
pub(super) fn show(failure: &Failure, response: &mut Response<Body>) {
    let (status, title) = status(failure.kind);
    let title = match failure.kind {
        Kind::Unauthorised => "Sign in to the dashboard",
        _ => title,
    };
    // Whatever a browser was led to is in the text.
    let detail = failure.public.replace('&', "&amp;").replace('<', "&lt;");
    let how = match failure.kind {
        Kind::Unauthorised => {
            "<p>On the machine of the host, in the folder of its application, this prints a new link:</p>\n\
             <pre>wasm-host dashboard</pre>\n"
        }
        _ => "",
    };
    let text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
         <h1>{title}</h1>\n<p>{detail}</p>\n{how}<p>wasm-host, {}</p>\n",
        status.as_u16()
    );
    *response.body_mut() = full(text);
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

impl Admin {
    /// A file of the page. None: there is no such file.
    pub(super) fn page<B>(&self, request: &Request<B>) -> Option<Response<Body>> {
        let path = request.uri().path().trim_start_matches('/');
        let asset = dashboard::find(path)?;
        let takes_gzip = request.headers().get_all(header::ACCEPT_ENCODING).iter().any(|codings| {
            codings
                .to_str()
                .is_ok_and(|codings| codings.split(',').any(|coding| coding.trim() == "gzip"))
        });
        let packed = asset.gzip.filter(|_| takes_gzip);
        let mut response = Response::new(full(packed.unwrap_or(asset.bytes)));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, kind::of(asset.path.as_ref()));
        if packed.is_some() {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        // The names of all but the page have a digest in them.
        let cache = match asset.path.starts_with("assets/") {
            true => "private, max-age=31536000, immutable",
            false => "no-cache",
        };
        for (name, value) in [
            (header::CACHE_CONTROL, cache),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::VARY, "accept-encoding"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        Some(response)
    }

    /// The link that the host prints: a token for a session.
    pub(super) fn login<B>(&self, request: &Request<B>) -> Result<Response<Body>, Failure> {
        reads(request)?;
        let query = request.uri().query().unwrap_or_default();
        let given = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "t");
        if !given.is_some_and(|(_, token)| self.token.is(&token)) {
            return Err(Failure::new(
                Kind::Unauthorised,
                "This link is not of the host that runs now; take the one that `wasm-host \
                 dashboard` prints.",
            ));
        }
        // The token is out of the address bar, and of what is kept of it.
        Ok(self.to_page(self.sessions.begin(is_secure(request.headers()))))
    }

    pub(super) fn logout(&self, headers: &HeaderMap) -> Response<Body> {
        let mut response = json(StatusCode::OK, &serde_json::json!({}));
        if let Some(cookie) = self.sessions.end(is_secure(headers)) {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        response
    }

    fn to_page(&self, cookie: Option<HeaderValue>) -> Response<Body> {
        let mut response = Response::new(full(""));
        *response.status_mut() = StatusCode::SEE_OTHER;
        let headers = response.headers_mut();
        // Relative: a proxy may have taken something from the front of the path.
        headers.insert(header::LOCATION, HeaderValue::from_static("./"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        if let Some(cookie) = cookie {
            headers.insert(header::SET_COOKIE, cookie);
        }
        response
    }

    /// What the page has to know of its session.
    pub(super) fn session<B>(&self, request: &Request<B>) -> Response<Body> {
        let session = self.sessions.of(request.headers());
        let csrf = session.map(|session| self.sessions.csrf(session));
        let about = serde_json::json!({
            "csrf": csrf,
            "application": self.status.application(),
            "version": env!("CARGO_PKG_VERSION"),
            "telemetry_off": self.status.telemetry_off(),
        });
        json(StatusCode::OK, &about)
    }
}
