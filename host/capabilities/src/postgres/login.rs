//! Logging in, and finding out what answers: a process of the server that is this connection's own, or a pooler,
//! which may use another connection to the server for each transaction.
//!
//! Each login carries a mark of its own, a setting that a server keeps for the connection and gives back when asked.
//! A pooler refuses the setting, drops it, or gives that of another connection. So whatever does not give the mark
//! back is taken for a pooler. It knows nothing of what is then run.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::error;
use super::url::Address;

/// The setting that carries the mark. Servers take any name with a dot, from every user.
pub(super) const MARK: &str = "wasm_host.connection";

/// The process that it names may be ended by others than its role, so a role's own settings must not decide what it
/// asks.
const WHO: &str = "select pg_catalog.pg_backend_pid(), \
    (select (extract(epoch from backend_start) operator(pg_catalog.*) 1000000)::pg_catalog.int8 \
    from pg_catalog.pg_stat_activity where pid operator(pg_catalog.=) pg_catalog.pg_backend_pid()), \
    pg_catalog.current_setting('wasm_host.connection', true)";

/// One process of one server. Its number alone may be another's: on another server behind the same address, or
/// after a restart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process {
    pub(super) pid: i32,
    /// In microseconds, by the server's clock. Unknown to some servers.
    pub(super) started: Option<i64>,
}

/// How to log in to one database.
pub(super) struct Login {
    address: Address,
    /// Something else than a server has answered. It stays so: what is right behind a pooler is right without one.
    is_pooled: AtomicBool,
    /// Other clients of the pooler have left statements on its servers under the names that the driver uses.
    pub(super) names_are_taken: Arc<AtomicBool>,
}

impl Login {
    pub(super) fn new(address: Address) -> Self {
        Self { address, is_pooled: AtomicBool::new(false), names_are_taken: Arc::default() }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn database(&self) -> &str {
        self.address.database()
    }

    pub(super) fn is_pooled(&self) -> bool {
        self.is_pooled.load(Ordering::Relaxed)
    }

    /// A new connection, and the process at its other end. Behind a pooler, that is none.
    pub(super) async fn open(&self) -> sqlx::Result<(PgConnection, Option<Process>)> {
        if !self.is_pooled() {
            // The keys of a hasher are random, and that is all the randomness that is needed.
            let mark = format!("{:016x}", RandomState::new().hash_one(0_u8));
            match self.address.connect(Some((MARK, &mark))).await {
                Ok(mut sql) => {
                    let row = sqlx::raw_sql(WHO).fetch_one(&mut sql).await?;
                    if row.try_get::<Option<&str>, _>(2)? == Some(&mark) {
                        let process = Process { pid: row.try_get(0)?, started: row.try_get(1)? };
                        return Ok((sql, Some(process)));
                    }
                    self.is_behind_pooler();
                    return Ok((sql, None));
                }
                Err(error) if error::is_refused_setting(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let sql = self.address.connect(None).await?;
        self.is_behind_pooler();
        Ok((sql, None))
    }

    fn is_behind_pooler(&self) {
        if !self.is_pooled.swap(true, Ordering::Relaxed) {
            let database = self.database();
            tracing::info!(
                database,
                "a connection pooler answers for a database: each statement runs in a transaction of its own"
            );
        }
    }
}
