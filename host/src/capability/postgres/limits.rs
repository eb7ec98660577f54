//! The bounds of the Postgres capability, each with its reason. Nothing else may hold a number that
//! a user could meet.

use std::time::Duration;

/// Pooled connections per database. Ten keep a server of a few cores busy, and ten databases stay
/// below a server's default of 100 connections.
pub const POOL_CONNECTIONS: u32 = 10;

/// Wait for a pooled connection before a call fails with `busy`. Longer than a slow statement,
/// shorter than the patience of a client.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for a statement, from prepare to its last row.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// What the host waits longer than the server does, so that the server ends a statement by itself
/// where it can.
pub const STATEMENT_GRACE: Duration = Duration::from_millis(250);

/// Time to connect and log in. A server that does not answer within it is `unavailable`.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Rows in one batch: the most that the interface promises.
pub const BATCH_ROWS: usize = 64;

/// Bytes after which a batch is full: the most that the interface promises, plus one row.
pub const BATCH_BYTES: usize = 64 * 1024;

/// Batches read ahead of the guest. One to be read while the next is filled.
pub const BATCHES_AHEAD: usize = 2;

/// Bytes of one row. A larger one has to go through the memory of host and guest at once.
pub const ROW_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of all parameters of one call, for the same reason.
pub const PARAMETER_BYTES: usize = 16 * 1024 * 1024;

/// How long `query` waits for a first row before it returns the columns without one. Within it,
/// a failure is the result of the call instead of the end of the stream.
pub const FIRST_ROW_WAIT: Duration = Duration::from_millis(20);

/// Time for a cancel request, the login of its connection included.
pub const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// Time for a cancelled statement to end before its connection is closed instead. Longer than the
/// cancel request may take.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// How often the server itself looks whether the host still holds a statement's connection
/// (servers since 14). It ends statements when cancelling fails, or after the host was killed.
pub const CLIENT_CHECK: Duration = Duration::from_secs(1);

/// Time to put a session back into its first state.
pub const RESET_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that was idle for longer is asked for a sign of life before use.
pub const CHECK_AFTER: Duration = Duration::from_secs(1);

/// Time for that sign of life.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection that was idle for longer is closed.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// A connection that is older is closed when it comes back, so that a server's memory for it does
/// not grow for ever.
pub const CONNECTION_LIFETIME: Duration = Duration::from_secs(1800);

/// Prepared statements kept per connection; the least used goes first.
pub const PREPARED_STATEMENTS: usize = 128;
