//! A Postgres server of the application's own, for databases that the application file gives no
//! url.
//!
//! One server per state folder, started and stopped with the host. It keeps its data between runs.
//! It knows binaries, processes and files; of pools and components it knows nothing, and hands out
//! addresses only.

mod account;
mod binaries;
mod cluster;
mod folder;
mod init;
mod log;
mod orphan;
mod process;

use std::path::{Path, PathBuf};

use anyhow::Context;
use sqlx::postgres::{PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, Connection, Executor};

pub use init::{Script, apply};

use crate::capability::postgres::url::Address;
use account::Account;
use folder::Folder;
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
    let process = run(&folder, &config).await.map_err(fail)?;
    Ok(EmbeddedServer { process, folder })
}

async fn run(folder: &Folder, config: &EmbeddedConfig) -> anyhow::Result<Process> {
    orphan::stop(folder).await?;
    let binaries = binaries::find(folder, cluster::version(folder)?).await?;
    cluster::create(folder, &binaries).await?;
    let process = Process::start(folder, &binaries, &config.name).await?;
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
    /// owns this one database and nothing else.
    pub async fn database(&self, name: &str) -> anyhow::Result<Address> {
        let password = self.folder.password_for(name);
        self.create(name, &password)
            .await
            .with_context(|| format!("cannot create the database `{name}`"))?;
        let (host, port) = (self.process.host(), self.process.port());
        Ok(Address::new(&host, port, name, &password, name).with_ssl_mode(PgSslMode::Disable))
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

    async fn create(&self, name: &str, password: &str) -> anyhow::Result<()> {
        anyhow::ensure!(
            (1..=63).contains(&name.len()) && name != ADMINISTRATOR && !name.starts_with("pg_"),
            "a database's name has 1 to 63 bytes, is not `{ADMINISTRATOR}` and does not start with \
             `pg_`"
        );
        let address = self.process.administrator(&self.folder, "postgres");
        let mut sql = PgConnection::connect_with(address.options()).await?;
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        // The password is made of hexadecimal digits. It is set at each start, because the role may
        // be older than the folder's present secret.
        for (statement, exists) in [
            (format!("create role {quoted} login"), "42710"),
            (format!("alter role {quoted} login nosuperuser password '{password}'"), ""),
            (format!("create database {quoted} owner {quoted}"), "42P04"),
            (format!("revoke all on database {quoted} from public"), ""),
        ] {
            match sql.execute(AssertSqlSafe(statement)).await {
                Ok(_) => {}
                Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(exists) => {}
                Err(error) => return Err(error.into()),
            }
        }
        sql.close().await?;
        Ok(())
    }
}

/// `path` as errors and log lines show it.
fn shown(path: &Path) -> String {
    format!("`{}`", path.display())
}

#[cfg(test)]
pub(crate) mod tests;
