//! A case file as it is written: keys and types, before anything is made of them.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{Spanned, Value};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawCase {
    pub(super) about: Option<String>,
    #[serde(default, deserialize_with = "time")]
    pub(super) clock: Option<String>,
    pub(super) seed: Option<u64>,
    pub(super) env: Option<BTreeMap<String, String>>,
    #[serde(rename = "match")]
    pub(super) matching: Option<String>,
    pub(super) timeout: Option<String>,
    pub(super) patience: Option<String>,
    #[serde(default)]
    pub(super) ollama: RawOllama,
    pub(super) request: Spanned<RawRequest>,
    #[serde(default)]
    pub(super) call: Vec<Spanned<RawCall>>,
    pub(super) response: Option<Spanned<RawResponse>>,
    pub(super) log: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawOllama {
    pub(super) concurrent: Option<usize>,
    pub(super) first_byte_timeout: Option<String>,
}

pub(super) type Headers = BTreeMap<String, Strings>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawRequest {
    pub(super) method: Option<String>,
    pub(super) path: String,
    pub(super) headers: Option<Headers>,
    pub(super) text: Option<String>,
    #[serde(default, deserialize_with = "json")]
    pub(super) json: Option<String>,
    pub(super) base64: Option<String>,
    pub(super) lines: Option<Vec<RawPiece>>,
    pub(super) chunks: Option<Vec<RawPiece>>,
    pub(super) end: Option<String>,
    pub(super) leave_after: Option<String>,
    pub(super) leave_after_bytes: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawCall {
    pub(super) query: Option<String>,
    pub(super) execute: Option<String>,
    pub(super) begin: Option<String>,
    pub(super) commit: Option<bool>,
    pub(super) rollback: Option<bool>,
    pub(super) ollama: Option<String>,
    pub(super) http: Option<String>,
    pub(super) function: Option<String>,
    pub(super) transaction: Option<usize>,
    pub(super) parameters: Option<Vec<Value>>,
    pub(super) headers: Option<Headers>,
    pub(super) text: Option<String>,
    #[serde(default, deserialize_with = "json")]
    pub(super) json: Option<String>,
    pub(super) base64: Option<String>,
    #[serde(default)]
    pub(super) any_body: bool,
    #[serde(default)]
    pub(super) cancelled: bool,
    #[serde(default)]
    pub(super) answer: RawAnswer,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawAnswer {
    pub(super) after: Option<String>,
    pub(super) columns: Option<Vec<String>>,
    pub(super) rows: Option<Vec<RawRow>>,
    pub(super) changed: Option<u64>,
    pub(super) error: Option<RawError>,
    #[serde(default, deserialize_with = "json")]
    pub(super) failure: Option<String>,
    pub(super) unreachable: Option<String>,
    pub(super) lost: Option<String>,
    pub(super) status: Option<u16>,
    pub(super) headers: Option<Headers>,
    pub(super) text: Option<String>,
    #[serde(default, deserialize_with = "json")]
    pub(super) json: Option<String>,
    pub(super) base64: Option<String>,
    pub(super) lines: Option<Vec<RawPiece>>,
    pub(super) chunks: Option<Vec<RawPiece>>,
    pub(super) end: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawResponse {
    pub(super) status: Option<u16>,
    pub(super) headers: Option<BTreeMap<String, Wanted>>,
    pub(super) text: Option<String>,
    #[serde(default, deserialize_with = "json")]
    pub(super) json: Option<String>,
    pub(super) base64: Option<String>,
    pub(super) chunks: Option<Vec<RawChunk>>,
    pub(super) end: Option<String>,
    pub(super) reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawChunk {
    pub(super) at: String,
    pub(super) text: Option<String>,
    #[serde(default, deserialize_with = "json")]
    pub(super) json: Option<String>,
    pub(super) base64: Option<String>,
}

pub(super) struct RawBody {
    pub(super) text: Option<String>,
    pub(super) json: Option<String>,
    pub(super) base64: Option<String>,
}

pub(super) fn raw_body(
    text: Option<String>,
    json: Option<String>,
    base64: Option<String>,
) -> RawBody {
    RawBody { text, json, base64 }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a text or a list of texts")]
pub(super) enum Strings {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a text, or false for a header that must be absent")]
pub(super) enum Wanted {
    Value(String),
    Present(bool),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a text, { base64 = \"…\" } or { after = \"1s\" }")]
pub(super) enum RawPiece {
    Text(String),
    Base64 { base64: String },
    Pause { after: String },
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a list of values or { after = \"1s\" }")]
pub(super) enum RawRow {
    Row(Vec<Value>),
    Pause { after: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawError {
    Unavailable(String),
    Busy(String),
    TimedOut(String),
    Cancelled,
    Database(RawSqlError),
    InvalidParameter(String),
    Unsupported(String),
    Ended,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSqlError {
    pub(super) sqlstate: String,
    pub(super) severity: Option<String>,
    pub(super) message: String,
    pub(super) detail: Option<String>,
    pub(super) hint: Option<String>,
    pub(super) constraint: Option<String>,
    pub(super) table: Option<String>,
    pub(super) column: Option<String>,
    pub(super) position: Option<u32>,
}

/// A time is a text, or TOML's own.
fn time<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => Ok(Some(text)),
        Value::Datetime(time) => Ok(Some(time.to_string())),
        other => Err(serde::de::Error::custom(format!(
            "{other} is no time; write \"2026-01-31T23:59:30Z\""
        ))),
    }
}

/// JSON is a text that is passed on as it is, or TOML's own values, whose keys come in the order of the alphabet.
fn json<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => Ok(Some(text)),
        other => match json_value(other) {
            Ok(value) => Ok(Some(value.to_string())),
            Err(why) => Err(serde::de::Error::custom(format!("json: {why}"))),
        },
    }
}

pub(super) fn json_value(value: Value) -> Result<serde_json::Value, String> {
    Ok(match value {
        Value::String(text) => text.into(),
        Value::Integer(number) => number.into(),
        Value::Boolean(flag) => flag.into(),
        Value::Float(number) => serde_json::Number::from_f64(number)
            .ok_or_else(|| format!("there is no number {number} in JSON"))?
            .into(),
        Value::Datetime(time) => {
            return Err(format!("there are no times in JSON; write it as a text, \"{time}\""));
        }
        Value::Array(values) => {
            serde_json::Value::Array(values.into_iter().map(json_value).collect::<Result<_, _>>()?)
        }
        Value::Table(entries) => {
            let entry = |(key, value)| Ok::<_, String>((key, json_value(value)?));
            serde_json::Value::Object(entries.into_iter().map(entry).collect::<Result<_, _>>()?)
        }
    })
}
