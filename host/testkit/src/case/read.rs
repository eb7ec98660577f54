//! A case file's text as a [`Case`]. What is wrong is reported with its line.

mod answer;
mod raw;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue};

use super::{
    Body, CLOCK, Call, Case, Chunk, Content, End, Leave, Matching, OllamaBounds, Piece, Request,
    Response, ResponseEnd,
};
use raw::{RawBody, RawCase, RawPiece, RawRequest, RawResponse, Strings, raw_body};
use wasm_host_limits as limits;
use wasm_host_limits::ollama::OllamaLimits;

/// What is wrong with a case file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub file: String,
    /// From 1.
    pub line: usize,
    pub message: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: error: {}", self.file, self.line, self.message)
    }
}

impl std::error::Error for Wrong {}

impl Case {
    /// Read the text of a case file. `path` names it and gives the case its name.
    ///
    /// # Errors
    /// The first thing that is wrong: no TOML, an unknown or missing key, a value that does not fit its key.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Wrong> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let wrong = |at: usize, message: String| Wrong {
            file: path.display().to_string(),
            line: line(text, at),
            message,
        };
        let raw: RawCase = toml::from_str(text).map_err(|error| {
            wrong(error.span().map_or(0, |span| span.start), error.message().to_string())
        })?;
        let at_top = |message| wrong(0, message);
        let mut calls = Vec::new();
        for call in raw.call {
            let at = call.span().start;
            let line = line(text, at);
            calls.push(call_of(call.into_inner(), line).map_err(|message| wrong(at, message))?);
        }
        let request_at = raw.request.span().start;
        let request = request(raw.request.into_inner()).map_err(|why| wrong(request_at, why))?;
        let leaves = request.leave.is_some();
        let response = match raw.response {
            None => None,
            Some(raw) => {
                let at = raw.span().start;
                Some(response(raw.into_inner(), leaves).map_err(|why| wrong(at, why))?)
            }
        };
        Ok(Self {
            name,
            about: raw.about,
            clock: match raw.clock {
                None => CLOCK,
                Some(text) => text.parse().map_err(|_| {
                    at_top(format!("clock: '{text}' is no time such as 2026-01-31T23:59:30Z"))
                })?,
            },
            seed: raw.seed.unwrap_or_default(),
            env: raw.env.unwrap_or_default(),
            matching: match raw.matching.as_deref() {
                None | Some("strict") => Matching::Strict,
                Some("lenient") => Matching::Lenient,
                Some(other) => {
                    return Err(at_top(format!("match: '{other}' is neither strict nor lenient")));
                }
            },
            timeout: optional_duration("timeout", raw.timeout).map_err(at_top)?,
            patience: optional_duration("patience", raw.patience)
                .map_err(at_top)?
                .unwrap_or(limits::testkit::PATIENCE),
            ollama: OllamaBounds {
                concurrent: raw.ollama.concurrent.unwrap_or(OllamaLimits::concurrent().default),
                first_byte_timeout: optional_duration(
                    "first-byte-timeout",
                    raw.ollama.first_byte_timeout,
                )
                .map_err(at_top)?
                .unwrap_or(OllamaLimits::first_byte_timeout().default),
            },
            request,
            calls,
            response,
            log: raw.log.unwrap_or_default(),
        })
    }
}

fn line(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or_default().matches('\n').count() + 1
}

fn duration(key: &str, text: &str) -> Result<Duration, String> {
    wasm_host_settings::duration(text).map_err(|why| format!("{key}: {why}"))
}

fn optional_duration(key: &str, text: Option<String>) -> Result<Option<Duration>, String> {
    text.map(|text| duration(key, &text)).transpose()
}

fn end(text: Option<&str>) -> Result<End, String> {
    match text {
        None | Some("whole") => Ok(End::Whole),
        Some("disconnect") => Ok(End::Disconnect),
        Some("stall") => Ok(End::Stall),
        Some(other) => Err(format!("end: '{other}' is not one of whole, disconnect, stall")),
    }
}

fn base64(text: &str) -> Result<Vec<u8>, String> {
    BASE64_STANDARD.decode(text).map_err(|error| format!("base64: {error}"))
}

fn json(text: String) -> Result<Body, String> {
    match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
        Ok(_) => Ok(Body::Json(text)),
        Err(error) => Err(format!("json: {error}")),
    }
}

/// What stands under `json`, a text or TOML's own values.
pub(crate) fn json_of(value: toml::Value) -> Result<serde_json::Value, String> {
    match value {
        toml::Value::String(text) => serde_json::from_str(&text).map_err(|error| error.to_string()),
        other => raw::json_value(other),
    }
}

/// At most one of `text`, `json` and `base64`.
fn body(raw: RawBody) -> Result<Option<Body>, String> {
    match (raw.text, raw.json, raw.base64) {
        (None, None, None) => Ok(None),
        (Some(text), None, None) => Ok(Some(Body::Text(text))),
        (None, Some(text), None) => json(text).map(Some),
        (None, None, Some(text)) => base64(&text).map(|bytes| Some(Body::Bytes(bytes))),
        _ => Err("a body is one of text, json and base64".to_string()),
    }
}

