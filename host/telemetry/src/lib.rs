//! What is seen of requests, and how it leaves the threads that serve them.
//!
//! A request carries a [`Trace`](trace::Trace) in plain fields. What is done for it (statements, calls of models and of
//! other services) adds spans; its end decides whether they are kept and hands them over whole, as one [`Batch`]. Requests
//! are counted besides, kept or not ([`metrics`]).
//!
//! Nothing here waits, and nothing here knows what becomes of a batch: a [`Collector`] takes it, or drops and counts it.
//! Names of spans and attributes are those of OpenTelemetry's semantic conventions.

pub mod attributes;
pub mod clock;
pub mod context;
pub mod id;
pub mod instruments;
pub mod log;
pub mod metrics;
pub mod sampling;
pub mod secrets;
pub mod span;
pub mod trace;

use std::time::Duration;

use self::id::TraceId;
use self::log::LogRecord;
use self::metrics::{Figure, Instrument, Meters, Point, Reading};
use self::sampling::{KeepReason, Sampler};
use self::span::Span;

/// What takes telemetry off the threads that serve. It never waits.
pub trait Collector: Send + Sync {
    /// The spans of a request and of all that was done for it in this process, or what came later of it.
    fn batch(&self, batch: Batch);

    /// One line of the log.
    fn log(&self, record: LogRecord);
}

/// Spans that are kept together.
#[derive(Debug)]
pub struct Batch {
    pub spans: Vec<Span>,
    pub why: KeepReason,
    /// Spans beyond the bound of one request.
    pub dropped: usize,
}

/// What a process has for telemetry. One for the life of the process, so that no request has to count references to it.
pub struct Telemetry {
    collector: Option<Box<dyn Collector>>,
    meters: Option<Meters>,
    sampler: Sampler,
    /// From when on a request is slow.
    slow: Duration,
    /// Whether what is said to models and by them is seen.
    pub captures_messages: bool,
}

impl Telemetry {
    /// Nothing is seen.
    pub fn off() -> &'static Self {
        &OFF
    }

    pub fn new(
        collector: Box<dyn Collector>,
        sampler: Sampler,
        slow: Duration,
        captures_messages: bool,
    ) -> Self {
        let (collector, meters) = (Some(collector), Some(Meters::default()));
        Self { collector, meters, sampler, slow, captures_messages }
    }

    /// Sees nothing.
    pub const fn none() -> Self {
        Self {
            collector: None,
            meters: None,
            sampler: Sampler::none(),
            slow: Duration::MAX,
            captures_messages: false,
        }
    }

    /// For the rest of the process.
    pub fn leak(self) -> &'static Self {
        Box::leak(Box::new(self))
    }

    pub fn is_on(&self) -> bool {
        self.collector.is_some()
    }

    /// Count or measure; `trace` is one that is kept. `labels` are the values of the instrument's.
    pub fn record(
        &self,
        instrument: &'static Instrument,
        labels: &[&str],
        value: f64,
        trace: Option<TraceId>,
    ) {
        if let Some(meters) = &self.meters {
            meters.record(instrument, labels, value, trace);
        }
    }

    /// A version of a service, by the digest of its component, has answered its last request.
    pub fn version_ended(&self, service: &str, digest: &str) {
        if let Some(meters) = &self.meters {
            meters.version_ended(service, trace::version(digest));
        }
    }

    /// All that was counted and measured.
    pub fn figures(&self) -> Vec<Reading> {
        let Some(meters) = &self.meters else { return Vec::new() };
        let mut figures = meters.read();
        let left_out = Figure::Number(self.sampler.left_out() as f64);
        let point = Point { labels: Vec::new(), value: left_out, exemplar: None };
        let (instrument, points) = (&instruments::LEFT_OUT, vec![point]);
        figures.push(Reading { instrument, points, has_overflow: false });
        figures
    }

    /// Hand over a line of the log.
    pub fn log(&self, record: LogRecord) {
        if let Some(collector) = &self.collector {
            collector.log(record);
        }
    }

    /// Hand over spans.
    pub fn batch(&self, batch: Batch) {
        if let Some(collector) = &self.collector {
            collector.batch(batch);
        }
    }
}

static OFF: Telemetry = Telemetry::none();

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Telemetry").field("is_on", &self.is_on()).finish_non_exhaustive()
    }
}
