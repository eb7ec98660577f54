//! The figures as they are read again and again: what of them is new is stored, and the last ones are at hand.
//!
//! What is stored are differences, so that a process that starts anew is no fall in a graph.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::exporter::Exporter;
use crate::pipeline::Source;
use crate::recent::Recents;
use crate::write::{Change, Changed};
use wasm_host_limits::telemetry as limits;
use wasm_host_telemetry::clock;
use wasm_host_telemetry::metrics::{Exemplar, Figure, Instrument, Kind, Point};

type KnownFigures = HashMap<&'static str, HashMap<Vec<String>, (Figure, Option<Exemplar>)>>;

pub(super) struct Figures {
    source: Source,
    recents: Arc<Recents>,
    /// What was stored last.
    stored: KnownFigures,
    stored_at: Option<Instant>,
    /// What was read last, until it is stored.
    read: Vec<Stored>,
    /// All series that there were then.
    there: HashSet<(&'static str, Vec<String>)>,
}

/// A series, and what is known of it.
type Stored = (&'static str, Vec<String>, (Figure, Option<Exemplar>));

impl fmt::Debug for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Figures").finish_non_exhaustive()
    }
}

impl Figures {
    pub(super) fn new(source: Source, recents: Arc<Recents>) -> Self {
        Self {
            source,
            recents,
            stored: KnownFigures::new(),
            stored_at: None,
            read: Vec::new(),
            there: HashSet::new(),
        }
    }

    /// Read them. What is to be stored is returned, if it is time for that or must be now. What is not
    /// [`stored`](Self::stored) then is a part of the next reading.
    pub(super) fn read(&mut self, exporters: &[Box<dyn Exporter>], must: bool) -> Vec<Change> {
        let readings = Arc::new((self.source)());
        self.recents.add(readings.clone());
        // A reading that comes a moment early is not left for the next one.
        let is_time = |stored: Instant| {
            stored.elapsed() + limits::READ_INTERVAL / 2 >= limits::STORE_INTERVAL
        };
        if !must && !self.stored_at.is_none_or(is_time) {
            return Vec::new();
        }
        self.stored_at = Some(Instant::now());
        exporters.iter().for_each(|exporter| exporter.figures(&readings));
        let time = clock::now();
        self.read.clear();
        let all = readings.iter().flat_map(|reading| {
            let name = reading.instrument.name;
            reading.points.iter().map(move |point| (name, point.labels.clone()))
        });
        self.there = all.collect();
        let mut changes = Vec::new();
        for reading in readings.iter() {
            let known = self.stored.get(reading.instrument.name);
            for point in &reading.points {
                let before = known.and_then(|known| known.get(&point.labels));
                let (value, exemplar) =
                    before.map_or((None, None), |(value, exemplar)| (Some(value), *exemplar));
                if let Some(changed) = change(reading.instrument, point, value) {
                    let exemplar = point.exemplar.filter(|now| Some(*now) != exemplar);
                    let (labels, has_overflow) = (point.labels.clone(), reading.has_overflow);
                    let instrument = reading.instrument;
                    changes.push(Change {
                        instrument,
                        has_overflow,
                        labels,
                        time,
                        changed,
                        exemplar,
                    });
                    let now = (point.value.clone(), point.exemplar);
                    self.read.push((instrument.name, point.labels.clone(), now));
                }
            }
        }
        changes
    }

    /// What was read last is in the store.
    pub(super) fn stored(&mut self) {
        // What is gone counts from nothing if it comes back.
        for (name, known) in &mut self.stored {
            known.retain(|labels, _| self.there.contains(&(*name, labels.clone())));
        }
        for (name, labels, now) in self.read.drain(..) {
            self.stored.entry(name).or_default().insert(labels, now);
        }
    }
}

/// None: nothing has changed.
fn change(instrument: &Instrument, point: &Point, before: Option<&Figure>) -> Option<Changed> {
    match (&point.value, before, instrument.kind) {
        (Figure::Number(now), _, Kind::Gauge) => Some(Changed::Gauge(*now)),
        (Figure::Number(now), before, _) => {
            let before = match before {
                Some(Figure::Number(before)) => *before,
                _ => 0.0,
            };
            let more = now - before;
            (more != 0.0).then_some(Changed::Counter(more))
        }
        (Figure::Histogram { buckets, .. }, before, _) => {
            let known = match before {
                Some(Figure::Histogram { buckets, .. }) => buckets.as_slice(),
                _ => &[],
            };
            let more = |(number, count): (usize, &u64)| {
                let more = count.saturating_sub(known.get(number).copied().unwrap_or(0));
                (more > 0).then_some((number, more))
            };
            let changed: Vec<_> = buckets.iter().enumerate().filter_map(more).collect();
            (!changed.is_empty()).then_some(Changed::Histogram(changed))
        }
    }
}
