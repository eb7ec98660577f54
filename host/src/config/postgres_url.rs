//! The address of a Postgres server, in either of the two forms that people have at hand.
//!
//! It exists so that the rest of the host sees one form, a `postgres://` URI, and so that no
//! password stands in an application file. No message made here repeats any part of an address:
//! where a password begins and ends is unsure in an address that is wrong.

use url::Url;

use super::diagnostic::Problem;
use super::interpolate::{HOLE, Text, has_literal};
use super::route::percent_encoded;
use super::secret::{BackendUrl, HIDDEN};

/// Checks `postgres://user:password@host/database` or `Host=..;Username=..;Password=..;Database=..`
/// and returns the first form.
pub(super) fn parse(text: &Text) -> Result<BackendUrl, Problem> {
    let value = text.value.trim();
    let skeleton = text.skeleton.trim();
    if value.is_empty() {
        return Err(Problem::new(
            "the address is empty",
            "write one, or remove 'url' to have a database started for you",
        ));
    }
    if has_literal_password(skeleton) {
        return Err(Problem::new(
            "a password stands in the file",
            "take it from the environment with ${NAME} or from a file with ${file:/path}",
        ));
    }
    if value.contains("://") && !skeleton.contains(';') {
        let url = checked_uri(&text.url())?;
        return Ok(BackendUrl::new(url, shown_uri(skeleton)));
    }
    // Where the settings stand in the file, an inserted value cannot add or end one.
    if let Ok(pairs) = Pairs::parse(skeleton, text.inserted()) {
        let shown = Pairs::parse(skeleton, std::iter::repeat(HIDDEN))?.shown();
        return Ok(BackendUrl::new(pairs.uri()?, shown));
    }
    let url = Pairs::parse(value, std::iter::empty())?.uri()?;
    Ok(BackendUrl::new(url, HIDDEN.to_owned()))
}

/// The parts of the semicolon form, as .NET calls them.
#[derive(Default)]
struct Pairs {
    host: String,
    port: String,
    user: String,
    password: String,
    database: String,
    ssl_mode: String,
}

impl Pairs {
    /// Fills the holes in `text` with `inserted`.
    fn parse<'i>(
        text: &str,
        mut inserted: impl Iterator<Item = &'i str>,
    ) -> Result<Pairs, Problem> {
        let mut pairs = Pairs::default();
        for part in split_outside_quotes(text) {
            let Some((key, value)) = part.split_once('=') else {
                return Err(Problem::new(
                    "the address is neither a URI nor a list of settings",
                    "write postgres://user:${PASSWORD}@host:5432/database, or \
                     Host=..;Port=..;Username=..;Password=${PASSWORD};Database=..",
                ));
            };
            let key: String = key.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
            let target = match key.as_str() {
                "host" | "server" => &mut pairs.host,
                "port" => &mut pairs.port,
                "username" | "userid" | "user" | "uid" => &mut pairs.user,
                "password" | "pwd" => &mut pairs.password,
                "database" | "db" => &mut pairs.database,
                "sslmode" => &mut pairs.ssl_mode,
                _ => {
                    return Err(Problem::new(
                        "the address has a setting that is not known",
                        "known are Host, Port, Username, Password, Database and SSL Mode; \
                         a value with a ';' goes in double quotes",
                    ));
                }
            };
            for character in unquoted(value.trim()).chars() {
                match character {
                    HOLE => target.push_str(inserted.next().unwrap_or_default()),
                    _ => target.push(character),
                }
            }
        }
        Ok(pairs)
    }

    fn uri(&self) -> Result<String, Problem> {
        if self.host.is_empty() || self.database.is_empty() {
            let missing = if self.host.is_empty() { "Host" } else { "Database" };
            return Err(Problem::new(
                format!("the address has no {missing}"),
                format!("add {missing}=..;"),
            ));
        }
        let mut uri = "postgres://".to_owned();
        if !self.user.is_empty() {
            uri.push_str(&percent_encoded(&self.user));
            if !self.password.is_empty() {
                uri.push(':');
                uri.push_str(&percent_encoded(&self.password));
            }
            uri.push('@');
        }
        let is_ipv6 = self.host.parse::<std::net::Ipv6Addr>().is_ok();
        // A path is the folder of a Unix socket.
        let is_socket = self.host.starts_with('/');
        match (is_ipv6, is_socket) {
            (true, _) => uri.push_str(&format!("[{}]", self.host)),
            (_, true) => uri.push_str("localhost"),
            _ => uri.push_str(&percent_encoded(&self.host)),
        }
        if !self.port.is_empty() {
            uri.push(':');
            uri.push_str(&self.port);
        }
        uri.push('/');
        uri.push_str(&percent_encoded(&self.database));
        let mut separator = '?';
        for (key, value) in [
            ("host", if is_socket { self.host.clone() } else { String::new() }),
            ("sslmode", dashed(&self.ssl_mode)),
        ] {
            if !value.is_empty() {
                uri.push_str(&format!("{separator}{key}={}", percent_encoded(&value)));
                separator = '&';
            }
        }
        checked_uri(&uri)
    }

    fn shown(&self) -> String {
        let colon = if self.port.is_empty() { "" } else { ":" };
        format!("{}{colon}{}/{}", self.host, self.port, self.database)
    }
}

