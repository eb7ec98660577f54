//! A Postgres server of the application's own, for databases that the application file gives no
//! url.
//!
//! One server per state folder, started and stopped with the host. It keeps its data between runs.
//! It knows binaries, processes and files; of pools and components it knows nothing, and hands out
//! addresses only.

mod account;
mod binaries;
mod cluster;
mod database;
mod folder;
mod guard;
mod init;
mod log;
mod orphan;
mod process;
mod reserve;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use sqlx::postgres::PgSslMode;
use tokio::sync::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use init::{Script, apply};

use crate::capability::postgres::url::Address;
use crate::limits::embedded_postgres as limits;
use crate::limits::postgres::POOL;
use account::Account;
use database::Database;
use folder::Folder;
use guard::Guard;
use process::Process;

/// The role that administers the server. Components never log in as it: as a superuser, a statement
/// could read the host's files and start programs.
const ADMINISTRATOR: &str = "wasm_host";

/// What to start.
#[derive(Clone, Debug)]
pub struct EmbeddedConfig {
    /// The application's state folder. The server uses `postgres` in it.
    pub state_dir: PathBuf,
    /// The application's name, for people who look at the list of processes.
    pub name: String,
    /// Connections of the pool of each database that it is to have.
    pub pools: BTreeMap<String, usize>,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// None could be set up: something is missing on this machine, or the folder is not the host's.
    #[error("{0:#}")]
    Setup(anyhow::Error),
    /// There was one, and it does not start again.
    #[error("{0:#}")]
    Down(anyhow::Error),
}

/// A running server. Stopped by [`EmbeddedServer::stop`], or when it is dropped.
#[derive(Debug)]
pub struct EmbeddedServer {
    process: Process,
    /// How many connections the role of each database may have.
    connections: BTreeMap<String, u32>,
    /// One database is prepared at a time: what they share cannot be changed twice at once.
    preparing: Mutex<()>,
    /// Ends its guard.
    _guarded: DropGuard,
    // Dropped last: it holds the lock on the folder.
    folder: Folder,
}

/// Start the server of a state folder, creating it when it is new.
///
/// A second host on the same folder is refused. A server that outlived its host is stopped first:
/// its log leads nowhere any more, and its settings may be another version's.
pub async fn start(config: EmbeddedConfig) -> Result<EmbeddedServer, StartError> {
    let opened = Account::choose().and_then(|account| Folder::open(&config.state_dir, account));
    let folder = opened.map_err(StartError::Setup)?;
    let served = folder.data().exists();
    let fail = if served { StartError::Down } else { StartError::Setup };
    let each = config.pools.iter();
    let connections: BTreeMap<_, _> =
        each.map(|(name, pool)| (name.clone(), connections(*pool))).collect();
    let all =
        connections.values().fold(limits::OTHER_CONNECTIONS, |sum, each| sum.saturating_add(*each));
    let all = all.max(limits::CONNECTIONS);
    let process = run(&folder, &config.name, all).await.map_err(fail)?;
    let stop = CancellationToken::new();
    let administrator = process.administrator(&folder, "postgres");
    let guard = Guard::new(folder.home().to_path_buf(), administrator, all);
    tokio::spawn(guard.watch(stop.clone()));
    let preparing = Mutex::default();
    Ok(EmbeddedServer { process, connections, preparing, _guarded: stop.drop_guard(), folder })
}

/// What a pool may need: while a statement that is not wanted any more is ended, its place is taken by the next; and
/// some are to cancel statements and to run scripts.
fn connections(pool: usize) -> u32 {
    u32::try_from(pool)
        .unwrap_or(u32::MAX)
        .saturating_mul(2)
        .saturating_add(limits::SPARE_CONNECTIONS)
}

async fn run(folder: &Folder, name: &str, connections: u32) -> anyhow::Result<Process> {
    orphan::stop(folder).await?;
    let binaries = binaries::find(folder, cluster::version(folder)?).await?;
    cluster::create(folder, &binaries).await?;
    let process = Process::start(folder, &binaries, name, connections).await?;
    tracing::info!(
        port = process.port(),
        version = binaries.version,
        data = %folder.data().display(),
        "embedded Postgres is running"
    );
    Ok(process)
}

impl EmbeddedServer {
    /// The address of a database, which is created when it is missing. Its login is a role that
    /// owns what is in this one database and nothing else.
    pub async fn database(&self, name: &str) -> anyhow::Result<Address> {
        let password = self.folder.password_for(name);
        let _turn = self.preparing.lock().await;
        let login = |database: &str| self.process.administrator(&self.folder, database);
        let prepared = self.described(name, &password).prepare(login).await;
        prepared.with_context(|| format!("cannot prepare the database `{name}`"))?;
        let (host, port) = (self.process.host(), self.process.port());
        Ok(Address::new(&host, port, name, &password, name).with_ssl_mode(PgSslMode::Disable))
    }

    /// Take what is set for a database's role now for what its init scripts want. Anything else is reset at the next
    /// start.
    pub async fn keep_settings(&self, name: &str) -> anyhow::Result<()> {
        let password = self.folder.password_for(name);
        let kept = self.described(name, &password).keep_settings(&self.administrator()).await;
        kept.with_context(|| format!("cannot keep the settings of the database `{name}`"))
    }

    /// Where the host itself logs in, to do what no component may.
    pub fn administrator(&self) -> Address {
        self.process.administrator(&self.folder, "postgres")
    }

    fn described<'a>(&self, name: &'a str, password: &'a str) -> Database<'a> {
        let listed = self.connections.get(name).copied();
        let connections = listed.unwrap_or_else(|| connections(POOL.default));
        Database { name, password, connections }
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.process.port()
    }

    /// The server's own log.
    pub fn log_file(&self) -> PathBuf {
        self.folder.log_file()
    }

    /// Stop it: open statements are cancelled, everything committed is on disk.
    pub async fn stop(self) {
        self.process.stop().await;
    }

    /// For a host that ends at once: tells the server to stop, and does not wait for it.
    pub fn interrupt(&self) -> impl FnOnce() + Send + 'static {
        self.process.interrupt()
    }
}

/// `path` as errors and log lines show it.
fn shown(path: &Path) -> String {
    format!("`{}`", path.display())
}

#[cfg(test)]
pub(crate) mod tests;
