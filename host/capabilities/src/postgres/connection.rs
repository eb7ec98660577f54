//! One connection: opened with the host's own settings, known by the server's process for it, and
//! put back into its first state.
//!
//! It knows nothing of pools and of the statements that run on it.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor, Row as _};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::error::caught;
use super::kept::PreparedStatements;
use super::login::{Login, Process};
use super::pool::PoolConfig;
use super::pooled::{Pooled, Unusable};
use super::session::Leftover;
use super::url::Address;
use crate::places::User;
use wasm_host_limits::postgres as limits;
use wasm_host_system::threads;

/// A connection and what the host knows of it.
pub(super) struct Connection {
    pub(super) sql: PgConnection,
    pub(super) way: ServerLink,
    /// The only one that ever uses it: what a session has in it is not seen from outside.
    pub(super) user: User,
    pub(super) kept: PreparedStatements,
    /// What the statements since the last reset may have left behind.
    pub(super) leftover: Leftover,
    /// The host has told the session that its transactions only read.
    pub(super) reads_only: bool,
    /// In a state that is not known: to be closed.
    pub(super) broken: bool,
    /// It broke off by itself.
    pub(super) lost: bool,
    /// Its prepared statements no longer fit the schema.
    pub(super) stale: bool,
    /// It holds more memory than is worth keeping: to be closed.
    pub(super) too_large: bool,
    pub(super) opened: Instant,
    pub(super) idle_since: Instant,
    /// The thread whose runtime watches its socket.
    pub(super) home: Option<usize>,
}

/// What is at the other end.
pub(super) enum ServerLink {
    /// A process of the server that is this connection's own.
    Direct {
        process: Process,
        /// Puts the session back into its first state.
        reset: Arc<str>,
    },
    Pooled(Pooled),
}

/// What `discard all` does, without losing prepared statements, which the driver keeps.
pub(super) const RESET: &str = "close all; set session authorization default; reset all; unlisten *; \
    select pg_advisory_unlock_all(); discard temp; discard sequences";

/// The first server that can look for its client while a statement runs.
pub(super) const FIRST_WITH_CLIENT_CHECK: u32 = 140_000;

impl Connection {
    pub(super) async fn open(
        login: &Login,
        config: &PoolConfig,
        user: User,
    ) -> Result<Self, Unusable> {
        let deadline = Instant::now() + config.connect_timeout;
        let late = |_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
        let (mut sql, process) = timeout_at(deadline, login.open()).await.unwrap_or_else(late)?;
        let way = timeout_at(deadline, way(&mut sql, process, login, config)).await;
        // The pooler is there, and has no connection to the server to spare.
        let way = way.unwrap_or(Err(Unusable::Late))?;
        let now = Instant::now();
        Ok(Self {
            sql,
            way,
            user,
            kept: PreparedStatements::default(),
            leftover: Leftover::Nothing,
            reads_only: false,
            broken: false,
            lost: false,
            stale: false,
            too_large: false,
            opened: now,
            idle_since: now,
            home: threads::current(),
        })
    }

    /// Ask for a sign of life. Also what settles a cancel request: once the server has answered, a
    /// cancel that came too late for its statement has hit nothing.
    pub(super) async fn is_alive(&mut self) -> bool {
        let answer = timeout(limits::CHECK_TIMEOUT, caught(self.sql.ping())).await;
        match answer {
            Ok(answer) => matches!(answer, Ok(Ok(()))),
            // A pooler answers when it has a session to spare; waiting for one has a bound of its own.
            Err(_) => matches!(self.way, ServerLink::Pooled(_)),
        }
    }

    /// Whether it was taken for a server's own process, which it may not be if a pooler answers for others: that may
    /// have opened a session for this login, mark and all.
    pub(super) fn is_doubtful(&self, login: &Login) -> bool {
        login.is_pooled() && matches!(self.way, ServerLink::Direct { .. })
    }

    /// Whether it can go to the next user as it is.
    pub(super) fn is_clean(&self) -> bool {
        !self.broken && !self.stale && !self.too_large && self.leftover == Leftover::Nothing
    }

    /// Put the session back into its first state. False if that failed.
    pub(super) async fn reset(&mut self) -> bool {
        let ServerLink::Direct { reset, .. } = &self.way else {
            // Nothing may be left when a transaction has ended: what is, is on a server that others use.
            return false;
        };
        if self.broken || self.too_large || self.leftover == Leftover::Unknown {
            return false;
        }
        let reset = async {
            if self.leftover == Leftover::Transaction {
                self.sql.execute(sqlx::raw_sql("rollback")).await?;
            }
            if self.stale {
                self.sql.clear_cached_statements().await?;
            }
            self.sql.execute(sqlx::raw_sql(AssertSqlSafe(reset.clone()))).await
        };
        let done = timeout(limits::RESET_TIMEOUT, caught(reset)).await;
        let done = matches!(done, Ok(Ok(Ok(_))));
        if done {
            self.leftover = Leftover::Nothing;
            self.reads_only = false;
            self.stale = false;
        }
        done
    }
}

async fn way(
    sql: &mut PgConnection,
    process: Option<Process>,
    login: &Login,
    config: &PoolConfig,
) -> Result<ServerLink, Unusable> {
    Ok(match process {
        Some(process) => {
            let settings = configure(sql, config.statement_timeout).await?;
            ServerLink::Direct { process, reset: format!("{RESET}; {settings}").into() }
        }
        None => ServerLink::Pooled(Pooled::open(sql, login, config).await?),
    })
}