fn checked_uri(value: &str) -> Result<String, Problem> {
    let url = Url::parse(value).map_err(|error| {
        Problem::new(
            format!("the address is not a valid URI ({error})"),
            "write postgres://user:${PASSWORD}@host:5432/database; special characters in the \
             password are percent-encoded",
        )
    })?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(Problem::new(
            "the address does not start with postgres:// or postgresql://",
            "write postgres://user:${PASSWORD}@host:5432/database",
        ));
    }
    let database = url.path().trim_start_matches('/');
    if url.fragment().is_some() || database.contains(['/', '@']) {
        return Err(Problem::new(
            "the address has a '#', '/' or '@' where none can be",
            "in a user name or password write %23 for '#', %2F for '/' and %40 for '@', or use \
             Host=..;Username=..;Password=..;Database=..",
        ));
    }
    let socket = url.query_pairs().any(|(key, value)| key == "host" && !value.is_empty());
    if url.host_str().is_none_or(str::is_empty) && !socket {
        return Err(Problem::new("the address names no host", "write it after '@' or '://'"));
    }
    if database.is_empty() {
        return Err(Problem::new("the address names no database", "end it with /<database>"));
    }
    Ok(value.to_owned())
}

/// `true` if a password stands in the literal part of an address of any kind.
pub(super) fn has_literal_password(skeleton: &str) -> bool {
    let secret_key = |key: &str| {
        let key = key.trim().to_lowercase();
        key.ends_with("password") || key == "pwd" || key == "passwd"
    };
    let literal_pair = |pair: &str| {
        pair.split_once('=').is_some_and(|(key, value)| {
            secret_key(key) && has_literal(unquoted(value.trim()).trim())
        })
    };
    let Some((_, rest)) = skeleton.split_once("://") else {
        // Every piece is looked at, even of a text that is not well-formed.
        return skeleton.split(';').any(literal_pair)
            || (!skeleton.contains(';') && userinfo_password(skeleton));
    };
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    userinfo_password(rest) || query.split('&').any(literal_pair)
}

fn userinfo_password(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let user_info = authority.rsplit_once('@').map_or("", |(user_info, _)| user_info);
    user_info.split_once(':').is_some_and(|(_, password)| has_literal(password))
}

/// Host, port and database of a URI, as far as they stand in the file.
fn shown_uri(skeleton: &str) -> String {
    let Some((_, rest)) = skeleton.split_once("://") else {
        return HIDDEN.to_owned();
    };
    let without_query = rest.split(['?', '#']).next().unwrap_or_default();
    let after_user = without_query.rsplit_once('@').map_or(without_query, |(_, place)| place);
    after_user.replace(HOLE, HIDDEN)
}

fn dashed(ssl_mode: &str) -> String {
    // .NET writes VerifyFull where a URI says verify-full.
    match ssl_mode.to_lowercase().as_str() {
        "verifyca" => "verify-ca".to_owned(),
        "verifyfull" => "verify-full".to_owned(),
        other => other.to_owned(),
    }
}

fn split_outside_quotes(text: &str) -> Vec<&str> {
    let mut quote = None;
    text.split(|c: char| {
        match quote {
            Some(open) if open == c => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            _ => {}
        }
        c == ';' && quote.is_none()
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
    .collect()
}

fn unquoted(value: &str) -> String {
    let inner = ['"', '\'']
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)));
    inner.unwrap_or(value).to_owned()
}
