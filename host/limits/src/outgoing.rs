//! The bounds of HTTP that components send out of the host.

use std::time::Duration;

use super::backends::BreakerConfig;
use super::{DAY, GIB, MIB, MINUTE, millis, secs};

settings! {

/// Of `outbound` of a service.
pub struct OutboundLimits {
    /// Time to find, reach and, with `https`, agree with a host.
    // Long enough for two lost packets and a slow name server.
    pub connect_timeout: Duration = "connect-timeout", secs(5), millis(1)..=secs(5 * MINUTE);

    /// Time from the last piece of a request to the head of its answer.
    // Less than a service has for its own answer, so that the component lives to say what was slow.
    pub first_byte_timeout: Duration = "first-byte-timeout", secs(30), millis(1)..=secs(DAY);

    /// Time between two pieces of an answer while the component waits for one.
    // Streams of events send a sign of life every 15 or 30 seconds.
    pub idle_timeout: Duration = "idle-timeout", secs(MINUTE), millis(1)..=secs(DAY);

    /// Size of an answer's body.
    // It passes through in pieces, so this is against answers that never end, not for memory.
    pub max_body_bytes: u64 = "max-body", 64 * MIB, 0..=1024 * GIB;

    /// Calls at once, bodies included.
    // As many as go to one model server: enough for a burst, and a host that hangs holds no more than these.
    pub concurrent: usize = "concurrent", 64, 1..=4096;

    pub breaker: BreakerConfig;
}

}

bounds! {

/// Bytes of an answer's head. As many as a request's head may have.
pub const HEADER_BYTES: usize = 64 * 1024;

/// Connections of one service that are open, idle ones included. Rules with a `*` reach any number of
/// hosts, and each connection takes a descriptor that the listeners need, too.
pub const CONNECTIONS: usize = 256;

/// Idle connections kept to one host, and for how long. Servers commonly close theirs after a
/// minute.
pub const IDLE_CONNECTIONS: usize = 16;
pub const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);

/// Names of one service that are looked up at the same time. Each takes a thread until the system
/// gives up, which can be long after the call did.
pub const LOOKUPS: usize = 16;

/// Addresses of one name that are tried.
pub const ADDRESSES: usize = 8;

/// Hosts of one service whose failures are counted, and refused targets that were logged as news.
/// A component can make up any number of names under a `*`.
pub const HOSTS: usize = 256;

}
