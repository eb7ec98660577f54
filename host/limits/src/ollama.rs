//! The bounds of the Ollama capability.

use std::time::Duration;

use super::{DAY, MINUTE, Setting};

bounds! {

/// Bytes of one line of a streamed answer. Ollama's own client gives up at the same size.
pub const LINE_BYTES: usize = 8 * 1024 * 1024;

/// Bytes of an answer that is one JSON object: `show` with `verbose` and large `embed` answers are
/// tens of megabytes, and all of it is held in memory.
pub const ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of a refusal that a component gets to see. A refusal is a sentence; a proxy in between may
/// send a page.
pub const REFUSAL_BYTES: usize = 64 * 1024;

/// Items read from the server before the component has asked for them: enough for one read to take
/// several, few enough that a component that does not read stops the server.
pub const ITEMS_AHEAD: usize = 16;

/// Calls to one server that run at the same time, of all services together. A loaded model answers
/// one request at a time by default; the server lets others wait, where the host cannot see them,
/// so the bound is here.
pub const CONCURRENT: Setting<usize> = Setting { default: 64, min: 1, max: 65_536 };

/// Calls to one server that wait for a place, of all services together: as many as Ollama itself lets
/// wait.
pub const QUEUE: Setting<usize> = Setting { default: 512, min: 0, max: 65_536 };

/// Bytes of the requests of calls that wait for a place at one server. They are outside of what their components may
/// hold; chats without pictures have kilobytes, so that this counts for those alone that have some.
pub const QUEUE_BYTES: usize = 256 * 1024 * 1024;

/// Time that a call waits for a place. Answers of models take tens of seconds, so that a place comes
/// free within it more often than not; a caller that waits longer is better off knowing.
pub const QUEUE_TIMEOUT: Setting<Duration> = Setting {
    default: Duration::from_secs(MINUTE),
    min: Duration::from_millis(1),
    max: Duration::from_secs(DAY),
};

/// Bytes of the request of one call, without those that pass through. Twice what a service takes of its client by
/// default, which has room for pictures.
pub const REQUEST_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of a request that are kept until its answer begins, so that it can be sent again. Most chats
/// are smaller; one with pictures is not sent again.
pub const AGAIN_BYTES: usize = 1024 * 1024;

/// Time to open a connection. Long enough for one lost packet, short enough for a person to wait.
pub const CONNECT_TIMEOUT: Setting<Duration> = Setting {
    default: Duration::from_secs(2),
    min: Duration::from_millis(1),
    max: Duration::from_secs(5 * MINUTE),
};

/// Time to the head of an answer. Ollama sends nothing at all while a model loads (5 minutes at most
/// by its own default) or a request is queued.
pub const FIRST_BYTE_TIMEOUT: Setting<Duration> = Setting {
    default: Duration::from_secs(10 * MINUTE),
    min: Duration::from_millis(1),
    max: Duration::from_secs(DAY),
};

/// Time for `GET /api/version` to answer before a server counts as absent. It does no work.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Time between two looks for an absent server while a fallback stands in: a server that was just
/// started is in use at the next click, and an absent one costs next to nothing.
pub const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// Time to read what follows the last item, so that the connection can be used again. What follows
/// is the few bytes that end the body; a server that keeps on sending loses the connection.
pub const DRAIN_TIMEOUT: Duration = Duration::from_millis(250);

/// Idle connections kept to one server, and for how long. Fewer than [`CONCURRENT`]: a burst is
/// rare, and opening one on loopback takes microseconds.
pub const IDLE_CONNECTIONS: usize = 16;
pub const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);

}
