//! Which client asks, as far as that can be trusted, and how a component is told.
//!
//! What a client says of itself is not trusted. What the host sees is the other end of the connection; a proxy that the
//! application file trusts may say which client it saw, and so on, up to the first that is not trusted: that is the
//! client. Everything here is pure. It knows addresses and headers, and neither sockets nor services.

mod read;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::OnceLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use wasm_host_capabilities::headers::strip_client;
use wasm_host_limits::http as limits;

const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The proxies that are trusted to say which client asks.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Vec<IpNet>);

/// The client that asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client<'r> {
    /// None if a proxy that is trusted does not say it.
    pub address: Option<IpAddr>,
    /// Whether the client's own connection is encrypted.
    pub secure: bool,
    /// The name and port that the client asked for.
    pub host: Cow<'r, str>,
    /// What proxies took off the path; the host's own route is not in it. Empty, or without a slash at its end.
    pub prefix: Cow<'r, str>,
    /// The way of a request that came by a proxy: the client first, and the other end of the connection last.
    hops: Vec<Node>,
}

/// The client or a proxy on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Address(IpAddr),
    /// `unknown`, or a name that means something to the proxy alone.
    Hidden(String),
}

/// What components are told of one connection. Made once, because most connections ask for one host and one route.
#[derive(Debug, Default)]
pub struct ForwardedHeaders(OnceLock<Lines>);

/// The values of the headers.
#[derive(Debug)]
struct Lines {
    /// What they are made of, beside the other end of the connection.
    host: String,
    prefix: String,
    forwarded: Option<HeaderValue>,
    for_value: Option<HeaderValue>,
    proto: HeaderValue,
    host_value: Option<HeaderValue>,
    prefix_value: Option<HeaderValue>,
}

// === impl Proxies ===

impl Proxies {
    pub fn new(trusted: Vec<IpNet>) -> Self {
        Self(trusted)
    }

    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client that asks, by a connection of `peer` and under the name `host`.
    pub fn client<'r>(
        &self,
        peer: IpAddr,
        secure: bool,
        host: &'r str,
        headers: &HeaderMap,
    ) -> Client<'r> {
        let peer = peer.to_canonical();
        let mut client = Client {
            address: Some(peer),
            secure,
            host: host.into(),
            prefix: "".into(),
            hops: Vec::new(),
        };
        if self.trusts(peer) {
            // The proxy itself, before the ones that it names.
            client.hops.push(Node::Address(peer));
            self.believe(&mut client, headers);
        }
        client
    }

    /// Use what the other end of the connection says, which is trusted.
    fn believe(&self, client: &mut Client<'_>, headers: &HeaderMap) {
        // Nearly every proxy writes `X-Forwarded-For`, and passes on what else its client wrote. So one that writes
        // it is not asked for `Forwarded`.
        let told = match read::x_forwarded(headers) {
            Some(told) => Some(told),
            None => read::forwarded(headers),
        };
        // From the nearest on. The first that is not trusted is the client, whatever stands in front of it.
        let nodes = told.iter().flatten().rev().map_while(|element| element.node.clone());
        for node in nodes.take(limits::PROXIES) {
            if !client.address.is_some_and(|speaker| self.trusts(speaker)) {
                break;
            }
            client.address = node.address();
            client.hops.push(node);
        }
        client.hops.reverse();
        let taken = client.hops.len() - 1;
        let of_client = told.as_ref().and_then(|told| told.get(told.len().checked_sub(taken)?));
        let of_client = of_client.filter(|_| taken > 0);
        let way = read::way(headers, taken.max(1));
        let (secure, host) = match of_client {
            Some(element) if element.is_forwarded => (element.secure, element.host.clone()),
            _ => (way.secure, way.host),
        };
        client.secure = secure.unwrap_or(client.secure);
        if let Some(host) = host {
            client.host = host.into();
        }
        client.prefix = way.prefix.into();
    }
}

// === impl Client ===

impl Client<'_> {
    /// Write into a request's headers which client asks, instead of what they say of it. `route` is the prefix that the
    /// host itself took off the path.
    pub fn tell(&self, headers: &mut HeaderMap, route: &str, told: &ForwardedHeaders) {
        if self.hops.is_empty() {
            strip_client(headers, |_| true);
            // The connection is the client's: the same is told with each of its requests.
            let lines = told.0.get_or_init(|| self.lines(route));
            if lines.host == self.host && lines.prefix == route {
                return lines.write(headers);
            }
            return self.lines(route).write(headers);
        }
        // What a trusted proxy says besides, such as a user, is its own affair.
        let has_real_ip = headers.contains_key(&REAL_IP);
        let ours = [FORWARDED, FOR, PROTO, HOST, PREFIX, REAL_IP];
        strip_client(headers, |name| {
            name.contains('_') || ours.iter().any(|ours| ours.as_str() == name)
        });
        let address = self.address.map(|address| address.to_string());
        if let Some(address) = address.filter(|_| has_real_ip).and_then(value) {
            headers.insert(REAL_IP, address);
        }
        self.lines(route).write(headers);
    }

    fn lines(&self, route: &str) -> Lines {
        let own = self.address.map(Node::Address);
        let hops = match &self.hops[..] {
            [] => own.as_slice(),
            hops => hops,
        };
        let proto = if self.secure { "https" } else { "http" };
        let plain: Vec<String> = hops.iter().map(Node::plain).collect();
        let mut forwarded = String::new();
        for (number, node) in hops.iter().enumerate() {
            let between = if number == 0 { "" } else { ", " };
            // Writing to a text does not fail.
            let _ = write!(forwarded, "{between}for={}", read::quoted(&node.bracketed()));
            if number == 0 {
                if !self.host.is_empty() {
                    let _ = write!(forwarded, ";host={}", read::quoted(&self.host));
                }
                let _ = write!(forwarded, ";proto={proto}");
            }
        }
        let prefix = format!("{}{route}", self.prefix);
        let some = |text: &str| Some(text.to_string()).filter(|text| !text.is_empty());
        Lines {
            forwarded: value(forwarded),
            for_value: value(plain.join(", ")),
            proto: HeaderValue::from_static(proto),
            host_value: some(&self.host).and_then(value),
            prefix_value: some(&prefix).and_then(value),
            host: self.host.to_string(),
            prefix: route.to_string(),
        }
    }
}

impl Node {
    fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(*address),
            Self::Hidden(_) => None,
        }
    }

    /// As `X-Forwarded-For` has it.
    fn plain(&self) -> String {
        match self {
            Self::Address(address) => address.to_string(),
            Self::Hidden(name) => name.clone(),
        }
    }

    /// As `Forwarded` has it.
    fn bracketed(&self) -> String {
        match self {
            Self::Address(IpAddr::V6(address)) => format!("[{address}]"),
            node => node.plain(),
        }
    }
}

impl Lines {
    fn write(&self, headers: &mut HeaderMap) {
        let lines = [
            (FORWARDED, self.forwarded.as_ref()),
            (FOR, self.for_value.as_ref()),
            (PROTO, Some(&self.proto)),
            (HOST, self.host_value.as_ref()),
            (PREFIX, self.prefix_value.as_ref()),
        ];
        // Room for all of them at once.
        headers.reserve(lines.len());
        for (name, value) in lines {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
    }
}

fn value(text: String) -> Option<HeaderValue> {
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests;
