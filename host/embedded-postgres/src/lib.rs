//! A Postgres server of the application's own, for databases that the application file gives no
//! url.
//!
//! One server per state folder, started and stopped with the host. It keeps its data between runs.
//! It knows binaries, processes and files; of pools and components it knows nothing, and gives
//! addresses only, and says which database has no room left.

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
mod quota;
mod reserve;
mod urgency;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use sqlx::postgres::PgSslMode;
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use init::{Script, apply, wait_for};

use account::Account;
use database::Database;
use folder::Folder;
use guard::Guard;
use process::Process;
use quota::{Meter, Quota};
use wasm_host_capabilities::postgres::Room;
use wasm_host_capabilities::postgres::url::Address;
use wasm_host_limits::embedded_postgres as limits;
use wasm_host_limits::postgres::PoolConfig;

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
    /// The databases that it is to have.
    pub shares: BTreeMap<String, Share>,
}

/// What one database may have of the server.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// Connections of its pool.
    pub pool: usize,
    pub size_bytes: u64,
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
    shares: BTreeMap<String, Share>,
    /// Where databases go to be measured.
    measured: mpsc::Sender<Quota>,
    /// One database is prepared at a time: what they share cannot be changed twice at once.
    preparing: Mutex<()>,
    /// Ends the tasks that watch it.
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
    let each = config.shares.values().map(|share| connections(share.pool));
    let all = each.fold(limits::OTHER_CONNECTIONS, u32::saturating_add);
    let all = all.max(limits::CONNECTIONS);
    let process = run(&folder, &config.name, all).await.map_err(fail)?;
    let stop = CancellationToken::new();
    let administrator = process.administrator(&folder, "postgres");
    let guard = Guard::new(folder.home().to_path_buf(), administrator.clone(), all);
    tokio::spawn(guard.watch(stop.clone()));
    tokio::spawn(urgency::watch(process.running(), stop.clone()));
    let shares = config.shares;
    let (measured, added) = mpsc::channel(shares.len().max(1));
    tokio::spawn(Meter::new(administrator).watch(added, stop.clone()));
    let (preparing, _guarded) = (Mutex::default(), stop.drop_guard());
    Ok(EmbeddedServer { process, shares, measured, preparing, _guarded, folder })
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

    /// Bound a database's size from now on. What its init scripts load before may be more: then it is full from the
    /// start. Once for each of those that the server was started for; others have no bound.
    pub fn bound(&self, name: &str) -> Room {
        let room = Room::default();
        if let Some(share) = self.shares.get(name) {
            // There is a place for each, and the other end lives as long as this.
            let _ = self.measured.try_send(Quota::new(name, share.size_bytes, room.clone()));
        }
        room
    }

    /// Where the host itself logs in, to do what no component may.
    pub fn administrator(&self) -> Address {
        self.process.administrator(&self.folder, "postgres")
    }

    fn described<'a>(&self, name: &'a str, password: &'a str) -> Database<'a> {
        let pool =
            self.shares.get(name).map_or(PoolConfig::connections().default, |share| share.pool);
        Database { name, password, connections: connections(pool) }
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
mod tests;