/// Set the limits of a session of its own. Gives the statements that did it. Not done with the options of the
/// login, which would leave a pooler to keep them for others.
async fn configure(sql: &mut PgConnection, statement_timeout: Duration) -> sqlx::Result<String> {
    let mut settings = format!("set statement_timeout = {}", statement_timeout.as_millis());
    sql.execute(sqlx::raw_sql(AssertSqlSafe(settings.clone()))).await?;
    if sql.server_version_num().is_some_and(|version| version >= FIRST_WITH_CLIENT_CHECK) {
        let milliseconds = limits::CLIENT_CHECK.as_millis();
        let check = format!("set client_connection_check_interval = {milliseconds}");
        // Some systems cannot do it. It is a second safety net; cancelling is the first.
        if sql.execute(sqlx::raw_sql(AssertSqlSafe(check.clone()))).await.is_ok() {
            settings = format!("{settings}; {check}");
        }
    }
    Ok(settings)
}

/// A login that may end any process of a server, whatever the roles of its databases have set for themselves. Databases
/// of one server share it.
#[derive(Clone)]
pub struct Administrator(pub(super) Arc<Control>);

impl Administrator {
    pub fn new(address: Address) -> Self {
        Self(Arc::new(Control::new(Arc::new(Login::new(address)))))
    }
}

/// The connection over which statements of the others are cancelled. Opened when first needed.
///
/// The driver does not give out the key that a protocol-level cancel request needs;
/// `pg_cancel_backend` has the same effect and answers when the signal was sent.
pub(super) struct Control {
    login: Arc<Login>,
    session: Mutex<Option<PgConnection>>,
    looking: Mutex<()>,
}

const ALIVE: &str = "select true";

impl Control {
    pub(super) fn new(login: Arc<Login>) -> Self {
        Self { login, session: Mutex::new(None), looking: Mutex::default() }
    }

    /// Cancel what a process of the server runs. False if that could not be said in time, or if this connection leads
    /// to another server, as a balancer between two may have it.
    pub(super) async fn cancel(&self, process: Process) -> bool {
        let Process { pid, started: Some(started) } = process else {
            return false;
        };
        self.ask(format!(
            "select pg_cancel_backend(pid) from pg_stat_activity where pid = {pid} \
             and (extract(epoch from backend_start) * 1000000)::bigint = {started}"
        ))
        .await
    }

    /// End a process of the server that did not obey its cancel request. No statement can catch that.
    pub(super) async fn terminate(&self, process: Process) {
        let Process { pid, started: Some(started) } = process else {
            return;
        };
        // A role's own settings decide which functions and operators its names mean.
        let still_there = format!(
            "from pg_catalog.pg_stat_activity where pid operator(pg_catalog.=) {pid} and \
             (extract(epoch from backend_start) operator(pg_catalog.*) 1000000)::pg_catalog.int8 \
             operator(pg_catalog.=) {started}"
        );
        let end = format!(
            "select pg_catalog.count(pg_catalog.pg_terminate_backend(pid)) operator(pg_catalog.=) 0 {still_there}"
        );
        for _ in 0..limits::TERMINATE_ATTEMPTS {
            if self.ask(end.clone()).await {
                return;
            }
            sleep(limits::TERMINATE_WAIT).await;
        }
        tracing::warn!(pid, "a process of a database server does not end");
    }

    /// Whether the server answers.
    pub(super) async fn is_alive(&self) -> bool {
        self.ask(ALIVE.to_string()).await
    }

    /// Whether the server takes a new login, and answers.
    pub(super) async fn lets_in(&self) -> bool {
        let asked = async {
            // One at a time, however many callers ask.
            let _alone = self.looking.lock().await;
            let (mut session, _) = self.login.open().await?;
            sqlx::raw_sql(ALIVE).fetch_one(&mut session).await?;
            if !self.login.is_pooled() {
                *self.session.lock().await = Some(session);
            }
            Ok::<_, sqlx::Error>(())
        };
        matches!(timeout(limits::CANCEL_TIMEOUT, caught(asked)).await, Ok(Ok(Ok(()))))
    }

    async fn ask(&self, question: String) -> bool {
        let asked = timeout(limits::CANCEL_TIMEOUT, caught(self.ask_unbounded(question))).await;
        matches!(asked, Ok(Ok(true)))
    }

    async fn ask_unbounded(&self, question: String) -> bool {
        let mut slot = self.session.lock().await;
        // The kept session may have died with an earlier server; a new one has not.
        for _ in 0..2 {
            let session = match slot.take() {
                Some(session) => Ok(session),
                None => self.login.open().await.map(|(session, _)| session),
            };
            let Ok(mut session) = session else {
                return false;
            };
            let asked = sqlx::raw_sql(AssertSqlSafe(question.clone()));
            if let Ok(row) = asked.fetch_one(&mut session).await {
                // A pooler may keep one of its connections to the server for it, which others lack.
                if !self.login.is_pooled() {
                    *slot = Some(session);
                }
                return row.try_get(0).unwrap_or(false);
            }
        }
        false
    }
}
