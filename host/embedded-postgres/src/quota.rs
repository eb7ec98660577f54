//! How large each database of the server may become. Postgres bounds none, and one that takes the whole disk takes it
//! from all.
//!
//! Databases are measured from outside, one after the other. One that is over its bound is declared full, which makes
//! its sessions read only; what writes to it at that moment is ended. Sessions can still write if they ask for it, to
//! make room. So a full database that grows all the same is ended as well, and one that goes on growing, by whatever
//! means, is shut. It knows databases by name only, and nothing of their users.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::guard::may_log_in;
use wasm_host_capabilities::postgres::Room;
use wasm_host_capabilities::postgres::url::Address;
use wasm_host_limits::embedded_postgres as limits;

/// Measures until it is told to stop.
pub(super) struct Meter {
    administrator: Address,
    quotas: Vec<Quota>,
    sql: Option<PgConnection>,
}

/// What one database may have, and how it stands.
pub(super) struct Quota {
    database: String,
    bytes: u64,
    room: Room,
    full: Option<Full>,
}

/// A database that is over its bound.
struct Full {
    since: Instant,
    /// The least that it had since then, but not less than it may have: from there on it may grow a little.
    least: u64,
    is_shut: bool,
}

/// What is ended of a full database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cutoff {
    /// What has written since before it was full.
    Earlier,
    Writing,
    Everything,
}

const SIZE: &str = "select pg_database_size(oid) from pg_database where datname = $1";

const END: &str = "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = $1 and \
    ($2 or backend_xid is not null and ($3 or xact_start < clock_timestamp() - make_interval(secs => $4)))";

impl Meter {
    pub(super) fn new(administrator: Address) -> Self {
        Self { administrator, quotas: Vec::new(), sql: None }
    }

    /// `added` gives databases as they are there.
    pub(super) async fn watch(mut self, mut added: mpsc::Receiver<Quota>, stop: CancellationToken) {
        let mut rest = limits::SIZE_INTERVAL;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(quota) = added.recv() => self.quotas.push(quota),
                () = sleep(rest) => {}
            }
            let begun = Instant::now();
            // The server may be away, which its keeper logs.
            if !matches!(timeout(limits::SIZE_TIMEOUT, self.look()).await, Ok(Ok(()))) {
                self.sql = None;
            }
            rest = rest_after(begun.elapsed());
        }
    }

    async fn look(&mut self) -> sqlx::Result<()> {
        let mut sql = match self.sql.take() {
            Some(sql) => sql,
            None => PgConnection::connect_with(self.administrator.options()).await?,
        };
        for quota in &mut self.quotas {
            quota.look(&mut sql).await?;
        }
        self.sql = Some(sql);
        Ok(())
    }
}

fn rest_after(look: Duration) -> Duration {
    look.saturating_mul(limits::SIZE_REST).max(limits::SIZE_INTERVAL)
}

impl Quota {
    pub(super) fn new(database: &str, bytes: u64, room: Room) -> Self {
        Self { database: database.to_owned(), bytes, room, full: None }
    }

    async fn look(&mut self, sql: &mut PgConnection) -> sqlx::Result<()> {
        let row = sqlx::query(SIZE).bind(&self.database).fetch_optional(&mut *sql).await?;
        let size = row.map(|row| row.try_get::<i64, _>(0)).transpose()?;
        let Some(size) = size.and_then(|size| u64::try_from(size).ok()) else { return Ok(()) };
        let bytes = self.bytes;
        match &mut self.full {
            None if size <= bytes => return Ok(()),
            None => self.becomes_full(size),
            Some(full) if size < again(bytes) => {
                if full.is_shut {
                    may_log_in(&self.database, "login", sql).await?;
                }
                self.full = None;
                self.room.is_free();
                tracing::info!(
                    database = self.database,
                    "it has {}: it is written to again",
                    mib(size)
                );
                return Ok(());
            }
            Some(full) => full.least = full.least.min(size.max(bytes)),
        }
        let Some(full) = &mut self.full else { return Ok(()) };
        let (end, shuts) = judge(size, full, bytes);
        if full.is_shut && !shuts {
            may_log_in(&self.database, "login", sql).await?;
            full.is_shut = false;
            tracing::info!(
                database = self.database,
                "it has {}: it is let in again, to read",
                mib(size)
            );
        } else if shuts && !full.is_shut {
            may_log_in(&self.database, "nologin", sql).await?;
            full.is_shut = true;
            tracing::error!(
                database = self.database,
                "it has grown to {} although it is full: its connections are closed, and none is let in; start the \
                 host with a larger `size`, or with an init script that makes room",
                mib(size)
            );
        }
        let ended = sqlx::query(END)
            .bind(&self.database)
            .bind(end == Cutoff::Everything)
            .bind(end == Cutoff::Writing)
            .bind(full.since.elapsed().as_secs_f64());
        let ended: i64 = ended.fetch_one(sql).await?.try_get(0)?;
        if ended > 0 && end != Cutoff::Everything {
            tracing::warn!(
                database = self.database,
                "transactions that write are ended, for the database is full: {ended}"
            );
        }
        Ok(())
    }

    fn becomes_full(&mut self, size: u64) {
        let Self { database, bytes, .. } = self;
        let why = format!(
            "it has {}, and `size` of [postgres.{database}] allows {}: what writes is refused until it has \
             less than {}",
            mib(size),
            mib(*bytes),
            mib(again(*bytes))
        );
        // Before anything is ended, so that what begins meanwhile only reads, and what is ended gets the reason.
        self.room.is_full_because(&why);
        tracing::error!(database, "it is full: {why}");
        self.full = Some(Full { since: Instant::now(), least: size, is_shut: false });
    }
}

/// What is ended, and whether the database is shut.
fn judge(size: u64, full: &Full, bytes: u64) -> (Cutoff, bool) {
    let margin = bytes / limits::SIZE_MARGIN_SHARE;
    let grown = size.saturating_sub(full.least);
    // What was shut is let in when it has shrunk.
    if grown > margin * 2 || (full.is_shut && grown > margin) {
        (Cutoff::Everything, true)
    } else if grown > margin {
        (Cutoff::Writing, false)
    } else {
        (Cutoff::Earlier, false)
    }
}

/// Below this, a database that may have this much is not full any more.
fn again(bytes: u64) -> u64 {
    bytes - bytes / limits::SIZE_AGAIN_SHARE
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn judged(size: u64, least: u64, is_shut: bool) -> (Cutoff, bool) {
        let full = Full { since: Instant::now(), least: least * MIB, is_shut };
        judge(size * MIB, &full, 80 * MIB)
    }

    #[test]
    fn what_grows_although_it_is_full_is_ended_and_then_shut() {
        assert_eq!(judged(100, 100, false), (Cutoff::Earlier, false));
        assert_eq!(judged(110, 100, false), (Cutoff::Earlier, false));
        assert_eq!(judged(111, 100, false), (Cutoff::Writing, false));
        assert_eq!(judged(120, 100, false), (Cutoff::Writing, false));
        assert_eq!(judged(121, 100, false), (Cutoff::Everything, true));
        // It is let in when it has shrunk by as much.
        assert_eq!(judged(120, 100, true), (Cutoff::Everything, true));
        assert_eq!(judged(110, 100, true), (Cutoff::Earlier, false));
    }

    #[test]
    fn a_look_takes_a_small_part_of_the_time() {
        assert_eq!(rest_after(Duration::from_millis(1)), limits::SIZE_INTERVAL);
        assert_eq!(rest_after(Duration::from_secs(1)), Duration::from_secs(20));
    }
}
