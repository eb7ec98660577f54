//! What replicas share, in Postgres: one row for each application, in a schema of its own.
//!
//! A change locks the row, reads it, applies a function of [`Shared`], and writes it back, in one transaction. So what is
//! checked as a model is what runs. It must not know what the functions do.

mod listen;
mod schema;
mod uploads;

use std::sync::Arc;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Row as _};
use tokio::time::timeout;

pub(crate) use self::listen::listen;
pub use self::uploads::Uploads;
use crate::protocol::{Shared, Time};
use wasm_host_limits::replicas as limits;

/// The channel on which is told that something changed.
const CHANNEL: &str = "wasm_host";

/// The database does not answer, or not as it should.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the database of [replicas] {0}")]
pub struct Away(Arc<str>);

impl Away {
    pub(crate) fn new(why: impl std::fmt::Display) -> Self {
        Self(why.to_string().into())
    }
}

impl From<sqlx::Error> for Away {
    fn from(error: sqlx::Error) -> Self {
        match error {
            // What poolers say of what a session is told at its start.
            sqlx::Error::Database(error) if error.message().contains("startup parameter") => {
                Self::new(format_args!(
                    "says: {}; name the database itself in 'url', not a pooler",
                    error.message()
                ))
            }
            sqlx::Error::Database(error) => Self::new(format_args!("says: {}", error.message())),
            sqlx::Error::Io(error) => Self::new(format_args!("cannot be reached: {error}")),
            other => Self::new(format_args!("cannot be used: {other}")),
        }
    }
}

/// What the replicas of one application share, by a connection of its own.
pub struct Ledger {
    options: PgConnectOptions,
    application: Arc<str>,
    /// None: it is opened when it is needed.
    connection: Option<PgConnection>,
}

impl Ledger {
    pub fn new(options: PgConnectOptions, application: Arc<str>) -> Self {
        Self { options, application, connection: None }
    }

    /// All of it, and the time.
    ///
    /// # Errors
    /// The database is away.
    pub async fn read(&mut self) -> Result<(Shared, Time), Away> {
        let application = self.application.clone();
        self.within(async move |connection| {
            let row = sqlx::query(
                "select (select state::text from wasm_host.applications where name = $1), wasm_host.now_ms()",
            )
            .bind(&*application)
            .fetch_one(connection)
            .await?;
            let shared = row.try_get::<Option<String>, _>(0)?.map(|text| parsed(&text));
            Ok((shared.transpose()?.unwrap_or_default(), time(row.try_get(1)?)))
        })
        .await
    }

    /// Change it, in one transaction. Returns what came of it.
    ///
    /// # Errors
    /// The database is away. Whether it was changed is then not known.
    pub async fn change<T>(
        &mut self,
        change: impl FnOnce(&mut Shared, Time) -> T,
    ) -> Result<(T, Shared), Away> {
        let application = self.application.clone();
        self.within(async move |connection| {
            sqlx::raw_sql(BEGIN).execute(&mut *connection).await?;
            let text = locked(connection, &application).await?;
            // Only now: what waits for the lock is later than what had it.
            let now = sqlx::query("select wasm_host.now_ms()").fetch_one(&mut *connection).await?;
            let now = time(now.try_get(0)?);
            let before = parsed(&text)?;
            let mut shared = before.clone();
            let result = change(&mut shared, now);
            if shared != before {
                write(connection, &application, &shared).await?;
                if shared.news() != before.news() {
                    uploads::tidy(connection, &application, &shared).await?;
                    tell(connection, &application).await?;
                }
            }
            sqlx::raw_sql("commit").execute(connection).await?;
            Ok((result, shared))
        })
        .await
    }

    /// Use the connection for a limited time. One that fails is used no more.
    async fn within<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Away>,
    ) -> Result<T, Away> {
        let (options, connection) = (&self.options, self.connection.take());
        let worked = timeout(limits::TRANSACTION, async {
            let mut connection = match connection {
                Some(connection) => connection,
                None => connect(options).await?,
            };
            let result = work(&mut connection).await?;
            Ok::<_, Away>((result, connection))
        });
        match worked.await {
            Ok(worked) => {
                let (result, connection) = worked?;
                self.connection = Some(connection);
                Ok(result)
            }
            Err(_) => Err(Away::new(format_args!(
                "does not answer within {} seconds",
                limits::TRANSACTION.as_secs()
            ))),
        }
    }
}

/// A replica that stands still in the middle must not keep the others waiting.
const BEGIN: &str = "begin; set local idle_in_transaction_session_timeout = '2s'; \
                     set local lock_timeout = '4s'; set local statement_timeout = '4s'";

/// A connection, with the schema there.
async fn connect(options: &PgConnectOptions) -> Result<PgConnection, Away> {
    let mut connection = options.connect().await?;
    schema::bring_up(&mut connection).await?;
    Ok(connection)
}

async fn locked(connection: &mut PgConnection, application: &str) -> Result<String, Away> {
    let lock = "select state::text from wasm_host.applications where name = $1 for update";
    if let Some(row) = sqlx::query(lock).bind(application).fetch_optional(&mut *connection).await? {
        return Ok(row.try_get(0)?);
    }
    sqlx::query(
        "insert into wasm_host.applications (name, state) values ($1, $2::jsonb) on conflict do nothing",
    )
    .bind(application)
    .bind(text(&Shared::default())?)
    .execute(&mut *connection)
    .await?;
    Ok(sqlx::query(lock).bind(application).fetch_one(connection).await?.try_get(0)?)
}

async fn write(
    connection: &mut PgConnection,
    application: &str,
    shared: &Shared,
) -> Result<(), Away> {
    sqlx::query("update wasm_host.applications set state = $2::jsonb where name = $1")
        .bind(application)
        .bind(text(shared)?)
        .execute(connection)
        .await?;
    Ok(())
}

async fn tell(connection: &mut PgConnection, application: &str) -> Result<(), Away> {
    sqlx::query("select pg_notify($1, $2)")
        .bind(CHANNEL)
        .bind(application)
        .execute(connection)
        .await?;
    Ok(())
}

fn parsed(text: &str) -> Result<Shared, Away> {
    let other = |error| Away::new(format_args!("has what this host cannot read: {error}"));
    serde_json::from_str(text).map_err(other)
}

fn text(shared: &Shared) -> Result<String, Away> {
    serde_json::to_string(shared).map_err(Away::new)
}

fn time(milliseconds: i64) -> Time {
    Time::try_from(milliseconds).unwrap_or_default()
}

#[cfg(test)]
mod tests;
