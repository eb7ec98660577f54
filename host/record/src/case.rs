//! From what was seen of a request to the text of a case: secrets out, bodies as people read them.

use std::ops::Range;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value as Json, json};

use super::redact::{NO_UUID, REDACTED, Redaction, Redactor, stand_in};
use super::session::Recorded;
use wasm_host_capabilities::postgres::backend::{Column, Error, Row, Scalar, Value};
use wasm_host_testkit::case::{
    Action, Body, Call, CallAnswer, Case, Content, Exchange, Expected, FunctionAnswer, HttpAnswer,
    Piece, ResponseEnd, RowItem, RowsAnswer, RowsEnd,
};

/// The name of bytes in the JSON of functions.
const BASE64: &str = "base64";

/// Letters of a name that are taken from the path.
const NAME_LETTERS: usize = 60;

/// A case and what it is called.
pub(super) struct Made {
    /// For its file.
    pub(super) name: String,
    pub(super) text: String,
    /// Method and path of the request, without its query.
    pub(super) request: String,
}

/// The case of what was recorded, or why there is none.
pub(super) fn text(recorded: Recorded, redactor: &Redactor) -> Result<Made, String> {
    // What is secret by its name in one place may have no name in another, perhaps an earlier one.
    let redaction = redactor.begin();
    clean(recorded.clone(), &redaction)?;
    let case = clean(recorded, &redaction.again())?;
    let path = case.request.path.split('?').next().unwrap_or_default();
    let status = case.response.as_ref().and_then(|response| response.status);
    let name = name(&case.request.method, path, status);
    let request = format!("{} {path}", case.request.method);
    let text = case.to_toml();
    if redactor.knows_secret_in(&text) {
        return Err("a secret is in it in a form that cannot be taken out".to_string());
    }
    Ok(Made { name, text, request })
}

fn clean(recorded: Recorded, redactor: &Redaction<'_>) -> Result<Case, String> {
    let Recorded { mut case, body } = recorded;
    encoded(&case.request.headers)?;
    for (name, value) in case.env.iter_mut().chain(&mut case.config) {
        *value = redactor.named(name, value);
    }
    let request = &mut case.request;
    request.path = redactor.text(&request.path);
    for (name, value) in &mut request.headers {
        *value = redactor.named(name, value);
    }
    request.content = content(std::mem::replace(&mut request.content, Content::Empty), redactor);
    for call in &mut case.calls {
        clean_call(call, redactor)?;
    }
    if let Some(response) = &mut case.response {
        let seen = |(name, value): &(String, Option<String>)| {
            Some((name.clone(), value.clone().unwrap_or_default()))
        };
        encoded(&response.headers.iter().filter_map(seen).collect::<Vec<_>>())?;
        // What was left out cannot be expected, and dates are of the day.
        response.headers.retain(|(name, value)| {
            let value = value.as_deref().unwrap_or_default();
            name != "date" && redactor.named(name, value) == value
        });
        let left = response.end == ResponseEnd::Left;
        let head_only = case.request.method == "HEAD";
        if response.status.is_some() && !head_only && !(left && body.is_empty()) {
            response.body = Some(read(&redacted(&body, redactor)));
        }
    }
    Ok(case)
}

fn name(method: &str, path: &str, status: Option<u16>) -> String {
    let mut name = method.to_ascii_lowercase();
    let mut words = path.split(|letter: char| !letter.is_ascii_alphanumeric());
    for word in words.by_ref().filter(|word| !word.is_empty()) {
        if name.len() + word.len() > NAME_LETTERS {
            break;
        }
        name = format!("{name}-{}", word.to_ascii_lowercase());
    }
    match status {
        Some(status) => format!("{name}-{status}"),
        None => format!("{name}-unanswered"),
    }
}

