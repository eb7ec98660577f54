//! Figures over time, for graphs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{ReadError, Statement, time, unsigned};
use crate::json;
use crate::reader::{Reader, Turn};
use crate::segment::Segment;
use wasm_host_limits::telemetry as limits;
use wasm_host_telemetry::clock;
use wasm_host_telemetry::metrics::quantile;

/// Something that is measured.
#[derive(Clone, Debug, Serialize)]
pub struct Instrument {
    pub name: String,
    pub kind: String,
    pub unit: String,
    pub description: String,
    /// What it is measured by, with the values that are there.
    pub dimensions: BTreeMap<String, BTreeSet<String>>,
    /// There are more series than are counted apart.
    pub overflow: bool,
}

/// Which part of an instrument's figures.
#[derive(Clone, Debug)]
pub struct SeriesQuery {
    /// Microseconds since 1970.
    pub since: u64,
    pub until: u64,
    /// One series for each value of this dimension; else one in all.
    pub by: Option<String>,
    /// Those alone that have these values.
    pub filters: Vec<(String, String)>,
    pub points: Option<usize>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Series {
    pub name: String,
    pub kind: String,
    pub unit: String,
    /// Microseconds from one point to the next.
    pub step: u64,
    pub series: Vec<SeriesItem>,
    /// Newest first.
    pub exemplars: Vec<SeriesExemplar>,
}

#[derive(Clone, Debug, Serialize)]
pub struct SeriesItem {
    pub labels: BTreeMap<String, String>,
    pub points: SeriesPoints,
}

/// Each with the time at which its step begins.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum SeriesPoints {
    /// In a second, of a counter; as it was, of a gauge.
    Numbers(Vec<(u64, f64)>),
    /// Of a histogram.
    Quantiles(Vec<Quantiles>),
}

/// How many in a second, and the values below which 50, 90 and 99 of a hundred are.
pub type Quantiles = (u64, f64, Option<f64>, Option<f64>, Option<f64>);

#[derive(Clone, Debug, Serialize)]
pub struct SeriesExemplar {
    pub time: u64,
    pub value: f64,
    pub trace: String,
    pub labels: BTreeMap<String, String>,
}

type Labels = Vec<(String, String)>;

/// What a file says of a series.
struct Known {
    id: i64,
    kind: String,
    unit: String,
    description: String,
    bounds: Vec<f64>,
    overflow: bool,
    labels: Labels,
}

impl Known {
    fn of(row: &SqliteRow) -> sqlx::Result<(String, Self)> {
        let decoded = |error: serde_json::Error| sqlx::Error::Decode(error.into());
        let (bounds, labels): (String, String) = (row.try_get(5)?, row.try_get(7)?);
        let known = Self {
            id: row.try_get(0)?,
            kind: row.try_get(2)?,
            unit: row.try_get(3)?,
            description: row.try_get(4)?,
            bounds: serde_json::from_str(&bounds).map_err(decoded)?,
            overflow: row.try_get(6)?,
            labels: serde_json::from_str(&labels).map_err(decoded)?,
        };
        Ok((row.try_get(1)?, known))
    }

    fn value(&self, dimension: &str) -> Option<&str> {
        self.labels.iter().find_map(|(name, value)| (name == dimension).then_some(value.as_str()))
    }

    /// Which of the series asked for it is a part of.
    fn group(&self, query: &SeriesQuery) -> Option<String> {
        let is_asked = |(name, value): &(String, String)| self.value(name) == Some(value);
        query.filters.iter().all(is_asked).then(|| {
            let value = query.by.as_deref().and_then(|by| self.value(by));
            value.unwrap_or_default().to_owned()
        })
    }
}

/// Where points stand in time.
struct Steps {
    from: u64,
    until: u64,
    step: u64,
    count: usize,
}

impl Steps {
    fn of(query: &SeriesQuery) -> Self {
        let points = query.points.unwrap_or(limits::POINTS).clamp(1, limits::POINTS_MAX) as u64;
        let until = query.until.min(clock::now()).max(1);
        let since = query.since.min(until - 1);
        let interval = clock::micros(limits::STORE_INTERVAL);
        // Whole intervals, so that no step has more readings than the next one.
        let step = (until - since).div_ceil(points).div_ceil(interval).max(1) * interval;
        let from = since - since % step;
        let count = usize::try_from((until - from).div_ceil(step)).unwrap_or(usize::MAX);
        Self { from, until, step, count }
    }

    fn begins(&self, number: usize) -> u64 {
        self.from + number as u64 * self.step
    }

