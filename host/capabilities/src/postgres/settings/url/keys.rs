//! The names of settings in a database's address: libpq's, .NET's, and those of other drivers that people copy.
//!
//! It must not see a value but that of a setting whose values are words.

use wasm_host_settings::diagnostic::Problem;

/// What a setting is to the host.
#[derive(Clone, Copy)]
pub(super) enum Key {
    Host,
    Port,
    User,
    Password,
    Database,
    SslMode,
    /// Nothing that matters here, if it has one of these values. Any, if there are none.
    Idle(&'static [&'static str]),
    /// A key of the database's table says it: its name there, and the setting's.
    Elsewhere(&'static str, &'static str),
}

/// Nothing if the name is not known.
pub(super) fn key(name: &str) -> Option<Key> {
    let name: String = name.chars().filter(|c| !matches!(c, ' ' | '_')).collect();
    Some(match name.to_lowercase().as_str() {
        "host" | "server" => Key::Host,
        "port" => Key::Port,
        "username" | "userid" | "user" | "uid" => Key::User,
        "password" | "pwd" => Key::Password,
        "database" | "db" | "dbname" => Key::Database,
        "sslmode" => Key::SslMode,
        // The host has a name of its own for its connections, one server to choose from, bounds of its own for
        // every wait, and no Kerberos. Channel binding it does not do, required or not: the SSL mode says whether
        // the server has to prove itself.
        "applicationname"
        | "fallbackapplicationname"
        | "channelbinding"
        | "targetsessionattrs"
        | "loadbalancehosts"
        | "keepalives"
        | "keepalivesidle"
        | "keepalivesinterval"
        | "keepalivescount"
        | "tcpusertimeout"
        | "krbsrvname"
        | "gsslib"
        | "gssdelegation"
        | "sslcompression"
        | "sslsni"
        | "sslnegotiation" => Key::Idle(&[]),
        "gssencmode" => Key::Idle(&["disable", "prefer"]),
        "clientencoding" | "encoding" => Key::Idle(&["utf8", "utf-8", "unicode", "auto"]),
        "connecttimeout" => Key::Elsewhere("connect-timeout", "connect_timeout"),
        "timeout" => Key::Elsewhere("connect-timeout", "Timeout"),
        "statementtimeout" => Key::Elsewhere("statement-timeout", "statement_timeout"),
        "commandtimeout" => Key::Elsewhere("statement-timeout", "Command Timeout"),
        "maximumpoolsize" | "maxpoolsize" => Key::Elsewhere("pool", "Maximum Pool Size"),
        "connectionlimit" => Key::Elsewhere("pool", "connection_limit"),
        "pooltimeout" => Key::Elsewhere("acquire-timeout", "pool_timeout"),
        "sslrootcert" => Key::Elsewhere("ca", "sslrootcert"),
        "rootcertificate" => Key::Elsewhere("ca", "Root Certificate"),
        _ => return None,
    })
}

/// The name of a setting that may be repeated: it stands so in the file, and so is no part of a secret.
fn public<'n>(name: &'n str, file: &str) -> Option<&'n str> {
    let stands_there = |(at, _)| {
        let after = file.get(at..).and_then(|rest: &str| rest.strip_prefix(name));
        after.is_some_and(|after| after.trim_start().starts_with('='))
    };
    (!name.is_empty() && file.match_indices(name).any(stands_there)).then_some(name)
}

pub(super) fn unknown(name: &str, file: &str) -> Problem {
    let what = match public(name, file) {
        Some(name) => format!("the address has the setting '{name}', which is not known"),
        None => "the address has a setting that is not known".to_owned(),
    };
    Problem::new(
        what,
        "known are Host, Port, Username, Password, Database and SSL Mode, and those of libpq that change nothing \
         here; a value with a ';' goes in double quotes",
    )
}

pub(super) fn elsewhere(key: &str, setting: &str) -> Problem {
    Problem::new(
        format!("the address has the setting '{setting}', which is a key of the file"),
        format!("remove it, and write {key} = .. beside url"),
    )
}

/// The setting is known, and its value asks for what the host does not do.
pub(super) fn not_done(values: &[&str]) -> Problem {
    Problem::new(
        "the address asks for an encryption or encoding that the host does not have",
        format!("remove the setting; of its values {} are taken", values.join(", ")),
    )
}
