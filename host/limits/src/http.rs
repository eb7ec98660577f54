//! Bounds of the public port and, with their defaults, of the control plane: connections, heads, bodies,
//! the time that a client may take, and the time that the host takes to stop.

use std::time::Duration;

use super::{DAY, HOUR, KIB, MIB, MINUTE, millis, secs};

settings! {

/// What the public port grants to its clients.
pub struct HttpLimits {
    /// Connections at once; fewer where the system allows few open files (`ulimit -n`), which is told at the start.
    /// Beyond them, the one that is idle longest makes room, else the one that has longest sent no whole head.
    // Each costs two buffers and a task. A client that comes when all are in use waits, also for one that becomes idle
    // meanwhile.
    pub connections: usize = "connections", 1024, 1..=1_048_576;

    /// Connections of one client address; beyond them, one of its own makes room, or the new one is closed. No bound of
    /// its own by default: behind a proxy all clients have one address.
    pub connections_per_client: usize =
        "connections-per-client", Self::connections().max, 1..=Self::connections().max;

    /// Time that a connection may rest between requests.
    // Above the minute after which common clients and proxies close theirs, so that it is seldom closed under a request
    // that is just being sent.
    pub keep_alive: Duration = "keep-alive", secs(75), millis(100)..=secs(DAY);

    /// Time for a TLS handshake.
    // It holds one of the places above, and no request waits for it.
    pub handshake_timeout: Duration = "handshake-timeout", secs(10), millis(100)..=secs(10 * MINUTE);

    /// Time for a request's head, from its first byte, or from the connection's begin.
    // Keeps a slow sender from holding a connection for ever.
    pub header_timeout: Duration = "header-timeout", secs(10), millis(100)..=secs(10 * MINUTE);

    /// Size of a request's head, else 431; over HTTP/1.1 a head that comes at once may be almost twice as large.
    // Cookies and tokens of single sign-on reach 16 KiB. Buffers of a connection grow up to it, by doubling; over
    // HTTP/1.1 it is looked at between two reads.
    pub header_bytes: u64 = "max-header", 64 * KIB, 8 * KIB..=MIB;

    /// Headers of a request, else 431.
    // Up to the default no memory is allocated to parse them.
    pub headers: usize = "max-headers", 100, 10..=1000;

    /// Time between two pieces of a request's body while the service waits for more, then 408.
    // The time in which nothing reads does not count.
    pub body_idle: Duration = "body-idle", secs(30), millis(100)..=secs(HOUR);

    /// Time in which a client takes nothing of its answer, then it is cut off; over HTTP/2, if it takes less than 16 KiB
    /// of a stream.
    // A request is counted in its service until then. Over HTTP/1.1 it takes something when the system can send more of
    // it; over HTTP/2 each stream must be granted `STREAM_PIECE_BYTES` in that time.
    pub write_idle: Duration = "write-idle", secs(30), millis(100)..=secs(HOUR);

    /// Requests at once in one HTTP/2 connection.
    // What browsers expect; one client does not take all of a service's places.
    pub streams: usize = "streams", 100, 1..=10_000;

    /// Time to finish what runs after SIGTERM. What is left is then cut and told, and an embedded database stopped,
    /// usually within five seconds: let an orchestrator wait ten seconds longer before it kills (Kubernetes waits 30 s
    /// by default).
    pub drain: Duration = "drain", secs(20), millis(0)..=secs(DAY);
}

}

