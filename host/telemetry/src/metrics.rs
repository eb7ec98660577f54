//! Figures: what is counted and measured, apart from which spans are kept.
//!
//! Each serving thread counts for itself, so that counting is an addition. [`Meters::read`] adds the threads up.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Instant;

use parking_lot::Mutex;

use crate::attributes::VERSION;
use crate::clock;
use crate::id::TraceId;
use wasm_host_limits::telemetry as limits;
use wasm_host_system::threads;

/// Something that is measured. One static for each.
#[derive(Debug)]
pub struct Instrument {
    pub name: &'static str,
    /// In the notation of UCUM, as OpenTelemetry has it: `s`, `By`, `{request}`.
    pub unit: &'static str,
    pub description: &'static str,
    pub kind: Kind,
    /// The names of what it is measured by.
    pub labels: &'static [&'static str],
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Counter,
    /// As it is at the moment.
    Gauge,
    /// Its buckets end at these values, inclusive; a last one has what is above.
    Histogram(&'static [f64]),
}

/// Seconds: from what a component answers by itself up to what a model needs.
pub const SECONDS: Kind = Kind::Histogram(&[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0,
]);

/// Tokens, as the semantic conventions for generative models have them.
pub const TOKENS: Kind = Kind::Histogram(&[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
]);

/// One series as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    pub labels: Vec<String>,
    pub value: Figure,
    pub exemplar: Option<Exemplar>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Figure {
    /// Of a counter since the start, or of a gauge.
    Number(f64),
    /// How many fell into each bucket, and their sum.
    Histogram { buckets: Vec<u64>, sum: f64 },
}

/// One of the measured, with its trace, which is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar {
    pub time: u64,
    pub value: f64,
    pub trace: TraceId,
}

/// All series of an instrument.
#[derive(Clone, Debug)]
pub struct Reading {
    pub instrument: &'static Instrument,
    pub points: Vec<Point>,
    /// There are more series than are counted apart: one has all others together, its labels empty.
    pub has_overflow: bool,
}

/// The figures of a process.
pub struct Meters {
    shards: Box<[Shard]>,
}

/// Of one thread. Apart in memory, so that no thread waits for what another one writes.
#[repr(align(128))]
#[derive(Default)]
struct Shard(Mutex<FigureTable>);

#[derive(Default)]
struct FigureTable {
    series: HashMap<u64, Series, BuildHasherDefault<Hashed>>,
    /// How many of them each instrument has.
    instruments: Vec<(&'static Instrument, Counts)>,
}

/// Series of an instrument: all of them, and those of each service.
#[derive(Default)]
struct Counts {
    all: usize,
    services: HashMap<String, usize>,
}

struct Series {
    instrument: &'static Instrument,
    point: Point,
    is_overflow: bool,
    /// Since when what it is of has ended, and nothing was measured.
    ended: Option<Instant>,
}

/// Keys are hashes already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// The label that says which service a series is of.
const SERVICE: &str = "service";

/// Threads that count apart. More share.
const SHARDS: usize = 64;

impl FigureTable {
    /// Whether an instrument may have one more series of a service, which is then counted. One that has many leaves
    /// its neighbours some.
    fn has_room(&mut self, instrument: &'static Instrument, service: &str) -> bool {
        let known = self.instruments.iter().position(|(it, _)| std::ptr::eq(*it, instrument));
        let place = known.unwrap_or_else(|| {
            self.instruments.push((instrument, Counts::default()));
            self.instruments.len() - 1
        });
        let Some((_, counts)) = self.instruments.get_mut(place) else { return false };
        let of_service = counts.services.get(service).copied().unwrap_or(0);
        if counts.all >= limits::SERIES && of_service >= limits::SERVICE_SERIES {
            return false;
        }
        counts.all += 1;
        match counts.services.get_mut(service) {
            Some(count) => *count += 1,
            None => drop(counts.services.insert(service.to_owned(), 1)),
        }
        true
    }