/// What is compressed cannot be searched for secrets.
fn encoded(headers: &[(String, String)]) -> Result<(), String> {
    let encoding = headers.iter().find(|(name, value)| {
        name.eq_ignore_ascii_case("content-encoding") && !value.eq_ignore_ascii_case("identity")
    });
    match encoding {
        Some((_, encoding)) => {
            Err(format!("a body is {encoding}, which cannot be searched for secrets"))
        }
        None => Ok(()),
    }
}

fn clean_call(call: &mut Call, redactor: &Redaction<'_>) -> Result<(), String> {
    match &mut call.action {
        Action::Query { statement, parameters, answer } => {
            *statement = redactor.text(statement);
            parameters.iter_mut().for_each(|parameter| clean_parameter(parameter, redactor));
            clean_rows(answer, redactor);
        }
        Action::Execute { statement, parameters, answer } => {
            *statement = redactor.text(statement);
            parameters.iter_mut().for_each(|parameter| clean_parameter(parameter, redactor));
            clean_answer(answer, redactor);
        }
        Action::Begin { answer, .. } | Action::Commit { answer } | Action::Rollback { answer } => {
            clean_answer(answer, redactor);
        }
        Action::Http { exchange, answer } => clean_exchange(exchange, answer, redactor)?,
        Action::Function { call, answer } => {
            clean_members(&mut call.arguments, redactor);
            match answer {
                FunctionAnswer::Value(given) | FunctionAnswer::Error(given) => {
                    clean_json(given, false, redactor);
                }
                FunctionAnswer::Unreachable(why) => *why = redactor.text(why),
                FunctionAnswer::Stall => {}
            }
        }
    }
    Ok(())
}

fn clean_exchange(
    exchange: &mut Exchange,
    answer: &mut HttpAnswer,
    redactor: &Redaction<'_>,
) -> Result<(), String> {
    encoded(&exchange.headers)?;
    exchange.target = redactor.text(&exchange.target);
    // A replay would compare them.
    exchange.headers.retain(|(name, value)| redactor.named(name, value) == *value);
    if let Some(body) = &mut exchange.body {
        *body = read(&redacted(body.bytes(), redactor));
    }
    match answer {
        HttpAnswer::Unreachable(why) | HttpAnswer::Lost(why) => *why = redactor.text(why),
        HttpAnswer::Silent => {}
        HttpAnswer::Response { headers, content: body, .. } => {
            encoded(headers)?;
            for (name, value) in headers {
                *value = redactor.named(name, value);
            }
            *body = content(std::mem::replace(body, Content::Empty), redactor);
        }
    }
    Ok(())
}

fn clean_members(members: &mut Map<String, Json>, redactor: &Redaction<'_>) {
    for (name, value) in members {
        clean_json(value, redactor.is_secret_name(name), redactor);
    }
}

