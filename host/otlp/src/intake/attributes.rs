//! What is said of a span or a line, without what must not be kept.
//!
//! What the host promises of its own telemetry (docs/telemetry.md, "Secrets") it holds for what others send where names
//! tell it: no headers, no values of statements, no queries of URLs, nothing that is called a secret.

use std::borrow::Cow;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};

use super::{By, Rules};
use wasm_host_limits::intake as limits;
use wasm_host_limits::telemetry::TEXT_BYTES;
use wasm_host_telemetry::attributes as names;
use wasm_host_telemetry::secrets::is_secret;
use wasm_host_telemetry::span::{Attributes, Value};

/// Families of names: headers and their like, parameters of statements, and parts of URLs that the host does not show
/// of its own either.
const LEFT_OUT: [&str; 9] = [
    "http.request.header.",
    "http.response.header.",
    "rpc.grpc.request.metadata.",
    "rpc.grpc.response.metadata.",
    "db.query.parameter.",
    "db.operation.parameter.",
    "db.connection_string",
    "url.query",
    "url.fragment",
];

/// What is said to models and by them.
const MESSAGES: [&str; 9] = [
    names::AI_INPUT,
    names::AI_OUTPUT,
    "gen_ai.system_instructions",
    "gen_ai.prompt",
    "gen_ai.completion",
    "gen_ai.event.content",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.tool.definitions",
];

/// Addresses, in the names of now and of before.
const URLS: [&str; 4] = ["url.full", "url.original", "http.url", "http.target"];

/// Statements, in the same.
const STATEMENTS: [&str; 2] = [names::DB_TEXT, "db.statement"];

pub(super) fn attributes(sent: Vec<KeyValue>, rules: &Rules) -> Attributes {
    let is_postgres = sent.iter().any(|pair| {
        let is_system = pair.key == names::DB_SYSTEM || pair.key == "db.system";
        let system = pair.value.as_ref().and_then(|value| value.value.as_ref());
        is_system && system == Some(&Any::StringValue("postgresql".to_owned()))
    });
    let known = |pair: KeyValue| {
        let AnyValue { value } = pair.value?;
        let value = if is_left_out(&pair.key, rules) {
            return None;
        } else if URLS.contains(&pair.key.as_str()) {
            shown_url(&text(value?, TEXT_BYTES)).into()
        } else if STATEMENTS.contains(&pair.key.as_str()) {
            // The words of others are not known well enough to tell values from them.
            is_postgres.then_some(())?;
            (rules.statement)(&text(value?, usize::MAX)).into()
        } else {
            self::value(value?)
        };
        Some((Cow::from(name(&pair.key)), value))
    };
    sent.into_iter().take(limits::INTAKE_ATTRIBUTES).filter_map(known).collect()
}

fn is_left_out(key: &str, rules: &Rules) -> bool {
    let is_own = key.starts_with(names::OWN) && (rules.by == By::Page || key == names::RECEIVED);
    let is_message = !rules.captures_messages && MESSAGES.iter().any(|name| key.starts_with(name));
    is_own || is_message || LEFT_OUT.iter().any(|family| key.starts_with(family)) || is_secret(key)
}

/// An address without its query, and without user and password.
fn shown_url(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let url = url.get(..end).unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

fn value(value: Any) -> Value {
    match value {
        Any::BoolValue(is) => Value::Boolean(is),
        Any::IntValue(number) => Value::Integer(number),
        Any::DoubleValue(number) => Value::Number(number),
        other => Value::from(text(other, TEXT_BYTES)),
    }
}

/// A value as a text, which is cut where it is longer.
pub(super) fn text(value: Any, most: usize) -> String {
    let whole = match value {
        Any::StringValue(text) => text,
        other => json(other).to_string(),
    };
    match whole.len() > most {
        true => format!("{}…", whole.get(..whole.floor_char_boundary(most)).unwrap_or_default()),
        false => whole,
    }
}

fn json(value: Any) -> serde_json::Value {
    let of = |value: AnyValue| value.value.map_or(serde_json::Value::Null, json);
    match value {
        Any::StringValue(text) => text.into(),
        Any::BoolValue(is) => is.into(),
        Any::IntValue(number) => number.into(),
        Any::DoubleValue(number) => number.into(),
        Any::ArrayValue(array) => array.values.into_iter().map(of).collect(),
        Any::KvlistValue(list) => {
            let pairs = list.values.into_iter().filter(|pair| !is_secret(&pair.key));
            let pair = |pair: KeyValue| (pair.key, pair.value.map_or(serde_json::Value::Null, of));
            serde_json::Value::Object(pairs.map(pair).collect())
        }
        Any::BytesValue(bytes) => format!("{} bytes", bytes.len()).into(),
        // Of profiles alone.
        Any::StringValueStrindex(_) => serde_json::Value::Null,
    }
}

/// The text that an attribute is.
pub(super) fn string<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|pair| pair.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Any::StringValue(text) => Some(text),
        _ => None,
    }
}

/// A name as it is kept.
pub(super) fn name(name: &str) -> String {
    name.get(..name.floor_char_boundary(limits::INTAKE_NAME_BYTES)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_query_and_password() {
        for (url, shown) in [
            ("https://me:pw@a.example:8443/x?key=1#y", "https://a.example:8443/x"),
            ("/weather?key=1", "/weather"),
            ("http://a.example", "http://a.example"),
            ("http://a.example/x@y", "http://a.example/x@y"),
            ("", ""),
        ] {
            assert_eq!(shown_url(url), shown);
        }
    }
}
