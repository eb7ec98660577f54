//! What the databases of one server share and no setting divides: its disk, and its table of locks. Whoever takes too
//! much of them is ended, and a database that fills the table is shut out for a while.
//!
//! It looks from outside, so that nothing that a statement sets or catches keeps it from looking. What happens between
//! two looks it does not see. It knows databases by name only.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::ADMINISTRATOR;
use super::database::quoted;
use super::reserve::{self, Disk};
use crate::capability::postgres::url::Address;
use crate::limits::embedded_postgres as limits;

/// Looks until it is told to stop.
pub(super) struct Guard {
    /// Below which the server's data is.
    home: PathBuf,
    administrator: Address,
    /// Locks that one database may hold.
    locks: i64,
    sql: Option<PgConnection>,
    /// The disk was low at the last look.
    was_low: bool,
    shut: BTreeMap<String, Shut>,
}

/// A database that has filled the table of locks.
struct Shut {
    /// When it is let in again; none if it is.
    until: Option<Instant>,
    /// For how long it was shut out, which doubles.
    time: Duration,
}

impl Guard {
    pub(super) fn new(home: PathBuf, administrator: Address, connections: u32) -> Self {
        let locks =
            i64::from(connections) * i64::from(limits::LOCKS) / i64::from(limits::LOCKS_SHARE);
        Self { home, administrator, locks, sql: None, was_low: false, shut: BTreeMap::new() }
    }

    pub(super) async fn watch(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(limits::GUARD_INTERVAL) => {}
            }
            // The server may be away, which others tell.
            if !matches!(timeout(limits::GUARD_TIMEOUT, self.look()).await, Ok(Ok(()))) {
                self.sql = None;
            }
        }
    }

    async fn look(&mut self) -> anyhow::Result<()> {
        let home = self.home.clone();
        let disk = spawn_blocking(move || {
            let disk = Disk::of(&home)?;
            reserve::keep(&home, &disk);
            anyhow::Ok(disk)
        });
        let disk = disk.await??;
        let mut sql = match self.sql.take() {
            Some(sql) => sql,
            None => PgConnection::connect_with(self.administrator.options()).await?,
        };
        self.spare_disk(&disk, &mut sql).await?;
        self.spare_locks(&mut sql).await?;
        self.let_in(&mut sql).await?;
        self.sql = Some(sql);
        Ok(())
    }

    /// Who writes while the disk is low, or runs for so long that it may have temporary files, is ended: what its transaction has taken is then free again, and a server that
    /// cannot write its journal takes all databases with it.
    async fn spare_disk(&mut self, disk: &Disk, sql: &mut PgConnection) -> sqlx::Result<()> {
        let is_low = disk.free < disk.floor();
        if is_low != self.was_low {
            let (free, floor) = (disk.free >> 20, disk.floor() >> 20);
            match is_low {
                true => tracing::error!(
                    "only {free} MiB are free below {}: until it is {floor} MiB, what writes to a database of the \
                     embedded Postgres, or runs for longer than a second, is ended",
                    self.home.display()
                ),
                false => tracing::info!("{free} MiB are free: databases are written to again"),
            }
        }
        self.was_low = is_low;
        if is_low {
            let end = "select datname, pg_terminate_backend(pid) from pg_stat_activity \
                       where usename <> $1 and (backend_xid is not null or \
                       state = 'active' and xact_start < clock_timestamp() - interval '1 second')";
            for row in sqlx::query(end).bind(ADMINISTRATOR).fetch_all(sql).await? {
                let database: &str = row.try_get(0)?;
                tracing::warn!(
                    database,
                    "a transaction that writes is ended: the disk is almost full"
                );
            }
        }
        Ok(())
    }

    async fn spare_locks(&mut self, sql: &mut PgConnection) -> sqlx::Result<()> {
        let greedy = "select datname::text, count(*) from pg_locks join pg_stat_activity using (pid) \
                      where usename <> $1 group by datname having count(*) > $2";
        let greedy = sqlx::query(greedy).bind(ADMINISTRATOR).bind(self.locks);
        for row in greedy.fetch_all(&mut *sql).await? {
            let (database, locks): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
            let first = Shut { until: None, time: limits::SHUT_FIRST / 2 };
            let shut = self.shut.entry(database.clone()).or_insert(first);
            shut.time = (shut.time * 2).min(limits::SHUT_LAST);
            shut.until = Some(Instant::now() + shut.time);
            // First: in a table without room, not even a role can be changed.
            end_all(&database, sql).await?;
            may_log_in(&database, "nologin", sql).await?;
            // Who has come in meanwhile.
            end_all(&database, sql).await?;
            tracing::error!(
                database,
                "it held {locks} locks, and all databases share {}: its connections are closed, and none is let in \
                 for {:?}",
                self.locks * i64::from(limits::LOCKS_SHARE),
                shut.time
            );
        }
        Ok(())
    }

    async fn let_in(&mut self, sql: &mut PgConnection) -> sqlx::Result<()> {
        for (database, shut) in &mut self.shut {
            if shut.until.is_some_and(|until| until <= Instant::now()) {
                may_log_in(database, "login", sql).await?;
                shut.until = None;
                tracing::info!(database, "it is let in again");
            }
        }
        Ok(())
    }
}

async fn end_all(database: &str, sql: &mut PgConnection) -> sqlx::Result<()> {
    let end = "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1";
    sqlx::query(end).bind(database).execute(sql).await?;
    Ok(())
}

async fn may_log_in(role: &str, whether: &str, sql: &mut PgConnection) -> sqlx::Result<()> {
    sql.execute(AssertSqlSafe(format!("alter role {} {whether}", quoted(role)))).await?;
    Ok(())
}
