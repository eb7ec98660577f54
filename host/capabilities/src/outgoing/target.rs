//! Where a request goes: scheme, host and port, each in the one form that rules are compared with.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use http::Uri;
use http::uri::{Authority, PathAndQuery};

use super::settings::Scheme;

/// The place that a URI names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) scheme: Scheme,
    pub(super) host: Host,
    pub(super) port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// In lower case, without the dot that may end it.
    Name(String),
    Address(IpAddr),
}

impl Target {
    /// `None` if the URI names no such place.
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        let scheme = match uri.scheme_str()? {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return None,
        };
        let authority = uri.authority()?;
        // A user or a password is no part of an address; a component that means one writes a header.
        if authority.as_str().contains('@') {
            return None;
        }
        let port = match (authority.port(), authority.port_u16()) {
            (None, _) => scheme.default_port(),
            (Some(_), port) => port?,
        };
        let host = authority.host();
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(inner) => Host::Address(IpAddr::V6(inner.parse::<Ipv6Addr>().ok()?)),
            None => match host.parse::<IpAddr>() {
                Ok(address) => Host::Address(address),
                Err(_) => {
                    let name = host.strip_suffix('.').unwrap_or(host);
                    (!name.is_empty()).then(|| Host::Name(name.to_ascii_lowercase()))?
                }
            },
        };
        Some(Self { scheme, host, port })
    }

    /// The same request in the form that the client sends and that its pool goes by.
    pub(super) fn uri(&self, of: &Uri) -> Option<Uri> {
        let mut parts = of.clone().into_parts();
        let text = self.to_string();
        let (_, authority) = text.split_once("://")?;
        parts.authority = Some(Authority::try_from(authority).ok()?);
        parts.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
        Uri::from_parts(parts).ok()
    }
}

/// As a rule of the application file, without the port if it is the scheme's own.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme.name())?;
        match &self.host {
            Host::Name(name) => f.write_str(name)?,
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}")?,
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
        }
        if self.port != self.scheme.default_port() {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_has_one_form() {
        for (uri, target) in [
            ("http://A.Example./x?y", "http://a.example"),
            ("http://a.example:80/", "http://a.example"),
            ("https://a.example:80/", "https://a.example:80"),
            ("http://127.0.0.1:9000/", "http://127.0.0.1:9000"),
            ("http://[::1]:9000/", "http://[::1]:9000"),
            ("http://[0:0:0:0:0:0:0:1]/", "http://[::1]"),
            // No addresses for a parser of addresses; what they stand for is looked at later.
            ("http://2130706433/", "http://2130706433"),
            ("http://0x7f.1/", "http://0x7f.1"),
        ] {
            let uri: Uri = uri.parse().unwrap();
            let found = Target::of(&uri).unwrap();
            assert_eq!(found.to_string(), target, "{uri}");
            assert_eq!(Target::of(&found.uri(&uri).unwrap()), Some(found));
        }
        let sent = Target::of(&Uri::from_static("http://A.Example./x?y")).unwrap();
        let sent = sent.uri(&Uri::from_static("http://A.Example./x?y")).unwrap();
        assert_eq!(sent, "http://a.example/x?y");
    }

    #[test]
    fn what_names_no_place_is_refused() {
        for uri in ["/path", "ftp://a.example/", "http://user@a.example/", "http://./"] {
            assert_eq!(Target::of(&uri.parse().unwrap()), None, "{uri}");
        }
    }
}
