//! The real database: a bounded pool of connections to one database of one server.
//!
//! Not the driver's own pool, for three reasons: it has no place for what the host knows of a
//! connection (the server's process to cancel, what the last statement left behind); it waits out
//! the whole acquire timeout while a server refuses connections, which would make `unavailable`
//! look like `busy`; and it asks the server for a sign of life after every statement.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::backend::{Database, Error, Reply, Rows, Transaction, Value};
use super::connection::{Administrator, Connection, Control};
use super::login::{Login, Process};
use super::pooled::Unusable;
use super::statement::{self, Task, Work};
use super::url::Address;
use super::{error, run, transaction};
use crate::capability::breaker::Breaker;
use crate::config::BreakerConfig;
use crate::limits::postgres as limits;
use crate::threads;

/// The bounds of one database.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// Connections for statements. One more may be opened to cancel them.
    pub connections: usize,
    pub acquire_timeout: Duration,
    /// To connect and log in.
    pub connect_timeout: Duration,
    pub statement_timeout: Duration,
    /// When a server that cannot be reached is no longer tried for every statement.
    pub breaker: BreakerConfig,
}

/// A database on a real server. Connects when it is first used. Cheap to clone.
#[derive(Clone)]
pub struct PgDatabase(Arc<Pool>);

impl PgDatabase {
    pub fn new(address: Address, config: PoolConfig) -> Self {
        let connections = config.connections.max(1);
        let what = format!("the database {}", address.database());
        let login = Arc::new(Login::new(address));
        Self(Arc::new(Pool {
            breaker: Breaker::new(what, config.breaker.clone()),
            control: Arc::new(Control::new(login.clone())),
            administrator: OnceLock::new(),
            login,
            config,
            permits: Arc::new(Semaphore::new(connections)),
            idle: Mutex::new(Idle { connections: Vec::new(), failed: None }),
            is_down: AtomicBool::new(false),
        }))
    }

    /// The same with somebody who ends what its own role cannot.
    pub fn administered(self, administrator: &Administrator) -> Self {
        let _ = self.0.administrator.set(administrator.clone());
        self
    }

    /// Whether the server answers, for `/ready`.
    pub async fn check(&self) -> Result<(), Error> {
        // Not over a pooled connection: a busy database is ready.
        if self.0.control.is_alive().await {
            self.0.breaker.reached();
            Ok(())
        } else {
            Err(Error::Unavailable("the database server does not answer".to_string()))
        }
    }

    /// Connections in use at this moment: by statements, by open transactions, or on their way back.
    pub fn in_use(&self) -> usize {
        let Pool { config, permits, .. } = &*self.0;
        config.connections.max(1).saturating_sub(permits.available_permits())
    }

    /// Whether statements fail without a connection being tried.
    pub fn is_open(&self) -> bool {
        self.0.breaker.is_open()
    }

    /// Close the connections that are not in use. Those in use close when they come back.
    pub fn close(&self) {
        self.0.permits.close();
        self.0.idle().connections.clear();
    }
}

impl Database for PgDatabase {
    fn query(
        &self,
        statement: String,
        parameters: Vec<Value>,
        request: CancellationToken,
    ) -> Reply<'_, Rows> {
        let (task, pending) =
            statement::call(Work::statement(statement, parameters), true, request, None);
        Box::pin(async move {
            tokio::spawn(self.0.clone().serve(task));
            pending.rows().await
        })
    }

    fn execute(
        &self,
        statement: String,
        parameters: Vec<Value>,
        request: CancellationToken,
    ) -> Reply<'_, u64> {
        let (task, pending) =
            statement::call(Work::statement(statement, parameters), false, request, None);
        Box::pin(async move {
            tokio::spawn(self.0.clone().serve(task));
            pending.count().await
        })
    }

    fn begin(&self, request: CancellationToken) -> Reply<'_, Arc<dyn Transaction>> {
        Box::pin(async move {
            let transaction = transaction::begin(self.0.clone(), request).await?;
            Ok(Arc::new(transaction) as Arc<dyn Transaction>)
        })
    }
}

pub(super) struct Pool {
    login: Arc<Login>,
    pub(super) config: PoolConfig,
    pub(super) control: Arc<Control>,
    administrator: OnceLock<Administrator>,
    permits: Arc<Semaphore>,
    idle: Mutex<Idle>,
    /// Asked before a connection is opened. Those that are open are used whatever it says.
    breaker: Arc<Breaker>,
    /// The last attempt to connect failed.
    is_down: AtomicBool,
}

