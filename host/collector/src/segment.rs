//! One file of the store: a database of its own, so that one that is broken, or too old, goes without the others.
//!
//! It knows how a file is made, opened and found to be broken. It must not know what is asked of it, or how many files
//! there are.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use parking_lot::Mutex;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _, SqliteConnection};

use crate::room::Shares;
use wasm_host_limits::telemetry as limits;
use wasm_host_system::owned;
use wasm_host_telemetry::clock;

const SCHEMA: &str = include_str!("segment/schema.sql");

/// Of the schema. A file of another one is set aside.
const VERSION: i64 = 2;

/// What SQLite says of a file that is not what it was when it was written: corrupt, and no database.
const BROKEN: [u64; 2] = [11, 26];

/// The ids after the last rows that there ever were.
pub(super) const LOGS_END: &str =
    "select max(logs_end, coalesce((select max(id) + 1 from logs), 0)) from began";
pub(super) const TRACES_END: &str =
    "select max(traces_end, coalesce((select max(id) + 1 from traces), 0)) from began";

/// Steps of SQLite's machine between two looks at the time. Some tenths of a millisecond.
const STEPS: i32 = 20_000;

/// Prepared for a connection that reads.
const STATEMENTS: usize = 16;

/// Of a page of a file, by default.
const PAGE_BYTES: u64 = 4096;

#[derive(Debug)]
pub struct Segment {
    pub number: u64,
    pub path: PathBuf,
    /// Connections that read, waiting for the next question, each since when.
    idle: Mutex<Vec<(Instant, SqliteConnection)>>,
    /// The ids after its last rows.
    logs_end: AtomicU64,
    traces_end: AtomicU64,
    /// Traces of which more came after they could be read.
    grown: Mutex<Grown>,
    /// Which services filled it, once that was asked.
    pub(super) shares: Mutex<Option<Arc<Shares>>>,
    is_broken: AtomicBool,
    /// Its file is deleted or set aside; a question that is under way gets what is left.
    is_gone: AtomicBool,
}

/// The last traces that grew.
#[derive(Debug, Default)]
struct Grown {
    /// How many did, ever.
    count: u64,
    ids: VecDeque<u64>,
}

