//! The backends that the application file names: connected once, shared by the services that are
//! granted them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::capability::ollama::Server;
use crate::capability::postgres::url::Address;
use crate::capability::postgres::{Database, PgDatabase, PoolConfig};
use crate::config::{Config, PostgresConfig};
use crate::embedded_postgres::{self, EmbeddedConfig, EmbeddedServer, Script};
use crate::service::registry::RegistryHandle;

/// All resources by their names in the application file.
#[derive(Default)]
pub struct Backends {
    databases: BTreeMap<String, PgDatabase>,
    pub ollama: BTreeMap<String, Arc<dyn Server>>,
    /// The server of the databases without a url.
    embedded: Option<EmbeddedServer>,
}

impl Backends {
    /// Start what has to be started, and bring databases to the state that their init scripts say.
    pub async fn start(config: &Config, registry: &RegistryHandle) -> Result<Self> {
        let mut backends = Self::unconnected(config, registry)?;
        if config.postgres.values().any(|postgres| postgres.url.is_none()) {
            let embedded =
                EmbeddedConfig { state_dir: config.state_dir.clone(), name: config.name.clone() };
            backends.embedded = Some(embedded_postgres::start(embedded).await?);
        }
        for (name, postgres) in &config.postgres {
            let address = backends.address(name, postgres).await?;
            let scripts = scripts(&config.folder, postgres);
            for script in embedded_postgres::apply(&address, &scripts).await? {
                tracing::info!(database = name, "ran {script}");
            }
            backends.databases.insert(name.clone(), PgDatabase::new(address, pool(postgres)));
        }
        Ok(backends)
    }

    /// Backends that connect to nothing until they are used, for checking components.
    pub fn unconnected(config: &Config, _registry: &RegistryHandle) -> Result<Self> {
        let mut backends = Self::default();
        for (name, postgres) in &config.postgres {
            let address = match &postgres.url {
                Some(url) => Address::parse(url.expose())
                    .with_context(|| format!("the url of [postgres.{name}]"))?,
                None => Address::new("127.0.0.1", 0, name, "", name),
            };
            backends.databases.insert(name.clone(), PgDatabase::new(address, pool(postgres)));
        }
        Ok(backends)
    }

    pub fn postgres(&self, name: &str) -> Option<Arc<dyn Database>> {
        let database = self.databases.get(name)?.clone();
        Some(Arc::new(database))
    }

    pub fn ollama(&self, name: &str) -> Option<Arc<dyn Server>> {
        self.ollama.get(name).cloned()
    }

    /// What does not answer, in words for people.
    pub async fn unavailable(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        for (name, database) in &self.databases {
            if let Err(error) = database.check().await {
                tracing::debug!(database = name, "{error:?}");
                reasons.push(format!("the database {name} does not answer"));
            }
        }
        reasons
    }

    /// Close connections and stop what was started for the application.
    pub async fn stop(self) {
        for database in self.databases.values() {
            database.close();
        }
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }

    async fn address(&self, name: &str, postgres: &PostgresConfig) -> Result<Address> {
        match (&postgres.url, &self.embedded) {
            (None, Some(embedded)) => embedded.database(name).await,
            (url, _) => {
                let url = url.as_ref().map(|url| url.expose()).unwrap_or_default();
                Address::parse(url).with_context(|| format!("the url of [postgres.{name}]"))
            }
        }
    }
}

fn pool(postgres: &PostgresConfig) -> PoolConfig {
    PoolConfig {
        connections: u32::try_from(postgres.pool).unwrap_or(u32::MAX),
        acquire_timeout: postgres.acquire_timeout,
        statement_timeout: postgres.statement_timeout,
    }
}

/// A script is recorded under its path in the application's folder, so that the folder may move.
fn scripts(folder: &Path, postgres: &PostgresConfig) -> Vec<Script> {
    let name = |path: &Path| path.strip_prefix(folder).unwrap_or(path).display().to_string();
    postgres.init.iter().map(|path| Script { name: name(path), path: path.clone() }).collect()
}
