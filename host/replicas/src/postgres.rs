//! What replicas share, in Postgres: one row for each application, in a schema of its own.
//!
//! A change locks the row, reads it, applies a function of [`Shared`], and writes it back, in one transaction. So what is
//! checked as a model is what runs. It must not know what the functions do.

mod listen;
mod schema;
mod uploads;

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{ConnectOptions as _, Row as _};
use tokio::time::timeout;

pub(crate) use self::listen::listen;
pub use self::uploads::Uploads;
use crate::protocol::{MemberId, Shared, Time};
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

    fn not_secure(why: &dyn std::fmt::Display) -> Self {
        Self::new(format_args!(
            "has no secure connection for this host: its certificate is not trusted, or it speaks no TLS: {why}; \
             name its authority with 'ca'"
        ))
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
            // What a connection has prepared is there no more, or was prepared by another one.
            sqlx::Error::Database(error)
                if matches!(error.code().as_deref(), Some("26000" | "42P05")) =>
            {
                Self::new(POOLER)
            }
            sqlx::Error::Database(error) => Self::new(format_args!("says: {}", error.message())),
            sqlx::Error::Tls(error) => Self::not_secure(&error),
            // What a certificate that is not right comes as.
            sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                Self::not_secure(&error)
            }
            sqlx::Error::Io(error) => Self::new(format_args!("cannot be reached: {error}")),
            other => Self::new(format_args!("cannot be used: {other}")),
        }
    }
}

const POOLER: &str = "is reached by a pooler, which does not keep a session together: name the database itself in 'url', \
                      not a pooler";

/// What the replicas of one application share, by a connection of its own.
pub struct Ledger {
    options: PgConnectOptions,
    application: Arc<str>,
    /// How long a transaction may take.
    patience: Duration,
    /// None: it is opened when it is needed.
    connection: Option<PgConnection>,
    /// What it read or wrote last.
    had: Option<Had>,
}

/// What there was.
struct Had {
    /// Another one for each state, also where the row was deleted or set back since.
    revision: i64,
    shared: Shared,
}

impl Ledger {
    pub fn new(options: PgConnectOptions, application: Arc<str>) -> Self {
        Self { options, application, patience: limits::TRANSACTION, connection: None, had: None }
    }

    /// The same, where a transaction makes sense no longer than this.
    pub fn within_at_most(self, patience: Duration) -> Self {
        Self { patience: self.patience.min(patience), ..self }
    }

    /// All of it, and the time. What this one has had already does not come again.
    ///
    /// # Errors
    /// The database is away.
    pub async fn read(&mut self) -> Result<(Shared, Time), Away> {
        let (application, had) = (self.application.clone(), self.had.take());
        let (had, now) = self
            .within(async move |connection| {
                let row = sqlx::query(
                    "select case when revision = $2 then null else state::text end, leases::text, \
                     (select max(version) from wasm_host.schema_version), revision, \
                     wasm_host.now_ms() from (values ($1)) as wanted (name) \
                     left join wasm_host.applications using (name)",
                )
                .bind(&*application)
                .bind(had.as_ref().map(|had| had.revision))
                .fetch_one(connection)
                .await?;
                Ok((kept(&row, had)?, time(row.try_get(4)?)))
            })
            .await?;
        self.had = had;
        Ok((self.had.as_ref().map(|had| had.shared.clone()).unwrap_or_default(), now))
    }

    /// Change it, in one transaction. Returns what came of it.
    ///
    /// # Errors
    /// The database is away. Whether it was changed is then not known.
    pub async fn change<T>(
        &mut self,
        change: impl FnOnce(&mut Shared, Time) -> T,
    ) -> Result<(T, Shared), Away> {
        let (application, had) = (self.application.clone(), self.had.take());
        let (result, had) = self
            .within(async move |connection| {
                sqlx::raw_sql(BEGIN).execute(&mut *connection).await?;
                let Had { mut revision, shared: before } =
                    locked(connection, &application, had).await?;
                // Only now: what waits for the lock is later than what had it.
                let now = sqlx::query("select wasm_host.now_ms()");
                let now = time(now.fetch_one(&mut *connection).await?.try_get(0)?);
                let mut shared = before.clone();
                let result = change(&mut shared, now);
                if shared.news() != before.news() {
                    revision = write(connection, &application, &shared).await?;
                    if shared.calls() != before.calls() {
                        tell(connection, &application).await?;
                    }
                } else if shared != before {
                    write_leases(connection, &application, &shared).await?;
                }
                sqlx::raw_sql("commit").execute(connection).await?;
                Ok((result, Had { revision, shared }))
            })
            .await?;
        let shared = had.shared.clone();
        self.had = Some(had);
        Ok((result, shared))
    }

    /// Use the connection for a limited time. One that fails is used no more.
    async fn within<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Away>,
    ) -> Result<T, Away> {
        let (options, connection) = (&self.options, self.connection.take());
        let worked = timeout(self.patience, async {
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
            Err(_) => Err(Away::new(format_args!("does not answer within {:?}", self.patience))),
        }
    }
}

