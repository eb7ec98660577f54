//! Telemetry that others send: from the messages of OTLP to what the host stores.
//!
//! Pure: what a request comes to follows from its bytes and from [`Rules`] alone. Each item is read by itself, so that a
//! request of many empty ones is not many times as large in memory, and is taken or left out by itself; of a request
//! whose items cannot be found nothing is taken. It must not know how requests come in.

mod attributes;
pub mod grpc;
mod inflate;
mod lines;
mod source;
mod spans;
mod wire;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message as _;

use wasm_host_limits::intake as limits;
use wasm_host_telemetry::log::LogRecord;
use wasm_host_telemetry::sampling::KeepReason;
use wasm_host_telemetry::trace::bounded;
use wasm_host_telemetry::{Batch, clock};

pub use self::inflate::{Inflated, inflate};
use self::source::TelemetrySource;
pub use self::source::{BROWSER, Services};
use crate::signal::Signal;

/// What a request is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Protobuf,
    Json,
}

/// What sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A program that has the key, or the token of the control plane. It is believed what it is called.
    Key,
    /// A page in a browser, which is anybody.
    Page,
}

/// What is made of what is sent.
#[derive(Clone, Debug)]
pub struct Rules {
    pub by: By,
    /// Microseconds since 1970.
    pub now: u64,
    /// Whether what is said to models and by them is kept.
    pub captures_messages: bool,
    /// The text of a statement without its values.
    pub statement: fn(&str) -> String,
    /// Those that were named so far.
    pub services: Arc<Services>,
    /// What this host calls itself where it sends telemetry to a collector.
    pub own_instance: Option<Arc<str>>,
}

/// What a request came to.
#[derive(Debug, Default)]
pub struct Received {
    /// One for each trace.
    pub batches: Vec<Batch>,
    pub lines: Vec<LogRecord>,
    /// Spans and lines.
    pub taken: u64,
    pub left_out: LeftOut,
    /// Of what is taken, about.
    bytes: usize,
}

/// What was left out of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    pub count: u64,
    /// Of the first one.
    pub why: Cow<'static, str>,
}

/// Why nothing of a request can be read. It quotes no more than what the sender sent.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

/// Why figures are not taken.
pub const NO_FIGURES: &str =
    "this host keeps figures of its own alone; send metrics to Prometheus or another collector";

/// Read a request.
///
/// # Errors
/// It is not what OTLP has for the signal.
pub fn read(
    signal: Signal,
    encoding: Encoding,
    body: &Bytes,
    rules: &Rules,
) -> Result<Received, Unreadable> {
    match signal {
        Signal::Traces => spans::read(encoding, body, rules),
        Signal::Logs => lines::read(encoding, body, rules),
        Signal::Metrics => figures(encoding, body, rules),
    }
}

/// All points of figures are left out.
fn figures(encoding: Encoding, body: &Bytes, rules: &Rules) -> Result<Received, Unreadable> {
    let mut received = Received::default();
    wire::each(encoding, body, rules, |_, item| {
        received.left_out.add(item.points()?, NO_FIGURES);
        Ok(())
    })?;
    Ok(received)
}

/// The answer to a request that was read.
pub fn answer(signal: Signal, encoding: Encoding, left_out: &LeftOut) -> Vec<u8> {
    let rejected = i64::try_from(left_out.count).unwrap_or(i64::MAX);
    match encoding {
        // The answers for all signals have the same in the same places.
        Encoding::Protobuf => {
            let partial_success = (rejected > 0).then(|| ExportTracePartialSuccess {
                rejected_spans: rejected,
                error_message: left_out.why.clone().into_owned(),
            });
            ExportTraceServiceResponse { partial_success }.encode_to_vec()
        }
        Encoding::Json if rejected == 0 => b"{}".to_vec(),
        Encoding::Json => {
            let name = match signal {
                Signal::Traces => "rejectedSpans",
                Signal::Logs => "rejectedLogRecords",
                Signal::Metrics => "rejectedDataPoints",
            };
            // Numbers of 64 bits are texts in the JSON of OTLP.
            let partial =
                serde_json::json!({ name: rejected.to_string(), "errorMessage": left_out.why });
            serde_json::json!({ "partialSuccess": partial }).to_string().into_bytes()
        }
    }
}

// === impl LeftOut ===

impl LeftOut {
    pub fn add(&mut self, count: u64, why: impl Into<Cow<'static, str>>) {
        if self.count == 0 && count > 0 {
            self.why = why.into();
        }
        self.count += count;
    }
}

// === impl Received ===

impl Received {
    /// Take an item, if there is room for it and it is one. `read`: the item, and its bytes.
    fn take<T>(
        &mut self,
        source: Option<&TelemetrySource>,
        item: wire::Item<'_>,
        rules: &Rules,
        read: impl FnOnce(&TelemetrySource) -> Result<Result<T, &'static str>, Unreadable>,
        bytes: impl FnOnce(&T) -> usize,
    ) -> Option<T> {
        let (most, largest) = match rules.by {
            By::Key => (limits::INTAKE_ITEMS, limits::INTAKE_ITEM_BYTES),
            By::Page => (limits::PAGE_SPANS, limits::PAGE_SPAN_BYTES),
        };
        let why: Cow<'static, str> =
            if self.taken >= most as u64 || self.bytes >= limits::INTAKE_REQUEST_BYTES {
                "a request has no more than that; send smaller batches".into()
            } else if item.len() > largest {
                "it is too large by itself".into()
            } else if let Some(source) = source {
                match read(source) {
                    Ok(Ok(read)) => {
                        self.taken += 1;
                        self.bytes += bytes(&read);
                        return Some(read);
                    }
                    Ok(Err(why)) => why.into(),
                    // An id that is none costs its item, and not what was sent with it.
                    Err(unreadable) => format!("it cannot be read: {unreadable}").into(),
                }
            } else {
                "a request has no more resources and scopes than that; send smaller batches".into()
            };
        self.left_out.add(1, why);
        None
    }

    /// Keep so many of what was taken, and leave out the others.
    pub fn keep(&mut self, most: u64, why: &'static str) {
        let mut room = usize::try_from(most).unwrap_or(usize::MAX);
        for batch in &mut self.batches {
            batch.spans.truncate(room);
            room -= batch.spans.len();
        }
        self.batches.retain(|batch| !batch.spans.is_empty());
        self.lines.truncate(room);
        self.left_out.add(self.taken.saturating_sub(most), why);
        self.taken = self.taken.min(most);
    }
}

// === impl By ===

impl By {
    /// As figures and attributes have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Page => "page",
        }
    }

    fn why(self) -> KeepReason {
        match self {
            Self::Key => KeepReason::Outside,
            Self::Page => KeepReason::Page,
        }
    }
}

/// Nanoseconds as the host counts: not what no clock says that is about right.
fn moment(nanos: u64, rules: &Rules) -> Option<u64> {
    let moment = nanos / 1000;
    let oldest = rules.now.saturating_sub(clock::micros(limits::INTAKE_AGE));
    let newest = rules.now.saturating_add(clock::micros(limits::INTAKE_AHEAD));
    (oldest..=newest).contains(&moment).then_some(moment)
}

const NOT_ITS_TIME: &str = "its time is not of the last day by the clock of this host";

impl Unreadable {
    fn new(why: impl std::fmt::Display) -> Self {
        Self(bounded(&why.to_string()))
    }
}

#[cfg(test)]
mod tests;
