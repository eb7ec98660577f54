//! Lines of the log.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Item, Range, ScanBy, Statement, raw, span_id, time, unsigned};
use crate::words;
use crate::write::marks;
use wasm_host_telemetry::id::{SpanId, TraceId};
use wasm_host_telemetry::log::Level;

/// Which lines. Nothing of it: all.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// Any of these.
    pub services: Vec<String>,
    /// This one and above.
    pub level: Option<Level>,
    pub search: Option<String>,
    /// Microseconds since 1970.
    pub since: Option<u64>,
    pub until: Option<u64>,
    /// Said for this trace, or for one of its spans.
    pub trace: Option<TraceId>,
    pub request: Option<SpanId>,
    /// `guest`, `host` or `outside`.
    pub source: Option<String>,
    pub limit: Option<usize>,
    /// `next` of the page before.
    pub before: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct LogItem {
    pub id: u64,
    pub time: u64,
    pub level: &'static str,
    pub service: Option<String>,
    pub version: Option<String>,
    pub request: Option<String>,
    pub trace: Option<String>,
    pub span: Option<String>,
    pub source: String,
    pub stream: Option<String>,
    pub message: String,
    pub fields: Box<RawValue>,
}

impl Item for LogItem {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.message.len() + self.fields.get().len()
    }

    fn of(row: &SqliteRow) -> sqlx::Result<Self> {
        let trace: Option<Vec<u8>> = row.try_get(6)?;
        Ok(Self {
            id: unsigned(row, 0)?,
            time: unsigned(row, 1)?,
            level: level(row.try_get(2)?),
            service: row.try_get(3)?,
            version: row.try_get(4)?,
            request: span_id(row, 5)?,
            trace: trace.map(|trace| trace.iter().map(|byte| format!("{byte:02x}")).collect()),
            span: span_id(row, 7)?,
            source: row.try_get(8)?,
            stream: row.try_get(9)?,
            message: row.try_get(10)?,
            fields: raw(row, 11)?,
        })
    }

    fn words(&self) -> HashSet<String> {
        let fields: HashMap<String, serde_json::Value> =
            serde_json::from_str(self.fields.get()).unwrap_or_default();
        let said = fields.iter().filter_map(|(name, it)| Some((name.as_str(), searched(it)?)));
        let apart = [self.version.as_deref(), self.stream.as_deref()];
        let text = words::of_line(&self.message, apart, said.collect());
        text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }
}

/// What of a field's value a search finds.
fn searched(value: &serde_json::Value) -> Option<Cow<'_, str>> {
    match value {
        serde_json::Value::String(text) => Some(text.into()),
        serde_json::Value::Number(number) if !number.is_f64() => Some(number.to_string().into()),
        _ => None,
    }
}

fn level(number: i64) -> &'static str {
    let all = [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error];
    all.into_iter().find(|level| *level as i64 == number).unwrap_or(Level::Info).name()
}

/// What is asked of each file, in as little of it as there can be: an index has all that is filtered by, and the row
/// itself is read only of those that are told. None: nothing is like that.
pub(crate) fn statement(
    query: &LogQuery,
    spans: &[i64],
    range: Range,
    way: ScanBy,
    limit: i64,
) -> Option<Statement> {
    let mut statement = Statement::default();
    let (compares, order) = (range.compares(), range.order());
    let is_of_trace = query.trace.is_some() || query.request.is_some();
    statement.push("select * from logs where id in (select l.id from ");
    // The place of the row that the list goes by.
    let place = match &query.search {
        Some(search) if way == ScanBy::Index => {
            let question = words::question(search)?;
            statement.push(
                "log_words cross join logs l indexed by logs_scan on l.id = log_words.rowid ",
            );
            statement.push("where log_words match ? and ").bind(question);
            "log_words.rowid"
        }
        _ if is_of_trace => {
            statement.push("logs l where ");
            "l.id"
        }
        _ => {
            statement.push("logs l indexed by logs_scan where ");
            "l.id"
        }
    };
    statement.push(&format!("{place} {compares} ? ")).bind(range.id());
    if is_of_trace {
        statement.push("and l.id in (");
        of_trace(&mut statement, query, spans);
        statement.push(") ");
    }
    filter(&mut statement, query);
    statement.push(&format!("order by {place} {order} limit ?) order by id {order}")).bind(limit);
    Some(statement)
}

/// How many lines the filters leave of a search, up to a number. None: nothing is filtered but by words.
pub(crate) fn left(query: &LogQuery, range: Range, most: i64) -> Option<Statement> {
    let has_level = query.level.is_some_and(|level| level > Level::Trace);
    let has_other = !query.services.is_empty() || query.source.is_some();
    let is_filtered = has_level || has_other || query.since.is_some() || query.until.is_some();
    if query.search.is_none() || !is_filtered {
        return None;
    }
    let mut statement = Statement::default();
    let compares = range.compares();
    statement.push("select count(*) from (select 1 from logs l indexed by logs_scan where ");
    statement.push(&format!("l.id {compares} ? ")).bind(range.id());
    filter(&mut statement, query);
    statement.push("limit ?)").bind(most);
    Some(statement)
}

/// Lines that say their trace, and those that say a span or a request of it alone.
fn of_trace(statement: &mut Statement, query: &LogQuery, spans: &[i64]) {
    const OF_SPANS: &str = "select id from logs where span in (select value from json_each(?)) \
        union select id from logs where request in (select value from json_each(?))";
    let of_spans = |statement: &mut Statement, spans: &[i64]| {
        let spans = crate::json::text(&spans);
        statement.push(OF_SPANS).bind(spans.clone()).bind(spans);
    };
    if let Some(trace) = query.trace {
        statement.push("select id from logs where trace = ? union ");
        statement.bind(trace.0.to_be_bytes().to_vec());
        of_spans(statement, spans);
    }
    if let Some(request) = query.request {
        // Both: a query for both wants the lines of the one that are the other's, too.
        statement.push(if query.trace.is_some() {
            " intersect select id from ("
        } else {
            "select id from ("
        });
        of_spans(statement, &[request.0.cast_signed()]);
        statement.push(")");
    }
}

fn filter(statement: &mut Statement, query: &LogQuery) {
    if let Some(level) = query.level.filter(|level| *level > Level::Trace) {
        statement.push("and l.level >= ? ").bind(level as i64);
    }
    if let Some(since) = query.since {
        statement.push("and l.time >= ? ").bind(time(since));
    }
    if let Some(until) = query.until {
        statement.push("and l.time < ? ").bind(time(until));
    }
    if !query.services.is_empty() {
        statement.push(&format!("and l.service in ({}) ", marks(query.services.len())));
        for service in &query.services {
            statement.bind(service.clone());
        }
    }
    if let Some(source) = &query.source {
        statement.push("and l.source = ? ").bind(source.clone());
    }
}
