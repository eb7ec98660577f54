//! Figures as rows: what came since the reading before.

use std::collections::HashMap;

use sqlx::{Row as _, SqliteConnection};

use super::{Row, insert};
use crate::json;
use wasm_host_telemetry::metrics::{Exemplar, Instrument, Kind};

/// What became of one series since the reading before.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub instrument: &'static Instrument,
    pub has_overflow: bool,
    pub labels: Vec<String>,
    pub time: u64,
    pub changed: Changed,
    pub exemplar: Option<Exemplar>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Changed {
    /// So much more.
    Counter(f64),
    /// As it is now.
    Gauge(f64),
    /// So many more in these buckets.
    Histogram(Vec<(usize, u64)>),
}

/// Where a number stands among the buckets.
pub(super) const NUMBER: i64 = -1;

pub(super) type Key = (&'static str, Vec<String>);

/// Ids of series that are new to the writer are returned.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    known: &HashMap<Key, i64>,
    changes: &[Change],
) -> sqlx::Result<Vec<(Key, i64)>> {
    let mut new = Vec::new();
    let (mut points, mut exemplars) = (Vec::new(), Vec::new());
    for change in changes {
        let key = (change.instrument.name, change.labels.clone());
        let id = match known.get(&key) {
            Some(id) => *id,
            None => {
                let id = series(connection, change).await?;
                new.push((key, id));
                id
            }
        };
        let time = change.time.cast_signed();
        match &change.changed {
            Changed::Counter(value) | Changed::Gauge(value) => {
                points.push((id, time, NUMBER, *value))
            }
            Changed::Histogram(buckets) => {
                let numbered = buckets.iter().filter_map(|(number, count)| {
                    Some((id, time, i64::try_from(*number).ok()?, *count as f64))
                });
                points.extend(numbered);
            }
        }
        exemplars.extend(change.exemplar.map(|exemplar| (id, exemplar)));
    }
    // Two at one time are of a clock that was set back: the later one stays.
    let head = "insert or replace into points values ";
    insert(connection, head, 4, "", &points, |(id, time, bucket, value), row| {
        row.add(id)?;
        row.add(time)?;
        row.add(bucket)?;
        row.add(value)
    })
    .await?;
    let head = "insert or replace into exemplars values ";
    insert(connection, head, 4, "", &exemplars, |(id, exemplar), row| {
        row.add(id)?;
        row.add(exemplar.time.cast_signed())?;
        row.add(exemplar.value)?;
        row.add(exemplar.trace.0.to_be_bytes().to_vec())
    })
    .await?;
    Ok(new)
}

async fn series(connection: &mut SqliteConnection, change: &Change) -> sqlx::Result<i64> {
    let instrument = change.instrument;
    let (kind, bounds): (_, &[f64]) = match instrument.kind {
        Kind::Counter => ("counter", &[]),
        Kind::Gauge => ("gauge", &[]),
        Kind::Histogram(bounds) => ("histogram", bounds),
    };
    // The one with all others together has no labels, whatever its instrument has.
    let labels: Vec<(&str, &str)> =
        instrument.labels.iter().copied().zip(change.labels.iter().map(String::as_str)).collect();
    let mut row = Row::default();
    let bound = (|| {
        row.add(instrument.name)?;
        row.add(kind)?;
        row.add(instrument.unit)?;
        row.add(instrument.description)?;
        row.add(json::text(&bounds))?;
        row.add(change.has_overflow)?;
        row.add(json::text(&labels))
    })();
    bound.map_err(sqlx::Error::Encode)?;
    let text = "insert into series(name, kind, unit, description, bounds, overflow, labels) values (?,?,?,?,?,?,?) \
        on conflict(name, labels) do update set overflow = max(overflow, excluded.overflow) returning id";
    sqlx::query_with(text, row.0).fetch_one(connection).await?.try_get(0)
}
