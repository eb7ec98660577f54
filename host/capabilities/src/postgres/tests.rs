//! The real backend against a real server. Each test has a database of its own on a server that they share.

mod by_chance;
mod ends;
mod room;
mod sessions;
mod trouble;
mod values;

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row as _};
use tokio::time::{sleep, timeout};

use super::backend::*;
use super::connection::Control;
use super::login::{Login, Process};
use super::{PgDatabase, PoolConfig, Room, url::Address};
use crate::context::RequestContext;
use wasm_host_limits::backends::BreakerConfig;
use wasm_host_tests::postgres::Postgres;

static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());

/// The server that tests share, stopped when the last of them releases it.
fn server() -> Arc<Postgres> {
    let mut shared = SHARED.lock();
    if let Some(running) = shared.upgrade() {
        return running;
    }
    let mut started = Postgres::start();
    // For as many tests at once as a machine has threads for, and nothing that has to outlive them.
    started.sql("alter system set max_connections = 500");
    started.sql("alter system set fsync = off");
    started.stop();
    started.resume();
    let started = Arc::new(started);
    *shared = Arc::downgrade(&started);
    started
}

/// A database with an account of its own, which owns it.
fn database(server: &Postgres, name: &str) -> Address {
    server.sql(&format!("create role \"{name}\" login"));
    server.sql(&format!("create database \"{name}\" owner \"{name}\""));
    Address::new("127.0.0.1", port(server), name, "", name)
}

fn port(server: &Postgres) -> u16 {
    server.address().rsplit_once(':').unwrap().1.parse().unwrap()
}

/// A database, and a connection that watches it from outside.
struct Bench {
    database: PgDatabase,
    watcher: PgConnection,
    address: Address,
    server: Arc<Postgres>,
}

impl Bench {
    async fn new(name: &str) -> Self {
        Self::with(name, PoolConfig { connections: 3, ..quick() }).await
    }

    async fn with(name: &str, config: PoolConfig) -> Self {
        let server = server();
        let address = database(&server, name);
        let watcher = PgConnection::connect_with(address.options()).await.unwrap();
        let database = PgDatabase::new(address.clone(), config);
        Self { database, watcher, address, server }
    }

    async fn execute(&self, statement: &str) -> Result<u64, Error> {
        self.database.execute(statement.to_string(), Vec::new(), request()).await
    }

    async fn query(&self, statement: &str, parameters: Vec<Value>) -> Result<Rows, Error> {
        self.database.query(statement.to_string(), parameters, request()).await
    }

    async fn one(&self, statement: &str) -> String {
        let rows = self.query(statement, Vec::new()).await.unwrap();
        format!("{:?}", collect(rows).await.unwrap()[0][0])
    }

    /// Statements with this mark in their text that the server runs now.
    async fn running(&mut self, mark: &str) -> i64 {
        sqlx::query(
            "select count(*) from pg_stat_activity where state = 'active' and query like $1 \
             and pid <> pg_backend_pid()",
        )
        .bind(format!("%{mark}%"))
        .fetch_one(&mut self.watcher)
        .await
        .unwrap()
        .get(0)
    }

    async fn until_running(&mut self, mark: &str, expected: i64) {
        let start = Instant::now();
        while self.running(mark).await != expected {
            assert!(start.elapsed() < SOON, "`{mark}`: not {expected} within {SOON:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Until every connection is back in the pool or closed.
    async fn until_idle(&self) {
        let idle = async {
            while self.database.in_use() > 0 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(SOON, idle).await.expect("a connection does not come back");
    }

    /// The pool works, and each of its connections is in its first state.
    async fn assert_clean(&self) {
        let mut open = Vec::new();
        for _ in 0..3 {
            let transaction = self.database.begin(request()).await.unwrap();
            let state = "select current_setting('a.b', true), current_setting('search_path'), \
                 current_setting('statement_timeout'), current_user = session_user, \
                 (select count(*) from pg_locks where locktype = 'advisory' \
                 and pid = pg_backend_pid()), to_regclass('pg_temp.tmp')::text, \
                 now() = statement_timestamp(), (select count(*) from pg_prepared_statements \
                 where from_sql)";
            let rows = transaction.query(state.to_string(), Vec::new(), request()).await.unwrap();
            let row = format!("{:?}", collect(rows).await.unwrap()[0]);
            assert!(row.contains("search_path") || row.contains("$user"), "{row}");
            assert!(row.contains("Int64(0)") && !row.contains("leaked"), "{row}");
            open.push(transaction);
        }
    }
}

fn quick() -> PoolConfig {
    PoolConfig {
        connections: 3,
        acquire_timeout: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(5),
        statement_timeout: Duration::from_secs(120),
        breaker: BreakerConfig::default(),
    }
}

fn request() -> RequestContext {
    RequestContext::of_host("test")
}

async fn collect(mut rows: Rows) -> Result<Vec<Row>, Error> {
    let mut all = Vec::new();
    while let Some(batch) = rows.batches.recv().await {
        assert!((1..=64).contains(&batch.len()));
        all.extend(batch.open());
    }
    let count = rows.done.await.unwrap()?;
    assert_eq!(usize::try_from(count).unwrap(), all.len());
    Ok(all)
}

fn sqlstate(error: &Error) -> &str {
    match error {
        Error::Database(error) => &error.sqlstate,
        other => panic!("{other:?}"),
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// What takes milliseconds takes seconds on a machine that is busy. What it must not take is the
/// time of a statement that nothing ends: two minutes here.
const SOON: Duration = Duration::from_secs(10);
