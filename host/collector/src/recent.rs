//! Rates and quantiles of the last minute, from readings that are held in memory.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use wasm_host_limits::telemetry as limits;
use wasm_host_telemetry::attributes as names;
use wasm_host_telemetry::metrics::{Figure, Instrument, Kind, Point, Reading, quantile};

/// What there was of something in the last minute.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Recent {
    /// In a second.
    pub rate: f64,
    /// Of those, the ones that failed.
    pub errors: f64,
    /// In the unit of the instrument. None: there was nothing, or nothing is measured.
    pub p50: Option<f64>,
    pub p99: Option<f64>,
}

/// The readings of the last minute, and one from before it.
#[derive(Debug)]
pub(super) struct Recents(Mutex<VecDeque<(Instant, Arc<Vec<Reading>>)>>);

impl Default for Recents {
    /// Everything counts from now on.
    fn default() -> Self {
        Self(Mutex::new(VecDeque::from([(Instant::now(), Arc::default())])))
    }
}

impl Recents {
    pub(super) fn add(&self, readings: Arc<Vec<Reading>>) {
        self.add_at(Instant::now(), readings);
    }

    fn add_at(&self, now: Instant, readings: Arc<Vec<Reading>>) {
        let bytes: usize = readings.iter().flat_map(|reading| &reading.points).map(size).sum();
        let count = (limits::RECENT_BYTES / bytes.max(1)).max(2);
        let mut held = self.0.lock();
        held.push_back((now, readings));
        let is_old = |at: &Instant| now.saturating_duration_since(*at) >= limits::RECENT;
        while held.len() > count || held.get(1).is_some_and(|(second, _)| is_old(second)) {
            held.pop_front();
        }
    }

    /// Of the series that have these labels.
    pub(super) fn of(&self, instrument: &str, labels: &[(&str, &str)]) -> Recent {
        let has = |known: &Instrument, point: &Point| {
            labels.iter().all(|(name, value)| label(known, point, name) == Some(value))
        };
        let all = self.sums(instrument, |known, point| has(known, point).then(Vec::new));
        all.into_values().next().unwrap_or_default()
    }

    /// By the values of these labels, such as the ends of edges.
    pub(super) fn by(&self, instrument: &str, by: &[&str]) -> BTreeMap<Vec<String>, Recent> {
        self.sums(instrument, |known, point| {
            by.iter().map(|name| label(known, point, name).map(str::to_owned)).collect()
        })
    }

    fn sums(
        &self,
        instrument: &str,
        group: impl Fn(&Instrument, &Point) -> Option<Vec<String>>,
    ) -> BTreeMap<Vec<String>, Recent> {
        let ends = {
            let held = self.0.lock();
            held.front().cloned().zip(held.back().cloned())
        };
        let Some(((from, before), (until, now))) = ends else { return BTreeMap::new() };
        let seconds = until.saturating_duration_since(from).as_secs_f64();
        let mut sums: BTreeMap<Vec<String>, Sum> = BTreeMap::new();
        let find = |readings: &Arc<Vec<Reading>>| {
            readings.iter().position(|reading| reading.instrument.name == instrument)
        };
        let Some(now) = find(&now).and_then(|found| now.get(found)) else { return BTreeMap::new() };
        let known = now.instrument;
        for point in &now.points {
            if let Some(group) = group(known, point) {
                sums.entry(group).or_default().add(known, point, 1.0);
            }
        }
        // What is gone by now, as of a version that has ended, was counted in neither.
        let there: HashSet<&[String]> = now.points.iter().map(|it| &*it.labels).collect();
        let before = find(&before).and_then(|found| before.get(found));
        let before = before.iter().flat_map(|it| &it.points);
        for point in before.filter(|point| there.contains(&*point.labels)) {
            if let Some(sum) = group(known, point).and_then(|group| sums.get_mut(&group)) {
                sum.add(known, point, -1.0);
            }
        }
        sums.into_iter().map(|(group, sum)| (group, sum.recent(known, seconds))).collect()
    }
}

#[derive(Default)]
struct Sum {
    count: f64,
    errors: f64,
    buckets: Vec<f64>,
}

impl Sum {
    fn add(&mut self, instrument: &Instrument, point: &Point, sign: f64) {
        let count = match &point.value {
            Figure::Number(number) => *number,
            Figure::Histogram { buckets, .. } => {
                self.buckets.resize(buckets.len(), 0.0);
                let mut all = 0.0;
                for (sum, count) in self.buckets.iter_mut().zip(buckets) {
                    *sum += sign * *count as f64;
                    all += *count as f64;
                }
                all
            }
        };
        self.count += sign * count;
        if has_failed(instrument, point) {
            self.errors += sign * count;
        }
    }

    fn recent(&self, instrument: &Instrument, seconds: f64) -> Recent {
        let per_second = |count: f64| if seconds > 0.0 { count.max(0.0) / seconds } else { 0.0 };
        let buckets: Vec<u64> = self.buckets.iter().map(|count| count.max(0.0) as u64).collect();
        let of = |share: f64| match instrument.kind {
            Kind::Histogram(bounds) => quantile(bounds, &buckets, share),
            Kind::Counter | Kind::Gauge => None,
        };
        let (rate, errors) = (per_second(self.count), per_second(self.errors));
        Recent { rate, errors, p50: of(0.5), p99: of(0.99) }
    }
}

/// The kind of error of a call that was not waited for any more.
const CANCELLED: &str = "cancelled";

/// An answer that is the server's fault, or an error of any kind. A client that leaves early makes no failure.
fn has_failed(instrument: &Instrument, point: &Point) -> bool {
    let of = |name: &str| label(instrument, point, name).filter(|value| !value.is_empty());
    match of(names::HTTP_STATUS).and_then(|status| status.parse::<u16>().ok()) {
        Some(status) => status >= 500,
        None => of(names::ERROR_TYPE).is_some_and(|kind| kind != CANCELLED),
    }
}

fn label<'a>(instrument: &Instrument, point: &'a Point, name: &str) -> Option<&'a str> {
    let place = instrument.labels.iter().position(|label| *label == name)?;
    point.labels.get(place).map(String::as_str)
}

fn size(point: &Point) -> usize {
    let buckets = match &point.value {
        Figure::Histogram { buckets, .. } => buckets.len() * size_of::<u64>(),
        Figure::Number(_) => 0,
    };
    let labels = point.labels.iter().map(|label| size_of::<String>() + label.len());
    size_of::<Point>() + buckets + labels.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_host_telemetry::metrics::Meters;

    static TIMES: Instrument = Instrument {
        name: "times",
        unit: "s",
        description: "",
        kind: Kind::Histogram(&[1.0]),
        labels: &["service", "http.response.status_code"],
    };

    #[test]
    fn what_has_gone_takes_nothing_from_what_is_there() {
        let (recents, start) = (Recents::default(), Instant::now());
        let ended = Meters::default();
        (0..1000).for_each(|_| ended.record(&TIMES, &["a", "200"], 0.5, None));
        recents.add_at(start, Arc::new(ended.read()));
        let goes_on = Meters::default();
        goes_on.record(&TIMES, &["a", "404"], 0.5, None);
        recents.add_at(start + limits::RECENT, Arc::new(goes_on.read()));
        let seconds = limits::RECENT.as_secs_f64();
        assert!((recents.of("times", &[("service", "a")]).rate * seconds - 1.0).abs() < 1e-9);
    }
}
