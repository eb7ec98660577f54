//! Lines of the log as rows.

use std::borrow::Cow;

use super::{Bound, Row, Rows, insert};
use crate::json::{self, Object};
use crate::words;
use wasm_host_telemetry::attributes as names;
use wasm_host_telemetry::log::{LogRecord, Source};
use wasm_host_telemetry::span::{Attributes, Value};

/// Fields that are told apart from the others.
const STREAM: &str = "stream";
const VERSION: &str = "version";

struct Line<'a> {
    id: u64,
    record: &'a LogRecord,
}

impl Rows<'_> {
    pub(super) async fn logs(&mut self, records: &[LogRecord]) -> sqlx::Result<()> {
        let mut lines = Vec::with_capacity(records.len());
        for record in records {
            lines.push(Line { id: self.next_log, record });
            self.next_log += 1;
            self.services.extend(record.service.clone());
        }
        let head = "insert into logs values ";
        insert(self.connection, head, 12, "", &lines, bind).await?;
        let head = "insert into log_words(rowid, words) values ";
        insert(self.connection, head, 2, "", &lines, |line, row| {
            row.add(line.id.cast_signed())?;
            row.add(indexed(line.record))
        })
        .await
    }
}

fn bind(line: &Line<'_>, row: &mut Row) -> Bound {
    let record = line.record;
    let others: Attributes;
    let fields = match record.fields.iter().any(|(name, _)| is_apart(record, name)) {
        true => {
            let others_of = record.fields.iter().filter(|(name, _)| !is_apart(record, name));
            others = others_of.cloned().collect();
            &others
        }
        false => &record.fields,
    };
    row.add(line.id.cast_signed())?;
    row.add(record.time.cast_signed())?;
    row.add(record.level as i64)?;
    row.add(record.service.as_deref())?;
    row.add(version(record))?;
    row.add(record.request.map(|id| id.0.cast_signed()))?;
    row.add(record.trace.map(|trace| trace.0.to_be_bytes().to_vec()))?;
    row.add(record.span.map(|id| id.0.cast_signed()))?;
    row.add(source(record.source))?;
    row.add(of(record, STREAM))?;
    row.add(record.message.as_str())?;
    row.add(json::text(&Object(fields)))
}

/// Whether it has a column of its own. Others have these names for things of their own.
fn is_apart(record: &LogRecord, name: &str) -> bool {
    record.source != Source::Outside && [STREAM, VERSION, names::VERSION].contains(&name)
}

fn of<'a>(record: &'a LogRecord, name: &str) -> Option<&'a str> {
    let found = record.fields.iter().find(|(key, _)| key == name && is_apart(record, name));
    match found {
        Some((_, Value::Text(text))) => Some(text),
        _ => None,
    }
}

fn version(record: &LogRecord) -> Option<&str> {
    of(record, VERSION).or_else(|| of(record, names::VERSION))
}

pub(super) fn source(source: Source) -> &'static str {
    match source {
        Source::Guest => "guest",
        Source::Host => "host",
        Source::Outside => "outside",
    }
}

/// The words that a search finds it by.
fn indexed(record: &LogRecord) -> String {
    let others = record.fields.iter().filter(|(name, _)| !is_apart(record, name));
    let said = others.filter_map(|(name, it)| Some((name.as_ref(), searched(it)?)));
    let (version, stream) = (version(record), of(record, STREAM));
    words::of_line(&record.message, [version, stream], said.collect())
}

fn searched(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Text(text) => Some(text.as_ref().into()),
        Value::Integer(number) => Some(number.to_string().into()),
        Value::Number(_) | Value::Boolean(_) => None,
    }
}
