//! Questions about what was collected, each with its turn, its deadline and a bounded answer.
//!
//! It is cheap to clone, and works on whatever runtime asks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use sqlx::Row as _;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot, watch};
use tokio::time::timeout_at;

use crate::pending::{Dropped, Pending};
use crate::read::{
    self, Follow, Item, List, LogItem, LogQuery, Page, Range, ReadError, ScanBy, SpanItem,
    Statement, TraceDetail, TraceItem, TraceQuery,
};
use crate::recent::{Recent, Recents};
use crate::segment::Segment;
use crate::shelf::Shelf;
use crate::summary::{STORED_AT_MOST, Summary};
use crate::words::Sought;
use crate::writer::WriterCommand;
use wasm_host_limits::telemetry as limits;
use wasm_host_telemetry::id::TraceId;

#[derive(Clone, Debug)]
pub struct Reader(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shelf: Arc<Shelf>,
    pending: Arc<Pending>,
    orders: mpsc::Sender<WriterCommand>,
    written: watch::Receiver<()>,
    recents: Arc<Recents>,
    turns: Semaphore,
}

/// A question that has its turn.
pub(crate) struct Turn<'a> {
    pub(crate) until: Instant,
    _permit: SemaphorePermit<'a>,
}

impl Reader {
    pub(crate) fn new(
        shelf: Arc<Shelf>,
        pending: Arc<Pending>,
        orders: mpsc::Sender<WriterCommand>,
        written: watch::Receiver<()>,
        recents: Arc<Recents>,
    ) -> Self {
        let turns = Semaphore::new(limits::QUESTIONS);
        Self(Arc::new(Inner { shelf, pending, orders, written, recents, turns }))
    }

    /// Lines, newest first.
    pub async fn logs(&self, query: &LogQuery) -> Result<Page<LogItem>, ReadError> {
        let (range, limit) = (Range::before(query.before.as_deref())?, size(query.limit));
        let (items, is_all) = query.items(self, range, limit).await?;
        let dropped = Some(self.dropped().lines);
        Ok(Page { next: next(&items, is_all, |item| item.id), items, dropped })
    }

    /// Traces, newest first.
    pub async fn traces(&self, query: &TraceQuery) -> Result<Page<TraceItem>, ReadError> {
        let (range, limit) = (Range::before(query.before.as_deref())?, size(query.limit));
        let (items, is_all) = query.items(self, range, limit).await?;
        Ok(Page { next: next(&items, is_all, |item| item.id), items, dropped: None })
    }

    /// A trace with all that is known of it.
    pub async fn trace(&self, trace: TraceId) -> Result<Option<TraceDetail>, ReadError> {
        let turn = self.turn().await?;
        let Some((whole, spans)) = self.with_spans(trace, &turn).await? else { return Ok(None) };
        let query = LogQuery { trace: Some(trace), ..LogQuery::default() };
        let newest = Range::before(None)?;
        let (mut logs, _) = self.log_items(&query, newest, limits::PAGE_MAX, &turn).await?;
        logs.reverse();
        Ok(Some(TraceDetail {
            trace: trace.to_string(),
            start: whole.start,
            duration: whole.ended.saturating_sub(whole.start),
            dropped: whole.dropped,
            spans,
            logs,
        }))
    }

    /// A trace and its spans, in the order of their beginnings; those beyond a bound are counted as dropped.
    pub(crate) async fn with_spans(
        &self,
        trace: TraceId,
        turn: &Turn<'_>,
    ) -> Result<Option<(Summary, Vec<SpanItem>)>, ReadError> {
        let mut whole: Option<Summary> = None;
        let (mut spans, mut bytes, mut beyond) = (Vec::new(), 0, 0);
        for segment in self.0.shelf.newest_first().iter().rev() {
            let Some(part) = read::summaries_in(segment, &[trace], turn).await?.pop() else {
                continue;
            };
            match &mut whole {
                Some(whole) => whole.merge(part),
                None => whole = Some(part),
            }
            read::spans(trace)
                .ask(segment, turn.until, |row| {
                    let span = SpanItem::of(&row)?;
                    bytes += span.bytes();
                    match spans.len() < STORED_AT_MOST && bytes <= limits::PAGE_BYTES {
                        true => spans.push(span),
                        false => beyond += 1,
                    }
                    Ok(true)
                })
                .await?;
        }
        let Some(mut whole) = whole else { return Ok(None) };
        whole.dropped += beyond;
        spans.sort_by_key(|span| span.start);
        Ok(Some((whole, spans)))
    }