fn content(
    raw: RawBody,
    lines: Option<Vec<RawPiece>>,
    chunks: Option<Vec<RawPiece>>,
) -> Result<Content, String> {
    let (pieces, lines) = match (body(raw)?, lines, chunks) {
        (None, None, None) => return Ok(Content::Empty),
        (Some(body), None, None) => return Ok(Content::Whole(body)),
        (None, Some(pieces), None) => (pieces, true),
        (None, None, Some(pieces)) => (pieces, false),
        _ => return Err("a body is one of text, json, base64, lines and chunks".to_string()),
    };
    let piece = |raw| match raw {
        RawPiece::Text(text) => Ok(Piece::Text(text)),
        RawPiece::Base64 { base64: text } => base64(&text).map(Piece::Bytes),
        RawPiece::Pause { after } => duration("after", &after).map(Piece::Pause),
    };
    let pieces = pieces.into_iter().map(piece).collect::<Result<_, _>>()?;
    Ok(Content::Stream { pieces, lines })
}

/// Headers by name, each with one value or several.
fn headers(raw: Option<raw::Headers>) -> Result<Vec<(String, String)>, String> {
    let mut headers = Vec::new();
    for (name, values) in raw.unwrap_or_default() {
        let values = match values {
            Strings::One(value) => vec![value],
            Strings::Many(values) => values,
        };
        name.parse::<HeaderName>().map_err(|_| format!("headers: '{name}' is no header's name"))?;
        for value in values {
            value
                .parse::<HeaderValue>()
                .map_err(|_| format!("headers: {name}: '{value}' is no header's value"))?;
            headers.push((name.clone(), value));
        }
    }
    Ok(headers)
}

fn request(raw: RawRequest) -> Result<Request, String> {
    if !raw.path.starts_with('/') {
        return Err(format!("path: '{}' does not begin with /", raw.path));
    }
    if let Err(error) = raw.path.parse::<PathAndQuery>() {
        let hint = "write %20 for a space, and so on";
        return Err(format!("path: '{}' is no path of a URL ({error}); {hint}", raw.path));
    }
    let leave = match (raw.leave_after, raw.leave_after_bytes) {
        (None, None) => None,
        (Some(time), None) => Some(Leave::After(duration("leave-after", &time)?)),
        (None, Some(bytes)) => Some(Leave::AfterBytes(bytes)),
        _ => return Err("either leave-after or leave-after-bytes".to_string()),
    };
    let method = raw.method.unwrap_or_else(|| "GET".to_string());
    method.parse::<http::Method>().map_err(|_| format!("method: '{method}' is none"))?;
    Ok(Request {
        method,
        path: raw.path,
        headers: headers(raw.headers)?,
        end: end(raw.end.as_deref())?,
        content: content(raw_body(raw.text, raw.json, raw.base64), raw.lines, raw.chunks)?,
        leave,
    })
}

fn response(raw: RawResponse, leaves: bool) -> Result<Response, String> {
    let end = match raw.end.as_deref() {
        None if leaves => ResponseEnd::Left,
        None | Some("whole") => ResponseEnd::Whole,
        Some("error") => ResponseEnd::Error,
        Some("trap") => ResponseEnd::Trap,
        Some("left") => ResponseEnd::Left,
        Some(other) => {
            return Err(format!("end: '{other}' is not one of whole, error, trap, left"));
        }
    };
    if raw.status.is_none() && end == ResponseEnd::Whole {
        return Err("a response has a `status`, or an `end` that says why not".to_string());
    }
    let mut headers = Vec::new();
    for (name, value) in raw.headers.unwrap_or_default() {
        let value = match value {
            raw::Wanted::Value(value) => Some(value),
            raw::Wanted::Present(false) => None,
            raw::Wanted::Present(true) => {
                return Err(format!("headers: {name} is a text, or false if it must be absent"));
            }
        };
        headers.push((name, value));
    }
    let chunk = |raw: raw::RawChunk| {
        let body = body(raw_body(raw.text, raw.json, raw.base64))?;
        let at = duration("at", &raw.at)?;
        body.map(|body| Chunk { at, body }).ok_or_else(|| "a chunk has a body".to_string())
    };
    let chunks = raw.chunks.map(|chunks| chunks.into_iter().map(chunk).collect());
    let body = body(raw_body(raw.text, raw.json, raw.base64))?;
    let chunks = chunks.transpose()?;
    if body.is_some() && chunks.is_some() {
        return Err("either chunks or the whole body".to_string());
    }
    Ok(Response { status: raw.status, headers, body, chunks, end, reason: raw.reason })
}

fn call_of(raw: raw::RawCall, line: usize) -> Result<Call, String> {
    let transaction = raw.transaction;
    let cancelled = raw.cancelled;
    let (action, after) = answer::action(raw)?;
    if transaction == Some(0) {
        return Err("transaction: they are counted from 1".to_string());
    }
    Ok(Call { line, transaction, action, cancelled, after })
}

#[cfg(test)]
mod tests;