    /// Let go of what ended long enough ago that all readers of figures have read it.
    fn let_go(&mut self) {
        let instruments = &mut self.instruments;
        self.series.retain(|_, series| {
            let is_over = |ended: Instant| ended.elapsed() >= limits::ENDED_SERIES;
            if !series.ended.is_some_and(is_over) {
                return true;
            }
            let counts =
                instruments.iter_mut().find(|(it, _)| std::ptr::eq(*it, series.instrument));
            if let Some((_, counts)) = counts {
                counts.all = counts.all.saturating_sub(1);
                let service = series.value(SERVICE).unwrap_or_default();
                if let Some(count) = counts.services.get_mut(service) {
                    *count = count.saturating_sub(1);
                }
            }
            false
        });
    }
}

impl Default for Meters {
    fn default() -> Self {
        Self { shards: std::iter::repeat_with(Shard::default).take(SHARDS).collect() }
    }
}

impl Meters {
    /// Count or measure. `labels` are the values of the instrument's.
    pub fn record(
        &self,
        instrument: &'static Instrument,
        labels: &[&str],
        value: f64,
        trace: Option<TraceId>,
    ) {
        let number = threads::current().map_or(0, |number| number + 1) % self.shards.len();
        let Some(shard) = self.shards.get(number) else { return };
        if labels.iter().any(|label| label.len() > limits::LABEL_BYTES) {
            let cut: Vec<&str> = labels.iter().map(|label| beginning(label)).collect();
            return self.record(instrument, &cut, value, trace);
        }
        let mut shard = shard.0.lock();
        let key = key(instrument, labels);
        if let Some(series) = shard.series.get_mut(&key) {
            // Two that share a key are no more than counted together with the others.
            if series.is_of(instrument, labels) {
                return series.add(value, trace);
            }
            let key = self::key(instrument, &[]);
            let series =
                shard.series.entry(key).or_insert_with(|| Series::new(instrument, Vec::new()));
            return series.add(value, trace);
        }
        let service = of_label(instrument, labels, SERVICE).unwrap_or_default();
        let (key, labels) = match shard.has_room(instrument, service) {
            true => (key, labels.iter().map(|label| (*label).to_owned()).collect()),
            false => (self::key(instrument, &[]), Vec::new()),
        };
        let series = shard.series.entry(key).or_insert_with(|| Series::new(instrument, labels));
        series.add(value, trace);
    }

    /// A version of a service has ended: its series go after a while, unless something is measured of it again.
    pub fn version_ended(&self, service: &str, version: &str) {
        let now = Instant::now();
        for shard in &self.shards {
            for series in shard.0.lock().series.values_mut() {
                if series.value(VERSION) == Some(version) && series.value(SERVICE) == Some(service)
                {
                    series.ended = Some(now);
                }
            }
        }
    }

    /// All series, those of the threads added up.
    pub fn read(&self) -> Vec<Reading> {
        let mut all: HashMap<u64, Series> = HashMap::new();
        for shard in &self.shards {
            let mut shard = shard.0.lock();
            shard.let_go();
            for (key, series) in &shard.series {
                match all.entry(*key) {
                    Entry::Occupied(mut entry) => entry.get_mut().merge(series),
                    Entry::Vacant(entry) => drop(entry.insert(series.copy())),
                }
            }
        }
        let mut readings: Vec<Reading> = Vec::new();
        for Series { instrument, point, is_overflow, .. } in all.into_values() {
            let known = readings.iter_mut().find(|it| std::ptr::eq(it.instrument, instrument));
            match known {
                Some(reading) => {
                    reading.has_overflow |= is_overflow;
                    reading.points.push(point);
                }
                None => readings.push(Reading {
                    instrument,
                    points: vec![point],
                    has_overflow: is_overflow,
                }),
            }
        }
        readings.sort_by_key(|reading| reading.instrument.name);
        for reading in &mut readings {
            reading.points.sort_by(|one, other| one.labels.cmp(&other.labels));
        }
        readings
    }
}

/// As much of a label as is kept.
fn beginning(label: &str) -> &str {
    label.get(..label.floor_char_boundary(limits::LABEL_BYTES)).unwrap_or_default()
}

/// The value of a label.
fn of_label<'l, L: AsRef<str>>(
    instrument: &Instrument,
    labels: &'l [L],
    label: &str,
) -> Option<&'l str> {
    let mut all = instrument.labels.iter().zip(labels);
    all.find(|(name, _)| **name == label).map(|(_, value)| value.as_ref())
}

