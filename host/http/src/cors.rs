//! Pages of other origins: what they may do with a service, and what a browser is told about it (CORS).
//!
//! The host answers, whatever the service is: a page reads nothing and changes nothing unless `cors` in the
//! application file lets it. What a component, or the model server behind it, says in those headers opens nothing.
//! How a page is recognised is [`origin`](super::origin)'s.

use std::sync::Once;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName,
    HeaderValue, ORIGIN, VARY,
};
use http::{Method, Request, Response, StatusCode};

use crate::origin::{RequestedHost, SEC_FETCH_SITE, changes_nothing};
use wasm_host_capabilities::body::{Body, full};
use wasm_host_config::{CorsConfig, OriginList};
use wasm_host_limits::http::SHOWN_NAME_BYTES;
use wasm_host_service::failure::{Failure, Kind};

/// The headers that only the host sets.
const ANSWERS: [HeaderName; 7] = [
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
    HeaderName::from_static("access-control-allow-private-network"),
];

const PREFLIGHT_VARIES: &str =
    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

/// One service as pages of other origins find it.
pub struct Pages {
    service: String,
    cors: Option<Cors>,
    /// The log has said that the service sets such headers itself.
    told: Once,
}

/// `cors`, as a browser reads it.
struct Cors {
    origins: OriginList,
    methods: Vec<String>,
    allow_methods: HeaderValue,
    /// `None`: what the page asks for.
    allow_headers: Option<HeaderValue>,
    expose: Option<HeaderValue>,
    credentials: bool,
    /// In seconds.
    max_age: u64,
}

/// The page that may read the answer to one request.
pub struct Reader<'p> {
    pages: &'p Pages,
    /// As the answer names it; `None` if no page of another origin may.
    origin: Option<HeaderValue>,
}

// === impl Pages ===

impl Pages {
    pub fn new(service: &str, cors: Option<&CorsConfig>) -> Self {
        Self { service: service.to_string(), cors: cors.map(Cors::new), told: Once::new() }
    }

    /// The page that reads the answer to a request with these headers, if it may.
    pub fn reader(&self, headers: &HeaderMap) -> Reader<'_> {
        Reader { pages: self, origin: self.cors.as_ref().and_then(|cors| cors.reader(headers)) }
    }

    /// Let a request in, or refuse what a page of another origin may not send. Where a browser asks what a page may
    /// send (a preflight), the answer.
    pub fn admit<B>(
        &self,
        request: &Request<B>,
        asked: &RequestedHost<'_>,
    ) -> Result<Option<Response<Body>>, Failure> {
        let (method, headers) = (request.method(), request.headers());
        if method == Method::OPTIONS
            && headers.contains_key(ORIGIN)
            && let Some(wanted) = headers.get(ACCESS_CONTROL_REQUEST_METHOD)
        {
            return self.preflight(wanted.to_str().unwrap_or_default(), headers).map(Some);
        }
        if changes_nothing(method) || !asked.is_by_foreign_page(headers) {
            return Ok(None);
        }
        let cors = self.cors.as_ref().filter(|cors| cors.lets_in(headers.get(ORIGIN)));
        if cors.is_some_and(|cors| cors.methods.iter().any(|allowed| allowed == method.as_str())) {
            return Ok(None);
        }
        Err(self.refused(method.as_str(), headers))
    }

    fn preflight(&self, wanted: &str, headers: &HeaderMap) -> Result<Response<Body>, Failure> {
        let reader = self.cors.as_ref().and_then(|cors| Some((cors, cors.reader(headers)?)));
        let Some((cors, origin)) = reader else {
            return Err(self.refused(wanted, headers));
        };
        let mut response = Response::new(full(""));
        *response.status_mut() = StatusCode::NO_CONTENT;
        let answer = response.headers_mut();
        cors.let_read(origin, answer);
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, cors.allow_methods.clone());
        let asked_for = || headers.get(ACCESS_CONTROL_REQUEST_HEADERS);
        if let Some(allowed) = cors.allow_headers.as_ref().or_else(asked_for) {
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed.clone());
        }
        answer.insert(ACCESS_CONTROL_MAX_AGE, cors.max_age.into());
        answer.insert(VARY, HeaderValue::from_static(PREFLIGHT_VARIES));
        Ok(response)
    }

    /// The answer to a page of another origin that sent something, or wants to.
    fn refused(&self, method: &str, headers: &HeaderMap) -> Failure {
        let service = &self.service;
        let is_short = |text: &&str| text.len() <= SHOWN_NAME_BYTES;
        let method = Some(method).filter(is_short).unwrap_or("this");
        let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
        let Some(origin) = origin.filter(is_short).filter(|origin| *origin != "null") else {
            let why = format!(
                "A page that does not say its origin, such as a local file or a sandboxed frame, may not send \
                 {method} to the service {service}. Serve it over http, and list its origin in 'cors' under \
                 [service.{service}] in the application file."
            );
            return Failure::new(Kind::CrossOrigin, why);
        };
        let line = match &self.cors {
            None => format!("cors = {{ origins = [{origin:?}], methods = [{method:?}] }}"),
            Some(cors) if cors.origins.has(origin) => {
                format!("{method:?} to the 'methods' of 'cors'")
            }
            Some(_) => format!("{origin:?} to the 'origins' of 'cors'"),
        };
        let mut why = format!(
            "A page of {origin} may not send {method} to the service {service}. To let it, add {line} under \
             [service.{service}] in the application file."
        );
        if !headers.contains_key(SEC_FETCH_SITE) {
            why.push_str(
                " If it is a page of this application, a proxy changes the Host: let it pass that on as it \
                 comes, or name the host in 'hosts' under [http].",
            );
        }
        Failure::new(Kind::CrossOrigin, why)
    }

    fn tell(&self) {
        let service = &*self.service;
        tracing::warn!(
            service,
            "it lets pages of other origins read its answers, which is left out: that is for 'cors' under \
             [service.{service}] in the application file to say"
        );
    }
}