/// What is wrong with a file at the start.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("{0}")]
    Database(#[from] sqlx::Error),
    #[error("{0}")]
    File(#[from] io::Error),
    #[error("its tables are of version {0}, and this host knows {VERSION} alone")]
    Version(i64),
    /// The host ended before it had a table.
    #[error("it is empty")]
    Empty,
}

impl Unusable {
    /// Whether the file itself is at fault, and will be tomorrow. Else it is the disk, or the process that has no
    /// descriptor left.
    pub(super) fn is_of_the_file(&self) -> bool {
        match self {
            Self::Database(error) => is_broken(error),
            Self::File(error) => owned::is_disbelieved(error),
            Self::Version(_) | Self::Empty => true,
        }
    }
}

impl Segment {
    pub fn new(folder: &Path, number: u64) -> Self {
        let path = folder.join(format!("{number:08}.sqlite"));
        let first = AtomicU64::new(number * limits::STORE_FILE_ROWS);
        Self {
            number,
            path,
            idle: Mutex::new(Vec::new()),
            logs_end: AtomicU64::new(first.load(Ordering::Relaxed)),
            traces_end: first,
            grown: Mutex::default(),
            shares: Mutex::default(),
            is_broken: AtomicBool::new(false),
            is_gone: AtomicBool::new(false),
        }
    }

    /// The first id of its rows.
    pub fn first_id(&self) -> u64 {
        self.number * limits::STORE_FILE_ROWS
    }

    pub fn logs_end(&self) -> u64 {
        self.logs_end.load(Ordering::Acquire)
    }

    pub fn traces_end(&self) -> u64 {
        self.traces_end.load(Ordering::Acquire)
    }

    /// All rows before these can be read.
    pub fn set_ends(&self, logs: u64, traces: u64) {
        self.logs_end.store(logs, Ordering::Release);
        self.traces_end.store(traces, Ordering::Release);
    }

    /// More came of these traces. The last ones are remembered.
    pub fn grow(&self, ids: Vec<u64>) {
        let mut grown = self.grown.lock();
        grown.count += ids.len() as u64;
        grown.ids.extend(ids);
        let beyond = grown.ids.len().saturating_sub(limits::FOLLOW_GROWN);
        grown.ids.drain(..beyond);
    }

    /// The traces that grew after so many had, and how many have now. Those that are not remembered are left out.
    pub fn grown(&self, after: u64) -> (Vec<u64>, u64) {
        let grown = self.grown.lock();
        let new = usize::try_from(grown.count.saturating_sub(after)).unwrap_or(usize::MAX);
        let known = grown.ids.len().saturating_sub(new);
        (grown.ids.iter().skip(known).copied().collect(), grown.count)
    }

    /// A new file, and the connection that writes to it.
    pub async fn create(
        folder: &Path,
        number: u64,
        share: u64,
    ) -> Result<(Self, SqliteConnection), Unusable> {
        let segment = Self::new(folder, number);
        // SQLite gives the files beside it the same mode.
        owned::options().write(true).create_new(true).mode(0o600).open(&segment.path)?;
        match segment.begin(share).await {
            Ok(connection) => Ok((segment, connection)),
            Err(error) => {
                // It is tried again and again with another one.
                let _ = segment.delete();
                Err(error.into())
            }
        }
    }

    async fn begin(&self, share: u64) -> sqlx::Result<SqliteConnection> {
        let mut connection = self.writer(share).await?;
        let mut begun = connection.begin().await?;
        sqlx::raw_sql(SCHEMA).execute(&mut *begun).await?;
        let now = clock::now().cast_signed();
        sqlx::query("insert into began values (?, 0, 0)").bind(now).execute(&mut *begun).await?;
        let version = AssertSqlSafe(format!("pragma user_version = {VERSION}"));
        sqlx::query(version).execute(&mut *begun).await?;
        begun.commit().await?;
        Ok(connection)
    }

    /// One that is there, and the connection that writes to it. All that was committed is in the file then.
    pub async fn open(
        folder: &Path,
        number: u64,
        share: u64,
    ) -> Result<(Self, SqliteConnection), Unusable> {
        let segment = Self::new(folder, number);
        owned::believe(&segment.path)?;
        let mut connection = segment.writer(share).await?;
        known(&mut connection).await?;
        // This finds a file that is shorter than it says, too.
        checkpoint(&mut connection).await?;
        segment.learn_ends(&mut connection).await?;
        Ok((segment, connection))
    }

    async fn learn_ends(&self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
        let logs = pragma(connection, LOGS_END).await?;
        let traces = pragma(connection, TRACES_END).await?;
        let first = self.first_id();
        self.set_ends(logs.cast_unsigned().max(first), traces.cast_unsigned().max(first));
        Ok(())
    }

    /// One that is there, for questions alone. What was not moved into it yet is a part of it.
    pub async fn open_to_read(folder: &Path, number: u64) -> Result<Self, Unusable> {
        let segment = Self::new(folder, number);
        owned::believe_to_read(&segment.path)?;
        let mut connection = segment.reader(Instant::now() + limits::QUESTION).await?;
        known(&mut connection).await?;
        segment.learn_ends(&mut connection).await?;
        segment.take_back(connection);
        Ok(segment)
    }

    /// A connection that writes. There is one at a time.
    pub async fn writer(&self, share: u64) -> sqlx::Result<SqliteConnection> {
        // What waits beside the file to be moved into it is a part of its share; more of it is moved at less cost.
        let pages = (share / 4 / PAGE_BYTES).clamp(64, 4096);
        let options = self
            .options()
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .pragma("wal_autocheckpoint", pages.to_string())
            .pragma("journal_size_limit", "0")
            .pragma("cache_size", "-32768")
            // What is forgotten is written over; a page that was free before may have had a copy.
            .pragma("secure_delete", "on")
            .foreign_keys(false);
        options.connect().await
    }

    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(&self.path)
            .busy_timeout(limits::WRITE_BUSY)
            .thread_name(|_| "telemetry-file".to_owned())
            .pragma("temp_store", "memory")
            .pragma("trusted_schema", "off")
            .disable_statement_logging()
    }

    fn reading(&self) -> SqliteConnectOptions {
        // Texts of questions differ in how many values they have; few of them come again.
        self.options()
            .read_only(true)
            .pragma("query_only", "on")
            .statement_cache_capacity(STATEMENTS)
    }

    /// A connection that reads, until then.
    pub async fn reader(&self, until: Instant) -> sqlx::Result<SqliteConnection> {
        let waiting = self.idle.lock().pop();
        let mut connection = match waiting {
            Some((_, connection)) => connection,
            None => self.reading().connect().await?,
        };
        let mut handle = connection.lock_handle().await?;
        handle.set_progress_handler(STEPS, move || Instant::now() < until);
        drop(handle);
        Ok(connection)
    }

    /// It may be used again.
    pub fn take_back(&self, connection: SqliteConnection) {
        let mut idle = self.idle.lock();
        if idle.len() < limits::IDLE_CONNECTIONS && !self.is_gone() {
            idle.push((Instant::now(), connection));
        }
    }

    /// Each connection has a thread, and pages of the file: there are no questions for hours, and then several at once.
    pub(super) fn rest(&self) {
        self.idle.lock().retain(|(since, _)| since.elapsed() < limits::IDLE);
    }

    /// What a question ended with, where it tells something of the file.
    pub fn learn(&self, error: &sqlx::Error) {
        if is_broken(error) {
            self.is_broken.store(true, Ordering::Relaxed);
        }
    }

    pub fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed)
    }

    pub fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Relaxed)
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.files().filter_map(|path| fs::metadata(path).ok()).map(|found| found.len()).sum()
    }

    /// When it was written to, as far as that is in the file itself: those beside it come with readers.
    pub(super) fn written(&self) -> Option<SystemTime> {
        fs::metadata(&self.path).ok()?.modified().ok()
    }

    /// What was changed in it is no newer for that.
    pub(super) fn set_written(&self, written: SystemTime) -> io::Result<()> {
        fs::File::options().write(true).open(&self.path)?.set_modified(written)
    }

    /// The database, and what SQLite has beside it.
    fn files(&self) -> impl Iterator<Item = PathBuf> {
        ["", "-wal", "-shm"].into_iter().map(|end| with_end(&self.path, end))
    }

    pub fn delete(&self) -> io::Result<()> {
        self.leave();
        for path in self.files() {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Out of the way, and kept for people who look for the reason.
    pub fn set_aside(&self) -> io::Result<PathBuf> {
        self.leave();
        let aside = with_end(&self.path, ".broken");
        fs::rename(&self.path, &aside)?;
        for path in self.files() {
            let _ = fs::remove_file(path);
        }
        Ok(aside)
    }

    fn leave(&self) {
        self.is_gone.store(true, Ordering::Relaxed);
        self.idle.lock().clear();
    }
}

/// Move all that was committed into the file itself. False: a question reads the file, and so not all of it was moved,
/// or what was written over is still beside it.
pub(super) async fn checkpoint(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    // SQLite calls that no error.
    Ok(pragma(connection, "pragma wal_checkpoint(truncate)").await? == 0)
}

/// Whether it is the file that an operation failed for.
pub(super) fn is_broken(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u64>().ok());
    code.is_some_and(|code| BROKEN.contains(&(code & 0xff)))
}

