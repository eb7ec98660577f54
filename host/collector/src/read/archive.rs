//! What is taken out of the store whole, page by page: traces with their spans, and figures as they are stored.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::series::{StoredSeries, known};
use super::{List as _, Page, Range, ReadError, SpanItem, Statement, TraceQuery, cursor, time};
use crate::json;
use crate::reader::{Reader, Turn, size};
use crate::segment::Segment;
use crate::summary::Summary;
use wasm_host_limits::telemetry as limits;

/// A trace with its spans, and without its lines.
#[derive(Clone, Debug, Serialize)]
pub struct WholeTrace {
    pub trace: String,
    pub start: u64,
    pub duration: u64,
    pub name: String,
    pub service: String,
    pub status: Option<i64>,
    /// Whether its first span failed.
    pub error: bool,
    pub why: String,
    /// Spans beyond a bound.
    pub dropped: u64,
    /// In the order of their beginnings.
    pub spans: Vec<SpanItem>,
}

/// Which figures. Nothing of it: all.
#[derive(Clone, Debug, Default)]
pub struct FigureQuery {
    /// Microseconds since 1970.
    pub since: Option<u64>,
    pub until: Option<u64>,
    /// Those that say this service.
    pub service: Option<String>,
    /// Numbers of a page.
    pub limit: Option<usize>,
}

/// After which number of all a page begins.
#[derive(Clone, Copy, Debug)]
pub struct PageStart {
    file: u64,
    series: i64,
    time: i64,
    bucket: i64,
}

/// Some numbers of one series of a figure, oldest first.
#[derive(Clone, Debug, Serialize)]
pub struct FigureItem {
    pub name: String,
    pub kind: String,
    pub unit: String,
    pub labels: BTreeMap<String, String>,
    /// Of a histogram: the upper bounds of its buckets, of which there is one more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bounds: Vec<f64>,
    pub points: FigurePoints,
}

/// Each with its time, in microseconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum FigurePoints {
    /// What a counter has counted since the time before, or how a gauge was.
    Numbers(Vec<(u64, f64)>),
    /// Of a histogram: the number of a bucket, and how many came into it since the time before.
    Buckets(Vec<(u64, i64, u64)>),
}

impl Reader {
    /// Traces with all their spans, newest first.
    pub async fn whole_traces(&self, query: &TraceQuery) -> Result<Page<WholeTrace>, ReadError> {
        let (range, limit) = (Range::before(query.before.as_deref())?, size(query.limit));
        let (found, mut is_all) = query.items(self, range, limit).await?;
        let turn = self.turn().await?;
        let (mut items, mut bytes, mut last) = (Vec::new(), 0, None);
        for item in found {
            if bytes > limits::PAGE_BYTES {
                is_all = false;
                break;
            }
            last = Some(item.id);
            let Ok(trace) = item.trace.parse() else { continue };
            // It may have been deleted meanwhile.
            let Some((whole, spans)) = self.with_spans(trace, &turn).await? else { continue };
            bytes += spans.iter().map(SpanItem::bytes).sum::<usize>();
            items.push(WholeTrace::of(whole, spans));
        }
        let next = last.filter(|_| !is_all).map(cursor);
        Ok(Page { items, next, dropped: None })
    }

    /// Figures as they are stored, those of newer files first, and where the next ones begin.
    pub async fn figures(
        &self,
        query: &FigureQuery,
        after: Option<PageStart>,
    ) -> Result<(Vec<FigureItem>, Option<PageStart>), ReadError> {
        let turn = self.turn().await?;
        for segment in self.segments() {
            let place = match after {
                Some(place) if place.file < segment.number => continue,
                Some(place) if place.file == segment.number => place,
                _ => PageStart { file: segment.number, series: 0, time: 0, bucket: i64::MIN },
            };
            let (items, next) = numbers(&segment, query, place, &turn).await?;
            if !items.is_empty() {
                // Without more of this file, the next page begins with the one before it.
                let end = PageStart { series: i64::MAX, ..place };
                return Ok((items, Some(next.unwrap_or(end))));
            }
        }
        Ok((Vec::new(), None))
    }
}

impl WholeTrace {
    fn of(whole: Summary, spans: Vec<SpanItem>) -> Self {
        Self {
            trace: whole.trace.to_string(),
            start: whole.start,
            duration: whole.ended.saturating_sub(whole.start),
            name: whole.name,
            service: whole.service,
            status: whole.status,
            error: whole.error,
            why: whole.why,
            dropped: whole.dropped,
            spans,
        }
    }
}

/// A page of one file, and where the next one of it begins, if there is one.
async fn numbers(
    segment: &Segment,
    query: &FigureQuery,
    place: PageStart,
    turn: &Turn<'_>,
) -> Result<(Vec<FigureItem>, Option<PageStart>), ReadError> {
    let mut all: HashMap<i64, (String, StoredSeries)> = HashMap::new();
    known(segment, None, turn, |name, known| {
        let is_asked =
            query.service.as_ref().is_none_or(|service| known.value("service") == Some(service));
        // Series before the place are told already, and are not gone through again.
        if is_asked && known.id >= place.series {
            all.insert(known.id, (name, known));
        }
    })
    .await?;
    if all.is_empty() {
        return Ok((Vec::new(), None));
    }
    let mut statement = Statement::default();
    statement
        .push("select series, time, bucket, value from points where ")
        .push("series in (select value from json_each(?)) and (series, time, bucket) > (?, ?, ?) ")
        .push("and time >= ? and time < ? order by series, time, bucket limit ?");
    let most = query.limit.unwrap_or(limits::ARCHIVE_NUMBERS).clamp(1, limits::ARCHIVE_NUMBERS);
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    statement
        .bind(json::text(&all.keys().collect::<Vec<_>>()))
        .bind(place.series)
        .bind(place.time)
        .bind(place.bucket)
        .bind(time(query.since.unwrap_or(0)))
        .bind(time(query.until.unwrap_or(u64::MAX)))
        .bind(most);
    let mut items: Vec<FigureItem> = Vec::new();
    let (mut last, mut count) = (place, 0);
    let take = |row: SqliteRow| {
        let (series, time) = (row.try_get(0)?, row.try_get(1)?);
        let (bucket, value): (i64, f64) = (row.try_get(2)?, row.try_get(3)?);
        // A file's rows come series by series.
        if (items.is_empty() || series != last.series)
            && let Some((name, known)) = all.remove(&series)
        {
            items.push(FigureItem::of(name, known));
        }
        (last, count) = (PageStart { series, time, bucket, ..place }, count + 1);
        if let Some(item) = items.last_mut() {
            item.points.push(time.cast_unsigned(), bucket, value);
        }
        Ok(true)
    };
    statement.ask(segment, turn.until, take).await?;
    Ok((items, (count == most).then_some(last)))
}

impl FigureItem {
    fn of(name: String, known: StoredSeries) -> Self {
        let points = match known.kind.as_str() {
            "histogram" => FigurePoints::Buckets(Vec::new()),
            _ => FigurePoints::Numbers(Vec::new()),
        };
        let StoredSeries { kind, unit, bounds, labels, .. } = known;
        Self { name, kind, unit, labels: labels.into_iter().collect(), bounds, points }
    }
}

impl FigurePoints {
    fn push(&mut self, time: u64, bucket: i64, value: f64) {
        match self {
            Self::Numbers(points) => points.push((time, value)),
            Self::Buckets(points) => points.push((time, bucket, value as u64)),
        }
    }
}
