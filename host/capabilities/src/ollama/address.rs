//! Where an Ollama server is: the URL that the application file yields. What people may write
//! instead, and the default, are the application file's affair.
//!
//! An address may hold secrets (a user and password, a token in the path), so only scheme, host and
//! port are ever printed.

use std::fmt;

use url::Url;

/// A server's base URL. `Debug` and `Display` leave secrets out.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Url);

/// The text is no such URL. Nothing of it is repeated.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the url of an Ollama server is not `http://HOST:PORT` or `https://HOST:PORT`")]
pub struct NotAnAddress;

impl Address {
    /// A URL with an optional path prefix and an optional user and password.
    pub fn parse(text: &str) -> Result<Self, NotAnAddress> {
        let url = Url::parse(text).map_err(|_| NotAnAddress)?;
        let whole = url.query().is_none() && url.fragment().is_none() && url.host().is_some();
        if !whole || !matches!(url.scheme(), "http" | "https") {
            return Err(NotAnAddress);
        }
        Ok(Self(url))
    }

    pub(super) fn url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.0.host_str().unwrap_or_default();
        let port = self.0.port_or_known_default().unwrap_or_default();
        write!(formatter, "{}://{host}:{port}", self.0.scheme())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_never_shows_its_secrets() {
        let address = Address::parse("https://name:pa55@gw.example/t0ken/").unwrap();
        assert_eq!(format!("{address}"), "https://gw.example:443");
        assert_eq!(format!("{address:?}"), "Address(https://gw.example:443)");
    }

    #[test]
    fn what_requests_cannot_be_appended_to_is_no_address() {
        for text in
            ["", "gpu", "gpu:1234", "ftp://gpu", "unix:///run/x", "http://h/?k=v", "http://h#f"]
        {
            assert_eq!(Address::parse(text), Err(NotAnAddress), "{text}");
        }
    }
}
