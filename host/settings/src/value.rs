//! The small grammars inside strings: durations, sizes, addresses to listen on, names, routes.
//!
//! It exists so that each grammar is one pure function with its own table test. It must not know
//! tables, keys or places in the file, and it is never given a secret, as its messages repeat the
//! text.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::diagnostic::{Problem, quoted};
use wasm_host_limits as limits;
pub use wasm_host_limits::show::{show_duration, show_size};

/// Where to listen. The host may be a name such as `localhost`; port 0 asks for any free port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    pub host: String,
    pub port: u16,
}

/// `250ms`, `30s`, `5m`, `1h`.
pub fn duration(text: &str) -> Result<Duration, Problem> {
    let (digits, unit) = split_unit(text);
    let milliseconds: Option<u64> = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let number = digits.parse::<u64>().ok();
    number
        .zip(milliseconds)
        .and_then(|(number, milliseconds)| number.checked_mul(milliseconds))
        .map(Duration::from_millis)
        .ok_or_else(|| {
            Problem::new(
                format!("{} is not a duration", quoted(text)),
                "write a whole number with a unit, as in \"250ms\", \"30s\", \"5m\" or \"1h\"",
            )
        })
}

/// `64KiB`, `256MiB`, `2GiB`, or plain bytes.
pub fn size(text: &str) -> Result<u64, Problem> {
    let (digits, unit) = split_unit(text);
    let bytes: Option<u64> = match unit {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    let number = digits.parse::<u64>().ok();
    number.zip(bytes).and_then(|(number, bytes)| number.checked_mul(bytes)).ok_or_else(|| {
        let message = format!("{} is not a size", quoted(text));
        let binary = match unit.to_ascii_lowercase().as_str() {
            "k" | "kb" | "kib" => Some("KiB"),
            "m" | "mb" | "mib" => Some("MiB"),
            "g" | "gb" | "gib" => Some("GiB"),
            _ => None,
        };
        match (number, binary) {
            (Some(_), Some(unit)) => {
                Problem::new(message, format!("did you mean '{digits}{unit}'?"))
            }
            _ => Problem::new(
                message,
                "write a whole number with a unit, as in \"64KiB\", \"256MiB\" or \"2GiB\"",
            ),
        }
    })
}

/// `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`.
pub fn listen(text: &str) -> Result<Listen, Problem> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(Listen { host: address.ip().to_string(), port: address.port() });
    }
    let invalid = |hint: String| Problem::new(format!("{} is not an address", quoted(text)), hint);
    let example = "write an address and a port, as in \"127.0.0.1:8080\" or \"localhost:8080\"";
    let Some((host, port)) = text.rsplit_once(':') else {
        let hint = match (text.parse::<u16>(), is_host(text) || text.parse::<IpAddr>().is_ok()) {
            (Ok(port), _) => format!("did you mean '127.0.0.1:{port}'?"),
            (_, true) => format!("a port is missing, as in '{text}:8080'"),
            _ => example.to_owned(),
        };
        return Err(invalid(hint));
    };
    let Ok(port) = port.parse::<u16>() else {
        return Err(invalid("a port is a number from 0 to 65535".to_owned()));
    };
    if host.is_empty() {
        return Err(invalid(format!(
            "did you mean '127.0.0.1:{port}' (this machine only) or '0.0.0.0:{port}' (everywhere)?"
        )));
    }
    if !is_host(host) {
        return Err(invalid(example.to_owned()));
    }
    Ok(Listen { host: host.to_ascii_lowercase(), port })
}

/// The name of a service or resource: also a label in a host name, hence the length.
pub fn name(text: &str) -> Result<(), Problem> {
    let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase());
    if starts_well && has_name_characters(text) && text != "localhost" {
        return Ok(());
    }
    let hint = if text == "localhost" {
        "'localhost' always means this machine; choose another name".to_owned()
    } else {
        format!(
            "a name starts with a letter and has only a-z, 0-9 and '-', at most {} of them",
            limits::NAME_CHARACTERS
        )
    };
    Err(Problem::new(format!("{} cannot be a name", quoted(text)), hint))
}

/// The name of the application.
pub fn application_name(text: &str) -> Result<(), Problem> {
    if has_name_characters(text) {
        return Ok(());
    }
    let fixed = sanitised_name(text);
    Err(Problem::new(
        format!("{} cannot be the name of an application", quoted(text)),
        format!("use only a-z, 0-9 and '-', as in '{fixed}'"),
    ))
}

/// The nearest valid name to `text`.
pub fn sanitised_name(text: &str) -> String {
    let mut name = String::new();
    for character in text.chars() {
        if character.is_ascii_alphanumeric() {
            name.push(character.to_ascii_lowercase());
        } else if !name.ends_with('-') {
            name.push('-');
        }
    }
    let start = name.trim_start_matches(|c: char| !c.is_ascii_lowercase());
    let short: String = start.chars().take(limits::NAME_CHARACTERS).collect();
    match short.trim_end_matches('-') {
        "" | "localhost" => "app".to_owned(),
        name => name.to_owned(),
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Listen {
    /// On this machine only.
    pub fn local(port: u16) -> Listen {
        Listen { host: "127.0.0.1".to_owned(), port }
    }

    /// `true` if the two cannot both be bound.
    pub fn collides_with(&self, other: &Listen) -> bool {
        let same_place = self.host == other.host
            || self.is_everywhere()
            || other.is_everywhere()
            || (self.is_loopback() && other.is_loopback());
        self.port == other.port && self.port != 0 && same_place
    }

    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.address().is_some_and(|address| address.is_loopback())
    }

    fn is_everywhere(&self) -> bool {
        self.address().is_some_and(|address| address.is_unspecified())
    }

    fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|c| c == '-' || c == '_' || c.is_ascii_alphanumeric())
    };
    text.chars().any(|c| c.is_ascii_alphabetic()) && text.split('.').all(label)
        || text.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4())
}

fn has_name_characters(text: &str) -> bool {
    let allowed = |c: char| c == '-' || c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=limits::NAME_CHARACTERS).contains(&text.len()) && text.chars().all(allowed)
}
