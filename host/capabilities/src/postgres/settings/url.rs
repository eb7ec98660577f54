//! The address of a Postgres server, in any of the three forms that people have at hand.
//!
//! It exists so that the rest of the host sees one form, a `postgres://` URI, and so that no
//! password stands in an application file. No message made here repeats any part of an address:
//! where a password begins and ends is unsure in an address that is wrong.

mod keys;
mod parts;
mod words;

pub(in crate::postgres) use self::parts::DatabaseIdentity;
use self::parts::{Form, Parts};
use wasm_host_settings::diagnostic::Problem;
use wasm_host_settings::interpolate::{HOLE, Text, has_literal};
use wasm_host_settings::secret::{BackendUrl, HIDDEN};

/// Checks `postgres://user:password@host/database`, `Host=..;Username=..;Password=..;Database=..` or
/// `host=.. user=.. password=.. dbname=..` and returns the first form.
///
/// # Errors
/// It is none of them, or a password stands in the file.
pub fn parse(text: &Text) -> Result<BackendUrl, Problem> {
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
    // In a list of settings, a '=' comes first.
    if value.split(['=', ';']).next().is_some_and(|start| start.contains("://")) {
        let parts = Parts::of_uri(&text.url(), skeleton)?.checked(Form::Uri)?;
        return Ok(BackendUrl::new(parts.uri(), shown_uri(skeleton)));
    }
    // Where the settings stand in the file, an inserted value cannot add or end one.
    let form = Form::of(skeleton);
    if let Ok(parts) = Parts::of_list(form, skeleton, text.inserted(), skeleton) {
        let shown = Parts::of_list(form, skeleton, std::iter::repeat(HIDDEN), skeleton)?.shown();
        return Ok(BackendUrl::new(parts.checked(form)?.uri(), shown));
    }
    let form = Form::of(value);
    let parts = Parts::of_list(form, value, std::iter::empty(), skeleton)?.checked(form)?;
    Ok(BackendUrl::new(parts.uri(), HIDDEN.to_owned()))
}

/// The place that an address of any form names. `None`: it is no address.
pub(in crate::postgres) fn place(text: &str) -> Option<DatabaseIdentity> {
    let text = text.trim();
    let parts = if text.split(['=', ';']).next().is_some_and(|start| start.contains("://")) {
        Parts::of_uri(text, "")
    } else {
        Parts::of_list(Form::of(text), text, std::iter::empty(), "")
    };
    parts.ok().map(Parts::place)
}

/// How the address asks for encryption, if it says so.
pub(super) fn ssl_mode(url: &BackendUrl) -> Option<String> {
    parameter(url, "sslmode")
}

/// Whether the server is reached by a socket of this machine's file system.
pub(super) fn is_socket(url: &BackendUrl) -> bool {
    parameter(url, "host").is_some()
}

fn parameter(url: &BackendUrl, name: &str) -> Option<String> {
    let url = url::Url::parse(url.expose()).ok()?;
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// `true` if a password stands in the literal part of an address of any kind.
pub fn has_literal_password(skeleton: &str) -> bool {
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
        return match Form::of(skeleton) {
            Form::Words => {
                let mut rest = skeleton;
                while let Ok(Some((key, value, after))) = words::next(rest) {
                    if secret_key(key) && has_literal(&value) {
                        return true;
                    }
                    rest = after;
                }
                // The rest is no list. A quote that is not closed is no password.
                let pieces = rest.replace('\'', "");
                pieces.split_whitespace().any(literal_pair) || userinfo_password(skeleton)
            }
            _ => skeleton.split(';').any(literal_pair),
        };
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

fn unquoted(value: &str) -> String {
    let inner = ['"', '\'']
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)));
    inner.unwrap_or(value).to_owned()
}
