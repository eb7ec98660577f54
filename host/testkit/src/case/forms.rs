//! Values of a case file in the forms that they have there, which serde reads and writes, and what a case makes of them.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use toml::Value;

use super::{Body, Chunk, Piece};
use wasm_host_capabilities::postgres::backend::{Error, SqlError};

// === Texts ===

/// Milliseconds, the finest that a case knows, or a larger unit where that is exact.
pub(crate) fn show_duration(time: Duration) -> String {
    match time.as_millis() {
        0 => "0s".to_string(),
        n if n % 3_600_000 == 0 => format!("{}h", n / 3_600_000),
        n if n % 60_000 == 0 => format!("{}m", n / 60_000),
        n if n % 1000 == 0 => format!("{}s", n / 1000),
        n => format!("{n}ms"),
    }
}

/// The time under a key of a value.
pub(super) fn time(key: &str, text: &str) -> Result<Duration, String> {
    wasm_host_settings::duration(text).map_err(|why| format!("{key}: {why}"))
}

/// A moment is a text, or TOML's own.
pub(super) fn moment(value: Value) -> Result<Timestamp, String> {
    let text = match value {
        Value::String(text) => text,
        Value::Datetime(time) => time.to_string(),
        other => return Err(format!("{other} is no time; write \"2026-01-31T23:59:30Z\"")),
    };
    text.parse().map_err(|_| format!("'{text}' is no time such as 2026-01-31T23:59:30Z"))
}

pub(super) fn show_bytes(bytes: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(bytes)
}

pub(super) fn bytes(text: String) -> Result<Vec<u8>, base64::DecodeError> {
    BASE64_STANDARD.decode(text)
}

/// JSON is a text that is passed on as it is, or TOML's own values, whose keys come in the order of the alphabet.
pub(super) fn json_text(value: Value) -> Result<String, String> {
    let Value::String(text) = value else { return json_value(value).map(|json| json.to_string()) };
    let valid = serde_json::from_str::<serde::de::IgnoredAny>(&text);
    valid.map(|_| text).map_err(|error| error.to_string())
}

/// What that says.
pub(crate) fn json_of(value: Value) -> Result<serde_json::Value, String> {
    match value {
        Value::String(text) => serde_json::from_str(&text).map_err(|error| error.to_string()),
        other => json_value(other),
    }
}

