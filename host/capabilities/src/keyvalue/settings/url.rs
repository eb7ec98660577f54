//! The address of a Redis server, as its own clients write it: `redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE]`, or
//! `rediss://` with encryption.
//!
//! As with a database, no message repeats any part of an address: where a password begins and ends is unsure in one that
//! is wrong.

use url::Url;

use wasm_host_settings::diagnostic::Problem;
use wasm_host_settings::interpolate::{HOLE, Text, has_literal};
use wasm_host_settings::percent;
use wasm_host_settings::secret::{BackendUrl, HIDDEN, Secret};

const SCHEMES: [&str; 2] = ["redis://", "rediss://"];
const DEFAULT_PORT: u16 = 6379;

/// Where a server is, and how to log in.
#[derive(Clone, Debug)]
pub(in crate::keyvalue) struct Address {
    /// Without brackets.
    pub(in crate::keyvalue) host: String,
    pub(in crate::keyvalue) port: u16,
    pub(in crate::keyvalue) is_encrypted: bool,
    pub(in crate::keyvalue) user: Option<String>,
    pub(in crate::keyvalue) password: Option<Secret>,
    pub(in crate::keyvalue) database: i64,
}

/// The address in the application file, checked.
pub(super) fn parse(text: &Text) -> Result<BackendUrl, Problem> {
    let value = text.url();
    let skeleton = text.skeleton.trim();
    if value.is_empty() {
        return Err(Problem::new(
            "the address is empty",
            "write one, or remove 'url' for a bucket of the host's own",
        ));
    }
    if has_literal_password(skeleton) {
        return Err(Problem::new(
            "a password stands in the file",
            "take it from the environment with ${NAME} or from a file with ${file:/path}",
        ));
    }
    let address = Address::of(&value)?;
    if address.user.is_some() && address.password.is_none() {
        // Some clients take a lone word for the password; servers are sent neither.
        return Err(Problem::new(
            "the address has a user and no password",
            "write redis://USER:${PASSWORD}@HOST, or redis://:${PASSWORD}@HOST for a password alone",
        ));
    }
    Ok(BackendUrl::new(value, shown(skeleton)))
}

pub(super) fn is_encrypted(url: &BackendUrl) -> bool {
    url.expose().starts_with("rediss://")
}

impl Address {
    /// # Errors
    /// It is none.
    pub(in crate::keyvalue) fn of(value: &str) -> Result<Self, Problem> {
        let wrong = |what: &str| {
            Problem::new(
                what,
                "write redis://HOST:PORT/DATABASE, or rediss:// for a server with a certificate",
            )
        };
        if !SCHEMES.iter().any(|scheme| value.starts_with(scheme)) {
            return Err(wrong("the address does not start with redis:// or rediss://"));
        }
        let url = Url::parse(value).map_err(|_| wrong("the address is not well-formed"))?;
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| wrong("the address names no host"))?;
        let database = match url.path().trim_matches('/') {
            "" => 0,
            number => number
                .parse::<u16>()
                .map_err(|_| wrong("the path of the address is not the number of a database"))?
                .into(),
        };
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("the address has settings behind '?' or '#'"));
        }
        let decoded = |part: &str| {
            percent::decoded(part)
                .ok_or_else(|| wrong("a '%' in the address is not followed by two digits"))
        };
        let user = Some(url.username()).filter(|user| !user.is_empty());
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(DEFAULT_PORT),
            is_encrypted: url.scheme() == "rediss",
            user: user.map(decoded).transpose()?,
            password: url.password().map(decoded).transpose()?.map(Secret::new),
            database,
        })
    }
}

/// Whether a password stands in the literal part. A lone name before the `@` is a user.
fn has_literal_password(skeleton: &str) -> bool {
    let rest = skeleton.split_once("://").map_or(skeleton, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let user_info = authority.rsplit_once('@').map_or("", |(user_info, _)| user_info);
    user_info.split_once(':').is_some_and(|(_, password)| has_literal(password))
}

/// Host, port and database, as far as they stand in the file.
fn shown(skeleton: &str) -> String {
    let Some((_, rest)) = skeleton.split_once("://") else { return HIDDEN.to_owned() };
    let without_query = rest.split(['?', '#']).next().unwrap_or_default();
    let after_user = without_query.rsplit_once('@').map_or(without_query, |(_, place)| place);
    after_user.replace(HOLE, HIDDEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_what_clients_of_redis_write() {
        let all = |value: &str| {
            let it = Address::of(value).unwrap();
            let password = it.password.map(|secret| secret.expose().to_owned());
            (it.host, it.port, it.is_encrypted, it.user, password, it.database)
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(all("redis://cache"), ("cache".into(), 6379, false, None, None, 0));
        let (user, password) = (text("anna"), text("a:b"));
        let whole = all("rediss://anna:a%3Ab@10.0.0.1:7000/3");
        assert_eq!(whole, ("10.0.0.1".into(), 7000, true, user, password, 3));
        let alone = all("redis://:secret@[::1]/");
        assert_eq!(alone, ("::1".into(), 6379, false, None, text("secret"), 0));
        for wrong in
            ["cache:6379", "http://cache", "redis://", "redis://cache/one", "redis://cache?a=b"]
        {
            assert!(Address::of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_password_in_the_file_is_seen_and_one_that_is_inserted_is_not() {
        assert!(has_literal_password("redis://:secret@cache"));
        assert!(!has_literal_password(&format!("redis://anna:{HOLE}@cache")));
        assert!(!has_literal_password("redis://cache"));
        assert_eq!(shown(&format!("redis://anna:{HOLE}@cache:1/2")), "cache:1/2");
    }
}
