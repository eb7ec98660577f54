//! A [`Case`] as the text of a case file, laid out for people: one row or line of a stream per line of the file.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::time::Duration;
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value, value};

use super::value::cell_written;
use super::{
    Action, Answer, Body, CLOCK, Call, Case, Chunk, Content, End, FunctionAnswer, HttpAnswer,
    Leave, Matching, Outcome, Piece, Response, ResponseEnd, RowItem, RowsAnswer, RowsEnd, Target,
};
use wasm_host_capabilities::postgres::backend::{Column, Error, SqlError};
use wasm_host_limits as limits;
use wasm_host_limits::ollama::OllamaLimits;

impl Case {
    /// The text of a file that [`Case::parse`] reads as this case. Only what differs from the
    /// defaults is written.
    pub fn to_toml(&self) -> String {
        let mut file = DocumentMut::new();
        if let Some(about) = &self.about {
            put(&mut file, "about", about.as_str());
        }
        if self.clock != CLOCK {
            put(&mut file, "clock", self.clock.to_string());
        }
        if self.seed != 0 {
            put(&mut file, "seed", i64::try_from(self.seed).unwrap_or(i64::MAX));
        }
        if self.matching == Matching::Lenient {
            put(&mut file, "match", "lenient");
        }
        if let Some(timeout) = self.timeout {
            put(&mut file, "timeout", show_duration(timeout));
        }
        if self.patience != limits::testkit::PATIENCE {
            put(&mut file, "patience", show_duration(self.patience));
        }
        if !self.log.is_empty() {
            put(&mut file, "log", one_per_line(self.log.iter().map(Value::from)));
        }
        if !self.env.is_empty() {
            let env = self.env.iter().map(|(name, text)| (name, value(text.as_str())));
            file.insert("env", Item::Table(Table::from_iter(env)));
        }
        let bounds = OllamaLimits::first_byte_timeout().default;
        let mut ollama = Table::new();
        if self.ollama.concurrent != OllamaLimits::concurrent().default {
            let concurrent = i64::try_from(self.ollama.concurrent).unwrap_or(i64::MAX);
            put(&mut ollama, "concurrent", concurrent);
        }
        if self.ollama.first_byte_timeout != bounds {
            let time = show_duration(self.ollama.first_byte_timeout);
            put(&mut ollama, "first-byte-timeout", time);
        }
        if !ollama.is_empty() {
            file.insert("ollama", Item::Table(ollama));
        }
        file.insert("request", Item::Table(self.request_table()));
        if !self.calls.is_empty() {
            let calls: ArrayOfTables = self.calls.iter().map(call).collect();
            file.insert("call", Item::ArrayOfTables(calls));
        }
        if let Some(expected) = &self.response {
            let mut table = Table::new();
            put_response(&mut table, expected, self.request.leave.is_some());
            file.insert("response", Item::Table(table));
        }
        file.to_string()
    }

    fn request_table(&self) -> Table {
        let request = &self.request;
        let mut table = Table::new();
        if request.method != "GET" {
            put(&mut table, "method", request.method.as_str());
        }
        put(&mut table, "path", request.path.as_str());
        put_headers(&mut table, &request.headers);
        put_content(&mut table, &request.content);
        put_end(&mut table, request.end);
        match request.leave {
            None => {}
            Some(Leave::After(time)) => put(&mut table, "leave-after", show_duration(time)),
            Some(Leave::AfterBytes(bytes)) => {
                put(&mut table, "leave-after-bytes", i64::try_from(bytes).unwrap_or(i64::MAX));
            }
        }
        table
    }
}

/// One `[[call]]`.
pub(crate) fn call(call: &Call) -> Table {
    let mut table = Table::new();
    let mut answer = Table::new();
    answer.set_dotted(true);
    if !call.after.is_zero() {
        put(&mut answer, "after", show_duration(call.after));
    }
    put_question(&mut table, call);
    match &call.action {
        Action::Query { answer: rows, .. } => put_rows(&mut answer, rows),
        Action::Execute { answer: changed, .. } => {
            if let Answer::Value(rows) = changed {
                put(&mut answer, "changed", i64::try_from(*rows).unwrap_or(i64::MAX));
            }
            put_simple(&mut answer, changed);
        }
        Action::Begin { answer: done, .. }
        | Action::Commit { answer: done }
        | Action::Rollback { answer: done } => put_simple(&mut answer, done),
        Action::Http { answer: http, .. } => put_http(&mut answer, http),
        Action::Function { answer: given, .. } => put_given(&mut answer, given),
    }
    if !answer.is_empty() {
        table.insert("answer", Item::Table(answer));
    }
    table
}

