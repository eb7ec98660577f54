//! What a client says that it takes: compressed copies, and pages. Pure.

use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderName, header};

/// A coding of which build tools lay a copy beside a file. The preferred one is the lesser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Brotli,
    Gzip,
}

impl Coding {
    pub(super) const ALL: [Self; 2] = [Self::Brotli, Self::Gzip];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// The copy of a file in it.
    pub(super) fn of(self, file: &Path) -> PathBuf {
        let mut copy = file.as_os_str().to_owned();
        copy.push(match self {
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
        });
        PathBuf::from(copy)
    }
}

/// The one of these copies that the client likes best, or none if it is the file itself.
pub(super) fn coding(headers: &HeaderMap, copies: &[Coding]) -> Option<Coding> {
    if copies.is_empty() {
        return None;
    }
    let mut best = (weight(headers, &header::ACCEPT_ENCODING, "identity").unwrap_or(0.0), None);
    for copy in copies {
        let named = weight(headers, &header::ACCEPT_ENCODING, copy.name());
        let any = || weight(headers, &header::ACCEPT_ENCODING, "*");
        let weight = named.or_else(any).unwrap_or(0.0);
        // What is as good as the file itself is smaller.
        if weight > best.0 || (weight == best.0 && weight > 0.0 && best.1.is_none()) {
            best = (weight, Some(*copy));
        }
    }
    best.1
}

/// Whether this request opens a page. What a page loads, and programs, say `*/*` or what they need.
pub(super) fn takes_page(headers: &HeaderMap) -> bool {
    weight(headers, &header::ACCEPT, "text/html").is_some_and(|weight| weight > 0.0)
}

/// How well a client likes what it names in a header, from 0 to 1; none if it does not name it.
fn weight(headers: &HeaderMap, header: &HeaderName, name: &str) -> Option<f32> {
    let lists = headers.get_all(header).iter().filter_map(|value| value.to_str().ok());
    let mut entries = lists.flat_map(|list| list.split(','));
    entries.find_map(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        if !parts.next()?.eq_ignore_ascii_case(name) {
            return None;
        }
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        Some(weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, http::HeaderValue::from_static(value))])
    }

    #[test]
    fn the_copy_that_a_client_likes_best_is_sent() {
        for (accepted, expected) in [
            ("gzip, deflate, br, zstd", Some(Coding::Brotli)),
            ("gzip", Some(Coding::Gzip)),
            ("GZIP;q=0.5, br;q=0.4", Some(Coding::Gzip)),
            ("br;q=0, gzip", Some(Coding::Gzip)),
            ("*", Some(Coding::Brotli)),
            ("br;q=0, *", Some(Coding::Gzip)),
            ("identity, br", Some(Coding::Brotli)),
            ("identity, br;q=0.5", None),
            ("identity", None),
            ("deflate", None),
            ("br;q=0", None),
            ("br;q=NaN", None),
            ("", None),
        ] {
            let headers = headers(header::ACCEPT_ENCODING, accepted);
            assert_eq!(coding(&headers, &Coding::ALL), expected, "{accepted}");
            assert_eq!(coding(&headers, &[]), None, "{accepted}");
        }
        assert_eq!(coding(&HeaderMap::new(), &Coding::ALL), None);
    }

    #[test]
    fn only_who_names_html_opens_a_page() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (accepted, expected) in [
            (browser, true),
            ("Text/HTML;q=0.1", true),
            ("text/html;q=0", false),
            ("*/*", false),
            ("text/*", false),
            ("image/avif,image/webp,*/*;q=0.8", false),
            ("text/css,*/*;q=0.1", false),
        ] {
            let headers = headers(header::ACCEPT, accepted);
            assert_eq!(takes_page(&headers), expected, "{accepted}");
        }
    }
}
