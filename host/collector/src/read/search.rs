//! One search over everything.

use std::collections::BTreeSet;

use serde::Serialize;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{List as _, LogItem, LogQuery, Range, ReadError, Statement, TraceItem, TraceQuery};
use crate::reader::{Reader, size};
use crate::words::words;
use wasm_host_limits::telemetry as limits;
use wasm_host_telemetry::id::TraceId;

/// What has all of the words; the last one may be the beginning of a longer one.
#[derive(Clone, Debug, Serialize)]
pub struct Search {
    pub services: Vec<SearchService>,
    pub traces: Vec<TraceItem>,
    pub logs: Vec<LogItem>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SearchService {
    pub service: String,
}

impl Reader {
    /// At most so many of each.
    pub async fn search(&self, search: &str, limit: Option<usize>) -> Result<Search, ReadError> {
        let limit = size(limit);
        let services = self.services_like(search, limit).await?;
        let (traces, logs) = match search.trim().parse::<TraceId>() {
            // The words of an id are never what is looked for.
            Ok(trace) => (
                self.trace_items(trace).await?,
                LogQuery { trace: Some(trace), ..LogQuery::default() }
                    .items(self, Range::before(None)?, limit)
                    .await?
                    .0,
            ),
            Err(_) => {
                let search = Some(search.to_owned());
                let traces = TraceQuery { search: search.clone(), ..TraceQuery::default() };
                let logs = LogQuery { search, ..LogQuery::default() };
                let newest = Range::before(None)?;
                (
                    traces.items(self, newest, limit).await?.0,
                    logs.items(self, newest, limit).await?.0,
                )
            }
        };
        Ok(Search { services, traces, logs })
    }

    /// The names of services that there are rows of, so many of each file.
    pub async fn services(&self) -> Result<BTreeSet<String>, ReadError> {
        let turn = self.turn().await?;
        let mut all = BTreeSet::new();
        for segment in self.segments() {
            let mut statement = Statement::default();
            statement.push("select name from services limit ?");
            statement.bind(i64::try_from(limits::LISTED_NAMES).unwrap_or(i64::MAX));
            let take = |row: SqliteRow| {
                all.insert(row.try_get(0)?);
                Ok(true)
            };
            statement.ask(&segment, turn.until, take).await?;
        }
        Ok(all)
    }

    /// Whether there are rows of a service.
    pub async fn knows(&self, service: &str) -> Result<bool, ReadError> {
        let turn = self.turn().await?;
        for segment in self.segments() {
            let mut statement = Statement::default();
            statement.push("select 1 from services where name = ?").bind(service.to_owned());
            let mut is_there = false;
            let take = |_| {
                is_there = true;
                Ok(false)
            };
            statement.ask(&segment, turn.until, take).await?;
            if is_there {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn services_like(
        &self,
        search: &str,
        limit: usize,
    ) -> Result<Vec<SearchService>, ReadError> {
        let asked: Vec<String> = words(search).take(limits::SEARCH_WORDS).collect();
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let is_like = |name: &String| {
            let name = name.to_lowercase();
            asked.iter().all(|word| name.contains(word))
        };
        let found = self.services().await?.into_iter().filter(is_like).take(limit);
        Ok(found.map(|service| SearchService { service }).collect())
    }
}