struct Idle {
    /// The one used last is at the end, and is used next.
    connections: Vec<Connection>,
    /// When a connection was last lost. Those idle since before then may be lost, too.
    failed: Option<Instant>,
}

impl Idle {
    /// One of this thread, or any.
    fn take(&mut self) -> Option<Connection> {
        let here = threads::current();
        let own = self.connections.iter().rposition(|connection| connection.home == here);
        match own {
            Some(own) => Some(self.connections.remove(own)),
            None => self.connections.pop(),
        }
    }
}

impl Pool {
    /// Run a statement outside any transaction. A task of its own: the caller may be gone at any
    /// time, and the connection must still come back in a known state.
    async fn serve(self: Arc<Self>, mut task: Task) {
        let acquired = task.stop.or_unwanted(self.acquire()).await;
        match acquired {
            Err(error) => task.finish(Err(error)),
            Ok(mut lease) => {
                let result = run::run(&mut lease.connection, &self, &mut task, true).await;
                // A clean connection goes back first, so that the caller's next call finds it.
                if lease.connection.is_clean() {
                    lease.release().await;
                    task.finish(result);
                } else {
                    task.finish(result);
                    lease.release().await;
                }
            }
        }
    }

    pub(super) async fn acquire(self: &Arc<Self>) -> Result<Lease, Error> {
        let busy = || {
            Error::Busy(format!(
                "all {} connections to the database were in use for {} s",
                self.config.connections,
                self.config.acquire_timeout.as_secs_f32(),
            ))
        };
        let permit = timeout(self.config.acquire_timeout, self.permits.clone().acquire_owned())
            .await
            .map_err(|_| busy())?
            .map_err(|_| Error::Unavailable("the host is stopping".to_string()))?;
        loop {
            let (idle, failed) = {
                let mut idle = self.idle();
                (idle.take(), idle.failed)
            };
            let connection = match idle {
                None => self.open().await?,
                Some(connection) if connection.is_doubtful(&self.login) => continue,
                Some(mut connection) => {
                    let suspect = connection.idle_since.elapsed() > limits::CHECK_AFTER
                        || failed.is_some_and(|failed| connection.idle_since <= failed);
                    if suspect && !connection.is_alive().await {
                        continue;
                    }
                    connection
                }
            };
            return Ok(Lease { connection, pool: self.clone(), permit });
        }
    }

    /// End the server's process of a connection that is given up, so that its statement does not outlive it.
    pub(super) fn terminate(&self, process: Process) {
        let own = || self.control.clone();
        let control = self.administrator.get().map_or_else(own, |it| it.0.clone());
        tokio::spawn(async move { control.terminate(process).await });
    }

    async fn open(&self) -> Result<Connection, Error> {
        let pass = self.breaker.admit().map_err(|_| error::given_up())?;
        let database = self.login.database();
        let opened = error::caught(Connection::open(&self.login, &self.config)).await;
        let opened = opened.unwrap_or(Err(Unusable::Sql(sqlx::Error::WorkerCrashed)));
        let was_down = self.is_down.swap(opened.is_err(), Ordering::Relaxed);
        match &opened {
            Ok(_) => {
                // The breaker says so itself if it had opened.
                if was_down && !self.breaker.is_open() {
                    tracing::info!(database, "a database can be reached again");
                }
                pass.reached();
            }
            // A server that says no is there, and says so at once.
            Err(Unusable::Torn) => pass.reached(),
            Err(Unusable::Sql(error)) if error::code(error).is_some() => pass.reached(),
            Err(_) => pass.failed(),
        }
        opened.map_err(|error| {
            error::of_unusable(&error, database, !was_down, self.config.connect_timeout)
        })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Idle> {
        // The list is whole between any two of its own operations.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in use. Dropping it without [`Lease::release`] closes it.
pub(super) struct Lease {
    pub(super) connection: Connection,
    pool: Arc<Pool>,
    permit: OwnedSemaphorePermit,
}

impl Lease {
    /// Give the connection back, in its first state or not at all.
    pub(super) async fn release(self) {
        let Self { mut connection, pool, permit } = self;
        if connection.broken {
            pool.idle().failed = Some(Instant::now());
        }
        let keep = (connection.is_clean() || connection.reset().await)
            && connection.opened.elapsed() < limits::CONNECTION_LIFETIME
            && !pool.permits.is_closed();
        let mut idle = pool.idle();
        if keep {
            connection.idle_since = Instant::now();
            idle.connections.push(connection);
        }
        idle.connections.retain(|old| old.idle_since.elapsed() < limits::IDLE_TIMEOUT);
        drop(idle);
        drop(permit);
    }
}
