//! Where an Ollama server is. Pure: `OLLAMA_HOST` is read by whoever reads the environment.
//!
//! An address may hold secrets (a user and password, a token in the path), so only scheme, host and
//! port are ever printed.

use std::fmt;
use std::net::IpAddr;

use url::Url;

/// A server's base URL, complete with port. `Debug` and `Display` leave secrets out.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Url);

impl Address {
    /// A configured URL, with an optional path prefix and an optional user and password.
    pub fn from_url(mut url: Url) -> Result<Self, String> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err("the URL of an Ollama server begins with `http://` or `https://`".into());
        }
        if url.host().is_none() {
            return Err("the URL of an Ollama server names a host".into());
        }
        url.set_query(None);
        url.set_fragment(None);
        Ok(Self(url))
    }

    /// The value of `OLLAMA_HOST`, as Ollama itself reads it: `scheme://host:port/path` with every
    /// part optional. What a server binds to (`0.0.0.0`) is read as where a client finds it.
    pub fn from_ollama_host(value: &str) -> Result<Self, String> {
        let value = value.trim().trim_matches(['"', '\'']).trim();
        let (scheme, rest, default_port) = match value.split_once("://") {
            Some(("http", rest)) => ("http", rest, 80),
            Some(("https", rest)) => ("https", rest, 443),
            Some(_) => return Err("OLLAMA_HOST begins with neither `http` nor `https`".into()),
            None if value == "ollama.com" => ("https", value, 443),
            None => ("http", value, DEFAULT_PORT),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (format!("{user}@"), host),
            None => (String::new(), authority),
        };
        let (host, port) = host_and_port(host);
        let port = port.and_then(|port| port.parse::<u16>().ok()).unwrap_or(default_port);
        let host = match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(IpAddr::V4(ip)) if ip.is_unspecified() => "127.0.0.1".to_string(),
            Ok(IpAddr::V6(ip)) if ip.is_unspecified() => "[::1]".to_string(),
            Ok(IpAddr::V6(ip)) => format!("[{ip}]"),
            Ok(IpAddr::V4(_)) | Err(_) if !host.is_empty() => host.to_string(),
            Ok(IpAddr::V4(_)) | Err(_) => "127.0.0.1".to_string(),
        };
        let url = Url::parse(&format!("{scheme}://{user}{host}:{port}/{path}"))
            .map_err(|error| format!("OLLAMA_HOST cannot be read as an address: {error}"))?;
        Self::from_url(url)
    }

    pub(super) fn url(&self) -> &Url {
        &self.0
    }
}

/// Where Ollama listens unless it is told otherwise.
impl Default for Address {
    fn default() -> Self {
        // An empty value is the default by definition, and its parts are constants.
        match Self::from_ollama_host("") {
            Ok(address) => address,
            Err(_) => unreachable!("the default address is a URL"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.0.host_str().unwrap_or_default();
        let port = self.0.port_or_known_default().unwrap_or(DEFAULT_PORT);
        write!(formatter, "{}://{host}:{port}", self.0.scheme())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Address({self})")
    }
}

const DEFAULT_PORT: u16 = 11434;

/// Split `host`, `host:port`, `[v6]`, `[v6]:port` and bare `v6`.
fn host_and_port(text: &str) -> (&str, Option<&str>) {
    if let Some(bracketed) = text.strip_prefix('[') {
        return match bracketed.split_once(']') {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => (bracketed, None),
        };
    }
    match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => (text, None),
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ollama_host_is_read_as_ollama_reads_it() {
        for (value, expected) in [
            ("", "http://127.0.0.1:11434/"),
            ("1.2.3.4", "http://1.2.3.4:11434/"),
            (":1234", "http://127.0.0.1:1234/"),
            ("1.2.3.4:1234", "http://1.2.3.4:1234/"),
            ("example.com", "http://example.com:11434/"),
            ("example.com:1234", "http://example.com:1234/"),
            (":66000", "http://127.0.0.1:11434/"),
            (":-1", "http://127.0.0.1:11434/"),
            ("[::1]", "http://[::1]:11434/"),
            ("::1", "http://[::1]:11434/"),
            ("[::1]:1337", "http://[::1]:1337/"),
            (" 1.2.3.4 ", "http://1.2.3.4:11434/"),
            ("\"1.2.3.4\"", "http://1.2.3.4:11434/"),
            ("'1.2.3.4'", "http://1.2.3.4:11434/"),
            ("http://1.2.3.4", "http://1.2.3.4/"),
            ("http://1.2.3.4:4321", "http://1.2.3.4:4321/"),
            ("https://1.2.3.4", "https://1.2.3.4/"),
            ("https://example.com/ollama", "https://example.com/ollama"),
            ("example.com:1234/a/b/", "http://example.com:1234/a/b/"),
            ("ollama.com", "https://ollama.com/"),
            ("0.0.0.0", "http://127.0.0.1:11434/"),
            ("0.0.0.0:1", "http://127.0.0.1:1/"),
            ("[::]", "http://[::1]:11434/"),
            ("http://a:b@h:1", "http://a:b@h:1/"),
        ] {
            let address = Address::from_ollama_host(value).unwrap();
            assert_eq!(address.url().as_str(), expected, "{value}");
        }
        for bad in ["ftp://h", "http://a b", "unix:///run/x"] {
            assert!(Address::from_ollama_host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_never_shows_its_secrets() {
        let url = "https://name:pa55@gw.example/t0ken/?k=v".parse().unwrap();
        let address = Address::from_url(url).unwrap();
        assert_eq!(format!("{address}"), "https://gw.example:443");
        assert_eq!(format!("{address:?}"), "Address(https://gw.example:443)");
        assert_eq!(Address::default().to_string(), "http://127.0.0.1:11434");
    }
}