/// A replica that stands still in the middle must not keep the others waiting. Whatever a role has for all its sessions,
/// what waits for the lock sees what had it, and what was committed stays.
const BEGIN: &str = "begin isolation level read committed; set local synchronous_commit = on; \
                     set local idle_in_transaction_session_timeout = '2s'; \
                     set local lock_timeout = '4s'; set local statement_timeout = '4s'";

/// The setting that a session of the server itself gives back, and one that a pooler keeps does not.
const MARK: &str = "wasm_host.connection";

/// A connection, with the schema there.
async fn connect(options: &PgConnectOptions) -> Result<PgConnection, Away> {
    // The keys of a hasher are random, and that is all the randomness that is needed.
    let mark = format!("{:016x}", RandomState::new().hash_one(0_u8));
    let mut connection = options.clone().options([(MARK, &mark)]).connect().await?;
    let asked = sqlx::raw_sql("select pg_catalog.current_setting('wasm_host.connection', true)");
    let given = asked.fetch_one(&mut connection).await?;
    if given.try_get::<Option<&str>, _>(0)? != Some(mark.as_str()) {
        return Err(Away::new(POOLER));
    }
    schema::bring_up(&mut connection).await?;
    Ok(connection)
}

/// What is kept, with the row locked. The version of the schema comes with it: another host may have changed it since
/// this one connected.
async fn locked(
    connection: &mut PgConnection,
    application: &str,
    had: Option<Had>,
) -> Result<Had, Away> {
    let lock = "select case when revision = $2 then null else state::text end, leases::text, \
                (select max(version) from wasm_host.schema_version), revision \
                from wasm_host.applications where name = $1 for update of applications";
    let revision = had.as_ref().map(|had| had.revision);
    let row = sqlx::query(lock).bind(application).bind(revision);
    if let Some(row) = row.fetch_optional(&mut *connection).await? {
        return kept(&row, had)?.ok_or_else(unreadable);
    }
    sqlx::query(
        "insert into wasm_host.applications (name, state) values ($1, $2::jsonb) on conflict do nothing",
    )
    .bind(application)
    .bind(text(&Shared::default())?)
    .execute(&mut *connection)
    .await?;
    let row = sqlx::query(lock).bind(application).bind(None::<i64>).fetch_one(connection).await?;
    kept(&row, None)?.ok_or_else(unreadable)
}

fn unreadable() -> Away {
    Away::new("has no state of the application")
}

/// What a row has, if this host may read it: the state, if it is not the one that this host had, the leases, the version
/// of the schema, and the revision. None: there is no such row.
fn kept(row: &PgRow, had: Option<Had>) -> Result<Option<Had>, Away> {
    schema::is_known(row.try_get(2)?)?;
    let Some(revision) = row.try_get::<Option<i64>, _>(3)? else { return Ok(None) };
    let mut shared: Shared = match (row.try_get::<Option<&str>, _>(0)?, had) {
        (Some(state), _) => parsed(state)?,
        (None, Some(had)) if had.revision == revision => had.shared,
        (None, _) => return Err(unreadable()),
    };
    let leases: BTreeMap<MemberId, Time> = match row.try_get::<Option<&str>, _>(1)? {
        Some(leases) => parsed(leases)?,
        None => BTreeMap::new(),
    };
    for (id, member) in &mut shared.members {
        member.lease_until = leases.get(id).copied().unwrap_or_default();
    }
    Ok(Some(Had { revision, shared }))
}

/// Returns the revision.
async fn write(
    connection: &mut PgConnection,
    application: &str,
    shared: &Shared,
) -> Result<i64, Away> {
    let write = "update wasm_host.applications set state = $2::jsonb, leases = $3::jsonb, \
                 revision = greatest(revision + 1, wasm_host.now_ms()) where name = $1 returning revision";
    let row = sqlx::query(write)
        .bind(application)
        .bind(text(shared)?)
        .bind(leases(shared)?)
        .fetch_one(connection)
        .await?;
    Ok(row.try_get(0)?)
}

/// In a column of their own: the database writes only that anew.
async fn write_leases(
    connection: &mut PgConnection,
    application: &str,
    shared: &Shared,
) -> Result<(), Away> {
    sqlx::query("update wasm_host.applications set leases = $2::jsonb where name = $1")
        .bind(application)
        .bind(leases(shared)?)
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

fn leases(shared: &Shared) -> Result<String, Away> {
    let leases = shared.members.iter().map(|(id, member)| (*id, member.lease_until));
    text(&leases.collect::<BTreeMap<MemberId, Time>>())
}

fn parsed<T: DeserializeOwned>(text: &str) -> Result<T, Away> {
    let other = |error| Away::new(format_args!("has what this host cannot read: {error}"));
    serde_json::from_str(text).map_err(other)
}

fn text(value: &impl Serialize) -> Result<String, Away> {
    serde_json::to_string(value).map_err(Away::new)
}

fn time(milliseconds: i64) -> Time {
    Time::try_from(milliseconds).unwrap_or_default()
}

#[cfg(test)]
mod tests;
