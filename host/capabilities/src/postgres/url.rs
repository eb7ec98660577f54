//! Where a database is and how to log in, from the `postgres://` URI that the application file
//! yields. Other forms, and what is wrong with them, are the application file's affair.
//!
//! The text holds a password, so nothing here may put it, or a part of it, into an error or a log.

use std::fmt;

use sqlx::ConnectOptions;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};

use ::url::Url;

use wasm_host_limits::postgres as limits;
use wasm_host_settings::percent;

/// One database of one server, with its login. Its `Debug` shows no password.
#[derive(Clone)]
pub struct Address {
    options: PgConnectOptions,
}

/// The text is no such URI. Nothing of it is repeated.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the database url is not `postgres://USER:PASSWORD@HOST:PORT/DATABASE`")]
pub struct NotAnAddress;

impl Address {
    /// Read a URI. `?host=` may name the folder of a socket, `?sslmode=` the mode.
    pub fn from_uri(text: &str) -> Result<Self, NotAnAddress> {
        let uri = Url::parse(text).map_err(|_| NotAnAddress)?;
        if uri.scheme() != "postgres" {
            return Err(NotAnAddress);
        }
        let part =
            |text: &str| percent::decoded(text).filter(|part| !part.is_empty()).ok_or(NotAnAddress);
        // `[::1]` is an address in a URI, `::1` everywhere else.
        let mut host = part(uri.host_str().unwrap_or_default().trim_matches(['[', ']']))?;
        let mut ssl_mode = PgSslMode::Prefer;
        for (key, value) in uri.query_pairs() {
            match &*key {
                "host" => host = value.into_owned(),
                "sslmode" => ssl_mode = value.parse().map_err(|_| NotAnAddress)?,
                _ => return Err(NotAnAddress),
            }
        }
        let user = part(uri.username())?;
        let password = percent::decoded(uri.password().unwrap_or_default()).ok_or(NotAnAddress)?;
        let database = part(uri.path().trim_start_matches('/'))?;
        let port = uri.port().unwrap_or(5432);
        Ok(Self::new(&host, port, &user, &password, &database).with_ssl_mode(ssl_mode))
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
            // Poolers refuse it, and servers since 12 write numbers out without it.
            .extra_float_digits(None)
            // The driver would log statements, and with them what users typed.
            .disable_statement_logging();
        Self { options }
    }

    pub fn with_ssl_mode(self, mode: PgSslMode) -> Self {
        Self { options: self.options.ssl_mode(mode) }
    }

    /// Log in only where the certificate is the host's own, by the word of these authorities or the system's.
    pub fn with_authorities(self, pem: &[u8]) -> Self {
        let mode = match self.options.get_ssl_mode() {
            PgSslMode::VerifyCa => PgSslMode::VerifyCa,
            _ => PgSslMode::VerifyFull,
        };
        Self { options: self.options.ssl_root_cert_from_pem(pem.to_vec()).ssl_mode(mode) }
    }

    /// The same login for another database of the server.
    pub fn with_database(&self, database: &str) -> Self {
        Self { options: self.options.clone().database(database) }
    }

    /// The name or address of its server, or the folder of its socket.
    pub fn host(&self) -> &str {
        self.options.get_host()
    }

    /// None: it has a socket and no port.
    pub fn port(&self) -> Option<u16> {
        (!self.host().starts_with('/')).then(|| self.options.get_port())
    }

    pub fn database(&self) -> &str {
        self.options.get_database().unwrap_or_default()
    }

    /// Log in, with one setting of the session if given.
    pub(super) async fn connect(
        &self,
        setting: Option<(&str, &str)>,
    ) -> sqlx::Result<PgConnection> {
        match setting {
            Some(setting) => {
                PgConnection::connect_with(&self.options.clone().options([setting])).await
            }
            None => PgConnection::connect_with(&self.options).await,
        }
    }

    pub fn options(&self) -> &PgConnectOptions {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_becomes_what_it_says() {
        let uri = "postgres://weather:p%40%23%25%3B%22x@db:5433/app%20data?sslmode=verify-full";
        let options = Address::from_uri(uri).unwrap().options;
        assert_eq!((options.get_host(), options.get_port()), ("db", 5433));
        assert_eq!(options.get_username(), "weather");
        assert_eq!(options.get_database(), Some("app data"));
        assert!(matches!(options.get_ssl_mode(), PgSslMode::VerifyFull));
        // The driver has no way to ask for the password but to write it out again.
        assert_eq!(options.to_url_lossy().password(), Some("p%40%23%25%3B%22x"));
    }

    #[test]
    fn sockets_and_v6_addresses_are_hosts() {
        let host = |uri| Address::from_uri(uri).unwrap().options.get_host().to_owned();
        assert_eq!(host("postgres://u@localhost/d?host=%2Frun%2Fpg"), "/run/pg");
        assert_eq!(host("postgres://u@[::1]/d"), "::1");
    }

    #[test]
    fn errors_and_debug_repeat_no_value() {
        for text in [
            "mysql://u:secret@h/d",
            "postgres://u:secret@h",
            "postgres://:secret@h/d",
            "postgres://u:secret@h/d?sslmode=secret",
            "postgres://u:%zzsecret@h/d",
            "Host=h;Username=u;Password=secret",
            "secret",
        ] {
            let error = Address::from_uri(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{text}: {error}");
        }
        let address = Address::from_uri("postgres://u:secret@h/d").unwrap();
        assert!(!format!("{address:?}").contains("secret"));
    }
}
