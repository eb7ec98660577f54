//! What the files have of series.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::SeriesQuery;
use super::steps::Steps;
use super::sum::Sum;
use crate::json;
use crate::read::{ReadError, Statement, time, unsigned};
use crate::reader::Turn;
use crate::segment::Segment;
use wasm_host_limits::telemetry as limits;

pub(in crate::read) type Labels = Vec<(String, String)>;

/// What a file says of a series.
pub(in crate::read) struct StoredSeries {
    pub(in crate::read) id: i64,
    pub(in crate::read) kind: String,
    pub(in crate::read) unit: String,
    pub(in crate::read) description: String,
    pub(in crate::read) bounds: Vec<f64>,
    pub(in crate::read) overflow: bool,
    pub(in crate::read) labels: Labels,
}

impl StoredSeries {
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

    pub(in crate::read) fn value(&self, dimension: &str) -> Option<&str> {
        self.labels.iter().find_map(|(name, value)| (name == dimension).then_some(value.as_str()))
    }

    /// Which of the series asked for it is a part of.
    pub(super) fn group(&self, query: &SeriesQuery) -> Option<String> {
        let is_asked = |(name, value): &(String, String)| self.value(name) == Some(value);
        query.filters.iter().all(is_asked).then(|| {
            let value = query.by.as_deref().and_then(|by| self.value(by));
            value.unwrap_or_default().to_owned()
        })
    }
}

/// The series of one file, of one instrument or of all.
pub(in crate::read) async fn known(
    segment: &Segment,
    name: Option<&str>,
    turn: &Turn<'_>,
    mut take: impl FnMut(String, StoredSeries),
) -> Result<(), ReadError> {
    let mut statement = Statement::default();
    statement
        .push("select id, name, kind, unit, description, bounds, overflow, labels from series ");
    if let Some(name) = name {
        statement.push("where name = ?").bind(name);
    }
    let take = |row: SqliteRow| {
        let (name, known) = StoredSeries::of(&row)?;
        take(name, known);
        Ok(true)
    };
    statement.ask(segment, turn.until, take).await
}

/// As many as there may be of those that were asked for.
pub(super) async fn busiest(
    files: &[(Arc<Segment>, Vec<StoredSeries>)],
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

/// `numbers`: of the series that are asked for, the number that each has in all files.
pub(super) async fn points(
    segment: &Segment,
    asked: &HashMap<i64, String>,
    numbers: &HashMap<i64, usize>,
    steps: &Steps,
    turn: &Turn<'_>,
    (kind, bounds): (&str, usize),
    sums: &mut BTreeMap<String, Sum>,
) -> Result<(), ReadError> {
    let mut statement = Statement::default();
    statement.push(
        "select series, (time - ?) / ? as step, bucket, sum(value), count(*) from points where ",
    );
    statement.bind(time(steps.from)).bind(time(steps.step));
    range(&mut statement, asked, steps);
    statement.push(" group by series, step, bucket");
    let take = |row: SqliteRow| {
        let id = row.try_get(0)?;
        let (Some(group), Some(series)) = (asked.get(&id), numbers.get(&id)) else {
            return Ok(true);
        };
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
            // What came in a step is added up; what is as it is, is taken in the middle.
            Err(_) if kind == "gauge" => {
                let level = sum.levels.entry((step, *series)).or_default();
                *level = (level.0 + value, level.1 + unsigned(&row, 4)?);
            }
            Err(_) => *sum.numbers.entry(step).or_default() += value,
        }
        Ok(true)
    };
    statement.ask(segment, turn.until, take).await
}

pub(super) async fn exemplars(
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