bounds! {

// === Connections ===

/// Clients that the operating system has let in and that wait to be accepted. Beyond them it lets clients try
/// again; it may allow fewer itself.
pub const ACCEPT_BACKLOG: u32 = 1024;

/// Connections to the admin port. Apart from the public ones, so that an overloaded application
/// can still be looked at.
pub const ADMIN_CONNECTIONS: usize = 64;

/// Connections of one client address to the admin port. Half of them: a client that holds all that it may leaves room for
/// the probes of an orchestrator.
pub const ADMIN_CONNECTIONS_PER_CLIENT: usize = 32;

/// Time for a request head to the admin port, and in which a client of it takes nothing of its answer. Its clients are
/// near, and an orchestrator waits for a second or two before it counts a probe as failed.
pub const ADMIN_HEADER_TIMEOUT: Duration = Duration::from_secs(3);
pub const ADMIN_WRITE_IDLE: Duration = Duration::from_secs(10);

/// Wait after an accept that failed for want of descriptors or memory, so that it does not spin.
pub const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Wait between two looks for an idle connection that can make room for one that waits. Short beside a request, and
/// a look is cheap.
pub const ROOM_INTERVAL: Duration = Duration::from_millis(50);

/// Time for a connection that was told to make room to go, some round trips, before another one is told.
pub const ROOM_GRACE: Duration = Duration::from_millis(500);

/// Time after which a connection without a whole request head makes room for one of the same client, which has its
/// share: what has been sent is read by then.
pub const SHARE_GRACE: Duration = Duration::from_millis(50);

/// Time between two complaints in the log that connections cannot be accepted, or make room before their first request.
pub const ACCEPT_COMPLAINT: Duration = Duration::from_secs(10);

/// Bytes of a PEM file with a certificate and its chain, or with a key.
pub const PEM_BYTES: u64 = MIB;

/// Silence after which the operating system asks whether a client is still there, how often it asks again, and
/// how many times: a machine that vanished is noticed within a minute.
pub const TCP_KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
pub const TCP_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
pub const TCP_KEEPALIVE_PROBES: u32 = 3;

/// The operating system gives up sending after this many times the write-idle time. Later than the host, which
/// says why.
pub const TCP_USER_TIMEOUT_FACTOR: u32 = 2;

// === Request ===

/// Proxies that a request may have passed, one by one, to be told apart from its client. Chains of more than three are
/// rare; a longer list than this is a client's.
pub const PROXIES: usize = 16;

/// Time to read what a guest answers to a body that has failed, before it is told by the host.
pub const FAILED_BODY_ANSWER: Duration = Duration::from_secs(10);

/// Time in which a client may read what it was answered while it still sends. Closing earlier would reset
/// the connection, and the answer could be lost.
pub const LINGER: Duration = Duration::from_secs(2);

// === Response ===

/// Time that a client which has ended its sending side keeps to take its answer. It cannot be distinguished from one
/// that has left, and what is done for that one stops within a second.
pub const LEFT_GRACE: Duration = Duration::from_millis(250);

/// Bytes of a file that are read at once: fewer visits to the disk's threads for a large file, and what a client
/// that reads slowly holds of it in memory.
pub const FILE_CHUNK_BYTES: usize = 256 * 1024;

/// Bytes of a file that is read to tell what its content is, so that a client knows it again. Read once for each
/// version of a file, in a few milliseconds; pages and their scripts are smaller.
pub const FILE_DIGEST_BYTES: u64 = MIB;

/// Digests of one static service's files that are kept, of some hundred bytes each. More files than most sites have;
/// beyond them all are made again.
pub const FILE_DIGESTS: usize = 4096;

/// Bytes of a file that is kept in memory once it was sent. Most pages, scripts and pictures of a site are smaller; it is
/// also read at once, which takes a visit to the disk's threads less.
pub const FILE_KEPT_BYTES: usize = 64 * 1024;

/// Bytes of all files that are kept in memory, of all static services together. Beyond them all are read again.
pub const FILES_KEPT_BYTES: usize = 16 * 1024 * 1024;

/// Bytes that are counted for a kept file, or a compressed copy of one, beside its own: its headers and its place.
pub const FILE_KEPT_OWN_BYTES: usize = 2048;

/// Time after which the system's word is taken that a file was not written since. Longer than a step of the time that
/// any file system keeps.
pub const FILE_SETTLED: Duration = Duration::from_secs(2);

// === Pages of other origins ===

/// Bytes of a host's name, an origin or a method that a refusal repeats. Names have 253.
pub const SHOWN_NAME_BYTES: usize = 300;

// === HTTP/2 ===

/// Streams that a client has reset and the host has not yet looked at, and streams that the host has reset for a
/// client's errors, on one connection. More is a flood of resets, and the connection is closed.
pub const PENDING_RESETS: usize = 20;
pub const ERROR_RESETS: usize = 100;

/// Requests of one connection that the client has reset before they were answered, less those that were. Twice
/// what a page can have on its way when it is left; more is a flood.
pub const UNANSWERED_RESETS: u64 = 200;

/// Frames in a second with which a client neither asks nor sends anything, such as settings and pings, less those that
/// go with requests and bodies. Some a second are usual; more is a flood, and the connection is closed. The library
/// answers each before it reads the next, so that none of them waits in memory.
pub const IDLE_FRAMES: u32 = 1000;

/// How many such frames go with a frame of a request or of its body, and how many bytes of an answer go with one:
/// clients that look for the speed of a line send a ping and grant bytes with each piece that they take.
pub const IDLE_FRAMES_PER_FRAME: u32 = 4;
pub const BYTES_PER_IDLE_FRAME: usize = 256;

/// Bytes that one stream buffers to be sent; a piece that waits for them comes on top, and what is left of the piece
/// that it was cut from. A slow reader of a large file must not keep all of it in memory.
pub const STREAM_SEND_BYTES: usize = 256 * 1024;

/// Bytes of an answer that a stream takes at once. The next ones are asked for when the client has granted all
/// before them: a slow reader is seen to read with each, and what it never grants of the last one is no more than
/// this. As many as a frame of HTTP/2 has, unless a client asks for larger ones, so that no frame is added.
pub const STREAM_PIECE_BYTES: usize = 16 * 1024;

/// How often an HTTP/2 client is asked whether it is still there, and the time for its answer.
pub const PING_INTERVAL: Duration = Duration::from_secs(20);
pub const PING_TIMEOUT: Duration = Duration::from_secs(20);

// === End ===

/// Time for a connection that was opened just before the host was told to stop to send its first request; where
/// connections are short, each has as long before it makes room.
pub const FRESH_GRACE: Duration = Duration::from_millis(500);

/// Time for what was cut at the deadline to end: first for requests, whose clients are told, then for connections.
pub const CUT_CONNECTIONS: Duration = Duration::from_secs(1);

/// How long a browser stays signed in to the dashboard. As long as that of .NET Aspire.
pub const ADMIN_SESSION: Duration = Duration::from_secs(3 * DAY);

/// Time to finish requests to the control plane when the host stops.
pub const ADMIN_STOP: Duration = Duration::from_secs(1);

}