// === impl Reader ===

impl Reader<'_> {
    /// Say so in the answer, whatever made it.
    pub fn mark(self, headers: &mut HeaderMap) {
        let Some(cors) = &self.pages.cors else {
            // Without this one the others mean nothing.
            if headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
                remove_answers(headers);
                self.pages.told.call_once(|| self.pages.tell());
            }
            return;
        };
        remove_answers(headers);
        if !cors.origins.has_any() {
            // Also where no page asked: a cache keeps the answer for the next client.
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        let Some(origin) = self.origin else { return };
        cors.let_read(origin, headers);
        if let Some(expose) = &cors.expose {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
    }
}

// === impl Cors ===

impl Cors {
    fn new(config: &CorsConfig) -> Self {
        Self {
            allow_methods: list(&config.methods),
            allow_headers: config.headers.as_deref().map(list),
            expose: Some(list(&config.expose)).filter(|names| !names.is_empty()),
            origins: config.origins.clone(),
            methods: config.methods.clone(),
            credentials: config.credentials,
            max_age: config.max_age.as_secs(),
        }
    }

    fn lets_in(&self, origin: Option<&HeaderValue>) -> bool {
        let origin = origin.and_then(|origin| origin.to_str().ok());
        self.origins.has_any() || origin.is_some_and(|origin| self.origins.has(origin))
    }

    /// The origin of these headers as an answer names it, if it may read that.
    fn reader(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if self.origins.has_any() {
            return Some(HeaderValue::from_static("*"));
        }
        headers.get(ORIGIN).filter(|origin| self.lets_in(Some(origin))).cloned()
    }

    fn let_read(&self, origin: HeaderValue, headers: &mut HeaderMap) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
}

/// Words of the application file, which are all such as headers may have.
fn list(words: &[String]) -> HeaderValue {
    HeaderValue::from_str(&words.join(", ")).unwrap_or(HeaderValue::from_static(""))
}

fn remove_answers(headers: &mut HeaderMap) {
    for name in &ANSWERS {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests;
