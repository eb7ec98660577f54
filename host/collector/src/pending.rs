//! What waits to be written: bounded in bytes, and whoever hands something over never waits.
//!
//! It must not know what becomes of it.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use wasm_host_limits::{intake, telemetry as limits};
use wasm_host_telemetry::log::LogRecord;
use wasm_host_telemetry::metrics::{Figure, Instrument, Kind, Point, Reading};
use wasm_host_telemetry::span::{Attributes, Value};
use wasm_host_telemetry::{Batch, Collector, trace};

#[derive(Debug, Default)]
pub(super) struct Pending {
    held: Mutex<PendingState>,
    /// There is something, which can wait for more.
    pub has_some: Notify,
    /// There is so much that it should be written now.
    pub is_much: Notify,
    dropped_spans: AtomicU64,
    dropped_lines: AtomicU64,
}

/// What was handed over since it was last taken.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub batches: Vec<Batch>,
    pub logs: Vec<LogRecord>,
    pub(super) bytes: usize,
}

#[derive(Debug, Default)]
struct PendingState {
    queue: Queue,
    /// Bytes that were taken and are not written yet.
    taken: usize,
}

/// What was lost, since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    pub spans: u64,
    pub lines: u64,
}

static DROPPED: Instrument = Instrument {
    name: "wasm_host.telemetry.dropped",
    unit: "{item}",
    description: "Spans and lines of the log that were lost, as there was no room for them or they could not be stored.",
    kind: Kind::Counter,
    labels: &["item"],
};

impl Dropped {
    /// As figures beside the others.
    pub fn reading(self) -> Reading {
        let point = |(item, count): (&str, u64)| Point {
            labels: vec![item.to_owned()],
            value: Figure::Number(count as f64),
            exemplar: None,
        };
        let points = [("span", self.spans), ("line", self.lines)].map(point).into();
        Reading { instrument: &DROPPED, points, has_overflow: false }
    }
}

impl Pending {
    /// What others sent: all of it, or nothing, and then they are told to send it again. The room of what the host sees
    /// itself is not theirs.
    pub(super) fn offer(&self, batches: Vec<Batch>, logs: Vec<LogRecord>) -> bool {
        let bytes = batches.iter().map(batch_bytes).sum::<usize>()
            + logs.iter().map(line_bytes).sum::<usize>();
        bytes == 0
            || self.add(bytes, intake::INTAKE_PENDING_BYTES, |queue| {
                queue.batches.extend(batches);
                queue.logs.extend(logs);
            })
    }

    /// Room for so many bytes below a bound of all that waits, or none is taken.
    fn add(&self, bytes: usize, most: usize, add: impl FnOnce(&mut Queue)) -> bool {
        let mut held = self.held.lock();
        let before = held.queue.bytes;
        if before.saturating_add(bytes).saturating_add(held.taken) > most {
            return false;
        }
        held.queue.bytes = before + bytes;
        add(&mut held.queue);
        drop(held);
        if before == 0 {
            self.has_some.notify_one();
        }
        if before < limits::WRITE_BYTES && before + bytes >= limits::WRITE_BYTES {
            self.is_much.notify_one();
        }
        true
    }

    /// All of it. What is taken counts until it is [`done`](Self::done).
    pub(super) fn take(&self) -> Queue {
        let mut held = self.held.lock();
        let queue = std::mem::take(&mut held.queue);
        held.taken += queue.bytes;
        queue
    }

    /// So many bytes are written, or lost.
    pub(super) fn done(&self, bytes: usize) {
        let mut held = self.held.lock();
        held.taken = held.taken.saturating_sub(bytes);
    }

    pub(super) fn dropped(&self) -> Dropped {
        let (spans, lines) = (&self.dropped_spans, &self.dropped_lines);
        Dropped { spans: spans.load(Ordering::Relaxed), lines: lines.load(Ordering::Relaxed) }
    }

    pub(super) fn lose(&self, dropped: Dropped) {
        self.dropped_spans.fetch_add(dropped.spans, Ordering::Relaxed);
        self.dropped_lines.fetch_add(dropped.lines, Ordering::Relaxed);
    }
}

impl Collector for Pending {
    fn batch(&self, batch: Batch) {
        let spans = batch.spans.len() as u64;
        let bytes = batch_bytes(&batch);
        if !self.add(bytes, limits::PENDING_BYTES, |queue| queue.batches.push(batch)) {
            self.lose(Dropped { spans, lines: 0 });
        }
    }

    fn log(&self, record: LogRecord) {
        let bytes = line_bytes(&record);
        if !self.add(bytes, limits::PENDING_BYTES, |queue| queue.logs.push(record)) {
            self.lose(Dropped { spans: 0, lines: 1 });
        }
    }
}

pub(super) fn batch_bytes(batch: &Batch) -> usize {
    size_of::<Batch>() + batch.spans.iter().map(trace::size).sum::<usize>()
}

pub(super) fn line_bytes(record: &LogRecord) -> usize {
    size_of::<LogRecord>() + record.message.len() + attributes_bytes(&record.fields)
}

fn attributes_bytes(attributes: &Attributes) -> usize {
    let size = |(name, value): &(std::borrow::Cow<'_, str>, Value)| {
        let text = match value {
            Value::Text(text) => text.len(),
            _ => 0,
        };
        size_of_val(name) + size_of_val(value) + name.len() + text
    };
    attributes.iter().map(size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    // Fault (Telemetry): more telemetry at once than can be written | drops what is beyond its room, and counts it | its answer | spans and lines beyond it
    #[test]
    fn what_there_is_no_room_for_is_dropped_and_counted() {
        let pending = Pending::default();
        let text = "x".repeat(1024 * 1024);
        for _ in 0..40 {
            pending.log(testing::line(&text));
            pending.batch(testing::batch(1, &[("a", None)]));
        }
        let dropped = pending.dropped();
        assert!(dropped.lines >= 8 && dropped.lines < 12, "{dropped:?}");
        let taken = pending.take();
        assert_eq!(taken.logs.len() as u64 + dropped.lines, 40);
        assert_eq!(taken.batches.len() as u64 + dropped.spans, 40);
        // What is being written takes room until it is written.
        pending.log(testing::line(&text));
        assert_eq!(pending.dropped().lines, dropped.lines + 1);
        pending.done(taken.bytes);
        pending.log(testing::line(&text));
        assert_eq!(pending.take().logs.len(), 1);
    }

    #[test]
    fn what_others_send_takes_no_room_of_what_the_host_sees() {
        let pending = Pending::default();
        let text = "x".repeat(1024 * 1024);
        let lines = |count: usize| vec![testing::line(&text); count];
        let mut taken = 0;
        while pending.offer(Vec::new(), lines(4)) {
            taken += 4;
        }
        assert!((8..16).contains(&taken), "{taken} of a MiB each");
        // It is told to come again, so nothing of it is lost yet.
        assert_eq!(pending.dropped(), Dropped::default());
        for _ in 0..14 {
            pending.log(testing::line(&text));
        }
        assert_eq!(pending.dropped(), Dropped::default());
    }
}
