//! The two lists, of lines and of traces, over all files.

use std::collections::HashSet;

use super::{
    List, LogItem, LogQuery, Range, ReadError, TraceItem, TraceQuery, summaries as asked_summaries,
    summary, traces_left, traces_statement,
};
use crate::reader::{ListQuery, Reader, Turn};
use crate::segment::Segment;
use crate::summary::Summary;
use wasm_host_telemetry::id::TraceId;

impl List for LogQuery {
    type Item = LogItem;

    fn end(segment: &Segment) -> u64 {
        segment.logs_end()
    }

    async fn items(
        &self,
        reader: &Reader,
        range: Range,
        limit: usize,
    ) -> Result<(Vec<LogItem>, bool), ReadError> {
        let turn = reader.turn().await?;
        reader.log_items(self, range, limit, &turn).await
    }

    fn id(item: &LogItem) -> u64 {
        item.id
    }
}

impl List for TraceQuery {
    type Item = TraceItem;

    fn end(segment: &Segment) -> u64 {
        segment.traces_end()
    }

    async fn items(
        &self,
        reader: &Reader,
        range: Range,
        limit: usize,
    ) -> Result<(Vec<TraceItem>, bool), ReadError> {
        let turn = reader.turn().await?;
        let asked = ListQuery {
            search: self.search.as_deref(),
            left: &|most| traces_left(self, range, most),
            statement: &|way, limit| traces_statement(self, range, way, limit),
        };
        let (found, is_all) = reader.list::<Summary>(range, limit, &turn, asked).await?;
        let whole = whole(reader, found, &turn).await?;
        Ok((whole.into_iter().map(TraceItem::from).collect(), is_all))
    }

    fn id(item: &TraceItem) -> u64 {
        item.id
    }

    fn grown(segment: &Segment, after: u64) -> (Vec<u64>, u64) {
        segment.grown(after)
    }
}

/// The few traces that went on while one file followed another have a row in both: what is shown of them is of both, and
/// they are shown once in a page.
async fn whole(
    reader: &Reader,
    found: Vec<Summary>,
    turn: &Turn<'_>,
) -> Result<Vec<Summary>, ReadError> {
    let mut seen = HashSet::new();
    let mut found = found;
    found.retain(|summary| seen.insert(summary.trace));
    let traces: Vec<TraceId> = found.iter().map(|summary| summary.trace).collect();
    for segment in reader.segments() {
        for other in summaries_in(&segment, &traces, turn).await? {
            if let Some(summary) =
                found.iter_mut().find(|it| it.trace == other.trace && it.id != other.id)
            {
                summary.merge(other);
            }
        }
    }
    Ok(found)
}

/// What one file has of these traces.
pub(crate) async fn summaries_in(
    segment: &Segment,
    traces: &[TraceId],
    turn: &Turn<'_>,
) -> Result<Vec<Summary>, ReadError> {
    let mut all = Vec::new();
    if !traces.is_empty() {
        let take = |row| {
            all.push(summary(&row)?);
            Ok(true)
        };
        asked_summaries(traces).ask(segment, turn.until, take).await?;
    }
    Ok(all)
}
