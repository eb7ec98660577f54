//! What was sent and what was not, as figures beside the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use wasm_host_telemetry::instruments::{EXPORT_DROPPED, EXPORT_SENT};
use wasm_host_telemetry::metrics::{Figure, Instrument, Point, Reading};

use crate::signal::Signal;

/// Clones are one.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<[Count; 3]>);

#[derive(Debug, Default)]
struct Count {
    /// The signal is sent.
    is_on: AtomicBool,
    sent: AtomicU64,
    dropped: AtomicU64,
}

impl Counts {
    pub(super) fn of(signals: impl IntoIterator<Item = Signal>) -> Self {
        let counts = Self::default();
        for signal in signals {
            counts.count(signal).is_on.store(true, Ordering::Relaxed);
        }
        counts
    }

    fn count(&self, signal: Signal) -> &Count {
        let [traces, logs, metrics] = &*self.0;
        match signal {
            Signal::Traces => traces,
            Signal::Logs => logs,
            Signal::Metrics => metrics,
        }
    }

    pub(super) fn sent(&self, signal: Signal, items: u64) {
        self.count(signal).sent.fetch_add(items, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self, signal: Signal, items: u64) {
        self.count(signal).dropped.fetch_add(items, Ordering::Relaxed);
    }

    /// Spans, lines and points of figures that were not sent, so far.
    pub(super) fn all_dropped(&self, signal: Signal) -> u64 {
        self.count(signal).dropped.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn all_sent(&self, signal: Signal) -> u64 {
        self.count(signal).sent.load(Ordering::Relaxed)
    }

    /// Of the signals that are sent.
    pub fn readings(&self) -> Vec<Reading> {
        let reading = |instrument: &'static Instrument, value: fn(&Count) -> &AtomicU64| {
            let on = Signal::ALL.into_iter().map(|signal| (signal, self.count(signal)));
            let on = on.filter(|(_, count)| count.is_on.load(Ordering::Relaxed));
            let point = |(signal, count): (Signal, &Count)| Point {
                labels: vec![signal.name().to_owned()],
                value: Figure::Number(value(count).load(Ordering::Relaxed) as f64),
                exemplar: None,
            };
            Reading { instrument, points: on.map(point).collect(), has_overflow: false }
        };
        let all = [
            reading(&EXPORT_DROPPED, |count| &count.dropped),
            reading(&EXPORT_SENT, |count| &count.sent),
        ];
        all.into_iter().filter(|reading| !reading.points.is_empty()).collect()
    }
}
