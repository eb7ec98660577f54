//! The bounds of what is seen of requests.

use std::time::Duration;

use super::{DAY, GIB, HOUR, MIB, MINUTE, Setting};

bounds! {

/// Spans of one request, with all that is done for it in this process. More than a person looks through; the page says how
/// many there were beyond it.
pub const TRACE_SPANS: usize = 256;

/// Bytes of these spans, about. The host holds them until the request ends.
pub const TRACE_BYTES: usize = 64 * 1024;

/// Bytes of one text in a span: a path, a statement, a reason.
pub const TEXT_BYTES: usize = 2048;

/// Bytes of what is said to a model in one call, and of what it says, where the application file wants that seen.
pub const MESSAGE_BYTES: usize = 16 * 1024;

/// Bytes of `tracestate`, which goes on as it came. The W3C asks for 512 at least.
pub const TRACESTATE_BYTES: usize = 1024;

/// Series of one instrument, counted by each serving thread. The default of OpenTelemetry's libraries; what is beyond
/// is counted together.
pub const SERIES: usize = 2000;

/// Bytes of spans and lines that wait for the thread that stores and sends them. Some seconds of the most that a host
/// makes; what is beyond is dropped and counted.
pub const PENDING_BYTES: usize = 32 * 1024 * 1024;

/// Share of requests that are kept although they neither failed nor were slow.
pub const SAMPLE: Setting<f64> = Setting { default: 1.0, min: 0.0, max: 1.0 };

/// Requests that are kept in a second although they neither failed nor were slow, of all services together. As many as
/// a page can show; more would take a disk for what nobody looks at.
pub const SAMPLE_PER_SECOND: Setting<usize> = Setting { default: 100, min: 0, max: 1_000_000 };

/// From when on a request is slow, and always kept: the time until its answer begins.
pub const SLOW: Setting<Duration> = Setting {
    default: Duration::from_millis(500),
    min: Duration::from_millis(1),
    max: Duration::from_secs(HOUR),
};

/// Bytes of the store of telemetry on disk. Some days of a small application.
pub const STORE_BYTES: Setting<u64> = Setting { default: 512 * MIB, min: 16 * MIB, max: 1024 * GIB };

/// How long telemetry is kept.
pub const STORE_AGE: Setting<Duration> = Setting {
    default: Duration::from_secs(7 * DAY),
    min: Duration::from_secs(MINUTE),
    max: Duration::from_secs(3650 * DAY),
};

}
