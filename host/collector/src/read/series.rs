//! Figures over time, for graphs.

mod steps;
mod stored;
mod sum;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::Serialize;

use self::steps::Steps;
use self::stored::{Labels, busiest, points};
pub(super) use self::stored::{StoredSeries, known};
use self::sum::Sum;
use super::ReadError;
use crate::reader::Reader;
use crate::segment::Segment;
use wasm_host_limits::telemetry as limits;

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
    ///
    /// # Errors
    /// It is not measured by a dimension that is asked for, or the store does not answer.
    pub async fn series(
        &self,
        name: &str,
        query: &SeriesQuery,
    ) -> Result<Option<Series>, ReadError> {
        let turn = self.turn().await?;
        let steps = Steps::of(query);
        let mut files: Vec<(Arc<Segment>, Vec<StoredSeries>)> = Vec::new();
        for segment in self.segments() {
            let mut all = Vec::new();
            known(&segment, Some(name), &turn, |_, known| all.push(known)).await?;
            files.push((segment, all));
        }
        let Some(first) = files.iter().find_map(|(_, all)| all.first()) else { return Ok(None) };
        let labels = files.iter().flat_map(|(_, all)| all).flat_map(|known| &known.labels);
        let dimensions: BTreeSet<&str> = labels.map(|(name, _)| name.as_str()).collect();
        let mut asked = query.filters.iter().map(|(name, _)| name).chain(&query.by);
        if let Some(asked) = asked.find(|name| !dimensions.contains(name.as_str())) {
            let known = dimensions.into_iter().map(str::to_owned).collect();
            return Err(ReadError::Dimension { asked: asked.clone(), known });
        }
        let (kind, unit, bounds) = (first.kind.clone(), first.unit.clone(), first.bounds.clone());
        let busiest = busiest(&files, query, &steps, &turn).await?;
        let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
        let mut exemplars = Vec::new();
        let mut everywhere: HashMap<&Labels, usize> = HashMap::new();
        for (segment, all) in &files {
            let group =
                |known: &StoredSeries| known.group(query).filter(|group| busiest.contains(group));
            let asked: HashMap<i64, String> =
                all.iter().filter_map(|known| Some((known.id, group(known)?))).collect();
            let numbers: HashMap<i64, usize> = all
                .iter()
                .map(|it| {
                    let next = everywhere.len();
                    (it.id, *everywhere.entry(&it.labels).or_insert(next))
                })
                .collect();
            let figure = (&*kind, bounds.len());
            points(segment, &asked, &numbers, &steps, &turn, figure, &mut sums).await?;
            let labels =
                |id| all.iter().find(|known| known.id == id).map(|known| known.labels.clone());
            stored::exemplars(segment, &asked, &steps, &turn, |time, value, trace, id| {
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
