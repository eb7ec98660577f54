//! Is it this host that is asked for, and is it a page of its own that asks? Pure.
//!
//! A browser lets any page send requests to any address that the page names, this machine's own included. It says of
//! each request which page that was, and no page can change it: `Sec-Fetch-Site` where the connection can be trusted,
//! else `Origin`. One thing it does not say: a page whose name was bent to this address (DNS rebinding) is taken for
//! this host's own, and asks under that name. Programs send neither header.

use std::net::{IpAddr, SocketAddr};

use http::header::{HeaderMap, ORIGIN};
use http::uri::Authority;
use http::{HeaderName, Method};

use wasm_host_config::HostNames;
use wasm_host_limits::http::SHOWN_NAME_BYTES;
use wasm_host_service::failure::{Failure, Kind};

pub(super) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The names that the public port answers to.
pub struct Names {
    listed: HostNames,
    /// No other machine reaches it, so that a request under a strange name comes by a name that was bent.
    is_loopback: bool,
}

/// How the host was asked.
#[derive(Clone, Copy)]
pub struct RequestedHost<'a> {
    /// The host that was asked for, with its port if one was named.
    pub host: &'a str,
    /// The same of the client: another one where a proxy that is trusted says so.
    pub client_host: &'a str,
    /// Whether the client's own connection is encrypted.
    pub secure: bool,
    pub names: &'a Names,
}

// === impl Names ===

impl Names {
    /// Of a port that is bound to this address.
    pub fn new(listed: HostNames, bound: SocketAddr) -> Self {
        Self { listed, is_loopback: bound.ip().to_canonical().is_loopback() }
    }

    /// Refuse a request for another host.
    pub fn check(&self, host: &str) -> Result<(), Failure> {
        let is_open = !self.is_loopback && self.listed.is_empty();
        if is_open || is_address_or_localhost(host) {
            return Ok(());
        }
        let (name, _) = split(host);
        if is_below_localhost(name) || self.listed.has(name) {
            return Ok(());
        }
        if Authority::try_from(host).is_err() {
            return Err(Failure::new(Kind::Malformed, "The Host header is malformed."));
        }
        // A longer one is no name that could be listed.
        let name = Some(name).filter(|name| name.len() <= SHOWN_NAME_BYTES).unwrap_or("NAME");
        let line = match self.listed.is_empty() {
            true => format!("hosts = [{name:?}]"),
            false => format!("{name:?} to 'hosts'"),
        };
        let why = format!(
            "This host does not answer to the name {name}. If that is a name of its own, add {line} under [http] \
             in the application file."
        );
        Err(Failure::new(Kind::Misdirected, why))
    }
}

/// Whether a host, with or without port, is an address or the one name that cannot be bent. Without any,
/// as of HTTP/1.0, there is no name to be bent.
pub(super) fn is_address_or_localhost(host: &str) -> bool {
    let (name, _) = split(host);
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.is_empty()
        || without_dot(name).eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok()
}

/// Browsers take these for this machine without looking them up.
fn is_below_localhost(name: &str) -> bool {
    let name = without_dot(name);
    let end = name.len().checked_sub(".localhost".len()).and_then(|at| name.get(at..));
    end.is_some_and(|end| end.eq_ignore_ascii_case(".localhost"))
}

/// Whether a page may have this sent without asking first whether it may.
pub fn changes_nothing(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

// === impl Asked ===

impl RequestedHost<'_> {
    /// Whether a browser sends this for a page that is not the host's own.
    pub fn is_by_foreign_page(&self, headers: &HeaderMap) -> bool {
        if let Some(site) = headers.get(SEC_FETCH_SITE) {
            // Another port, or another name of the same owner, is another origin: `same-site` is foreign.
            return site != "same-origin" && site != "none";
        }
        let Some(origin) = headers.get(ORIGIN) else { return false };
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        !origin.is_some_and(|(scheme, authority)| self.is_own(scheme, authority))
    }

    /// Whether a browser says that a page of the host's own sends this. Programs say nothing.
    pub fn is_by_own_page(&self, headers: &HeaderMap) -> bool {
        let says = headers.contains_key(SEC_FETCH_SITE) || headers.contains_key(ORIGIN);
        says && !self.is_by_foreign_page(headers)
    }

    fn is_own(&self, scheme: &str, authority: &str) -> bool {
        let default = match scheme {
            "https" => "443",
            // Where the host is asked over TLS, its pages came over TLS. The other way round there may be a proxy
            // that speaks it for the host.
            "http" if !self.secure => "80",
            _ => return false,
        };
        let (name, port) = split(authority);
        let is = |other: &str| {
            let (other, other_port) = split(other);
            name.eq_ignore_ascii_case(other)
                && port.unwrap_or(default) == other_port.unwrap_or(default)
        };
        let (_, own_port) = split(self.host);
        is(self.host)
            || is(self.client_host)
            // Behind a proxy that asks by address, nothing else tells the name, and nothing the port.
            || (self.names.listed.has(name) && (port.is_none() || port == own_port))
    }
}

/// Name and port of `name:port`, `name` or `[::1]:port`.
fn split(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            (name, Some(port).filter(|port| !port.is_empty()))
        }
        _ => (host, None),
    }
}

fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests;