fn json_value(value: Value) -> Result<serde_json::Value, String> {
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

// === Headers ===

/// One value of a header, or several.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged, expecting = "a text or a list of texts")]
pub(super) enum Values {
    One(String),
    Several(Vec<String>),
}

/// What a header must be: this text; with false, absent.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged, expecting = "a text, or false for a header that must be absent")]
pub(super) enum HeaderExpectation {
    Value(String),
    Present(bool),
}

/// Something by name, written in the order in which it is here.
#[derive(Deserialize)]
#[serde(from = "BTreeMap<String, T>", bound = "T: Deserialize<'de>")]
pub(super) struct ByName<T>(Vec<(String, T)>);

impl<T> From<BTreeMap<String, T>> for ByName<T> {
    fn from(read: BTreeMap<String, T>) -> Self {
        Self(read.into_iter().collect())
    }
}

impl<T: Serialize> Serialize for ByName<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// None if there are none.
pub(super) fn show_headers(headers: &[(String, String)]) -> Option<ByName<Values>> {
    let mut named: Vec<(String, Values)> = Vec::new();
    for (name, value) in headers {
        match named.iter_mut().find(|(known, _)| known == name) {
            None => named.push((name.clone(), Values::One(value.clone()))),
            Some((_, Values::Several(values))) => values.push(value.clone()),
            Some((_, values)) => {
                let Values::One(first) = values.clone() else { continue };
                *values = Values::Several(vec![first, value.clone()]);
            }
        }
    }
    Some(ByName(named)).filter(|named| !named.0.is_empty())
}

pub(super) fn headers(ByName(named): ByName<Values>) -> Result<Vec<(String, String)>, String> {
    let mut headers = Vec::new();
    for (name, values) in named {
        let values = match values {
            Values::One(value) => vec![value],
            Values::Several(values) => values,
        };
        name.parse::<HeaderName>().map_err(|_| format!("'{name}' is no header's name"))?;
        for value in values {
            let is_value = value.parse::<HeaderValue>();
            is_value.map_err(|_| format!("{name}: '{value}' is no header's value"))?;
            headers.push((name.clone(), value));
        }
    }
    Ok(headers)
}

/// None if there are none.
pub(super) fn show_wanted(
    headers: &[(String, Option<String>)],
) -> Option<ByName<HeaderExpectation>> {
    let wanted = |value: &Option<String>| {
        value.clone().map_or(HeaderExpectation::Present(false), HeaderExpectation::Value)
    };
    let named = headers.iter().map(|(name, value)| (name.clone(), wanted(value)));
    Some(ByName(named.collect())).filter(|_| !headers.is_empty())
}

pub(super) fn wanted(
    named: ByName<HeaderExpectation>,
) -> Result<Vec<(String, Option<String>)>, String> {
    let header = |(name, wanted)| match wanted {
        HeaderExpectation::Value(value) => Ok((name, Some(value))),
        HeaderExpectation::Present(false) => Ok((name, None)),
        HeaderExpectation::Present(true) => {
            Err(format!("{name} is a text, or false if it must be absent"))
        }
    };
    named.0.into_iter().map(header).collect()
}

// === Bodies ===

/// What the keys of a body say, of which a file has one.
#[derive(Default)]
pub(super) struct BodyKeys {
    pub(super) text: Option<String>,
    pub(super) json: Option<String>,
    pub(super) base64: Option<Vec<u8>>,
}

impl BodyKeys {
    pub(super) fn of(body: Option<Body>) -> Self {
        match body {
            None => Self::default(),
            Some(Body::Text(text)) => Self { text: Some(text), ..Self::default() },
            Some(Body::Json(text)) => Self { json: Some(text), ..Self::default() },
            Some(Body::Bytes(bytes)) => Self { base64: Some(bytes), ..Self::default() },
        }
    }

    pub(super) fn body(self) -> Result<Option<Body>, &'static str> {
        match (self.text, self.json, self.base64) {
            (None, None, None) => Ok(None),
            (Some(text), None, None) => Ok(Some(Body::Text(text))),
            (None, Some(text), None) => Ok(Some(Body::Json(text))),
            (None, None, Some(bytes)) => Ok(Some(Body::Bytes(bytes))),
            _ => Err("a body is one of text, json and base64"),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChunkForm {
    at: String,
    text: Option<String>,
    json: Option<Value>,
    base64: Option<String>,
}

impl TryFrom<ChunkForm> for Chunk {
    type Error = String;

    fn try_from(ChunkForm { at, text, json, base64 }: ChunkForm) -> Result<Self, String> {
        let json = json.map(json_text).transpose().map_err(|why| format!("json: {why}"))?;
        let base64 = base64.map(bytes).transpose().map_err(|why| format!("base64: {why}"))?;
        let body = BodyKeys { text, json, base64 }.body()?.ok_or("a chunk has a body")?;
        Ok(Self { at: time("at", &at)?, body })
    }
}

impl From<Chunk> for ChunkForm {
    fn from(chunk: Chunk) -> Self {
        let BodyKeys { text, json, base64 } = BodyKeys::of(Some(chunk.body));
        let (json, base64) = (json.map(Value::String), base64.map(show_bytes));
        Self { at: show_duration(chunk.at), text, json, base64 }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "a text, { base64 = \"…\" } or { after = \"1s\" }")]
pub(super) enum PieceForm {
    Text(String),
    Base64 { base64: String },
    Pause { after: String },
}

impl TryFrom<PieceForm> for Piece {
    type Error = String;

    fn try_from(form: PieceForm) -> Result<Self, String> {
        match form {
            PieceForm::Text(text) => Ok(Self::Text(text)),
            PieceForm::Base64 { base64 } => {
                bytes(base64).map(Self::Bytes).map_err(|why| format!("base64: {why}"))
            }
            PieceForm::Pause { after } => time("after", &after).map(Self::Pause),
        }
    }
}

impl From<Piece> for PieceForm {
    fn from(piece: Piece) -> Self {
        match piece {
            Piece::Text(text) => Self::Text(text),
            Piece::Bytes(bytes) => Self::Base64 { base64: show_bytes(bytes) },
            Piece::Pause(time) => Self::Pause { after: show_duration(time) },
        }
    }
}

// === Answers of a database ===

/// A row before its columns say what its values are.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "a list of values or { after = \"1s\" }")]
pub(super) enum RowForm {
    Row(Vec<Value>),
    Pause { after: String },
}

/// What a database says when it fails.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Failure(#[serde(with = "ErrorForm")] pub(super) Error);

#[derive(Serialize, Deserialize)]
#[serde(remote = "Error", rename_all = "kebab-case")]
enum ErrorForm {
    Unavailable(String),
    Busy(String),
    TimedOut(String),
    Cancelled,
    Database(#[serde(with = "SqlErrorForm")] SqlError),
    InvalidParameter(String),
    Unsupported(String),
    Ended,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "SqlError", deny_unknown_fields)]
struct SqlErrorForm {
    sqlstate: String,
    #[serde(default = "usual", skip_serializing_if = "is_usual")]
    severity: String,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    constraint: Option<String>,
    table: Option<String>,
    column: Option<String>,
    position: Option<u32>,
}

fn usual() -> String {
    "ERROR".to_string()
}

fn is_usual(severity: &str) -> bool {
    severity == "ERROR"
}
