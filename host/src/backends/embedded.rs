//! The databases of the application's own server: brought up at the start, and what does not come up is tried again
//! while everything else is served.
//!
//! It exists because one damaged data folder or one full disk must not take down services that have nothing to do with
//! it. It knows the server as something to start and to ask for databases.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use wasm_host_capabilities::postgres::url::Address;
use wasm_host_capabilities::postgres::{Administrator, Awaited, PgDatabase, PoolConfig};
use wasm_host_embedded_postgres::{
    self as embedded_postgres, EmbeddedConfig, EmbeddedServer, Script, StartError,
};
use wasm_host_limits::embedded_postgres as limits;
use wasm_host_log::tell_if_long_async;

/// A database that the server is to have.
pub(super) struct DatabaseSpec {
    pub(super) name: String,
    /// Where the application file speaks of it.
    pub(super) place: String,
    pub(super) scripts: Vec<Script>,
    pub(super) pool: PoolConfig,
    pub(super) database: Awaited,
}

/// The server, whether it has come up or not. Stopped by [`Embedded::stop`], or when it is dropped.
pub struct Embedded {
    stop: CancellationToken,
    keeper: JoinHandle<()>,
    interrupt: Interrupt,
}

/// What tells the server to stop, once there is one.
type Interrupt = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

struct Keeper {
    config: EmbeddedConfig,
    server: Option<EmbeddedServer>,
    /// Through which it is asked for what no role of a database may.
    administrator: Option<Administrator>,
    wanted: Vec<DatabaseSpec>,
    interrupt: Interrupt,
}

impl Embedded {
    /// Fails if something on this machine or in the application has to be put right. Anything else is logged, and tried
    /// again.
    pub(super) async fn start(config: EmbeddedConfig, wanted: Vec<DatabaseSpec>) -> Result<Self> {
        let interrupt = Interrupt::default();
        let mut keeper = Keeper {
            config,
            server: None,
            administrator: None,
            wanted,
            interrupt: interrupt.clone(),
        };
        keeper.bring_up(true).await?;
        let stop = CancellationToken::new();
        let keeper = tokio::spawn(keeper.keep(stop.clone()));
        Ok(Self { stop, keeper, interrupt })
    }

    /// Stop it: open statements are cancelled, everything committed is on disk.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let _ = (&mut self.keeper).await;
    }

    /// For a host that ends at once: tells the server to stop, and does not wait for it.
    pub fn interrupt(&self) -> impl FnOnce() + Send + 'static {
        let interrupt = self.interrupt.clone();
        move || now(&interrupt)
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if !self.keeper.is_finished() {
            // The keeper does the same, if the runtime still lets it.
            self.stop.cancel();
            now(&self.interrupt);
        }
    }
}

fn now(interrupt: &Interrupt) {
    let interrupt = interrupt.lock().take();
    if let Some(interrupt) = interrupt {
        interrupt();
    }
}

impl Keeper {
    async fn keep(mut self, stop: CancellationToken) {
        let mut wait = limits::RESTART_WAIT_FIRST;
        while self.wanted.iter().any(|wanted| wanted.database.get().is_none()) {
            let tried = async {
                sleep(wait).await;
                self.bring_up(false).await
            };
            tokio::select! {
                () = stop.cancelled() => break,
                // Only the first attempt ends anything.
                _ = tried => wait = (wait * 2).min(limits::RESTART_WAIT_LAST),
            }
        }
        stop.cancelled().await;
        if let Some(server) = self.server {
            server.stop().await;
        }
    }

    /// Bring up what is not there yet. At the `first` attempt, what is wrong with the application ends it.
    async fn bring_up(&mut self, first: bool) -> Result<()> {
        let server = match &self.server {
            Some(server) => server,
            None => match self.started().await {
                Ok(server) => self.server.insert(server),
                Err(StartError::Setup(error)) if first => return Err(error),
                Err(error) => {
                    let reason = format!("its server does not start: {error}");
                    self.wanted.iter().for_each(|wanted| wanted.is_missing(&reason));
                    return Ok(());
                }
            },
        };
        for wanted in self.wanted.iter().filter(|wanted| wanted.database.get().is_none()) {
            let address = match prepared(server, wanted).await {
                Ok(address) => address,
                Err(Failure::Script(error)) if first => return Err(error),
                Err(Failure::Script(error) | Failure::Server(error)) => {
                    wanted.is_missing(&format!("{error:#}"));
                    continue;
                }
            };
            if !first {
                tracing::info!(database = wanted.name, "a database is there at last");
            }
            let administrator = self
                .administrator
                .get_or_insert_with(|| Administrator::new(server.administrator()));
            let database = PgDatabase::new(address, wanted.pool.clone());
            let database = database.administered(administrator);
            wanted.database.arrive(database.within(server.bound(&wanted.name)));
        }
        Ok(())
    }

    async fn started(&self) -> Result<EmbeddedServer, StartError> {
        let start = embedded_postgres::start(self.config.clone());
        let server = tell_if_long_async("starting the embedded Postgres", start).await?;
        *self.interrupt.lock() = Some(Box::new(server.interrupt()));
        Ok(server)
    }
}

/// Why a database is not there.
enum Failure {
    Server(anyhow::Error),
    Script(anyhow::Error),
}

/// The address of a database that is as its init scripts say.
async fn prepared(server: &EmbeddedServer, wanted: &DatabaseSpec) -> Result<Address, Failure> {
    let name = &wanted.name;
    let address = server.database(name).await.map_err(Failure::Server)?;
    let what = format!("running init scripts of the database {name}");
    let applied = embedded_postgres::apply(&address, &wanted.scripts);
    let applied = tell_if_long_async(&what, applied).await;
    let applied = applied.with_context(|| wanted.place.clone()).map_err(Failure::Script)?;
    super::tell(name, &applied);
    if !applied.is_empty() {
        server.keep_settings(name).await.map_err(Failure::Server)?;
    }
    Ok(address)
}

impl DatabaseSpec {
    /// Log why, unless that was logged already.
    fn is_missing(&self, reason: &str) {
        if self.database.why_missing().as_deref() != Some(reason) {
            let database = &self.name;
            tracing::error!(database, "a database is missing, everything else is served: {reason}");
        }
        self.database.is_missing_because(reason.to_string());
    }
}
