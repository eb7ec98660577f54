//! The bounds of telemetry that others send: programs with the key, and pages in browsers.

use std::time::Duration;

use super::{DAY, HOUR, secs};

bounds! {

// === A request ===

/// Bytes of a request with telemetry, as it is sent and, if it is compressed, once more as it is read. As much as servers
/// of gRPC take unless they are told to take more, for which senders cut what they have.
pub const INTAKE_BYTES: u64 = 4 * 1024 * 1024;

/// The same of a page. As many as a browser sends for a page that is being left.
pub const PAGE_SPANS_BYTES: u64 = 64 * 1024;

/// Spans or lines of one request; those beyond it are left out, and the answer says so. The default of OpenTelemetry's
/// collector has fewer.
pub const INTAKE_ITEMS: usize = 10_000;

/// The same of a page.
pub const PAGE_SPANS: usize = 256;

/// Resources and scopes of one request, together. What is in those beyond them is left out, and the answer says so. Each
/// item may have two of its own.
pub const INTAKE_GROUPS: usize = 2 * INTAKE_ITEMS;

/// Bytes of one span or line as it is sent, and of what is said of the process that sends it. As many as all spans of one
/// request to this host have.
pub const INTAKE_ITEM_BYTES: usize = super::telemetry::TRACE_BYTES;

/// The same of a span of a page. A request of a page is some hundred bytes; anybody may send them, and larger ones would
/// drive out all else that is kept the sooner.
pub const PAGE_SPAN_BYTES: usize = 4 * 1024;

/// Bytes of what one request comes to in memory, about. What is beyond it is left out, and the answer says so.
pub const INTAKE_REQUEST_BYTES: usize = 8 * 1024 * 1024;

/// Requests with telemetry that are read at once; one more is asked to come again. Each holds what it sends several times
/// for a moment.
pub const INTAKE_AT_ONCE: usize = 8;

/// The same of pages.
pub const PAGE_SPANS_AT_ONCE: usize = 16;

/// Time for the body of a request with telemetry of a page, and between two pieces of it. Beacons are small.
pub const PAGE_SPANS_TIME: Duration = secs(10);

/// Bytes that may wait to be written for more to be taken from outside: a half of all that may wait, so that what others
/// send never takes the room of what the host sees itself.
pub const INTAKE_PENDING_BYTES: usize = super::telemetry::PENDING_BYTES / 2;

/// Folders that a page may be below for it to be told where its spans go, by a way that goes up from all of them.
pub const PAGE_DEPTH: usize = 32;

// === What it says ===

/// Attributes of a span, a line or an event. The default of OpenTelemetry's libraries.
pub const INTAKE_ATTRIBUTES: usize = 128;

/// Events, and as many links, of a span. The default of OpenTelemetry's libraries.
pub const INTAKE_EVENTS: usize = 128;

/// Bytes of a name of a service, a scope or an attribute.
pub const INTAKE_NAME_BYTES: usize = 200;

/// Bytes of a line of the log that is sent. Longer ones are cut.
pub const INTAKE_LINE_BYTES: usize = 8 * 1024;

/// Names of services of which something was taken from outside since the start of the host, pages aside. A sender that
/// makes up names has a page of its own for none of them.
pub const INTAKE_SERVICES: usize = 1000;

/// How old what is sent may be, by the clock of this machine, and how far ahead. A sender that was away has some hours of
/// it; a clock that is further off would stretch traces over years.
pub const INTAKE_AGE: Duration = secs(DAY);
pub const INTAKE_AHEAD: Duration = secs(HOUR);

/// Bytes of the shortest key. What is shorter can be guessed.
pub const INTAKE_KEY_BYTES: usize = 16;

}
