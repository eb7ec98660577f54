//! A database file of the state folder, and how many connections it may have.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _};
use tokio::time::timeout;

use super::backend::{Connection, Database, Error};
use super::connection::OfGuest;
use super::memory::{Memory, count_memory};
use super::seen::namespace;
use super::{Databases, Sqlite, guard};
use crate::backend::{Backend, Condition, Looked, Pool};
use crate::budget::Holdings;
use crate::granted::Granted;
use crate::places::{Closed, Place, Places, User};
use wasm_host_limits::sqlite::{self as limits, SqliteLimits};
use wasm_host_system::computing::Weight;
use wasm_host_system::counted::counted;
use wasm_host_system::owned;

/// Below the state folder.
const FOLDER: &str = "sqlite";

/// One file, as one of the services that share it uses it. Cheap to clone.
#[derive(Clone)]
pub(super) struct File {
    inner: Arc<Inner>,
    user: User,
    /// Of the user's statements: what is made of their rows is done elsewhere, where that takes much of a processor.
    weight: Arc<Weight>,
}

struct Inner {
    name: String,
    /// What telemetry calls it.
    namespace: String,
    folder: PathBuf,
    limits: SqliteLimits,
    /// Places for connections.
    places: Arc<Places>,
    /// Statements that run.
    running: AtomicUsize,
    /// Why it could not be opened when that was last tried.
    trouble: Mutex<Option<String>>,
}

impl File {
    pub(super) fn new(name: &str, state_dir: &Path, limits: SqliteLimits) -> Self {
        let inner = Inner {
            name: name.to_owned(),
            namespace: namespace(name),
            folder: state_dir.join(FOLDER),
            places: Places::new(limits.connections),
            limits,
            running: AtomicUsize::new(0),
            trouble: Mutex::default(),
        };
        Self { inner: Arc::new(inner), user: User::default(), weight: Arc::default() }
    }

    /// The same for a service, which does not get the places that are kept for those that have none.
    pub(super) fn for_service(&self, name: &str) -> Self {
        let user = self.inner.places.user(name);
        Self { inner: self.inner.clone(), user, weight: Arc::default() }
    }

    pub(super) fn namespace(&self) -> &str {
        &self.inner.namespace
    }

    pub(super) fn limits(&self) -> &SqliteLimits {
        &self.inner.limits
    }

    pub(super) fn weight(&self) -> Arc<Weight> {
        self.weight.clone()
    }

    /// A connection, what SQLite has for it, and its place among those that there may be. What is more than each may
    /// have is held for `account`.
    pub(super) async fn connect(
        &self,
        account: Option<&Holdings>,
    ) -> Result<(SqliteConnection, Arc<Memory>, Place), Error> {
        let wait = self.inner.limits.acquire_timeout;
        let place = match self.inner.places.free(self.user) {
            Some(place) => Ok(place),
            None => timeout(wait, self.inner.places.next(self.user)).await.unwrap_or(Err(Closed)),
        };
        let Ok(place) = place else {
            let (all, wait) = (self.inner.limits.connections, wait.as_secs_f32());
            return Err(Error::Failed(match self.inner.places.in_use() < all {
                true => format!(
                    "this service had all that it can have of {} to it in use for {wait} s; the last ones are kept \
                     for services that have none",
                    counted(all, "connection")
                ),
                false => format!("all {all} connections to it were in use for {wait} s"),
            }));
        };
        let memory = Memory::new(account);
        let opened = self.opened(memory.clone()).await;
        // Nothing is wrong with the file.
        if let Some(exhausted) = memory.refused().filter(|_| opened.is_err()) {
            return Err(Error::Failed(exhausted.to_string()));
        }
        *self.inner.trouble.lock() = opened.as_ref().err().cloned();
        match opened {
            Ok(connection) => Ok((connection, memory, place)),
            // The text may name the folder, which is for the log alone.
            Err(why) => {
                tracing::warn!(
                    database = self.inner.name,
                    "a SQLite database cannot be opened: {why}"
                );
                Err(Error::Failed(
                    "the database cannot be opened; the host's log says why".to_owned(),
                ))
            }
        }
    }

    async fn opened(&self, memory: Arc<Memory>) -> Result<SqliteConnection, String> {
        let said = |error: sqlx::Error| error.to_string();
        count_memory()?;
        owned::private_folder(&self.inner.folder).map_err(|error| format!("{error:#}"))?;
        let mut connection = self.options().connect().await.map_err(said)?;
        // Before the first of them reads what tables there are, which is a component's doing.
        guard::count(&mut connection.lock_handle().await.map_err(said)?, memory)?;
        let pragmas = sqlx::raw_sql(AssertSqlSafe(self.pragmas()));
        pragmas.execute(&mut connection).await.map_err(said)?;
        guard::guard(&mut connection.lock_handle().await.map_err(said)?);
        Ok(connection)
    }

    fn pragmas(&self) -> String {
        let pages = (self.inner.limits.size_bytes / limits::PAGE_BYTES).max(1);
        [
            // Before there is a page, or it means nothing. What is deleted makes room again.
            "auto_vacuum = full",
            "journal_mode = wal",
            // What was answered is there after a power cut, too.
            "synchronous = full",
            &format!("max_page_count = {pages}"),
            "journal_size_limit = 0",
            "trusted_schema = off",
            // Its files would have no bound, and its memory has one.
            "temp_store = memory",
        ]
        .map(|pragma| format!("pragma {pragma}"))
        .join("; ")
    }

    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(self.inner.folder.join(format!("{}.sqlite", self.inner.name)))
            .create_if_missing(true)
            .busy_timeout(limits::BUSY.min(self.inner.limits.statement_timeout))
            .thread_name(|_| "sqlite".to_owned())
            .row_buffer_size(limits::ROWS_AHEAD)
            // What is kept prepared is memory that nothing counts.
            .statement_cache_capacity(0)
            .disable_statement_logging()
    }

    /// A statement runs until what is returned is dropped.
    pub(super) fn runs(&self) -> Running {
        self.inner.running.fetch_add(1, Ordering::Relaxed);
        Running(self.clone())
    }
}

/// A statement that runs.
pub(super) struct Running(File);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.inner.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Database for File {
    fn name(&self) -> &str {
        &self.inner.name
    }

    fn open(&self) -> Arc<dyn Connection> {
        Arc::new(OfGuest::new(self.clone()))
    }
}

impl Backend for File {
    fn grant(&self, service: &str, granted: Granted) -> Granted {
        let databases: Databases = granted.of::<Sqlite>().cloned().unwrap_or_default();
        granted
            .with::<Sqlite>(databases.with(&self.inner.name, Arc::new(self.for_service(service))))
    }

    fn condition<'a>(&'a self, name: &'a str) -> Looked<'a> {
        Box::pin(async move {
            let trouble = self.inner.trouble.lock().clone();
            trouble.map_or(Condition::Up, |why| {
                Condition::Down(format!("the SQLite database {name} cannot be opened: {why}"))
            })
        })
    }

    fn calls(&self) -> usize {
        self.inner.running.load(Ordering::Relaxed)
    }

    /// A connection is a guest's as long as it likes, and idle between its statements.
    fn pool(&self) -> Option<Pool> {
        let (most, places) = (self.inner.limits.connections, &self.inner.places);
        let idle = Some(places.in_use().saturating_sub(self.calls()));
        Some(Pool { most, waiting: places.waiting(), idle })
    }
}
