//! The bounds of the embedded Postgres server.

use std::time::Duration;

use super::{GIB, MIB, MINUTE};

settings! {

/// Of `[postgres.NAME]` without a url.
pub struct DatabaseLimits {
    /// Disk that a database of the host's own may take, with its tables, indexes and what deleted rows leave.
    // More than most services ever have, and it leaves room for others on most disks; the least is four times an empty
    // one.
    pub size_bytes: u64 = "size", 10 * GIB, 32 * MIB..=16 * 1024 * GIB;
}

}

bounds! {

// === Getting one ===

/// Time for a program to say its version. It reads no file.
pub const VERSION_TIMEOUT: Duration = Duration::from_secs(10);

/// Time to download a server: some 10 to 50 MB.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(5 * MINUTE);

/// Time for `initdb`: some seconds, more on a slow disk.
pub const CREATE_TIMEOUT: Duration = Duration::from_secs(2 * MINUTE);

// === Starting and stopping ===

/// Time for the server to accept connections. Replaying its journal after a crash can take long.
pub const START_TIMEOUT: Duration = Duration::from_secs(2 * MINUTE);

/// Attempts to start a server: another program may take the port between choosing and using it.
pub const START_ATTEMPTS: u32 = 5;

/// Wait between two attempts. The processes of a killed server take about as long to end.
pub const START_RETRY: Duration = Duration::from_secs(1);

/// Time for one login while it starts. Without it, a server that accepts and says nothing would use
/// up [`START_TIMEOUT`] unseen.
pub const LOGIN_TIMEOUT: Duration = Duration::from_secs(5);

/// How often is looked whether the server has started or stopped. No person notices it.
pub const POLL: Duration = Duration::from_millis(50);

/// How often is looked whether the server's socket is still there. Without it no statement finds the server that has no
/// connection yet.
pub const SOCKET_LOOK: Duration = Duration::from_secs(1);

/// Time in which a server makes its socket. One that has none by then is started again.
pub const SOCKET_MADE: Duration = Duration::from_secs(30);

/// Time for the last words of a server that ended to come through its pipe.
pub const LAST_WORDS: Duration = Duration::from_millis(100);

/// Time for a shutdown that cancels statements and writes everything out. When requests were cut
/// before, an orchestrator may kill earlier; then the next start has something to repair.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// Time for a shutdown that leaves the rest to the next start's recovery.
pub const QUIT_TIMEOUT: Duration = Duration::from_secs(5);

/// First and longest wait before a server that died is started again. It doubles in between, and
/// starts again from the first once a server has lived for longer than the longest.
pub const RESTART_WAIT_FIRST: Duration = Duration::from_secs(1);
pub const RESTART_WAIT_LAST: Duration = Duration::from_secs(30);

// === Running ===

/// How often is looked which of its processes compute.
pub const COMPUTING_LOOK: Duration = Duration::from_millis(250);

/// Processor time of a process from one look to the next below which it is not asked further: a tenth of a processor.
pub const COMPUTING_LEAST: Duration = Duration::from_millis(25);

/// Processor time from one wait to the next, on the average from one look to the next, from which on a process computes.
/// Small statements take some hundred microseconds.
pub const COMPUTING_TURN: Duration = Duration::from_millis(5);

/// Bytes of the path to the folder of its socket. With the name that the server appends, it must
/// fit the 107 bytes that systems allow.
pub const SOCKET_PATH_BYTES: usize = 85;

/// Connections that it accepts at least. It is more where the pools of its databases can need more than that.
pub const CONNECTIONS: u32 = 150;

/// Connections beside those of its databases: the administrator's, and what people open.
pub const OTHER_CONNECTIONS: u32 = 20;

/// Connections that the role of a database may have beyond twice its pool: to cancel statements, to run scripts, and
/// for those that are being closed.
pub const SPARE_CONNECTIONS: u32 = 4;

/// Address space of each of its processes, in KiB. With what it shares with the others, about a quarter of that is in
/// use in one that rests. A statement that wants more, whatever it sets, fails with 53200, and no other notices.
pub const PROCESS_KIB: u64 = 1024 * 1024;

/// Temporary files of one process, in KiB: what sorts and joins take on the disk.
pub const TEMPORARY_KIB: u64 = 1024 * 1024;

/// Locks in the server's table for each connection: four times its own default, some 15 MB with the least connections.
pub const LOCKS: u32 = 256;

/// A database that holds more than the whole divided by this is shut out. No honest one holds thousands.
pub const LOCKS_SHARE: u32 = 4;

/// First and longest time for which it is shut out. It doubles each time.
pub const SHUT_FIRST: Duration = Duration::from_secs(MINUTE);
pub const SHUT_LAST: Duration = Duration::from_secs(60 * MINUTE);

/// How often the guard looks at what databases take of what they share. A statement fills a table of locks in a tenth of that,
/// and writes some hundred MB.
pub const GUARD_INTERVAL: Duration = Duration::from_millis(500);

/// Time for one look. A server that takes longer has other troubles.
pub const GUARD_TIMEOUT: Duration = Duration::from_secs(5);

/// Part of the disk that stays free for the server's journal, and its bounds in bytes. It has to last for what is
/// written from one look to the next.
pub const FLOOR_SHARE: u64 = 20;
pub const FLOOR_LEAST: u64 = 128 * MIB;
pub const FLOOR_MOST: u64 = 512 * MIB;

/// A database that was full is written to again when this part of what it may have is free, so that one row more or
/// less does not change what it may do.
pub const SIZE_AGAIN_SHARE: u64 = 20;

/// Part of what it may have by which a full database may grow while it makes room: what writes then is ended. At twice
/// as much it is shut.
pub const SIZE_MARGIN_SHARE: u64 = 8;

/// How often databases are measured at most. One that is written to as fast as a disk can grows by some hundred MB in
/// that.
pub const SIZE_INTERVAL: Duration = Duration::from_millis(500);

/// The wait after databases were measured, as a multiple of the time that it took: the server looks at each file of
/// theirs, which are twenty thousand for five thousand tables, and takes 55 ms.
pub const SIZE_REST: u32 = 20;

/// Time to measure all databases. A disk that is slower is busy with more important things.
pub const SIZE_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes that are put aside for the start on a full disk: four segments of the journal.
pub const RESERVE: u64 = 64 * MIB;

/// Bytes after which its log becomes `server.log.1`, in place of the one before: days of a server
/// that logs what goes wrong only.
pub const LOG_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Bytes that are kept of one line of its log.
pub const LOG_LINE_BYTES: usize = 8 * 1024;

/// Lines of its log that are kept in memory to explain a failed start. It says less than that.
pub const LOG_TAIL_LINES: usize = 20;

// === Init scripts ===

/// Time for all scripts of a database, the wait for another host that runs them included.
pub const INIT_TIMEOUT: Duration = Duration::from_secs(10 * MINUTE);

/// Bytes of one script. It is held in memory several times over while it runs; data in bulk has
/// better ways.
pub const INIT_SCRIPT_BYTES: u64 = 16 * MIB;

/// Lines of the log for what the server says while one script runs. A reader who wants more would look into the script.
pub const INIT_NOTICES: usize = 100;

/// Time to connect for init scripts. The database may be one that the host did not start, and far away.
pub const INIT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

}
