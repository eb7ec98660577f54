//! What the databases of one server share and no setting divides: its disk, and its table of locks. A session that
//! takes too much of them is ended, and a database that fills the table is shut out for a while.
//!
//! It looks from outside, so that nothing that a statement sets or catches keeps it from looking. What happens between
//! two looks it does not see. It knows databases by name only.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::ADMINISTRATOR;
use super::database::quoted;
use super::reserve::{self, Disk};
use wasm_host_capabilities::postgres::url::Address;
use wasm_host_limits::embedded_postgres as limits;

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
    /// Databases that have filled the table of locks, by their numbers, and how many they held. To be shut out.
    greedy: BTreeMap<i64, i64>,
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
        Self {
            home,
            administrator,
            locks,
            sql: None,
            was_low: false,
            greedy: BTreeMap::new(),
            shut: BTreeMap::new(),
        }
    }

    pub(super) async fn watch(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(limits::GUARD_INTERVAL) => {}
            }
            // The server may be away, which its keeper logs.
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

    /// While the disk is low, a session is ended that writes, or that runs for so long that it may have temporary files:
    /// what its transaction has taken is then free again, and a server that cannot write its journal takes all
    /// databases with it.
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

    async fn spare_locks(&mut self, sql: &mut PgConnection) -> anyhow::Result<()> {
        // In a table without room, nothing can be asked that touches what all databases share: not the views, which
        // have names, not `pg_terminate_backend`, which asks for roles, and no new session.
        let greedy = "select datid::bigint, count(*), array_agg(distinct pid) from pg_lock_status() \
                      join pg_stat_get_activity(null) using (pid) where usesysid <> 10 \
                      group by datid having count(*) > $1";
        for row in sqlx::query(greedy).bind(self.locks).fetch_all(&mut *sql).await? {
            self.greedy.insert(row.try_get(0)?, row.try_get(1)?);
            let pids: Vec<i32> = row.try_get(2)?;
            for pid in pids.into_iter().filter_map(Pid::from_raw) {
                // It may have ended meanwhile.
                let _ = kill_process(pid, Signal::TERM);
            }
            sleep(limits::LAST_WORDS).await;
        }
        while let Some((&id, &locks)) = self.greedy.first_key_value() {
            let name = sqlx::query("select datname::text from pg_database where oid::bigint = $1");
            let name = name.bind(id).fetch_optional(&mut *sql).await?;
            if let Some(name) = name {
                self.shut_out(name.try_get(0)?, locks, sql).await?;
            }
            self.greedy.remove(&id);
        }
        Ok(())
    }

    async fn shut_out(
        &mut self,
        database: String,
        locks: i64,
        sql: &mut PgConnection,
    ) -> sqlx::Result<()> {
        may_log_in(&database, "nologin", sql).await?;
        // Sessions that have come in meanwhile.
        let end = "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1";
        sqlx::query(end).bind(&database).execute(&mut *sql).await?;
        let first = Shut { until: None, time: limits::SHUT_FIRST / 2 };
        let shut = self.shut.entry(database.clone()).or_insert(first);
        shut.time = (shut.time * 2).min(limits::SHUT_LAST);
        shut.until = Some(Instant::now() + shut.time);
        tracing::error!(
            database,
            "it held {locks} locks, and all databases share {}: its connections are closed, and none is let in \
             for {:?}",
            self.locks * i64::from(limits::LOCKS_SHARE),
            shut.time
        );
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

pub(super) async fn may_log_in(
    role: &str,
    whether: &str,
    sql: &mut PgConnection,
) -> sqlx::Result<()> {
    sql.execute(AssertSqlSafe(format!("alter role {} {whether}", quoted(role)))).await?;
    Ok(())
}
