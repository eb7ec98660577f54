//! Where a database is and how to log in, from a URI or from the `Key=value;` form of ADO.NET.
//!
//! The text holds a password, so nothing here may put it, or a part of it that was not understood,
//! into an error or a log.

use std::fmt;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::limits;

/// One database of one server, with its login. Its `Debug` shows no password.
#[derive(Clone)]
pub struct Address {
    options: PgConnectOptions,
}

/// Why the text is no address. Names keys, never values.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AddressError {
    #[error(
        "the database url is neither `postgresql://USER:PASSWORD@HOST:PORT/DATABASE` nor \
         `Host=…;Port=…;Username=…;Password=…;Database=…`; in the first form, write special \
         characters of the password percent-encoded"
    )]
    Form,
    #[error("the database url has the unknown key `{0}`; remove it")]
    UnknownKey(String),
    #[error("the value of `{0}` in the database url is not understood")]
    Value(&'static str),
    #[error("the database url does not say `{0}`")]
    Missing(&'static str),
}

impl Address {
    /// Parse either form.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        let parts = if text.contains("://") { from_uri(text)? } else { from_ado(text)? };
        let host = parts.host.ok_or(AddressError::Missing("Host"))?;
        let user = parts.user.ok_or(AddressError::Missing("Username"))?;
        let database = parts.database.unwrap_or_else(|| user.clone());
        Ok(Self::new(&host, parts.port.unwrap_or(5432), &user, &parts.password, &database)
            .with_ssl_mode(parts.ssl_mode.unwrap_or(PgSslMode::Prefer)))
    }

    /// `host` is a name, an address, or, if it starts with `/`, the folder of a socket.
    pub fn new(host: &str, port: u16, user: &str, password: &str, database: &str) -> Self {
        let options = PgConnectOptions::new_without_pgpass()
            .host(host)
            .port(port)
            .username(user)
            .password(password)
            .database(database)
            .application_name("wasm-host")
            .statement_cache_capacity(limits::PREPARED_STATEMENTS)
            // The driver would log statements, and with them what users typed.
            .disable_statement_logging();
        Self { options }
    }

    pub fn with_ssl_mode(self, mode: PgSslMode) -> Self {
        Self { options: self.options.ssl_mode(mode) }
    }

    /// The same login for another database of the server.
    pub fn with_database(&self, database: &str) -> Self {
        Self { options: self.options.clone().database(database) }
    }

    pub fn database(&self) -> &str {
        self.options.get_database().unwrap_or_default()
    }

    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.options
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address")
            .field("host", &self.options.get_host())
            .field("port", &self.options.get_port())
            .field("user", &self.options.get_username())
            .field("database", &self.database())
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Parts {
    host: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    password: String,
    database: Option<String>,
    ssl_mode: Option<PgSslMode>,
}

fn from_uri(text: &str) -> Result<Parts, AddressError> {
    let uri = ::url::Url::parse(text).map_err(|_| AddressError::Form)?;
    if !matches!(uri.scheme(), "postgres" | "postgresql") || uri.fragment().is_some() {
        return Err(AddressError::Form);
    }
    let mut parts = Parts {
        host: uri.host_str().filter(|host| !host.is_empty()).map(decode).transpose()?,
        port: uri.port(),
        user: Some(uri.username()).filter(|user| !user.is_empty()).map(decode).transpose()?,
        password: decode(uri.password().unwrap_or_default())?,
        database: Some(uri.path().trim_start_matches('/'))
            .filter(|database| !database.is_empty())
            .map(decode)
            .transpose()?,
        ssl_mode: None,
    };
    for (key, value) in uri.query_pairs() {
        set(&mut parts, &key, &value)?;
    }
    // `[::1]` is an address in a URI, `::1` everywhere else.
    parts.host = parts.host.map(|host| host.trim_matches(['[', ']']).to_string());
    Ok(parts)
}

fn from_ado(text: &str) -> Result<Parts, AddressError> {
    let mut parts = Parts::default();
    let mut rest = text;
    while !rest.trim_matches([';', ' ']).is_empty() {
        let (key, after) = rest.split_once('=').ok_or(AddressError::Form)?;
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let (value, after) = match quote {
            Some(quote) => quoted(after, quote)?,
            None => {
                let (value, after) = after.split_once(';').unwrap_or((after, ""));
                (value.trim_end().to_string(), after)
            }
        };
        set(&mut parts, key.trim_matches([';', ' ']), &value)?;
        rest = after;
    }
    Ok(parts)
}

/// A value in quotes, in which the quote itself is doubled, and what follows its `;`.
fn quoted(text: &str, quote: char) -> Result<(String, &str), AddressError> {
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if character != quote {
            value.push(character);
        } else if characters.next_if(|(_, next)| *next == quote).is_some() {
            value.push(quote);
        } else {
            let after = text.get(at + 1..).unwrap_or_default().trim_start();
            let after = match after.strip_prefix(';') {
                Some(after) => after,
                None if after.is_empty() => after,
                None => return Err(AddressError::Form),
            };
            return Ok((value, after));
        }
    }
    Err(AddressError::Form)
}

