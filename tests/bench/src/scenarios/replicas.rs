//! What replicas take of the database in which they come to one decision, and how long a swap takes on which all of them
//! agree. They run in this process, with versions that are only names: what compiling takes is each host's own.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Error, Result, ensure};
use sqlx::postgres::PgConnectOptions;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use wasm_host_limits::replicas::ReplicaLimits;
use wasm_host_replicas::protocol::{Attempt, Decision, Line, Offer, Version};
use wasm_host_replicas::replica::{
    Boxed, Overtaken, Prepared, Replica, SwapProposal, Terms, Versions,
};
use wasm_host_tests::postgres::Postgres;

use super::milliseconds;
use crate::Setting;
use crate::figures::Row;
use crate::process::Times;

const SERVICE: &str = "a";

/// The first one is that of a small application, the last one the most that there may be.
const COUNTS: [usize; 4] = [3, 20, 100, 200];

/// What each has open, and room for what `psql` asks.
const CONNECTIONS_EACH: usize = 3;
const OTHER_CONNECTIONS: usize = 50;

/// Leases for which nothing happens, and in each of which all of them renew theirs.
const WINDOWS: usize = 3;

/// Replicas that start at once.
const AT_ONCE: usize = 20;

/// How long it may take until all have come in, and until all serve what was decided.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) async fn run(setting: &Setting) -> Result<Vec<Row>> {
    let counts = if setting.effort.quick { &COUNTS[..2] } else { &COUNTS };
    let most = counts.iter().max().copied().unwrap_or_default();
    let postgres = tokio::task::spawn_blocking(move || {
        let mut postgres = Postgres::start();
        let connections = most * CONNECTIONS_EACH + OTHER_CONNECTIONS;
        postgres.sql(&format!("alter system set max_connections = {connections}"));
        postgres.stop();
        postgres.resume();
        postgres
    });
    let postgres = postgres.await?;
    let mut rows = Vec::new();
    for count in counts {
        rows.extend(together(setting, &postgres, *count).await?);
    }
    tokio::task::spawn_blocking(move || drop(postgres)).await?;
    Ok(rows)
}

/// Some replicas of an application of their own: while nothing happens, and while they swap.
async fn together(setting: &Setting, postgres: &Postgres, count: usize) -> Result<Vec<Row>> {
    let options: PgConnectOptions = postgres.url().parse()?;
    let limits = ReplicaLimits::default();
    let mut all = Vec::new();
    while all.len() < count {
        let next = all.len()..count.min(all.len() + AT_ONCE);
        let fresh: Vec<Host> = next.map(|number| Host::start(&options, count, number)).collect();
        for host in &fresh {
            host.is_member().await?;
        }
        all.extend(fresh);
    }
    let (mut transactions, mut processors, mut written) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..if setting.effort.quick { 1 } else { WINDOWS } {
        let before = Looked::at(postgres)?;
        let started = Instant::now();
        sleep(limits.lease).await;
        let (after, seconds) = (Looked::at(postgres)?, started.elapsed().as_secs_f64());
        transactions.push((after.transactions - before.transactions) / seconds);
        written.push((after.written - before.written) / seconds / 1000.0);
        processors.push(after.times.since(&before.times).as_secs_f64() / seconds * 100.0);
    }
    let connections = number(
        postgres,
        "select count(*) from pg_stat_activity where application_name = '' \
                                        and backend_type = 'client backend' and pid <> pg_backend_pid()",
    )?;
    let mut swaps = Vec::new();
    for round in 0..setting.effort.rounds {
        let version = format!("v{round}");
        let asker = all.get(round % count).context("a replica")?;
        let started = Instant::now();
        asker.swap(&version).await?;
        for host in &all {
            host.serves(&version).await?;
        }
        swaps.push(milliseconds(started.elapsed()));
    }
    for host in &all {
        host.replica.stop().await;
    }
    let name = |what: &str| format!("{count} replicas: {what}");
    Ok(vec![
        Row::new(name("connections"), "", vec![connections]),
        Row::new(name("transactions"), "/s", transactions),
        Row::new(name("a processor of the database"), "%", processors),
        Row::new(name("log of the database"), "kB/s", written),
        Row::new(name("a swap, until all serve it"), "ms", swaps),
    ])
}