    /// The last one may not be over.
    fn seconds(&self, number: usize) -> f64 {
        let interval = clock::micros(limits::STORE_INTERVAL);
        let is_over = self.until.saturating_sub(self.begins(number));
        is_over.clamp(interval, self.step) as f64 / 1e6
    }
}

/// One series of the answer while it is added up.
#[derive(Default)]
struct Sum {
    numbers: BTreeMap<usize, f64>,
    buckets: BTreeMap<usize, Vec<u64>>,
}

impl Reader {
    /// All that is measured.
    pub async fn instruments(&self) -> Result<Vec<Instrument>, ReadError> {
        let turn = self.turn().await?;
        let mut all: BTreeMap<String, Instrument> = BTreeMap::new();
        for segment in self.segments() {
            known(&segment, None, &turn, |name, known| {
                let instrument = all.entry(name.clone()).or_insert_with(|| Instrument {
                    name,
                    kind: known.kind,
                    unit: known.unit,
                    description: known.description,
                    dimensions: BTreeMap::new(),
                    overflow: false,
                });
                instrument.overflow |= known.overflow;
                for (dimension, value) in known.labels {
                    let values = instrument.dimensions.entry(dimension).or_default();
                    if values.len() < limits::LISTED_NAMES {
                        values.insert(value);
                    }
                }
            })
            .await?;
        }
        Ok(all.into_values().collect())
    }

    /// An instrument's figures over time. None: nothing was measured by that name.
    pub async fn series(
        &self,
        name: &str,
        query: &SeriesQuery,
    ) -> Result<Option<Series>, ReadError> {
        let turn = self.turn().await?;
        let steps = Steps::of(query);
        let mut files: Vec<(std::sync::Arc<Segment>, Vec<Known>)> = Vec::new();
        for segment in self.segments() {
            let mut all = Vec::new();
            known(&segment, Some(name), &turn, |_, known| all.push(known)).await?;
            files.push((segment, all));
        }
        let Some(first) = files.iter().find_map(|(_, all)| all.first()) else { return Ok(None) };
        let (kind, unit, bounds) = (first.kind.clone(), first.unit.clone(), first.bounds.clone());
        let busiest = busiest(&files, query, &steps, &turn).await?;
        let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
        let mut exemplars = Vec::new();
        for (segment, all) in &files {
            let group = |known: &Known| known.group(query).filter(|group| busiest.contains(group));
            let asked: HashMap<i64, String> =
                all.iter().filter_map(|known| Some((known.id, group(known)?))).collect();
            points(segment, &asked, &steps, &turn, &kind, bounds.len(), &mut sums).await?;
            let labels =
                |id| all.iter().find(|known| known.id == id).map(|known| known.labels.clone());
            self::exemplars(segment, &asked, &steps, &turn, |time, value, trace, id| {
                let labels = labels(id).unwrap_or_default().into_iter().collect();
                exemplars.push(SeriesExemplar { time, value, trace, labels });
            })
            .await?;
        }
        exemplars.sort_by_key(|exemplar| std::cmp::Reverse(exemplar.time));
        exemplars.truncate(limits::EXEMPLARS);
        let item = |(group, sum): (String, Sum)| SeriesItem {
            labels: query.by.iter().map(|by| (by.clone(), group.clone())).collect(),
            points: sum.points(&kind, &bounds, &steps),
        };
        let series = sums.into_iter().map(item).collect();
        Ok(Some(Series { name: name.to_owned(), kind, unit, step: steps.step, series, exemplars }))
    }
}

/// The series of one file, of one instrument or of all.
async fn known(
    segment: &Segment,
    name: Option<&str>,
    turn: &Turn<'_>,
    mut take: impl FnMut(String, Known),
) -> Result<(), ReadError> {
    let mut statement = Statement::default();
    statement
        .push("select id, name, kind, unit, description, bounds, overflow, labels from series ");
    if let Some(name) = name {
        statement.push("where name = ?").bind(name);
    }
    let take = |row: SqliteRow| {
        let (name, known) = Known::of(&row)?;
        take(name, known);
        Ok(true)
    };
    statement.ask(segment, turn.until, take).await
}

