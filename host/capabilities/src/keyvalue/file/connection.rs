//! The file of a bucket: how it is made and opened, and what SQLite says of it.

use std::path::PathBuf;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, SqliteConnection};

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

pub(super) fn is_full(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    let code = error.code().and_then(|code| code.parse::<u64>().ok());
    // The lowest byte is what the others say more of.
    code.is_some_and(|code| code & 0xff == FULL)
}
