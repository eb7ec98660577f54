//! How a page learns where its spans go: a `Server-Timing` header of the page itself, which the page reads as
//! `performance.getEntriesByType('navigation')[0].serverTiming`.
//!
//! It costs no request of its own, is an error nowhere where nothing is taken, and needs no change to what serves the page.
//! The address is relative to the page's: a proxy in front may have put something before both.

use http::header::{CONTENT_TYPE, HOST, HeaderMap};
use http::{HeaderName, HeaderValue, Method, Request, Uri};

use crate::route::Router;
use crate::{RouteTarget, Served};
use wasm_host_limits::intake::PAGE_DEPTH;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

pub(super) struct PageSpans {
    /// A normalised prefix.
    route: String,
}

/// A page that may be told.
pub(super) struct TracedPage<'a> {
    route: &'a str,
    host: Option<HeaderValue>,
    uri: Uri,
}

impl PageSpans {
    pub(super) fn new(route: &str) -> Self {
        Self { route: route.to_owned() }
    }

    /// None: this asks for no page.
    pub(super) fn told_of<B>(&self, request: &Request<B>) -> Option<TracedPage<'_>> {
        (request.method() == Method::GET).then(|| TracedPage {
            route: &self.route,
            host: request.headers().get(HOST).cloned(),
            uri: request.uri().clone(),
        })
    }
}

impl TracedPage<'_> {
    /// Say it with the answer, if that is a page from which the route is reached.
    pub(super) fn tell(&self, router: &Router<Served>, headers: &mut HeaderMap) {
        let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        if !kind.starts_with(b"text/html") {
            return;
        }
        let named = self.host.as_ref().and_then(|host| host.to_str().ok());
        let host = self.uri.authority().map(|authority| authority.as_str()).or(named);
        // A service that is asked by its own name has all paths to itself.
        let found = router.find(host.unwrap_or_default(), self.route);
        if !matches!(found, Some((Served { target: RouteTarget::PageSpans(_), .. }, _))) {
            return;
        }
        let Some(way) = relative(self.uri.path(), self.route) else { return };
        if let Ok(told) = HeaderValue::from_str(&format!("otlp;desc=\"{way}\"")) {
            headers.append(SERVER_TIMING, told);
        }
    }
}

/// The way from one path to another one. None: it is too far, as no page of people's is.
fn relative(from: &str, to: &str) -> Option<String> {
    let depth = from.bytes().filter(|byte| *byte == b'/').count().saturating_sub(1);
    if depth > PAGE_DEPTH {
        return None;
    }
    // Without a folder before it, a name with a `:` would be taken for a scheme.
    let up = if depth == 0 { "./".to_owned() } else { "../".repeat(depth) };
    Some(format!("{up}{}", to.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_leads_from_a_page_to_the_route() {
        for (page, way) in [
            ("/", "./otlp"),
            ("/index.html", "./otlp"),
            ("/docs/", "../otlp"),
            ("/docs/a/b.html", "../../otlp"),
        ] {
            assert_eq!(relative(page, "/otlp").as_deref(), Some(way), "{page}");
            let page = url::Url::parse("http://a.example").unwrap().join(page).unwrap();
            assert_eq!(page.join(way).unwrap().path(), "/otlp");
        }
        assert_eq!(relative(&"/".repeat(8000), "/otlp"), None);
    }
}
