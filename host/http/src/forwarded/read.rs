//! The headers of proxies, as RFC 7239 and custom have them. What cannot be read is as if it were not there.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::header::AsHeaderName;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue};

use super::{FOR, FORWARDED, HOST, Node, PREFIX, PROTO};

/// What one proxy says of the client that asked it.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) node: Option<Node>,
    pub(super) secure: Option<bool>,
    pub(super) host: Option<String>,
    /// Of `Forwarded`, which has all of it in one place.
    pub(super) is_forwarded: bool,
}

/// What the headers beside `X-Forwarded-For` say.
pub(super) struct ProxyClaims {
    pub(super) secure: Option<bool>,
    pub(super) host: Option<String>,
    pub(super) prefix: String,
}

/// `X-Forwarded-For: client, proxy, proxy`. None if there is none.
pub(super) fn x_forwarded(headers: &HeaderMap) -> Option<Vec<Element>> {
    headers.contains_key(&FOR).then(|| {
        let items = items(headers, FOR);
        items.iter().map(|item| Element { node: node(item), ..Element::default() }).collect()
    })
}

/// `Forwarded: for=client;host=name;proto=https, for=proxy`. None if there is none.
pub(super) fn forwarded(headers: &HeaderMap) -> Option<Vec<Element>> {
    headers
        .contains_key(&FORWARDED)
        .then(|| items(headers, FORWARDED).iter().map(|element| self::element(element)).collect())
}

/// `X-Forwarded-Proto`, `-Host` and `-Prefix`. Where they are lists, `hops` proxies at their end are trusted.
pub(super) fn way(headers: &HeaderMap, hops: usize) -> ProxyClaims {
    let trusted = |name| {
        let mut items = items(headers, name);
        items.drain(..items.len().saturating_sub(hops));
        items
    };
    let first = |name| trusted(name).into_iter().next();
    ProxyClaims {
        secure: first(PROTO).as_deref().and_then(is_secure),
        host: first(HOST).filter(|host| is_host(host)),
        // Each took off what was left by the one before.
        prefix: trusted(PREFIX).iter().filter_map(|text| prefix(text)).collect(),
    }
}

/// What is separated by commas in all headers of this name.
fn items(headers: &HeaderMap, name: impl AsHeaderName) -> Vec<String> {
    let values = headers.get_all(name);
    let texts = values.iter().map(|value| HeaderValue::to_str(value).unwrap_or_default());
    texts.flat_map(|text| split(text, ',')).map(|item| item.trim().to_string()).collect()
}

/// The parts between these separators, those in quotes left alone.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |character| {
        let is_escaped = std::mem::take(&mut escaped);
        match character {
            '\\' if quoted && !is_escaped => escaped = true,
            '"' if !is_escaped => quoted = !quoted,
            _ => {}
        }
        character == separator && !quoted
    })
}

fn element(text: &str) -> Element {
    let mut element = Element { is_forwarded: true, ..Element::default() };
    for pair in split(text, ';') {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let value = unquoted(value.trim());
        match name.trim().to_ascii_lowercase().as_str() {
            "for" => element.node = node(&value),
            "proto" => element.secure = is_secure(&value),
            "host" => element.host = Some(value.into_owned()).filter(|host| is_host(host)),
            _ => {}
        }
    }
    element
}

/// An address, with or without a port, or a name that stands for one.
fn node(text: &str) -> Option<Node> {
    let is_name = |name: &str| {
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    if text.eq_ignore_ascii_case("unknown") || (text.starts_with('_') && is_name(text)) {
        return Some(Node::Hidden(text.to_string()));
    }
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let address: Option<IpAddr> = match bracketed {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    };
    let address =
        address.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))?;
    Some(Node::Address(address.to_canonical()))
}

fn is_secure(proto: &str) -> Option<bool> {
    match proto.to_ascii_lowercase().as_str() {
        "http" | "ws" => Some(false),
        "https" | "wss" => Some(true),
        _ => None,
    }
}

fn is_host(text: &str) -> bool {
    !text.contains('@') && text.parse::<Authority>().is_ok()
}

/// The prefix of a path in its one form. One that a browser could take for a host name is none.
fn prefix(text: &str) -> Option<&str> {
    let text = text.trim_end_matches('/');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/%-._~!$&'()*+=:@".contains(&byte);
    (text.starts_with('/') && !text.contains("//") && text.bytes().all(allowed)).then_some(text)
}

/// A value of `Forwarded` as it is written: in quotes, unless it is a word.
pub(super) fn quoted(text: &str) -> Cow<'_, str> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_token) {
        return text.into();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")).into()
}

fn unquoted(text: &str) -> Cow<'_, str> {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let Some(inner) = inner else { return text.into() };
    if !inner.contains('\\') {
        return inner.into();
    }
    let mut plain = String::new();
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        plain.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    plain.into()
}