/// Cheap, as every request counts: eight bytes at a time.
fn key(instrument: &'static Instrument, labels: &[&str]) -> u64 {
    let mut key = std::ptr::from_ref(instrument).addr() as u64;
    let mut mix = |word: u64| key = (key.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    for label in labels {
        let (words, rest) = label.as_bytes().as_chunks::<8>();
        words.iter().for_each(|word| mix(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
        mix(u64::from_le_bytes(last));
        // Where one ends and the next begins.
        mix(label.len() as u64);
    }
    key ^ (key >> 32)
}

impl Series {
    fn new(instrument: &'static Instrument, labels: Vec<String>) -> Self {
        let value = match instrument.kind {
            Kind::Counter | Kind::Gauge => Figure::Number(0.0),
            Kind::Histogram(bounds) => {
                Figure::Histogram { buckets: vec![0; bounds.len() + 1], sum: 0.0 }
            }
        };
        let is_overflow = labels.is_empty() && !instrument.labels.is_empty();
        Self {
            instrument,
            point: Point { labels, value, exemplar: None },
            is_overflow,
            ended: None,
        }
    }

    fn is_of(&self, instrument: &'static Instrument, labels: &[&str]) -> bool {
        std::ptr::eq(self.instrument, instrument) && self.point.labels.iter().eq(labels)
    }

    fn value(&self, label: &str) -> Option<&str> {
        of_label(self.instrument, &self.point.labels, label)
    }

    fn add(&mut self, value: f64, trace: Option<TraceId>) {
        self.ended = None;
        match (&mut self.point.value, self.instrument.kind) {
            (Figure::Number(number), _) => *number += value,
            (Figure::Histogram { buckets, sum }, Kind::Histogram(bounds)) => {
                *sum += value;
                let bucket = bounds.partition_point(|bound| *bound < value);
                if let Some(count) = buckets.get_mut(bucket) {
                    *count += 1;
                }
            }
            (Figure::Histogram { .. }, _) => {}
        }
        if let Some(trace) = trace {
            self.point.exemplar = Some(Exemplar { time: clock::now(), value, trace });
        }
    }

    fn copy(&self) -> Self {
        let Self { instrument, point, is_overflow, ended } = self;
        Self { instrument, point: point.clone(), is_overflow: *is_overflow, ended: *ended }
    }

    fn merge(&mut self, other: &Self) {
        match (&mut self.point.value, &other.point.value) {
            (Figure::Number(number), Figure::Number(more)) => *number += more,
            (
                Figure::Histogram { buckets, sum },
                Figure::Histogram { buckets: more, sum: sum_of_more },
            ) => {
                *sum += sum_of_more;
                buckets.iter_mut().zip(more).for_each(|(count, more)| *count += more);
            }
            _ => {}
        }
        let newer = |one: &Exemplar, other: &Exemplar| one.time < other.time;
        match (self.point.exemplar, other.point.exemplar) {
            (None, other) => self.point.exemplar = other,
            (Some(one), Some(other)) if newer(&one, &other) => self.point.exemplar = Some(other),
            _ => {}
        }
    }
}

/// The value below which a share (0 to 1) of what a histogram has lies, within its bucket as if it were even there.
/// None: it has nothing. What is above the last bound counts as that.
pub fn quantile(bounds: &[f64], buckets: &[u64], share: f64) -> Option<f64> {
    let total: u64 = buckets.iter().sum();
    if total == 0 {
        return None;
    }
    let rank = share * total as f64;
    let mut below = 0.0;
    for (number, count) in buckets.iter().enumerate() {
        let here = *count as f64;
        if below + here >= rank && *count > 0 {
            let Some(end) = bounds.get(number) else { break };
            let start = number.checked_sub(1).and_then(|before| bounds.get(before)).unwrap_or(&0.0);
            return Some(start + (end - start) * ((rank - below) / here).clamp(0.0, 1.0));
        }
        below += here;
    }
    bounds.last().copied()
}

#[cfg(test)]
mod tests;
