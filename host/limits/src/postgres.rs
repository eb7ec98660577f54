//! The bounds of the Postgres capability.

use std::time::Duration;

use super::backends::BreakerConfig;
use super::{DAY, MINUTE, millis, secs};

settings! {

/// Of `[postgres.NAME]`: the connections to one database.
pub struct PoolConfig {
    /// Connections for statements. Beside them up to two more are open for cancelling and for `/ready`; a pooler in
    /// `session` mode needs one connection more than this.
    // Postgres allows 100 in all by default and each costs it megabytes; eight keep a few cores of a database busy.
    pub connections: usize = "pool", 8, 1..=1000;

    /// Time that a statement waits for a connection that is free.
    // Less than the wait for admission: a database that is this far behind needs fewer requests, not more patience.
    pub acquire_timeout: Duration = "acquire-timeout", secs(5), millis(1)..=secs(10 * MINUTE);

    /// Time to connect and log in.
    // A server that does not answer within it is `unavailable`. Long enough for two lost packets and a server that is
    // busy; one that is far away or wakes up slowly needs more.
    pub connect_timeout: Duration = "connect-timeout", secs(5), millis(1)..=secs(5 * MINUTE);

    /// Time per statement, from prepare to its last row.
    // Half of the guest's minute, so that the guest lives to tell which statement was slow.
    pub statement_timeout: Duration = "statement-timeout", secs(30), millis(1)..=secs(DAY);

    pub breaker: BreakerConfig;
}

}