    /// One trace as a list shows it.
    pub(crate) async fn trace_items(&self, trace: TraceId) -> Result<Vec<TraceItem>, ReadError> {
        let turn = self.turn().await?;
        let mut whole: Option<Summary> = None;
        for segment in self.segments() {
            for part in read::summaries_in(&segment, &[trace], &turn).await? {
                match &mut whole {
                    Some(whole) => whole.merge(part),
                    None => whole = Some(part),
                }
            }
        }
        Ok(whole.map(TraceItem::from).into_iter().collect())
    }

    /// Lines: those that are there, and then each that comes.
    pub async fn follow_logs(
        &self,
        query: LogQuery,
    ) -> Result<(Vec<LogItem>, Follow<LogQuery>), ReadError> {
        self.follow(query.limit, query).await
    }

    /// Traces: those that are there, and then each that comes. It comes when the first of it is written, and again when
    /// more of it is.
    pub async fn follow_traces(
        &self,
        query: TraceQuery,
    ) -> Result<(Vec<TraceItem>, Follow<TraceQuery>), ReadError> {
        self.follow(query.limit, query).await
    }

    async fn follow<L: List>(
        &self,
        limit: Option<usize>,
        list: L,
    ) -> Result<(Vec<L::Item>, Follow<L>), ReadError> {
        self.filled().await?;
        let end = self.end::<L>();
        let (mut items, _) = list.items(self, Range::Before(end), size(limit)).await?;
        items.reverse();
        Ok((items, Follow::new(self.clone(), list, self.0.written.clone(), end)))
    }

    /// Forget what has to do with a service, or everything.
    pub async fn clear(&self, service: Option<&str>) -> Result<(), ReadError> {
        let (done, is_done) = oneshot::channel();
        let order = WriterCommand::Clear(service.map(str::to_owned), done);
        self.order(order, is_done).await?.map_err(ReadError::Clear)
    }

    /// Until all that was handed over so far can be asked about.
    pub async fn flush(&self) -> Result<(), ReadError> {
        let (done, is_done) = oneshot::channel();
        self.order(WriterCommand::Flush(done), is_done).await
    }

    /// Until the figures are read and stored as they are.
    pub async fn flush_figures(&self) -> Result<(), ReadError> {
        let (done, is_done) = oneshot::channel();
        self.order(WriterCommand::Figures(done), is_done).await
    }

    async fn order<T>(
        &self,
        order: WriterCommand,
        done: oneshot::Receiver<T>,
    ) -> Result<T, ReadError> {
        let until = tokio::time::Instant::now() + limits::CLEAR * 2;
        let obeyed = async {
            self.0.orders.send(order).await.map_err(|_| ReadError::Ended)?;
            done.await.map_err(|_| ReadError::Ended)
        };
        timeout_at(until, obeyed).await.map_err(|_| ReadError::Late)?
    }

    /// What was lost since the start.
    pub fn dropped(&self) -> Dropped {
        self.0.pending.dropped()
    }

    /// What an instrument has counted or measured in the last minute, of the series with these labels.
    pub fn recent(&self, instrument: &str, labels: &[(&str, &str)]) -> Recent {
        self.0.recents.of(instrument, labels)
    }

    /// The same by the values of some labels: of all services at once, or of all pairs of which one calls the other.
    pub fn recent_by(&self, instrument: &str, by: &[&str]) -> BTreeMap<Vec<String>, Recent> {
        self.0.recents.by(instrument, by)
    }