/// What the database has done so far.
struct Looked {
    transactions: f64,
    written: f64,
    times: Times,
}

impl Looked {
    fn at(postgres: &Postgres) -> Result<Self> {
        Ok(Self {
            transactions: number(
                postgres,
                "select xact_commit from pg_stat_database where datname = current_database()",
            )?,
            written: number(postgres, "select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')")?,
            times: Times::with_children(postgres.pid())?,
        })
    }
}

fn number(postgres: &Postgres, statement: &str) -> Result<f64> {
    let text = postgres.sql(statement);
    text.parse().with_context(|| format!("{statement}: {text}"))
}

/// A replica with nothing but names.
struct Host {
    replica: Arc<Replica>,
    serves: watch::Sender<Arc<str>>,
}

impl Host {
    fn start(options: &PgConnectOptions, count: usize, number: usize) -> Self {
        let limits = ReplicaLimits::default();
        let terms = Terms {
            application: format!("bench-{count}").into(),
            name: format!("vm-{count}-{number:08x}").into(),
            lease: limits.lease,
            attempt_timeout: limits.attempt_timeout,
            fences: false,
        };
        let (serves, _) = watch::channel::<Arc<str>>("own".into());
        let versions = Names(serves.clone());
        let replica = Replica::start(options.clone(), terms, |_| Arc::new(versions));
        Self { replica, serves }
    }

    async fn is_member(&self) -> Result<()> {
        let started = Instant::now();
        while !self.replica.is_member() {
            let why = self.replica.complaint().or(self.replica.behind());
            ensure!(started.elapsed() < PATIENCE, "a replica does not come in: {why:?}");
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    async fn swap(&self, digest: &str) -> Result<()> {
        let wanted = SwapProposal {
            service: SERVICE.into(),
            version: version(digest),
            cause: "bench".into(),
            takes_back: false,
        };
        let ready = Ready { serves: self.serves.clone(), digest: digest.into() };
        self.replica.propose(wanted, Box::new(ready)).await.map_err(Error::msg)
    }

    async fn serves(&self, digest: &str) -> Result<()> {
        let mut serves = self.serves.subscribe();
        timeout(PATIENCE, serves.wait_for(|serves| &**serves == digest)).await??;
        Ok(())
    }
}

struct Names(watch::Sender<Arc<str>>);

impl Versions for Names {
    fn offered(&self) -> Vec<Offer> {
        let (service, own) = (SERVICE.into(), "own".into());
        vec![Offer { service, version: version("own"), own, misses: None }]
    }

    fn prepare(
        &self,
        _service: Arc<str>,
        attempt: Attempt,
    ) -> Boxed<Result<Box<dyn Prepared>, String>> {
        let ready = Ready { serves: self.0.clone(), digest: attempt.version.digest };
        Box::pin(async move { Ok(Box::new(ready) as Box<dyn Prepared>) })
    }

    fn catch_up(
        &self,
        _service: Arc<str>,
        line: Line,
        _overtaken: Overtaken,
    ) -> Boxed<Result<(), String>> {
        self.0.send_replace(line.current.version.digest);
        Box::pin(async { Ok(()) })
    }
}

struct Ready {
    serves: watch::Sender<Arc<str>>,
    digest: Arc<str>,
}

impl Prepared for Ready {
    fn serve(self: Box<Self>, _decision: Decision) -> Boxed<Result<(), String>> {
        self.serves.send_replace(self.digest);
        Box::pin(async { Ok(()) })
    }

    fn drop_for(self: Box<Self>, reason: &str) {
        eprintln!("a swap came to nothing: {reason}");
    }
}

fn version(digest: &str) -> Version {
    Version { digest: digest.into(), source: digest.into() }
}
