//! A database file of the state folder, and how many connections it may have.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::backend::{Connection, Database, Error};
use super::connection::OfGuest;
use super::{Databases, Sqlite, guard, namespace};
use crate::backend::{Backend, Condition, Looked, Pool};
use crate::granted::Granted;
use wasm_host_limits::sqlite::{self as limits, SqliteLimits};
use wasm_host_system::owned;

/// Below the state folder.
const FOLDER: &str = "sqlite";

/// One file. Cheap to clone.
#[derive(Clone)]
pub(super) struct File(Arc<Inner>);

struct Inner {
    name: String,
    /// What telemetry calls it.
    namespace: String,
    folder: PathBuf,
    limits: SqliteLimits,
    /// Places for connections.
    places: Arc<Semaphore>,
    /// Calls that wait for one of them.
    waiting: AtomicUsize,
    /// Statements that run.
    running: AtomicUsize,
    /// Why it could not be opened when that was last tried.
    trouble: Mutex<Option<String>>,
}

impl File {
    pub(super) fn new(name: &str, state_dir: &Path, limits: SqliteLimits) -> Self {
        Self(Arc::new(Inner {
            name: name.to_owned(),
            namespace: namespace(name),
            folder: state_dir.join(FOLDER),
            places: Arc::new(Semaphore::new(limits.connections)),
            limits,
            waiting: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            trouble: Mutex::default(),
        }))
    }

    pub(super) fn namespace(&self) -> &str {
        &self.0.namespace
    }

    pub(super) fn limits(&self) -> &SqliteLimits {
        &self.0.limits
    }

    /// A connection, and its place among those that there may be.
    pub(super) async fn connect(&self) -> Result<(SqliteConnection, OwnedSemaphorePermit), Error> {
        let wait = self.0.limits.acquire_timeout;
        let place = {
            let _waits = Counted::one_of(&self.0.waiting);
            timeout(wait, self.0.places.clone().acquire_owned()).await
        };
        let Ok(Ok(place)) = place else {
            let all = self.0.limits.connections;
            let why =
                format!("all {all} connections to it were in use for {} s", wait.as_secs_f32());
            return Err(Error::Failed(why));
        };
        let opened = self.opened().await;
        *self.0.trouble.lock() = opened.as_ref().err().cloned();
        match opened {
            Ok(connection) => Ok((connection, place)),
            // The text may name the folder, which is for the log alone.
            Err(why) => {
                tracing::warn!(database = self.0.name, "a SQLite database cannot be opened: {why}");
                Err(Error::Failed(
                    "the database cannot be opened; the host's log says why".to_owned(),
                ))
            }
        }
    }

    async fn opened(&self) -> Result<SqliteConnection, String> {
        owned::private_folder(&self.0.folder).map_err(|error| format!("{error:#}"))?;
        let mut connection = self.options().connect().await.map_err(|error| error.to_string())?;
        let handle = connection.lock_handle().await;
        guard::guard(&mut handle.map_err(|error| error.to_string())?);
        Ok(connection)
    }

    fn options(&self) -> SqliteConnectOptions {
        let limits = &self.0.limits;
        let pages = (limits.size_bytes / limits::PAGE_BYTES).max(1);
        SqliteConnectOptions::new()
            .filename(self.0.folder.join(format!("{}.sqlite", self.0.name)))
            .create_if_missing(true)
            // Before there is a page, or it means nothing. What is deleted makes room again.
            .auto_vacuum(SqliteAutoVacuum::Full)
            .journal_mode(SqliteJournalMode::Wal)
            // What was answered is there after a power cut, too.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(limits::BUSY.min(limits.statement_timeout))
            .pragma("max_page_count", pages.to_string())
            .pragma("journal_size_limit", "0")
            .pragma("trusted_schema", "off")
            .thread_name(|_| "sqlite".to_owned())
            .row_buffer_size(limits::ROWS_AHEAD)
            // What is kept prepared is memory that nothing counts.
            .statement_cache_capacity(0)
            .disable_statement_logging()
    }

    /// A statement runs until what is returned is dropped.
    pub(super) fn runs(&self) -> Running {
        self.0.running.fetch_add(1, Ordering::Relaxed);
        Running(self.clone())
    }
}

/// A statement that runs.
pub(super) struct Running(File);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One of those that are counted, until it is dropped.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn one_of(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Database for File {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn open(&self) -> Arc<dyn Connection> {
        Arc::new(OfGuest::new(self.clone()))
    }
}

impl Backend for File {
    fn grant(&self, _service: &str, granted: Granted) -> Granted {
        let databases: Databases = granted.of::<Sqlite>().cloned().unwrap_or_default();
        granted.with::<Sqlite>(databases.with(&self.0.name, Arc::new(self.clone())))
    }

    fn condition<'a>(&'a self, name: &'a str) -> Looked<'a> {
        Box::pin(async move {
            let trouble = self.0.trouble.lock().clone();
            trouble.map_or(Condition::Up, |why| {
                Condition::Down(format!("the SQLite database {name} cannot be opened: {why}"))
            })
        })
    }

    fn calls(&self) -> usize {
        self.0.running.load(Ordering::Relaxed)
    }

    /// A connection is a guest's as long as it likes, and idle between its statements.
    fn pool(&self) -> Option<Pool> {
        let most = self.0.limits.connections;
        let open = most.saturating_sub(self.0.places.available_permits());
        let idle = Some(open.saturating_sub(self.calls()));
        Some(Pool { most, waiting: self.0.waiting.load(Ordering::Relaxed), idle })
    }
}