/// Whether its tables are those that are known here.
async fn known(connection: &mut SqliteConnection) -> Result<(), Unusable> {
    let version = pragma(connection, "pragma user_version").await?;
    if version == VERSION {
        return Ok(());
    }
    let tables = pragma(connection, "select count(*) from sqlite_schema").await?;
    match (version, tables) {
        (0, 0) => Err(Unusable::Empty),
        _ => Err(Unusable::Version(version)),
    }
}

async fn pragma(connection: &mut SqliteConnection, text: &'static str) -> sqlx::Result<i64> {
    sqlx::query(text).fetch_one(connection).await?.try_get(0)
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(end);
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Fault (Telemetry): a file of the store that the disk, or a lack of descriptors, keeps from being opened | goes on without it, tries it again | its answer | nothing
    #[test]
    fn what_keeps_a_file_from_being_opened_for_now_is_no_fault_of_the_file() {
        use rustix::io::Errno;
        for passing in [Errno::IO, Errno::MFILE, Errno::NFILE, Errno::ACCESS, Errno::NOMEM] {
            assert!(!Unusable::File(passing.into()).is_of_the_file(), "{passing:?}");
        }
        assert!(!Unusable::Database(sqlx::Error::PoolTimedOut).is_of_the_file());
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        let linked = owned::believe(&link).unwrap_err();
        assert!(Unusable::File(linked).is_of_the_file());
        assert!(Unusable::Version(1).is_of_the_file());
    }
}