/// What the component must do, without what it is answered.
pub(crate) fn put_question(table: &mut Table, call: &Call) {
    match &call.action {
        Action::Query { statement, parameters, .. } => {
            put(table, "query", statement.as_str());
            put_parameters(table, parameters);
        }
        Action::Execute { statement, parameters, .. } => {
            put(table, "execute", statement.as_str());
            put_parameters(table, parameters);
        }
        Action::Begin { outcome, .. } => put(table, "begin", outcome.name()),
        Action::Commit { .. } => put(table, "commit", true),
        Action::Rollback { .. } => put(table, "rollback", true),
        Action::Http { exchange, .. } => {
            let key = match exchange.to {
                Target::Ollama => "ollama",
                Target::Service => "http",
            };
            put(table, key, format!("{} {}", exchange.method, exchange.target));
            put_headers(table, &exchange.headers);
            if let Some(body) = &exchange.body {
                put_body(table, body);
            }
            if exchange.any_body {
                put(table, "any-body", true);
            }
        }
        Action::Function { call, .. } => {
            put(table, "function", call.function.as_str());
            if !call.arguments.is_empty() {
                put(table, "json", serde_json::Value::from(call.arguments.clone()).to_string());
            }
        }
    }
    if let Some(number) = call.transaction {
        put(table, "transaction", i64::try_from(number).unwrap_or(i64::MAX));
    }
    if call.cancelled {
        put(table, "cancelled", true);
    }
}

/// `[response]`.
pub(crate) fn put_response(table: &mut Table, expected: &Response, leaves: bool) {
    if let Some(status) = expected.status {
        put(table, "status", i64::from(status));
    }
    if !expected.headers.is_empty() {
        let wanted = expected.headers.iter().map(|(name, text)| {
            (name.as_str(), text.as_deref().map_or(Value::from(false), Value::from))
        });
        put(table, "headers", InlineTable::from_iter(wanted));
    }
    if let Some(body) = &expected.body {
        put_body(table, body);
    }
    if let Some(chunks) = &expected.chunks {
        put(table, "chunks", one_per_line(chunks.iter().map(chunk)));
    }
    let default = if leaves { ResponseEnd::Left } else { ResponseEnd::Whole };
    if expected.end != default {
        put(table, "end", expected.end.name());
    }
    if let Some(reason) = &expected.reason {
        put(table, "reason", reason.as_str());
    }
}

fn chunk(chunk: &Chunk) -> Value {
    let (key, text) = body_entry(&chunk.body);
    InlineTable::from_iter([("at", show_duration(chunk.at)), (key, text)]).into()
}

fn put_parameters(table: &mut Table, parameters: &[super::Expected]) {
    if !parameters.is_empty() {
        let parameters = Array::from_iter(parameters.iter().map(super::Expected::written));
        put(table, "parameters", parameters);
    }
}

fn put_simple<T>(table: &mut Table, answer: &Answer<T>) {
    match answer {
        Answer::Value(_) => {}
        Answer::Error(why) => put(table, "error", error(why)),
        Answer::Stall => put(table, "end", "stall"),
    }
}

fn put_rows(table: &mut Table, answer: &RowsAnswer) {
    let (columns, rows, end) = match answer {
        RowsAnswer::Refused(why) => return put(table, "error", error(why)),
        RowsAnswer::Silent => return put(table, "end", "stall"),
        RowsAnswer::Rows { columns, rows, end } => (columns, rows, end),
    };
    let names = columns.iter().map(|Column { name, type_name }| format!("{name} {type_name}"));
    put(table, "columns", Array::from_iter(names));
    let row = |row: &RowItem| match row {
        RowItem::Pause(time) => pause(*time),
        RowItem::Row(values) => {
            let cells = columns.iter().zip(values);
            Array::from_iter(cells.map(|(of, value)| cell_written(&of.type_name, value))).into()
        }
    };
    put(table, "rows", one_per_line(rows.iter().map(row)));
    match end {
        RowsEnd::Whole => {}
        RowsEnd::Error(why) => put(table, "error", error(why)),
        RowsEnd::Stall => put(table, "end", "stall"),
    }
}

fn put_http(table: &mut Table, answer: &HttpAnswer) {
    match answer {
        HttpAnswer::Unreachable(why) => put(table, "unreachable", why.as_str()),
        HttpAnswer::Lost(how) => put(table, "lost", how.as_str()),
        HttpAnswer::Silent => put(table, "end", "stall"),
        HttpAnswer::Response { status, headers, content, end } => {
            put(table, "status", i64::from(*status));
            put_headers(table, headers);
            put_content(table, content);
            put_end(table, *end);
        }
    }
}

fn put_given(table: &mut Table, answer: &FunctionAnswer) {
    match answer {
        FunctionAnswer::Unreachable(why) => put(table, "unreachable", why.as_str()),
        FunctionAnswer::Value(serde_json::Value::Null) => {}
        FunctionAnswer::Value(value) => put(table, "json", value.to_string()),
        FunctionAnswer::Error(error) => put(table, "failure", error.to_string()),
        FunctionAnswer::Stall => put(table, "end", "stall"),
    }
}

