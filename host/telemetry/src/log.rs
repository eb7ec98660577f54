//! A line of the log as a record.

use std::sync::Arc;

use crate::id::{SpanId, TraceId};
use crate::span::Attributes;

/// What a guest, the host, or a sender from outside says.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord {
    /// Microseconds since 1970.
    pub time: u64,
    pub level: Level,
    /// None: the host itself.
    pub service: Option<Arc<str>>,
    pub source: Source,
    pub trace: Option<TraceId>,
    pub span: Option<SpanId>,
    /// The id of the request for which it was said: that of its span.
    pub request: Option<SpanId>,
    pub message: String,
    pub fields: Attributes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// The kind of speaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// What a component printed.
    Guest,
    Host,
    /// Sent to the control plane.
    Outside,
}

impl Level {
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}
