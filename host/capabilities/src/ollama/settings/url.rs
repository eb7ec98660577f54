//! The address of an Ollama server, in the grammar of its own variable `OLLAMA_HOST`.
//!
//! It exists because people have that variable set already: scheme, port and path are optional, a
//! path prefix is kept, and an address to listen on everywhere means this machine. As with a
//! database, no message repeats any part of an address.

use url::Url;

use wasm_host_settings::diagnostic::Problem;
use wasm_host_settings::interpolate::{HOLE, Text, has_literal};
use wasm_host_settings::secret::{BackendUrl, HIDDEN};

/// Where Ollama listens by default.
const DEFAULT_PORT: &str = "11434";
const DEFAULT_HOST: &str = "127.0.0.1";

/// The address in the application file.
pub(super) fn parse(text: &Text) -> Result<BackendUrl, Problem> {
    let value = text.url();
    if value.is_empty() {
        return Err(Problem::new(
            "the address is empty",
            "write one, or remove 'url' to use OLLAMA_HOST or http://127.0.0.1:11434",
        ));
    }
    if has_literal_credential(text.skeleton.trim()) {
        return Err(Problem::new(
            "a password or token stands in the file",
            "take it from the environment with ${NAME} or from a file with ${file:/path}",
        ));
    }
    let url = Address::parse(&value).url()?;
    let shown = if text.is_secret() {
        Address::parse(text.skeleton.trim()).shown_skeleton()
    } else {
        shown_url(&url)
    };
    Ok(without_trailing_slash(&BackendUrl::new(url.into(), shown)))
}

/// The value of `OLLAMA_HOST`; `None` is its default. It is not written by us, so a user name and a
/// password in it are hidden but allowed.
pub(super) fn from_environment(value: Option<&str>) -> Result<BackendUrl, Problem> {
    let value = value.unwrap_or_default().trim().trim_matches(['"', '\'']).trim();
    let url = Address::parse(value).url()?;
    let shown = shown_url(&url);
    Ok(without_trailing_slash(&BackendUrl::new(url.into(), shown)))
}

/// The pieces as they are written, unchecked.
struct Address<'t> {
    scheme: &'t str,
    user_info: Option<&'t str>,
    /// May have a port.
    host: &'t str,
    path: &'t str,
}

impl<'t> Address<'t> {
    fn parse(text: &'t str) -> Address<'t> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let path_start = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(path_start).unwrap_or((rest, ""));
        let (user_info, host) = match authority.rsplit_once('@') {
            Some((user_info, host)) => (Some(user_info), host),
            None => (None, authority),
        };
        Address { scheme, user_info, host, path }
    }

    fn url(&self) -> Result<Url, Problem> {
        let scheme = match self.scheme {
            // As Ollama itself reads it: nothing is served there without TLS.
            "" if self.host == "ollama.com" => "https",
            "" => "http",
            scheme => scheme,
        };
        if !matches!(scheme, "http" | "https") {
            return Err(Problem::new(
                "the address does not start with http:// or https://",
                "write http://host:11434",
            ));
        }
        let (host, port) = split_port(self.host);
        let host = match host {
            // Listening everywhere is a server's setting; a client finds it on this machine.
            "" | "0.0.0.0" | "[::]" | "::" => DEFAULT_HOST.to_owned(),
            host if host.contains(':') && !host.starts_with('[') => format!("[{host}]"),
            host => host.to_owned(),
        };
        let port = match port {
            Some(port) => format!(":{port}"),
            // Without a scheme the port is Ollama's; with one it is the scheme's.
            None if self.scheme.is_empty() && scheme == "http" => format!(":{DEFAULT_PORT}"),
            None => String::new(),
        };
        let user_info = self.user_info.map(|user| format!("{user}@")).unwrap_or_default();
        let url = Url::parse(&format!("{scheme}://{user_info}{host}{port}{}", self.path)).map_err(
            |error| {
                Problem::new(
                    format!("the address is not a valid URL ({error})"),
                    "write http://host:11434",
                )
            },
        )?;
        if url.path().trim_end_matches('/').ends_with("/v1") {
            return Err(Problem::new(
                "the address ends with /v1, which is where the OpenAI part of Ollama's API begins and not where Ollama is",
                "write it without /v1; what is called as /v1/... is passed on below it",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() || url.path().contains('@') {
            return Err(Problem::new(
                "the address has a '?', '#' or '@' where none can be",
                "in a user name or password write %3F for '?', %23 for '#' and %40 for '@'",
            ));
        }
        Ok(url)
    }

    fn shown_skeleton(&self) -> String {
        let separator = if self.scheme.is_empty() { "" } else { "://" };
        format!("{}{separator}{}{}", self.scheme, self.host, self.path).replace(HOLE, HIDDEN)
    }
}

/// Callers append `/api/...`.
fn without_trailing_slash(address: &BackendUrl) -> BackendUrl {
    let url = address.expose().trim_end_matches('/').to_owned();
    let shown = address.to_string().trim_end_matches('/').to_owned();
    BackendUrl::new(url, shown)
}

/// A bare IPv6 address has colons and no port.
fn split_port(host: &str) -> (&str, Option<&str>) {
    if host.parse::<std::net::Ipv6Addr>().is_ok() || host.ends_with(']') {
        return (host, None);
    }
    match host.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (host, None),
    }
}

fn has_literal_credential(skeleton: &str) -> bool {
    match Address::parse(skeleton).user_info.map(|user| user.split_once(':').ok_or(user)) {
        // A lone user name is how a token is sent.
        Some(Err(token)) => has_literal(token),
        Some(Ok((_, password))) => has_literal(password),
        None => false,
    }
}

fn shown_url(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for addresses without a host, which have no user either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}
