//! The file of a bucket: how it is made and opened, and what SQLite says of it.

use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, SqliteConnection};

use super::super::backend::Error;
use crate::sqlite::count_memory;
use wasm_host_limits::keyvalue as limits;
use wasm_host_system::owned;

const SCHEMA: &str = "
create table if not exists entries (
    id integer primary key,
    key text not null unique,
    value blob not null
) strict";

/// What SQLite says where a file, or the disk, has no room.
const FULL: u64 = 13;

/// What it says of pages that are not what they should be, and of a file that is no database.
const DAMAGED: [u64; 2] = [11, 26];

/// Of the file.
const PAGE_BYTES: u64 = 4096;

/// Prepared on a connection: more than there are.
const STATEMENTS: usize = 16;

pub(super) struct File {
    pub(super) path: PathBuf,
    /// The most that it may have.
    pub(super) size_bytes: u64,
}

impl File {
    /// The connection that writes. There is one at a time. Makes the file if it is not there.
    pub(super) async fn writer(&self) -> anyhow::Result<SqliteConnection> {
        use std::os::unix::fs::OpenOptionsExt as _;
        if let Some(folder) = self.path.parent() {
            owned::private_folder(folder)?;
        }
        // SQLite gives the files beside it the same mode.
        match owned::options().write(true).create_new(true).mode(0o600).open(&self.path) {
            Ok(made) => drop(made),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                owned::believe(&self.path)?;
            }
            Err(error) => return Err(error.into()),
        }
        let pages = (self.size_bytes / PAGE_BYTES).max(1);
        let options = self
            .options()
            .page_size(PAGE_BYTES as u32)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("wal_autocheckpoint", limits::FILE_WAL_PAGES.to_string())
            .pragma("journal_size_limit", (limits::FILE_WAL_PAGES * PAGE_BYTES).to_string())
            .pragma("max_page_count", pages.to_string())
            // Values that are gone may have been secrets.
            .pragma("secure_delete", "fast");
        // What databases of components allocate is counted in the whole process, from its beginning.
        count_memory().map_err(anyhow::Error::msg)?;
        let mut connection = options.connect().await?;
        sqlx::raw_sql(SCHEMA).execute(&mut connection).await?;
        Ok(connection)
    }

    pub(super) async fn reader(&self) -> sqlx::Result<SqliteConnection> {
        self.options().read_only(true).pragma("query_only", "on").connect().await
    }

    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(&self.path)
            .busy_timeout(limits::FILE_BUSY)
            .thread_name(|_| "bucket-file".to_owned())
            .statement_cache_capacity(STATEMENTS)
            .pragma("temp_store", "memory")
            .pragma("trusted_schema", "off")
            .disable_statement_logging()
    }
}

/// Why a bucket's file cannot be used.
pub(super) enum Wrong {
    /// It cannot be opened.
    Unopened(anyhow::Error),
    /// What a statement says.
    Statement(sqlx::Error),
    /// Something a statement has found earlier.
    Damaged(String),
    /// Another file is in its place, beside which its log still is.
    Torn,
}

impl Wrong {
    /// In full, for the host's log and its `/ready`.
    pub(super) fn shown(&self, bucket: &str, path: &Path) -> String {
        let why = match self {
            Self::Unopened(error) => format!("{error:#}"),
            Self::Statement(error) => error.to_string(),
            Self::Damaged(why) => why.clone(),
            Self::Torn => {
                let (log, index) = (beside(path, "-wal"), beside(path, "-shm"));
                format!(
                    "it was taken away or replaced while the host has it open; stop the host, move {} and {} away, too, \
                     and start it again",
                    log.display(),
                    index.display()
                )
            }
        };
        format!("the file {} of the bucket {bucket} cannot be used: {why}", path.display())
    }

    /// For components, which are not told where files are: words that continue a complaint, or none.
    pub(super) fn told(&self) -> String {
        let of_sqlite = match self {
            Self::Statement(error) => Some(error),
            Self::Unopened(error) => error.downcast_ref(),
            Self::Damaged(_) | Self::Torn => None,
        };
        match of_sqlite {
            Some(sqlx::Error::Database(error)) => format!(": {}", error.message()),
            _ => String::new(),
        }
    }
}

/// What SQLite keeps beside a file, by the end of its name.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Bytes of the log beside a file.
pub(super) fn log_bytes(path: &Path) -> u64 {
    std::fs::symlink_metadata(beside(path, "-wal")).map_or(0, |log| log.len())
}

/// Move all of the log into its file, and cut it to nothing. False if something reads that does not end in time.
pub(super) async fn move_log(connection: &mut SqliteConnection) -> bool {
    let moved = sqlx::query_scalar::<_, i64>("pragma wal_checkpoint(truncate)");
    moved.fetch_one(connection).await.is_ok_and(|is_busy| is_busy == 0)
}

/// Whether something can be read.
pub(super) async fn look(connection: &mut SqliteConnection) -> sqlx::Result<Result<(), Error>> {
    sqlx::query("select 1 from entries limit 1").fetch_optional(connection).await?;
    Ok(Ok(()))
}

pub(super) fn is_full(error: &sqlx::Error) -> bool {
    code(error) == Some(FULL)
}

pub(super) fn is_damaged(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| DAMAGED.contains(&code))
}

fn code(error: &sqlx::Error) -> Option<u64> {
    let sqlx::Error::Database(error) = error else { return None };
    let code = error.code()?.parse::<u64>().ok()?;
    // The lowest byte is what the others say more of.
    Some(code & 0xff)
}