    pub(crate) async fn turn(&self) -> Result<Turn<'_>, ReadError> {
        let until = Instant::now() + limits::QUESTION;
        let turn = timeout_at(until.into(), async {
            self.0.shelf.filled().await;
            self.0.turns.acquire().await
        })
        .await;
        let permit = turn.map_err(|_| ReadError::Late)?.map_err(|_| ReadError::Ended)?;
        Ok(Turn { until, _permit: permit })
    }

    /// Until the files from before the start are there, as far as they can be read.
    async fn filled(&self) -> Result<(), ReadError> {
        let filled = tokio::time::timeout(limits::QUESTION, self.0.shelf.filled()).await;
        filled.map_err(|_| ReadError::Late)
    }

    pub(crate) fn segments(&self) -> Vec<Arc<Segment>> {
        self.0.shelf.newest_first()
    }

    /// Those that can be read, and those that cannot.
    pub(crate) fn files(&self) -> Vec<Arc<Segment>> {
        self.0.shelf.all()
    }

    /// The id after the last row of a list.
    pub(crate) fn end<L: List>(&self) -> u64 {
        self.0.shelf.all().iter().map(|segment| L::end(segment)).max().unwrap_or(0)
    }

    /// Rows of a list from one id to before another one.
    pub(crate) fn rows<L: List>(&self, from: u64, to: u64) -> u64 {
        let of = |segment: &Arc<Segment>| {
            L::end(segment).min(to).saturating_sub(segment.first_id().max(from))
        };
        self.0.shelf.all().iter().map(of).sum()
    }

    pub(crate) async fn log_items(
        &self,
        query: &LogQuery,
        range: Range,
        limit: usize,
        turn: &Turn<'_>,
    ) -> Result<(Vec<LogItem>, bool), ReadError> {
        let mut spans: Vec<i64> = Vec::new();
        if let Some(trace) = query.trace {
            for segment in self.segments() {
                let take = |row: sqlx::sqlite::SqliteRow| {
                    spans.push(row.try_get(0)?);
                    Ok(true)
                };
                read::span_ids(trace).ask(&segment, turn.until, take).await?;
            }
        }
        let asked = ListQuery {
            search: query.search.as_deref(),
            left: &|most| read::logs_left(query, range, most),
            statement: &|way, limit| read::logs_statement(query, &spans, range, way, limit),
        };
        self.list(range, limit, turn, asked).await
    }

    /// Items of all files, until there are enough; and whether these are all.
    pub(crate) async fn list<I: Item>(
        &self,
        range: Range,
        limit: usize,
        turn: &Turn<'_>,
        asked: ListQuery<'_>,
    ) -> Result<(Vec<I>, bool), ReadError> {
        let mut segments = self.segments();
        if let Range::After(_) = range {
            segments.reverse();
        }
        let sought = asked.search.map(Sought::of);
        let (mut items, mut bytes, mut is_all) = (Vec::new(), 0, true);
        for segment in segments.iter().filter(|segment| range.is_in(segment)) {
            let way = way(segment, turn, asked.left).await?;
            // One more, which tells whether there is another page.
            let missing = match way {
                ScanBy::Index => (limit + 1).saturating_sub(items.len()),
                ScanBy::Filter => limits::SEARCH_ROWS,
            };
            let Some(statement) = (asked.statement)(way, signed(missing)) else { break };
            let take = |row| {
                let item = I::of(&row)?;
                let sought = sought.as_ref().filter(|_| way == ScanBy::Filter);
                if sought.is_some_and(|sought| !sought.is_in(&item.words())) {
                    return Ok(true);
                }
                bytes += item.bytes();
                is_all = items.len() < limit && (bytes <= limits::PAGE_BYTES || items.is_empty());
                if is_all {
                    items.push(item);
                }
                Ok(is_all)
            };
            statement.ask(segment, turn.until, take).await?;
            if !is_all {
                break;
            }
        }
        Ok((items, is_all))
    }
}

/// What a list asks of each file.
#[derive(Clone, Copy)]
pub(crate) struct ListQuery<'a> {
    pub(crate) search: Option<&'a str>,
    /// How many rows the filters leave, up to so many.
    pub(crate) left: &'a (dyn Fn(i64) -> Option<Statement> + Sync),
    /// At most so many rows.
    pub(crate) statement: &'a (dyn Fn(ScanBy, i64) -> Option<Statement> + Sync),
}

/// By the filters, if they leave little: all that has the words of a search may be a million rows, of which they leave
/// none.
async fn way(
    segment: &Segment,
    turn: &Turn<'_>,
    left: &(dyn Fn(i64) -> Option<Statement> + Sync),
) -> Result<ScanBy, ReadError> {
    let most = signed(limits::SEARCH_ROWS);
    let Some(statement) = left(most.saturating_add(1)) else { return Ok(ScanBy::Index) };
    let mut count = i64::MAX;
    let take = |row: sqlx::sqlite::SqliteRow| {
        count = row.try_get(0)?;
        Ok(true)
    };
    statement.ask(segment, turn.until, take).await?;
    Ok(if count <= most { ScanBy::Filter } else { ScanBy::Index })
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(crate) fn size(asked: Option<usize>) -> usize {
    asked.unwrap_or(limits::PAGE).clamp(1, limits::PAGE_MAX)
}

fn next<T>(items: &[T], is_all: bool, id: impl Fn(&T) -> u64) -> Option<String> {
    items.last().filter(|_| !is_all).map(|item| read::cursor(id(item)))
}
