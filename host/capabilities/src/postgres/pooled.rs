//! Working through a connection pooler, for which a session means nothing: between two transactions it may go on with
//! another connection to the server, and give this one's to another client.
//!
//! So everything is done in a transaction, and with its end, what outlives transactions is taken back, whatever its
//! statements look like. What cannot be is refused, or the connection is closed in its transaction: poolers then close
//! theirs to the server as well.

mod refusal;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor, Row as _};
use tokio::time::timeout;

use super::connection::{FIRST_WITH_CLIENT_CHECK, RESET};
use super::error;
use super::login::{Login, MARK};
use super::perform;
use super::pool::PoolConfig;
use super::rows::StatementEnd;
use super::statement::Command;
use wasm_host_limits::postgres as limits;

pub(super) use refusal::refusal;

/// A connection to a pooler that keeps transactions together.
pub(super) struct Pooled {
    /// Begins a transaction with the host's bounds.
    opening: Arc<str>,
    names_are_taken: Arc<AtomicBool>,
    /// How long the pooler may take to find a session.
    patience: Duration,
}

/// Why a connection is of no use.
pub(super) enum Unusable {
    Sql(sqlx::Error),
    /// The pooler tears transactions apart.
    Torn,
    /// There was a login, and then no answer in time.
    Late,
}

impl From<sqlx::Error> for Unusable {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

/// What [`RESET`] takes from a session that the driver gave it at the login, and prepared statements of `prepare`.
/// Those of the protocol are not touched: a pooler may keep them for others.
const RESTORE: &str = "set timezone = 'UTC'; set datestyle = 'ISO, MDY'; set client_encoding = 'UTF8'; \
    set application_name = 'wasm-host'";
const FORGET_PREPARED: &str = "do $$ declare it text; begin \
    for it in select name from pg_prepared_statements where from_sql loop \
    execute format('deallocate %I', it); end loop; end $$";

/// Ends a transaction, in one message, so that all of it reaches one session. What waits for its end runs before.
static COMMIT: LazyLock<String> = LazyLock::new(|| {
    format!("set constraints all immediate; {}; {FORGET_PREPARED}; commit", restored_session())
});

/// The same for one whose changes are undone, and with them most of what a session keeps.
static ROLL_BACK: LazyLock<String> = LazyLock::new(|| {
    format!("rollback; select pg_advisory_unlock_all(); discard sequences; {FORGET_PREPARED}")
});

const FREE_NAMES: &str = "do $$ declare it text; begin \
    for it in select name from pg_prepared_statements where name like 'sqlx\\_s\\_%' loop \
    execute format('deallocate %I', it); end loop; end $$";

impl Pooled {
    /// See that the pooler keeps a transaction together, and what bounds the server takes.
    pub(super) async fn open(
        sql: &mut PgConnection,
        login: &Login,
        config: &PoolConfig,
    ) -> Result<Self, Unusable> {
        let plain = format!(
            "begin; set local statement_timeout = {}",
            config.statement_timeout.as_millis()
        );
        let mut opening = plain.clone();
        if sql.server_version_num().is_some_and(|version| version >= FIRST_WITH_CLIENT_CHECK) {
            let check = limits::POOLED_CLIENT_CHECK.as_millis();
            opening = format!("{plain}; set local client_connection_check_interval = {check}");
        }
        if let Err(error) = try_opening(sql, &opening).await {
            // Some systems cannot look for their client.
            match error {
                Unusable::Sql(error) if opening != plain && !error::is_fatal(&error) => {
                    sql.execute(sqlx::raw_sql("rollback")).await?;
                    opening = plain;
                    try_opening(sql, &opening).await?;
                }
                error => return Err(error),
            }
        }
        Ok(Self {
            opening: opening.into(),
            names_are_taken: login.names_are_taken.clone(),
            patience: config.acquire_timeout,
        })
    }

    /// Begin a transaction.
    pub(super) async fn begin(&self, sql: &mut PgConnection) -> Result<(), StatementEnd> {
        let refused = match timeout(self.patience, self.begin_at_last(sql)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.into(),
            Err(_) => StatementEnd::refused(error::no_session(self.patience)),
        };
        Err(StatementEnd { unsettled: true, ..refused })
    }

    async fn begin_at_last(&self, sql: &mut PgConnection) -> sqlx::Result<()> {
        sql.execute(sqlx::raw_sql(AssertSqlSafe(self.opening.clone()))).await?;
        if self.names_are_taken.load(Ordering::Relaxed) {
            sql.execute(sqlx::raw_sql(FREE_NAMES)).await?;
        }
        Ok(())
    }

    /// Whether a statement failed only because its name is taken. It is not from the next transaction on.
    pub(super) fn frees_name(&self, outcome: &sqlx::Result<u64>) -> bool {
        let is_taken = outcome.as_ref().is_err_and(error::is_taken_name);
        if is_taken {
            self.names_are_taken.store(true, Ordering::Relaxed);
        }
        is_taken
    }

    /// End the transaction. Unless the end is settled, the connection has to be closed in it.
    pub(super) async fn end(&self, sql: &mut PgConnection, commits: bool) -> StatementEnd {
        // The driver gives each statement a name; in another session it may be another's.
        if let Err(error) = sql.clear_cached_statements().await {
            return StatementEnd { unsettled: true, ..StatementEnd::from(error) };
        }
        let mut outcome = Ok(0);
        if commits {
            match sql.execute(sqlx::raw_sql(COMMIT.as_str())).await {
                Ok(_) => return StatementEnd::counted(0),
                Err(error) => outcome = Err(error),
            }
        }
        let rolled_back = sql.execute(sqlx::raw_sql(ROLL_BACK.as_str())).await;
        let unsettled = rolled_back.is_err();
        StatementEnd { outcome, unsettled, ..StatementEnd::counted(0) }
    }

    pub(super) async fn command(&self, sql: &mut PgConnection, command: Command) -> StatementEnd {
        match command {
            Command::Begin => self.begin(sql).await.err().unwrap_or(StatementEnd::counted(0)),
            Command::Probe => perform::command(sql, command).await,
            Command::Commit => self.end(sql, true).await,
            Command::Rollback => self.end(sql, false).await,
        }
    }
}

/// Begin a transaction and see that the next round trip is still in it.
async fn try_opening(sql: &mut PgConnection, opening: &str) -> Result<(), Unusable> {
    let opening = format!("{opening}; set local {MARK} = 'held'");
    sql.execute(sqlx::raw_sql(AssertSqlSafe(opening))).await.map_err(|error| {
        if error::is_statement_pooling(&error) { Unusable::Torn } else { error.into() }
    })?;
    let held = sqlx::raw_sql("select current_setting('wasm_host.connection', true); rollback");
    let rows = held.fetch_all(sql).await?;
    let held = rows.first().and_then(|row| row.try_get::<Option<&str>, _>(0).ok().flatten());
    if held == Some("held") { Ok(()) } else { Err(Unusable::Torn) }
}

/// Puts a session back into its first state, except for prepared statements, in a transaction.
pub fn restored_session() -> String {
    format!("{RESET}; {RESTORE}")
}