fn set(parts: &mut Parts, key: &str, value: &str) -> Result<(), AddressError> {
    let plain: String =
        key.chars().filter(|c| !matches!(c, ' ' | '_')).map(|c| c.to_ascii_lowercase()).collect();
    match plain.as_str() {
        "host" | "server" => parts.host = Some(value.to_string()),
        "port" => parts.port = Some(value.parse().map_err(|_| AddressError::Value("Port"))?),
        "username" | "userid" | "user" | "uid" => parts.user = Some(value.to_string()),
        "password" | "pwd" => parts.password = value.to_string(),
        "database" | "db" | "dbname" => parts.database = Some(value.to_string()),
        "sslmode" => {
            // ADO.NET writes `VerifyFull`, libpq `verify-full`.
            let mode = match value.to_ascii_lowercase().replace('-', "").as_str() {
                "disable" => PgSslMode::Disable,
                "allow" => PgSslMode::Allow,
                "prefer" => PgSslMode::Prefer,
                "require" => PgSslMode::Require,
                "verifyca" => PgSslMode::VerifyCa,
                "verifyfull" => PgSslMode::VerifyFull,
                _ => return Err(AddressError::Value("sslmode")),
            };
            parts.ssl_mode = Some(mode);
        }
        // A misplaced `;` can turn a piece of the password into a key; only what looks like one
        // of the common keys is repeated.
        "pooling"
        | "timeout"
        | "commandtimeout"
        | "maximumpoolsize"
        | "minimumpoolsize"
        | "connecttimeout"
        | "applicationname"
        | "options"
        | "includeerrordetail"
        | "trustservercertificate"
        | "searchpath"
        | "channelbinding" => {
            return Err(AddressError::UnknownKey(key.to_string()));
        }
        _ => return Err(AddressError::Form),
    }
    Ok(())
}

fn decode(text: &str) -> Result<String, AddressError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(AddressError::Form);
        };
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| AddressError::Form)?);
    }
    String::from_utf8(bytes).map_err(|_| AddressError::Form)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, u16, String, String, String) {
        let parts = if text.contains("://") { from_uri(text) } else { from_ado(text) }.unwrap();
        (
            parts.host.unwrap(),
            parts.port.unwrap_or(5432),
            parts.user.unwrap(),
            parts.password,
            parts.database.unwrap(),
        )
    }

    #[test]
    fn both_forms_say_the_same() {
        let expected =
            ("db".into(), 5433, "weather".into(), "p!@#%;' \"x".into(), "app data".into());
        let uri = "postgresql://weather:p!%40%23%25%3B'%20%22x@db:5433/app%20data?sslmode=disable";
        assert_eq!(read(uri), expected);
        let ado = "Host=db;Port=5433;User Id=weather;Password='p!@#%;'' \"x';Database=app data;";
        assert_eq!(read(ado), expected);
        let ado = "server=db; PORT=5433; uid=weather; pwd=\"p!@#%;' \"\"x\"; Database=app data";
        assert_eq!(read(ado), expected);
    }

    #[test]
    fn sockets_and_v6_addresses_are_hosts() {
        assert_eq!(read("postgres:///d?host=/run/pg&user=u").0, "/run/pg");
        assert_eq!(read("postgres://u@[::1]/d").0, "::1");
    }

    #[test]
    fn errors_and_debug_repeat_no_value() {
        for text in [
            "postgresql://u:secret#x@h/d",
            "mysql://u:secret@h/d",
            "Host=h;Username=u;Password=a;secret=1",
            "Host=h;Username=u;Password='secret",
            "Host=h;Port=secret;Username=u",
            "Password=secret",
            "secret",
        ] {
            let error = Address::parse(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{text}: {error}");
        }
        let address = Address::parse("postgres://u:secret@h/d").unwrap();
        assert!(!format!("{address:?}").contains("secret"));
    }

    #[test]
    fn the_database_defaults_to_the_user_and_keys_are_checked() {
        assert_eq!(Address::parse("postgres://u:p@h").unwrap().database(), "u");
        assert_eq!(
            Address::parse("Host=h;Username=u;Pooling=true").unwrap_err(),
            AddressError::UnknownKey("Pooling".into())
        );
        assert_eq!(Address::parse("Host=h").unwrap_err(), AddressError::Missing("Username"));
    }
}
