//! The bounds of the key-value capability.

use std::time::Duration;

use super::backends::BreakerConfig;
use super::{DAY, GIB, MIB, MINUTE, millis, secs};

settings! {

/// Of `[keyvalue.NAME]`.
pub struct BucketLimits {
    /// Time for one call, whatever it waits for.
    // Buckets are for what is quick: a caller that waits longer is better off without.
    pub timeout: Duration = "timeout", secs(5), millis(1)..=secs(DAY);
}

/// Of a bucket in the memory of the host or in a file of the state folder.
pub struct OwnBucketLimits {
    /// Bytes that it may take. In memory these are its keys and values and what is around them; in a file they are the
    /// file's, beside which some more wait to be moved into it.
    // Sessions and counters of many users; what is larger is a database.
    pub size_bytes: u64 = "size", 64 * MIB, MIB..=64 * GIB;
}

/// Of a bucket on a Redis server.
pub struct RedisLimits {
    /// Connections to the server.
    // One call each, of some tenths of a millisecond: eight serve more calls than the host makes.
    pub connections: usize = "pool", 8, 1..=1000;

    /// Time that a call waits for a connection that is free.
    // Less than a call may take, so that it can tell what it waited for.
    pub acquire_timeout: Duration = "acquire-timeout", secs(2), millis(1)..=secs(10 * MINUTE);

    /// Time to connect and log in.
    // Long enough for a lost packet.
    pub connect_timeout: Duration = "connect-timeout", secs(2), millis(1)..=secs(5 * MINUTE);

    pub breaker: BreakerConfig;
}

}

bounds! {

/// Bytes of a key, and of the name by which a guest opens a bucket. Longer ones are values by mistake.
pub const KEY_BYTES: usize = 1024;

/// Bytes of a value. It is in the memory of host and guest at once.
pub const VALUE_BYTES: usize = 16 * 1024 * 1024;

/// Keys of one batch, and keys of one page of a list.
pub const BATCH_KEYS: usize = 1000;
pub const PAGE_KEYS: usize = 1000;

/// Bytes of the values of one batch, those that it sets or those that it gets.
pub const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// Bytes that an entry of a bucket in memory counts for beside its key, twice, and its value.
pub const ENTRY_BYTES: usize = 256;

/// Connections that read a bucket's file, at once. Reading takes some tens of microseconds.
pub const FILE_READERS: usize = 4;

/// Pages of 4 KiB that wait beside a bucket's file until they are moved into it.
pub const FILE_WAL_PAGES: u64 = 1000;

/// Bytes of what waits beside a bucket's file beyond which reads are held back for a moment, so that it can be moved into
/// it: while they overlap without a pause, it grows. One batch more is written before that is seen.
pub const FILE_LOG_BYTES: u64 = 16 * MIB;

/// Time in which the connections to a bucket's file are closed when the host stops. The last one moves into the file
/// what waits beside it.
pub const FILE_CLOSE: Duration = Duration::from_secs(5);

/// Time that one process waits for another that has a bucket's file, which a host that has been killed and started again
/// does.
pub const FILE_BUSY: Duration = Duration::from_secs(2);

/// Bytes of a value up to which it is read without looking at its size before.
pub const SMALL_BYTES: usize = 64 * 1024;

/// Scans of a Redis server for one page of a list, as long as none has a key of the bucket.
pub const REDIS_SCANS: usize = 64;

/// A connection to a Redis server that was idle for longer is asked for a sign of life before use, and time for that. It
/// is one round trip; one that takes longer is replaced.
pub const REDIS_CHECK_AFTER: Duration = Duration::from_secs(1);
pub const REDIS_CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection to a Redis server that was idle for longer is closed.
pub const REDIS_IDLE: Duration = Duration::from_secs(300);

/// A connection to a Redis server that is older is closed after its call, so that a name which stands for another server
/// by now is followed, also where nothing is written.
pub const REDIS_AGE: Duration = Duration::from_secs(10 * MINUTE);

/// Bytes of the configuration of a service, keys and values: all of it is copied for a call that asks for all.
pub const CONFIG_BYTES: usize = 1024 * 1024;

}
