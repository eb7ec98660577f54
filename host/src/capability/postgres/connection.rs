//! One connection: opened with the host's own settings, known by the server's number for it, and
//! put back into its first state.
//!
//! It knows nothing of pools and of the statements that run on it.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor, Row as _};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::session::Leftover;
use super::url::Address;
use crate::limits::postgres as limits;
use crate::threads;

/// A connection and what the host knows of it.
pub(super) struct Connection {
    pub(super) sql: PgConnection,
    /// The server's process, for cancel requests.
    pub(super) pid: i32,
    /// What the statements since the last reset may have left behind.
    pub(super) leftover: Leftover,
    /// In a state that is not known: to be closed.
    pub(super) broken: bool,
    /// Its prepared statements no longer fit the schema.
    pub(super) stale: bool,
    /// It holds more memory than is worth keeping: to be closed.
    pub(super) too_large: bool,
    pub(super) opened: Instant,
    pub(super) idle_since: Instant,
    /// The thread whose runtime watches its socket.
    pub(super) home: Option<usize>,
    /// Puts the session back into its first state.
    reset: Arc<str>,
}

/// What `discard all` does, without losing prepared statements, which the driver keeps.
const RESET: &str = "close all; set session authorization default; reset all; unlisten *; \
    select pg_advisory_unlock_all(); discard temp; discard sequences";

/// The first server that can look for its client while a statement runs.
const FIRST_WITH_CLIENT_CHECK: u32 = 140_000;

impl Connection {
    pub(super) async fn open(
        address: &Address,
        connect_timeout: Duration,
        statement_timeout: Duration,
    ) -> sqlx::Result<Self> {
        let connect = async {
            let mut sql = PgConnection::connect_with(address.options()).await?;
            let row = sqlx::raw_sql("select pg_backend_pid()").fetch_one(&mut sql).await?;
            let settings = configure(&mut sql, statement_timeout).await?;
            Ok((sql, row.try_get(0)?, settings))
        };
        let connected = timeout(connect_timeout, connect).await;
        let (sql, pid, settings) = connected
            .unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))?;
        let now = Instant::now();
        Ok(Self {
            sql,
            pid,
            leftover: Leftover::Nothing,
            broken: false,
            stale: false,
            too_large: false,
            opened: now,
            idle_since: now,
            home: threads::current(),
            reset: format!("{RESET}; {settings}").into(),
        })
    }

    /// Ask for a sign of life. Also what settles a cancel request: once the server has answered, a
    /// cancel that came too late for its statement has hit nothing.
    pub(super) async fn is_alive(&mut self) -> bool {
        matches!(timeout(limits::CHECK_TIMEOUT, self.sql.ping()).await, Ok(Ok(())))
    }

    /// Whether it can go to the next user as it is.
    pub(super) fn is_clean(&self) -> bool {
        !self.broken && !self.stale && !self.too_large && self.leftover == Leftover::Nothing
    }

    /// Put the session back into its first state. False if that failed.
    pub(super) async fn reset(&mut self) -> bool {
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
            self.sql.execute(sqlx::raw_sql(AssertSqlSafe(self.reset.clone()))).await
        };
        let done = matches!(timeout(limits::RESET_TIMEOUT, reset).await, Ok(Ok(_)));
        if done {
            self.leftover = Leftover::Nothing;
            self.stale = false;
        }
        done
    }
}

/// Set the session's limits. Gives the statements that did it. Not done with the options of the
/// start, because connection poolers refuse those.
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

/// The connection over which statements of the others are cancelled. Opened when first needed.
///
/// The driver keeps the key that a protocol-level cancel request needs to itself;
/// `pg_cancel_backend` has the same effect and answers when the signal was sent.
pub(super) struct Control {
    address: Address,
    session: Mutex<Option<PgConnection>>,
}

impl Control {
    pub(super) fn new(address: Address) -> Self {
        Self { address, session: Mutex::new(None) }
    }

    /// Cancel what the server's process `pid` runs. False if that could not be said in time.
    pub(super) async fn cancel(&self, pid: i32) -> bool {
        self.ask(format!("select pg_cancel_backend({pid})")).await
    }

    /// Whether the server answers.
    pub(super) async fn is_alive(&self) -> bool {
        self.ask("select true".to_string()).await
    }

    async fn ask(&self, question: String) -> bool {
        timeout(limits::CANCEL_TIMEOUT, self.ask_unbounded(question)).await.unwrap_or(false)
    }

    async fn ask_unbounded(&self, question: String) -> bool {
        let mut slot = self.session.lock().await;
        // The kept session may have died with an earlier server; a new one has not.
        for _ in 0..2 {
            let session = match slot.take() {
                Some(session) => Ok(session),
                None => PgConnection::connect_with(self.address.options()).await,
            };
            let Ok(mut session) = session else {
                return false;
            };
            let asked = sqlx::raw_sql(AssertSqlSafe(question.clone()));
            if let Ok(row) = asked.fetch_one(&mut session).await {
                *slot = Some(session);
                return row.try_get(0).unwrap_or(false);
            }
        }
        false
    }
}
