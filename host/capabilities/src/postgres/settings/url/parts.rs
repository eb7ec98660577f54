//! The parts of a database's address: read from either form, checked, and written as a URI.
//!
//! It exists so that both forms are held to the same rules, and so that nothing is found wrong only
//! when the address is used. It must not know which parts are secret.

use url::Url;

use super::keys::{self, Key};
use super::words;
use wasm_host_settings::diagnostic::Problem;
use wasm_host_settings::interpolate::HOLE;
use wasm_host_settings::percent;

const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

const DEFAULT_PORT: u16 = 5432;

#[derive(Clone, Copy)]
pub(super) enum Form {
    Uri,
    /// With semicolons, as .NET writes it.
    Settings,
    /// With spaces, as libpq writes it.
    Words,
}

/// What an address says, in either form.
#[derive(Default)]
pub(super) struct Parts {
    host: String,
    port: String,
    user: String,
    password: String,
    database: String,
    ssl_mode: String,
}

/// Which database of which server an address names, and as whom.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::postgres) struct DatabaseIdentity {
    host: String,
    port: u16,
    database: String,
    user: String,
}

impl Form {
    /// Of an address that is no URI.
    pub(super) fn of(text: &str) -> Form {
        if text.contains(';') { Form::Settings } else { Form::Words }
    }
}

impl Parts {
    /// A list of settings. Fills the holes in `text` with `inserted`. `file` is what stands in the file.
    pub(super) fn of_list<'i>(
        form: Form,
        text: &str,
        mut inserted: impl Iterator<Item = &'i str>,
        file: &str,
    ) -> Result<Parts, Problem> {
        let mut parts = Parts::default();
        let mut rest = text;
        loop {
            let next = match form {
                Form::Words => words::next(rest)?,
                _ => next_setting(rest)?,
            };
            let Some((key, value, after)) = next else { return Ok(parts) };
            let mut whole = String::new();
            for character in value.chars() {
                match character {
                    HOLE => whole.push_str(inserted.next().unwrap_or_default()),
                    _ => whole.push(character),
                }
            }
            parts.set(key, whole, file)?;
            rest = after;
        }
    }

    pub(super) fn of_uri(text: &str, file: &str) -> Result<Parts, Problem> {
        let uri = Url::parse(text).map_err(|error| {
            Problem::new(
                format!("the address is not a valid URI ({error})"),
                "write postgres://user:${PASSWORD}@host:5432/database; special characters in the \
                 password are percent-encoded",
            )
        })?;
        if !matches!(uri.scheme(), "postgres" | "postgresql") {
            return Err(Problem::new(
                "the address does not start with postgres:// or postgresql://",
                "write postgres://user:${PASSWORD}@host:5432/database",
            ));
        }
        let database = uri.path().trim_start_matches('/');
        if uri.fragment().is_some() || database.contains(['/', '@']) {
            return Err(Problem::new(
                "the address has a '#', '/' or '@' where none can be",
                "in a user name or password write %23 for '#', %2F for '/' and %40 for '@', or use \
                 Host=..;Username=..;Password=..;Database=..",
            ));
        }
        // `[::1]` is an address in a URI, `::1` everywhere else.
        let host = uri.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let mut parts = Parts {
            host: decoded(host)?,
            port: uri.port().map(|port| port.to_string()).unwrap_or_default(),
            user: decoded(uri.username())?,
            password: decoded(uri.password().unwrap_or_default())?,
            database: decoded(database)?,
            ssl_mode: String::new(),
        };
        for (key, value) in uri.query_pairs().filter(|(_, value)| !value.is_empty()) {
            parts.set(&key, value.into_owned(), file)?;
        }
        Ok(parts)
    }

    fn set(&mut self, key: &str, value: String, file: &str) -> Result<(), Problem> {
        let target = match keys::key(key).ok_or_else(|| keys::unknown(key, file))? {
            Key::Host => &mut self.host,
            Key::Port => &mut self.port,
            Key::User => &mut self.user,
            Key::Password => &mut self.password,
            Key::Database => &mut self.database,
            Key::SslMode => &mut self.ssl_mode,
            Key::Idle(values) => {
                let fits = values.is_empty() || values.contains(&value.to_lowercase().as_str());
                return if fits { Ok(()) } else { Err(keys::not_done(values)) };
            }
            Key::Elsewhere(key, setting) => return Err(keys::elsewhere(key, setting)),
        };
        *target = value;
        Ok(())
    }

    /// Without what is secret, and with what libpq takes for what is left out.
    pub(super) fn place(self) -> DatabaseIdentity {
        let Parts { host, port, user, database, .. } = self;
        let database = if database.is_empty() { user.clone() } else { database };
        let port = port.parse().unwrap_or(DEFAULT_PORT);
        DatabaseIdentity { host: host.to_ascii_lowercase(), port, database, user }
    }

    /// Nothing is left to be found wrong when the address is used.
    pub(super) fn checked(self, form: Form) -> Result<Parts, Problem> {
        for (value, name, word, uri_name, uri_place) in [
            (&self.host, "Host", "host", "host", "write it after '@' or '://'"),
            (&self.database, "Database", "dbname", "database", "end it with /<database>"),
            (
                &self.user,
                "Username",
                "user",
                "user",
                "write it before the host, as in postgres://user:${PASSWORD}@host/database",
            ),
        ] {
            if value.is_empty() {
                return Err(match form {
                    Form::Uri => {
                        Problem::new(format!("the address names no {uri_name}"), uri_place)
                    }
                    Form::Settings => Problem::new(
                        format!("the address has no {name}"),
                        format!("add {name}=..;"),
                    ),
                    Form::Words => {
                        Problem::new(format!("the address has no {word}"), format!("add {word}=.."))
                    }
                });
            }
        }
        if !self.port.is_empty() && self.port.parse::<u16>().is_err() {
            return Err(Problem::new(
                "the port of the address is not a number from 0 to 65535",
                "the port of Postgres is 5432 unless its server says otherwise",
            ));
        }
        if !self.ssl_mode.is_empty() && !SSL_MODES.contains(&dashed(&self.ssl_mode).as_str()) {
            return Err(Problem::new(
                "the address has an SSL mode that is not known",
                format!("known are {}", SSL_MODES.join(", ")),
            ));
        }
        Ok(self)
    }

    /// The one form that the rest of the host knows.
    pub(super) fn uri(&self) -> String {
        let mut uri = format!("postgres://{}", percent::encoded(&self.user));
        if !self.password.is_empty() {
            uri.push(':');
            uri.push_str(&percent::encoded(&self.password));
        }
        uri.push('@');
        let is_ipv6 = self.host.parse::<std::net::Ipv6Addr>().is_ok();
        // A path is the folder of a Unix socket.
        let is_socket = self.host.starts_with('/');
        match (is_ipv6, is_socket) {
            (true, _) => uri.push_str(&format!("[{}]", self.host)),
            (_, true) => uri.push_str("localhost"),
            _ => uri.push_str(&percent::encoded(&self.host)),
        }
        if !self.port.is_empty() {
            uri.push(':');
            uri.push_str(&self.port);
        }
        uri.push('/');
        uri.push_str(&percent::encoded(&self.database));
        let mut separator = '?';
        for (key, value) in [
            ("host", if is_socket { self.host.clone() } else { String::new() }),
            ("sslmode", dashed(&self.ssl_mode)),
        ] {
            if !value.is_empty() {
                uri.push_str(&format!("{separator}{key}={}", percent::encoded(&value)));
                separator = '&';
            }
        }
        uri
    }

    pub(super) fn shown(&self) -> String {
        let colon = if self.port.is_empty() { "" } else { ":" };
        format!("{}{colon}{}/{}", self.host, self.port, self.database)
    }
}