fn put_content(table: &mut Table, content: &Content) {
    match content {
        Content::Empty => {}
        Content::Whole(body) => put_body(table, body),
        Content::Stream { pieces, lines } => {
            let piece = |piece: &Piece| match piece {
                Piece::Text(text) => text.as_str().into(),
                Piece::Bytes(bytes) => {
                    InlineTable::from_iter([("base64", BASE64_STANDARD.encode(bytes))]).into()
                }
                Piece::Pause(time) => pause(*time),
            };
            let key = if *lines { "lines" } else { "chunks" };
            put(table, key, one_per_line(pieces.iter().map(piece)));
        }
    }
}

pub(crate) fn put_body(table: &mut Table, body: &Body) {
    let (key, text) = body_entry(body);
    put(table, key, text);
}

fn body_entry(body: &Body) -> (&'static str, String) {
    match body {
        Body::Text(text) => ("text", text.clone()),
        Body::Json(text) => ("json", text.clone()),
        Body::Bytes(bytes) => ("base64", BASE64_STANDARD.encode(bytes)),
    }
}

fn put_end(table: &mut Table, end: End) {
    match end {
        End::Whole => {}
        End::Disconnect => put(table, "end", "disconnect"),
        End::Stall => put(table, "end", "stall"),
    }
}

/// In the order in which they first occur; several of one name as a list.
fn put_headers(table: &mut Table, headers: &[(String, String)]) {
    let mut written = InlineTable::new();
    for (name, text) in headers {
        match written.get_mut(name) {
            None => {
                written.insert(name, text.as_str().into());
            }
            Some(Value::Array(several)) => several.push(text.as_str()),
            Some(one) => *one = Array::from_iter([one.clone(), text.as_str().into()]).into(),
        }
    }
    if !written.is_empty() {
        put(table, "headers", written);
    }
}

fn error(error: &Error) -> Value {
    let (name, text) = match error {
        Error::Cancelled => return "cancelled".into(),
        Error::Ended => return "ended".into(),
        Error::Database(error) => {
            return InlineTable::from_iter([("database", sql_error(error))]).into();
        }
        Error::Unavailable(text) => ("unavailable", text),
        Error::Busy(text) => ("busy", text),
        Error::TimedOut(text) => ("timed-out", text),
        Error::InvalidParameter(text) => ("invalid-parameter", text),
        Error::Unsupported(text) => ("unsupported", text),
    };
    InlineTable::from_iter([(name, text.as_str())]).into()
}

fn sql_error(error: &SqlError) -> InlineTable {
    let mut table = InlineTable::from_iter([("sqlstate", &error.sqlstate)]);
    if error.severity != "ERROR" {
        table.insert("severity", error.severity.as_str().into());
    }
    table.insert("message", error.message.as_str().into());
    let more = [
        ("detail", &error.detail),
        ("hint", &error.hint),
        ("constraint", &error.constraint),
        ("table", &error.table),
        ("column", &error.column),
    ];
    for (key, text) in more {
        if let Some(text) = text {
            table.insert(key, text.as_str().into());
        }
    }
    if let Some(position) = error.position {
        table.insert("position", i64::from(position).into());
    }
    table
}

fn pause(time: Duration) -> Value {
    InlineTable::from_iter([("after", show_duration(time))]).into()
}

/// Each on a line of its own, so that a change is a change of one line.
fn one_per_line(values: impl Iterator<Item = Value>) -> Array {
    let mut array = Array::new();
    for value in values {
        array.push_formatted(value.decorated("\n    ", ""));
    }
    if !array.is_empty() {
        array.set_trailing("\n");
        array.set_trailing_comma(true);
    }
    array
}

pub(crate) fn put(table: &mut Table, key: &str, text: impl Into<Value>) {
    table.insert(key, value(text));
}

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

impl Outcome {
    /// The word of a case file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::RolledBack => "rolled-back",
        }
    }
}

impl ResponseEnd {
    /// The word of a case file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Error => "error",
            Self::Trap => "trap",
            Self::Left => "left",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_is_written_is_read_as_the_same_case() {
        let text = include_str!("example.toml");
        let case = Case::parse(text, Path::new("example.toml")).unwrap();
        let written = case.to_toml();
        let again = Case::parse(&written, Path::new("example.toml")).unwrap();
        let lines = |case: &Case| {
            let mut case = case.clone();
            case.calls.iter_mut().for_each(|call| call.line = 0);
            format!("{case:#?}")
        };
        assert_eq!(lines(&again), lines(&case), "{written}");
        assert_eq!(again.to_toml(), written);
    }
}
