//! The bounds of the Ollama capability.

use std::time::Duration;

use super::backends::BreakerConfig;
use super::{DAY, MINUTE, millis, secs};

settings! {

/// Of `[ollama.NAME]`.
pub struct OllamaLimits {
    /// Time to open a connection.
    // Long enough for one lost packet, short enough for a person to wait.
    pub connect_timeout: Duration = "connect-timeout", secs(2), millis(1)..=secs(5 * MINUTE);

    /// Time that the server may be silent before its answer.
    // Ollama sends nothing at all while a model loads (5 minutes at most by its own default) or a request is queued.
    pub first_byte_timeout: Duration =
        "first-byte-timeout", secs(10 * MINUTE), millis(1)..=secs(DAY);

    /// Calls at once, of all services together.
    // A loaded model answers one request at a time by default; the server lets others wait, where the host cannot see
    // them, so the bound is here.
    pub concurrent: usize = "concurrent", 64, 1..=65_536;

    /// Calls that wait in line for one of these to end, of all services together.
    // As many as Ollama itself lets wait.
    pub queue: usize = "queue", 512, 0..=65_536;

    /// Time that a call waits in line, then it is 503.
    // Answers of models take tens of seconds, so that a place comes free within it more often than not; a caller that
    // waits longer is better off knowing.
    pub queue_timeout: Duration = "queue-timeout", secs(MINUTE), millis(1)..=secs(DAY);

    pub breaker: BreakerConfig;
}

}

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

/// Bytes of the requests of calls that wait for a place at one server. They are outside of what their components may
/// hold; chats without pictures have kilobytes, so that this counts for those alone that have some.
pub const QUEUE_BYTES: usize = 256 * 1024 * 1024;

/// Bytes of the request of one call, without those that pass through. Twice what a service takes of its client by
/// default, which has room for pictures.
pub const REQUEST_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of a request that are kept until its answer begins, so that it can be sent again. Most chats
/// are smaller; one with pictures is not sent again.
pub const AGAIN_BYTES: usize = 1024 * 1024;

/// Time for `GET /api/version` to answer before a server counts as absent. It does no work.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Time between two looks for an absent server while a fallback stands in: a server that was just
/// started is in use at the next click, and an absent one costs next to nothing.
pub const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// Time to read what follows the last item, so that the connection can be used again. What follows
/// is the few bytes that end the body; a server that keeps on sending loses the connection.
pub const DRAIN_TIMEOUT: Duration = Duration::from_millis(250);

/// Idle connections kept to one server, and for how long. Fewer than `concurrent`: a burst is
/// rare, and opening one on loopback takes microseconds.
pub const IDLE_CONNECTIONS: usize = 16;
pub const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);

}