bounds! {

/// What the host waits longer than the server does, so that the server ends a statement by itself
/// where it can.
pub const STATEMENT_GRACE: Duration = Duration::from_millis(250);

/// Rows in one batch: the most that the interface promises. Calls into a guest are cheap but not
/// free, and a reader that stops early has wasted at most this many.
pub const BATCH_ROWS: usize = 64;

/// Bytes after which a batch is full: the most that the interface promises, plus one row.
pub const BATCH_BYTES: usize = 64 * 1024;

/// Batches read ahead of the guest. One to be read while the next is filled.
pub const BATCHES_AHEAD: usize = 2;

/// Bytes of one row. A larger one has to go through the memory of host and guest at once.
pub const ROW_BYTES: usize = 16 * 1024 * 1024;

/// Bytes that the database driver may make room for in one piece, beside twice the text of a statement. For a message as
/// long as the largest row, the names and lengths of its columns included, it does so up to four times that length: it
/// doubles what it has, and that may be where a message as long stands already. What is longer is given up before it
/// is read.
pub const MESSAGE_ROOM_BYTES: usize = 4 * ROW_BYTES + 1024 * 1024;

/// Bytes of the arguments of a statement from which on it is done in the threads for what computes. To bring them into the
/// server's form takes up to a millisecond, in which nothing else happens on the thread.
pub const LARGE_ARGUMENT_BYTES: usize = 256 * 1024;

/// Bytes of all parameters of one call. They are in the memory of host and guest at once, as a row is.
pub const PARAMETER_BYTES: usize = 16 * 1024 * 1024;

/// Parameters of one statement: the protocol counts them in 16 bits.
pub const PARAMETERS: usize = 65_535;

/// Texts that the server is asked at once to read as values of other types. Each becomes a column of a row, which can
/// have 1664; a text of ten bytes may become a number of 64 kB.
pub const TEXTS_AT_ONCE: usize = 64;

/// How long `query` waits for a first row before it returns the columns without one. Within it,
/// a failure is the result of the call instead of the end of the stream.
pub const FIRST_ROW_WAIT: Duration = Duration::from_millis(20);

/// Time for a cancel request, the login of its connection included. It goes on when its statement's connection has
/// been closed: the server may well be busy with the statement.
pub const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// Time for a cancelled statement to end before its connection is closed instead, which a server notices by
/// [`CLIENT_CHECK`] if the cancel request does not reach it. A statement that its client has left is gone within a
/// second.
pub const DRAIN_TIMEOUT: Duration = Duration::from_millis(900);

/// Times that the server is asked to end the process of a statement that was cancelled and went on, and the wait in
/// between. It takes milliseconds; a server that does not answer meanwhile is away.
pub const TERMINATE_ATTEMPTS: u32 = 10;
pub const TERMINATE_WAIT: Duration = Duration::from_millis(500);

/// Time for an open transaction to be rolled back after its request has ended, before its connection is closed
/// instead.
pub const ROLLBACK_TIMEOUT: Duration = Duration::from_millis(900);

/// How often the server itself looks whether the host still holds a statement's connection
/// (servers since 14). It ends statements when cancelling fails, or after the host was killed.
pub const CLIENT_CHECK: Duration = Duration::from_secs(1);

/// Time for a statement that is not wanted any more to end by itself, behind a pooler, before its connection is closed,
/// which is how it is cancelled there. One that is about to end costs no new connection; both this and
/// [`POOLED_CLIENT_CHECK`] have to fit into the second in which it is gone.
pub const POOLED_DRAIN: Duration = Duration::from_millis(250);

/// How often the server looks whether the pooler still holds a statement's connection, which that closes when the host
/// has closed its own (servers since 14).
pub const POOLED_CLIENT_CHECK: Duration = Duration::from_millis(500);

/// Time to put a session back into its first state. It is one round trip, and a new connection costs
/// more than waiting longer would save.
pub const RESET_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that was idle for longer is asked for a sign of life before use. Shorter would ask
/// in the middle of a burst, longer would hand out dead ones after a restart of the server.
pub const CHECK_AFTER: Duration = Duration::from_secs(1);

/// Time for an idle connection's sign of life. It is one round trip; a connection that takes longer is replaced.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection that was idle for longer is closed. Load that comes back within minutes finds it.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// A connection that is older is closed when it comes back, so that a server's memory for it does
/// not grow for ever.
pub const CONNECTION_LIFETIME: Duration = Duration::from_secs(1800);

/// Prepared statements kept per connection; the least used goes first. A service has tens of
/// distinct ones; a guest that builds SQL from text must not fill the server.
pub const PREPARED_STATEMENTS: usize = 128;

/// Bytes of a statement up to which it is kept prepared. A longer one is made by a program from its data, and hardly
/// ever comes twice.
pub const PREPARED_STATEMENT_BYTES: usize = 16 * 1024;

/// Bytes of all statements that a connection keeps prepared, after which it forgets them. The server takes up to a
/// hundred times as much for their plans.
pub const PREPARED_BYTES: usize = 512 * 1024;

/// Bytes that each column of a prepared statement's rows counts for: what the driver keeps of it.
pub const PREPARED_COLUMN_BYTES: usize = 256;

/// Bytes of statements that were prepared over a connection, one after the other, after which it is replaced: the
/// driver forgets no table and no type.
pub const LEARNED_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of a statement, of its parameters or of a row after which the driver's buffers are made small again. Most
/// fit into what it has anyway.
pub const BUFFERED_BYTES: usize = 64 * 1024;

/// A pool that services share keeps one in so many of its connections, but at least one, for services that have none
/// at that moment. One service that takes all it can get leaves the others a quarter.
pub const POOL_PARTS_KEPT: usize = 4;

/// Time that a server may take to notice that a connection was closed to make room for another, where it has none to
/// spare, and how often it is asked meanwhile.
pub const LEAVING: Duration = Duration::from_secs(1);
pub const LEAVING_POLL: Duration = Duration::from_millis(20);

/// Connections that statements lose, one after the other, until `/ready` tells of it, and how long it does after the
/// last. One or two are a server that restarts.
pub const LOST_IN_A_ROW: usize = 3;
pub const LOSS_REMEMBERED: Duration = Duration::from_secs(10);

}
