//! Traces as lists show them.

use std::collections::HashSet;

use serde::Serialize;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Item, Range, ScanBy, Statement, time, unsigned};
use crate::summary::{Rank, Summary};
use crate::words;
use crate::write::marks;
use wasm_host_telemetry::id::TraceId;

/// Which traces. Nothing of it: all.
#[derive(Clone, Debug, Default)]
pub struct TraceQuery {
    /// It has a part in them.
    pub service: Option<String>,
    pub search: Option<String>,
    /// Those in which something failed.
    pub errors: bool,
    /// At least so many microseconds.
    pub slower: Option<u64>,
    /// Microseconds since 1970.
    pub since: Option<u64>,
    pub until: Option<u64>,
    pub route: Option<String>,
    pub limit: Option<usize>,
    /// `next` of the page before.
    pub before: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct TraceItem {
    #[serde(skip)]
    pub id: u64,
    pub trace: String,
    pub start: u64,
    pub duration: u64,
    pub name: String,
    /// The path that was asked for, if its first span is a request and says it.
    pub path: Option<String>,
    pub service: String,
    pub status: Option<i64>,
    /// Whether its first span failed.
    pub error: bool,
    pub spans: u64,
    /// Spans that failed.
    pub errors: u64,
    pub services: Vec<TraceService>,
    pub why: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct TraceService {
    pub service: String,
    pub spans: u64,
    pub errors: u64,
}

/// The columns of a summary.
pub(crate) const SUMMARY: &str = "traces.id, traces.trace, traces.start, traces.ended, traces.name, traces.service, \
    traces.status, traces.error, traces.errors, traces.spans, traces.dropped, traces.route, traces.why, traces.root, \
    traces.root_start, traces.services, traces.words";

/// The path that the first span of a trace asked for, which no column has. Few rows are shown, and each first span is
/// found by what its summary says of it.
const PATH: &str = "(select json_extract(s.attributes, '$.\"url.path\"') from spans s where s.trace = traces.id \
    and s.start = traces.root_start and s.name = traces.name and s.service = traces.service limit 1)";

pub(crate) fn summary(row: &SqliteRow) -> sqlx::Result<Summary> {
    let trace: Vec<u8> = row.try_get(1)?;
    let trace =
        <[u8; 16]>::try_from(trace).map_err(|_| sqlx::Error::Decode("no id of a trace".into()))?;
    let services: String = row.try_get(15)?;
    Ok(Summary {
        id: unsigned(row, 0)?,
        trace: TraceId(u128::from_be_bytes(trace)),
        start: unsigned(row, 2)?,
        ended: unsigned(row, 3)?,
        name: row.try_get(4)?,
        service: row.try_get(5)?,
        status: row.try_get(6)?,
        error: row.try_get(7)?,
        errors: unsigned(row, 8)?,
        spans: unsigned(row, 9)?,
        dropped: unsigned(row, 10)?,
        route: row.try_get(11)?,
        why: row.try_get(12)?,
        rank: Rank(row.try_get(13)?, unsigned(row, 14)?),
        services: serde_json::from_str(&services)
            .map_err(|error| sqlx::Error::Decode(error.into()))?,
        words: row.try_get(16)?,
        path: if row.len() > 17 { row.try_get(17)? } else { None },
    })
}

/// What a file has of these traces.
pub(crate) fn summaries(traces: &[TraceId]) -> Statement {
    let mut statement = Statement::default();
    statement.push(&format!(
        "select {SUMMARY}, {PATH} from traces where trace in ({})",
        marks(traces.len())
    ));
    for trace in traces {
        statement.bind(trace.0.to_be_bytes().to_vec());
    }
    statement
}

impl From<Summary> for TraceItem {
    fn from(summary: Summary) -> Self {
        let service = |(service, spans, errors)| TraceService { service, spans, errors };
        Self {
            id: summary.id,
            trace: summary.trace.to_string(),
            start: summary.start,
            duration: summary.ended.saturating_sub(summary.start),
            name: summary.name,
            path: summary.path,
            service: summary.service,
            status: summary.status,
            error: summary.error,
            spans: summary.spans,
            errors: summary.errors,
            services: summary.services.into_iter().map(service).collect(),
            why: summary.why,
        }
    }
}

impl Item for Summary {
    fn bytes(&self) -> usize {
        let services =
            self.services.iter().map(|(service, ..)| size_of::<TraceService>() + service.len());
        size_of::<Self>() + self.name.len() + self.words.len() + services.sum::<usize>()
    }

    fn of(row: &SqliteRow) -> sqlx::Result<Self> {
        summary(row)
    }

    fn words(&self) -> HashSet<String> {
        self.words.split(' ').map(str::to_owned).collect()
    }
}

/// What is asked of each file; see the one for lines. None: nothing is like that.
pub(crate) fn statement(
    query: &TraceQuery,
    range: Range,
    way: ScanBy,
    limit: i64,
) -> Option<Statement> {
    let mut statement = Statement::default();
    let (compares, order) = (range.compares(), range.order());
    statement.push(&format!("select {SUMMARY}, {PATH} from traces where id in (select t.id from "));
    // The place of the row that the list goes by.
    let place = match (&query.search, &query.service) {
        (Some(search), service) if way == ScanBy::Index => {
            let question = words::question(search)?;
            statement.push("trace_words cross join traces t indexed by traces_scan on t.id = trace_words.rowid ");
            statement.push("where trace_words match ? and ").bind(question);
            if let Some(service) = service {
                statement.push(OF_SERVICE).bind(service.clone());
            }
            "trace_words.rowid"
        }
        (None, Some(service)) if way == ScanBy::Index => {
            statement.push(
                "trace_services s cross join traces t indexed by traces_scan on t.id = s.trace ",
            );
            statement.push("where s.service = ? and ").bind(service.clone());
            "s.trace"
        }
        (_, service) => {
            statement.push("traces t indexed by traces_scan where ");
            if let Some(service) = service {
                statement.push(OF_SERVICE).bind(service.clone());
            }
            "t.id"
        }
    };
    statement.push(&format!("{place} {compares} ? ")).bind(range.id());
    filter(&mut statement, query);
    statement.push(&format!("order by {place} {order} limit ?) order by id {order}")).bind(limit);
    Some(statement)
}

/// How many traces the filters leave of a search or of a service's, up to a number. None: nothing else is filtered by.
pub(crate) fn left(query: &TraceQuery, range: Range, most: i64) -> Option<Statement> {
    let has_time = query.slower.is_some() || query.since.is_some() || query.until.is_some();
    let is_filtered = has_time || query.errors || query.route.is_some();
    if (query.search.is_none() && query.service.is_none()) || !is_filtered {
        return None;
    }
    let mut statement = Statement::default();
    let compares = range.compares();
    statement.push("select count(*) from (select 1 from traces t indexed by traces_scan where ");
    statement.push(&format!("t.id {compares} ? ")).bind(range.id());
    filter(&mut statement, query);
    statement.push("limit ?)").bind(most);
    Some(statement)
}

const OF_SERVICE: &str =
    "exists (select 1 from trace_services s where s.service = ? and s.trace = t.id) and ";

fn filter(statement: &mut Statement, query: &TraceQuery) {
    if query.errors {
        statement.push("and t.errors > 0 ");
    }
    if let Some(slower) = query.slower {
        statement.push("and t.ended - t.start >= ? ").bind(time(slower));
    }
    if let Some(since) = query.since {
        statement.push("and t.start >= ? ").bind(time(since));
    }
    if let Some(until) = query.until {
        statement.push("and t.start < ? ").bind(time(until));
    }
    if let Some(route) = &query.route {
        statement.push("and t.route = ? ").bind(route.clone());
    }
}