/// As many as there may be of those that were asked for.
async fn busiest(
    files: &[(std::sync::Arc<Segment>, Vec<Known>)],
    query: &SeriesQuery,
    steps: &Steps,
    turn: &Turn<'_>,
) -> Result<BTreeSet<String>, ReadError> {
    let groups = files.iter().flat_map(|(_, all)| all).filter_map(|known| known.group(query));
    let groups: BTreeSet<String> = groups.collect();
    if groups.len() <= limits::ANSWERED_SERIES {
        return Ok(groups);
    }
    let mut totals: HashMap<String, f64> = HashMap::new();
    for (segment, all) in files {
        let asked: HashMap<i64, String> =
            all.iter().filter_map(|known| Some((known.id, known.group(query)?))).collect();
        let mut statement = Statement::default();
        statement.push("select series, total(value) from points where ");
        range(&mut statement, &asked, steps);
        statement.push(" group by series");
        let take = |row: SqliteRow| {
            if let Some(group) = asked.get(&row.try_get(0)?) {
                *totals.entry(group.clone()).or_default() += row.try_get::<f64, _>(1)?;
            }
            Ok(true)
        };
        statement.ask(segment, turn.until, take).await?;
    }
    let mut totals: Vec<_> = totals.into_iter().collect();
    totals.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    totals.truncate(limits::ANSWERED_SERIES);
    Ok(totals.into_iter().map(|(group, _)| group).collect())
}

fn range(statement: &mut Statement, asked: &HashMap<i64, String>, steps: &Steps) {
    let ids = json::text(&asked.keys().collect::<Vec<_>>());
    statement.push("series in (select value from json_each(?)) and time >= ? and time < ?");
    statement.bind(ids).bind(time(steps.from)).bind(time(steps.until));
}

async fn points(
    segment: &Segment,
    asked: &HashMap<i64, String>,
    steps: &Steps,
    turn: &Turn<'_>,
    kind: &str,
    bounds: usize,
    sums: &mut BTreeMap<String, Sum>,
) -> Result<(), ReadError> {
    let mut statement = Statement::default();
    // What came in a step is added up; what is as it is, is taken in the middle.
    let value = if kind == "gauge" { "avg(value)" } else { "sum(value)" };
    statement.push(&format!(
        "select series, (time - ?) / ? as step, bucket, {value} from points where "
    ));
    statement.bind(time(steps.from)).bind(time(steps.step));
    range(&mut statement, asked, steps);
    statement.push(" group by series, step, bucket");
    let take = |row: SqliteRow| {
        let Some(group) = asked.get(&row.try_get(0)?) else { return Ok(true) };
        let (step, bucket): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
        let value: f64 = row.try_get(3)?;
        let sum = sums.entry(group.clone()).or_default();
        let Ok(step) = usize::try_from(step) else { return Ok(true) };
        match usize::try_from(bucket) {
            Ok(bucket) => {
                let buckets = sum.buckets.entry(step).or_insert_with(|| vec![0; bounds + 1]);
                if let Some(count) = buckets.get_mut(bucket) {
                    *count += value as u64;
                }
            }
            Err(_) => *sum.numbers.entry(step).or_default() += value,
        }
        Ok(true)
    };
    statement.ask(segment, turn.until, take).await
}

async fn exemplars(
    segment: &Segment,
    asked: &HashMap<i64, String>,
    steps: &Steps,
    turn: &Turn<'_>,
    mut take: impl FnMut(u64, f64, String, i64),
) -> Result<(), ReadError> {
    let mut statement = Statement::default();
    statement.push("select time, value, trace, series from exemplars where ");
    range(&mut statement, asked, steps);
    statement
        .push(" order by time desc limit ?")
        .bind(i64::try_from(limits::EXEMPLARS).unwrap_or(i64::MAX));
    let take = |row: SqliteRow| {
        let trace: Vec<u8> = row.try_get(2)?;
        let trace = trace.iter().map(|byte| format!("{byte:02x}")).collect();
        take(unsigned(&row, 0)?, row.try_get(1)?, trace, row.try_get(3)?);
        Ok(true)
    };
    statement.ask(segment, turn.until, take).await
}

impl Sum {
    fn points(&self, kind: &str, bounds: &[f64], steps: &Steps) -> SeriesPoints {
        let all = 0..steps.count;
        match kind {
            "histogram" => SeriesPoints::Quantiles(
                all.map(|step| {
                    let buckets = self.buckets.get(&step).map_or(&[][..], Vec::as_slice);
                    let count: u64 = buckets.iter().sum();
                    let of = |share| quantile(bounds, buckets, share);
                    let rate = count as f64 / steps.seconds(step);
                    (steps.begins(step), rate, of(0.5), of(0.9), of(0.99))
                })
                .collect(),
            ),
            "gauge" => SeriesPoints::Numbers(
                self.numbers.iter().map(|(step, value)| (steps.begins(*step), *value)).collect(),
            ),
            _ => SeriesPoints::Numbers(
                all.map(|step| {
                    let more = self.numbers.get(&step).copied().unwrap_or(0.0);
                    (steps.begins(step), more / steps.seconds(step))
                })
                .collect(),
            ),
        }
    }
}
