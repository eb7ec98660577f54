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