/// `all`: whatever it is.
fn clean_json(value: &mut Json, all: bool, redactor: &Redaction<'_>) {
    let goes = |value: &str| {
        if all {
            redactor.note(value);
        }
        all || redactor.is_noted(value)
    };
    let clean_bytes = |bytes: &[u8]| match goes(&String::from_utf8_lossy(bytes)) {
        true => REDACTED.as_bytes().to_vec(),
        false => redacted(bytes, redactor),
    };
    if let Some(bytes) = bytes_of(value) {
        let clean = clean_bytes(&bytes);
        if clean != bytes {
            *value = clean.into();
        }
        return;
    }
    if let Some(bytes) = base64_of(value) {
        let clean = clean_bytes(&bytes);
        if clean != bytes {
            *value = json!({ BASE64: BASE64_STANDARD.encode(clean) });
        }
        return;
    }
    match value {
        Json::String(text) if goes(text) => *text = REDACTED.to_string(),
        Json::String(text) => *text = redactor.text(text),
        Json::Number(number) if goes(&number.to_string()) => *value = 0.into(),
        Json::Array(values) => values.iter_mut().for_each(|value| clean_json(value, all, redactor)),
        Json::Object(members) if all => {
            members.values_mut().for_each(|value| clean_json(value, true, redactor));
        }
        Json::Object(members) => clean_members(members, redactor),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// What a list of bytes is in JSON: numbers, none of them above 255.
fn bytes_of(value: &Json) -> Option<Vec<u8>> {
    let Json::Array(values) = value else { return None };
    let byte = |value: &Json| u8::try_from(value.as_u64()?).ok();
    if values.is_empty() { None } else { values.iter().map(byte).collect() }
}

/// What bytes are in the JSON of functions that have texts there otherwise: `{"base64": "…"}`.
fn base64_of(value: &Json) -> Option<Vec<u8>> {
    let members = value.as_object().filter(|members| members.len() == 1)?;
    BASE64_STANDARD.decode(members.get(BASE64)?.as_str()?).ok()
}

fn clean_answer<T>(answer: &mut CallAnswer<T>, redactor: &Redaction<'_>) {
    if let CallAnswer::Error(error) = answer {
        clean_error(error, redactor);
    }
}

fn clean_error(error: &mut Error, redactor: &Redaction<'_>) {
    match error {
        Error::Unavailable(text)
        | Error::Busy(text)
        | Error::TimedOut(text)
        | Error::InvalidParameter(text)
        | Error::Unsupported(text) => *text = redactor.text(text),
        Error::Database(error) => {
            error.message = redactor.text(&error.message);
            for text in [&mut error.detail, &mut error.hint].into_iter().flatten() {
                *text = redactor.text(text);
            }
        }
        Error::Cancelled | Error::Ended => {}
    }
}

fn clean_parameter(parameter: &mut Expected, redactor: &Redaction<'_>) {
    if let Expected::Exactly(value) = parameter {
        clean_value(value, false, redactor);
    }
}

fn clean_rows(answer: &mut RowsAnswer, redactor: &Redaction<'_>) {
    match answer {
        RowsAnswer::Refused(error) => clean_error(error, redactor),
        RowsAnswer::Silent => {}
        RowsAnswer::Rows { columns, rows, end } => {
            for row in rows.iter_mut() {
                if let RowItem::Row(row) = row {
                    clean_row(columns, row, redactor);
                }
            }
            if let RowsEnd::Error(error) = end {
                clean_error(error, redactor);
            }
        }
    }
}

fn clean_row(columns: &[Column], row: &mut Row, redactor: &Redaction<'_>) {
    for (column, value) in columns.iter().zip(row.iter_mut()) {
        clean_value(value, redactor.is_secret_name(&column.name), redactor);
    }
}

/// `all`: whatever it is.
fn clean_value(value: &mut Value, all: bool, redactor: &Redaction<'_>) {
    let clean = |scalar: &mut Scalar| clean_scalar(scalar, all, redactor);
    match value {
        Value::Null => {}
        Value::Scalar(scalar) => clean(scalar),
        Value::Array(elements) => elements.iter_mut().flatten().for_each(clean),
    }
}

fn clean_scalar(scalar: &mut Scalar, all: bool, redactor: &Redaction<'_>) {
    let goes = |value: &str| {
        if all {
            redactor.note(value);
        }
        all || redactor.is_noted(value)
    };
    match scalar {
        Scalar::Text(text) if goes(text) => *text = REDACTED.to_string(),
        Scalar::Uuid(text) if goes(text) => *text = NO_UUID.to_string(),
        Scalar::Json(text) if goes(text) => *text = format!("\"{REDACTED}\""),
        Scalar::Bytes(bytes) if goes(&String::from_utf8_lossy(bytes)) => *bytes = REDACTED.into(),
        Scalar::Int16(number) if goes(&number.to_string()) => *number = 0,
        Scalar::Int32(number) if goes(&number.to_string()) => *number = 0,
        Scalar::Int64(number) if goes(&number.to_string()) => *number = 0,
        Scalar::Float32(number) if goes(&number.to_string()) => *number = 0.0,
        Scalar::Float64(number) if goes(&number.to_string()) => *number = 0.0,
        Scalar::Numeric(number) if goes(number) => *number = "0".to_string(),
        Scalar::Text(text) | Scalar::Json(text) => *text = redactor.text(text),
        Scalar::Bytes(bytes) => *bytes = redacted(bytes, redactor),
        _ => {}
    }
}

fn redacted(bytes: &[u8], redactor: &Redaction<'_>) -> Vec<u8> {
    pieces(&[bytes], redactor).concat()
}

/// Pieces of one text without its secrets, which may lie across pieces; what stands for one is in the piece
/// where it began.
fn pieces(pieces: &[&[u8]], redactor: &Redaction<'_>) -> Vec<Vec<u8>> {
    let all = pieces.concat();
    let secrets = redactor.find(&all);
    let mut from = 0;
    let clean = |piece: &&[u8]| {
        let own = from..from + piece.len();
        from = own.end;
        let mut clean = Vec::new();
        let mut at = own.start;
        for Range { start, end } in
            secrets.iter().filter(|s| s.start < own.end && s.end > own.start)
        {
            clean.extend_from_slice(all.get(at..(*start).max(at)).unwrap_or_default());
            if *start >= own.start {
                clean.extend_from_slice(stand_in(&all, &(*start..*end)).as_bytes());
            }
            at = (*end).min(own.end);
        }
        clean.extend_from_slice(all.get(at..own.end).unwrap_or_default());
        clean
    };
    pieces.iter().map(clean).collect()
}

fn read(bytes: &[u8]) -> Body {
    match std::str::from_utf8(bytes) {
        Ok(text) => Body::Text(text.to_string()),
        Err(_) => Body::Bytes(bytes.to_vec()),
    }
}

/// A body as it came: at once, line by line, or piece by piece.
fn content(seen: Content, redactor: &Redaction<'_>) -> Content {
    let Content::Stream { pieces: seen, .. } = seen else { return seen };
    let bytes = |piece: &Piece| match piece {
        Piece::Bytes(bytes) => Some(bytes.clone()),
        Piece::Text(text) => Some(text.clone().into_bytes()),
        Piece::Pause(_) => None,
    };
    let raw: Vec<Vec<u8>> = seen.iter().filter_map(bytes).collect();
    let raw: Vec<&[u8]> = raw.iter().map(Vec::as_slice).collect();
    let mut clean = pieces(&raw, redactor).into_iter();
    if !seen.iter().any(|piece| matches!(piece, Piece::Pause(_))) {
        let all = clean.collect::<Vec<_>>().concat();
        return if all.is_empty() { Content::Empty } else { Content::Whole(read(&all)) };
    }
    let seen: Vec<Piece> = seen
        .into_iter()
        .map(|piece| match piece {
            Piece::Pause(time) => Piece::Pause(time),
            _ => Piece::Bytes(clean.next().unwrap_or_default()),
        })
        .collect();
    match lines(&seen) {
        Some(pieces) => Content::Stream { pieces, lines: true },
        None => {
            let text = |piece| match piece {
                Piece::Bytes(bytes) => String::from_utf8(bytes)
                    .map_or_else(|error| Piece::Bytes(error.into_bytes()), Piece::Text),
                other => other,
            };
            Content::Stream { pieces: seen.into_iter().map(text).collect(), lines: false }
        }
    }
}

/// Whole lines, if every piece is made of them.
fn lines(pieces: &[Piece]) -> Option<Vec<Piece>> {
    let mut lines = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Pause(time) => lines.push(Piece::Pause(*time)),
            Piece::Text(_) => return None,
            Piece::Bytes(bytes) => {
                let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
                lines.extend(text.split('\n').map(|line| Piece::Text(line.to_string())));
            }
        }
    }
    Some(lines)
}

#[cfg(test)]
mod tests;
