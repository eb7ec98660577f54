//! The bounds of the SQLite capability.

use std::time::Duration;

use super::{DAY, GIB, MIB, MINUTE, millis, secs};

settings! {

/// Of `[sqlite.NAME]`.
pub struct SqliteLimits {
    /// Disk that the file may take. What a transaction changes stands beside it until it is over.
    // What a component keeps in a file of one writer; more belongs into a server.
    pub size_bytes: u64 = "size", GIB, MIB..=1024 * GIB;

    /// Time per statement.
    pub statement_timeout: Duration = "statement-timeout", secs(30), millis(1)..=secs(DAY);

    /// Connections at once, of all services together.
    // Each has a thread and `CONNECTION_BYTES`; there is one writer at a time anyway.
    pub connections: usize = "connections", 32, 1..=1000;

    /// Time that a statement waits for a connection that is free.
    pub acquire_timeout: Duration = "acquire-timeout", secs(5), millis(1)..=secs(10 * MINUTE);
}

}

bounds! {

/// Bytes of one value, and of one row of a table.
pub const VALUE_BYTES: usize = 16 * 1024 * 1024;

/// Bytes that SQLite has for a connection beside all budgets: pages, tables that it knows, usual statements. What is more
/// counts for the instance that has opened it: rows on their way, what is sorted, temporary tables.
pub const CONNECTION_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of a statement.
pub const STATEMENT_BYTES: usize = 1024 * 1024;

/// Bytes of the parameters of a statement from which on it is done in the threads for what computes.
pub const LARGE_ARGUMENT_BYTES: usize = 256 * 1024;

/// Bytes of a page of a file, which is what its size is counted in.
pub const PAGE_BYTES: u64 = 4096;

/// Time that a statement waits for one of another connection to write.
pub const BUSY: Duration = secs(5);

/// Steps of SQLite's machine between two looks at the time and at who has left. Some tenths of a millisecond.
pub const STEPS: u32 = 20_000;

/// Columns of a table, and of a result. A row may have as many values of `VALUE_BYTES` as the budget has room for, twice.
pub const COLUMNS: usize = 256;

/// Rows that a connection reads before they are taken.
pub const ROWS_AHEAD: usize = 1;

}
