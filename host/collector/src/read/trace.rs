//! One trace with its spans and lines.

use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{LogItem, Statement, raw, span_id, unsigned};
use crate::summary::STORED_AT_MOST;
use wasm_host_telemetry::id::TraceId;

#[derive(Clone, Debug, Serialize)]
pub struct TraceDetail {
    pub trace: String,
    pub start: u64,
    pub duration: u64,
    /// Spans beyond a bound.
    pub dropped: u64,
    /// In the order of their beginnings.
    pub spans: Vec<SpanItem>,
    /// Oldest first.
    pub logs: Vec<LogItem>,
}

#[derive(Clone, Debug, Serialize)]
pub struct SpanItem {
    pub span: String,
    pub parent: Option<String>,
    pub name: String,
    pub kind: String,
    pub service: String,
    pub version: Option<String>,
    pub scope: String,
    pub start: u64,
    pub duration: u64,
    pub status: String,
    pub message: Option<String>,
    pub attributes: Box<RawValue>,
    pub events: Box<RawValue>,
    pub links: Box<RawValue>,
}

impl SpanItem {
    pub fn of(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            span: span_id(row, 0)?.unwrap_or_default(),
            parent: span_id(row, 1)?,
            name: row.try_get(2)?,
            kind: row.try_get(3)?,
            service: row.try_get(4)?,
            version: row.try_get(5)?,
            scope: row.try_get(6)?,
            start: unsigned(row, 7)?,
            duration: unsigned(row, 8)?,
            status: row.try_get(9)?,
            message: row.try_get(10)?,
            attributes: raw(row, 11)?,
            events: raw(row, 12)?,
            links: raw(row, 13)?,
        })
    }

    pub fn bytes(&self) -> usize {
        let texts = [&self.attributes, &self.events, &self.links];
        size_of::<Self>()
            + self.name.len()
            + texts.iter().map(|text| text.get().len()).sum::<usize>()
    }
}

/// All spans of a trace in one file.
pub(crate) fn spans(trace: TraceId) -> Statement {
    let mut statement = Statement::default();
    statement.push(
        "select span, parent, name, kind, service, version, scope, start, duration, status, message, attributes, \
         events, links from spans where trace = (select id from traces where trace = ?) order by number limit ?",
    );
    statement.bind(trace.0.to_be_bytes().to_vec()).bind(count(STORED_AT_MOST));
    statement
}

/// Their ids alone.
pub(crate) fn span_ids(trace: TraceId) -> Statement {
    let mut statement = Statement::default();
    statement.push(
        "select span from spans where trace = (select id from traces where trace = ?) order by number limit ?",
    );
    statement.bind(trace.0.to_be_bytes().to_vec()).bind(count(STORED_AT_MOST));
    statement
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
