//! One series of an answer, while it is added up and as it is told. Pure.

use std::collections::BTreeMap;

use super::SeriesPoints;
use super::steps::Steps;
use wasm_host_telemetry::metrics::quantile;

/// By the number of the step.
#[derive(Default)]
pub(super) struct Sum {
    pub(super) numbers: BTreeMap<usize, f64>,
    pub(super) buckets: BTreeMap<usize, Vec<u64>>,
    /// Of gauges, what each series was read as, and how often: files follow one another in the midst of a step.
    pub(super) levels: BTreeMap<(usize, usize), (f64, u64)>,
}

impl Sum {
    pub(super) fn points(&self, kind: &str, bounds: &[f64], steps: &Steps) -> SeriesPoints {
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
            "gauge" => {
                let mut levels: BTreeMap<usize, f64> = BTreeMap::new();
                for ((step, _), (sum, count)) in &self.levels {
                    *levels.entry(*step).or_default() += sum / (*count).max(1) as f64;
                }
                let point = |(step, level)| (steps.begins(step), level);
                SeriesPoints::Numbers(levels.into_iter().map(point).collect())
            }
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