/// A name, its value, and what follows them. Nothing at the end of the text.
fn next_setting(text: &str) -> Result<Option<(&str, String, &str)>, Problem> {
    if text.trim_matches([';', ' ']).is_empty() {
        return Ok(None);
    }
    let (key, after) = text.split_once('=').ok_or_else(words::neither)?;
    let (value, after) = setting(after)?;
    Ok(Some((key.trim_matches([';', ' ']), value, after)))
}

/// The first value in `text`, without its quotes, and what follows its `;`. A quote within quotes
/// is written twice.
fn setting(text: &str) -> Result<(String, &str), Problem> {
    let text = text.trim_start();
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '\'' | '"')) else {
        let (value, after) = text.split_once(';').unwrap_or((text, ""));
        return Ok((value.trim_end().to_owned(), after));
    };
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if character != quote {
            value.push(character);
        } else if characters.next_if(|(_, next)| *next == quote).is_some() {
            value.push(quote);
        } else {
            let after = text.get(at + 1..).unwrap_or_default().trim_start();
            match after.strip_prefix(';') {
                Some(after) => return Ok((value, after)),
                None if after.is_empty() => return Ok((value, after)),
                None => break,
            }
        }
    }
    Err(Problem::new(
        "a value of the address begins with a quote and does not end with it",
        "end it with the same quote, and write a quote within it twice",
    ))
}

fn decoded(text: &str) -> Result<String, Problem> {
    percent::decoded(text).ok_or_else(|| {
        Problem::new("the address has a '%' that encodes nothing", "write %25 for a '%' of its own")
    })
}

fn dashed(ssl_mode: &str) -> String {
    // .NET writes VerifyFull where a URI says verify-full.
    match ssl_mode.to_lowercase().as_str() {
        "verifyca" => "verify-ca".to_owned(),
        "verifyfull" => "verify-full".to_owned(),
        other => other.to_owned(),
    }
}
