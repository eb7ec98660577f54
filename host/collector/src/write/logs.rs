//! Lines of the log as rows.

use super::{Bound, Row, Rows, insert};
use crate::json::{self, Object};
use crate::summary;
use crate::words;
use wasm_host_limits::telemetry as limits;
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
    // Others have these names for things of their own.
    let is_own = record.source != Source::Outside;
    let of = |name: &str| {
        let found = record.fields.iter().find(|(key, _)| is_own && key == name);
        found.and_then(|(_, value)| summary::text(value))
    };
    let is_apart = |name: &str| is_own && [STREAM, VERSION, names::VERSION].contains(&name);
    let others: Attributes;
    let fields = match record.fields.iter().any(|(name, _)| is_apart(name)) {
        true => {
            let others_of = record.fields.iter().filter(|(name, _)| !is_apart(name));
            others = others_of.cloned().collect();
            &others
        }
        false => &record.fields,
    };
    row.add(line.id.cast_signed())?;
    row.add(record.time.cast_signed())?;
    row.add(record.level as i64)?;
    row.add(record.service.as_deref())?;
    row.add(of(VERSION).or_else(|| of(names::VERSION)))?;
    row.add(record.request.map(|id| id.0.cast_signed()))?;
    row.add(record.trace.map(|trace| trace.0.to_be_bytes().to_vec()))?;
    row.add(record.span.map(|id| id.0.cast_signed()))?;
    row.add(source(record.source))?;
    row.add(of(STREAM))?;
    row.add(record.message.as_str())?;
    row.add(json::text(&Object(fields)))
}

pub(super) fn source(source: Source) -> &'static str {
    match source {
        Source::Guest => "guest",
        Source::Host => "host",
        Source::Outside => "outside",
    }
}

/// The message, and the values of fields.
fn indexed(record: &LogRecord) -> String {
    let mut text = String::with_capacity(record.message.len());
    let mut add = |part: &str| {
        for word in words::words(part) {
            if text.len() >= limits::STORED_WORDS_BYTES {
                return;
            }
            text.push_str(&word);
            text.push(' ');
        }
    };
    add(&record.message);
    let is_own = record.source != Source::Outside;
    // A version is asked for by itself.
    let said = record.fields.iter().filter(|(name, _)| !(is_own && name == names::VERSION));
    for (_, value) in said {
        match value {
            Value::Text(value) => add(value),
            Value::Integer(number) => add(&number.to_string()),
            Value::Number(_) | Value::Boolean(_) => {}
        }
    }
    text
}
