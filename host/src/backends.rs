//! The backends that the application file names: connected once, shared by the services that are
//! granted them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};

use crate::capability::ollama::backend::Server;
use crate::capability::ollama::upstream::{Fallback, Serving};
use crate::capability::ollama::{self, Client, ForwardRules, Options, Upstream};
use crate::capability::postgres::url::Address;
use crate::capability::postgres::{Database, PgDatabase, PoolConfig};
use crate::config::{Config, OllamaConfig, PostgresConfig};
use crate::embedded_postgres::{self, EmbeddedConfig, EmbeddedServer, Script};
use crate::service::registry::RegistryHandle;

/// All resources by their names in the application file.
#[derive(Default)]
pub struct Backends {
    databases: BTreeMap<String, PgDatabase>,
    models: BTreeMap<String, Models>,
}

/// A model server and the grant's way to it.
struct Models {
    upstream: Arc<Upstream>,
    client: Arc<Client>,
}

impl Backends {
    /// Start what has to be started, and bring databases to the state that their init scripts say.
    /// The server of the databases without a url is the caller's to stop.
    pub async fn start(
        config: &Config,
        registry: &RegistryHandle,
    ) -> Result<(Self, Option<EmbeddedServer>)> {
        let mut backends = Self::unconnected(config, registry)?;
        let embedded = embedded(config).await?;
        for (name, postgres) in &config.postgres {
            let address = match (&postgres.url, &embedded) {
                (None, Some(embedded)) => embedded.database(name).await?,
                _ => address(name, postgres)?,
            };
            let scripts = scripts(&config.folder, postgres);
            for script in embedded_postgres::apply(&address, &scripts).await? {
                tracing::info!(database = name, "ran {script}");
            }
            backends.databases.insert(name.clone(), PgDatabase::new(address, pool(postgres)));
        }
        Ok((backends, embedded))
    }

    /// Backends that connect to nothing until they are used, for checking components.
    pub fn unconnected(config: &Config, registry: &RegistryHandle) -> Result<Self> {
        let mut backends = Self::default();
        for (name, postgres) in &config.postgres {
            let address = address(name, postgres)?;
            backends.databases.insert(name.clone(), PgDatabase::new(address, pool(postgres)));
        }
        for (name, ollama) in &config.ollama {
            let models = models(ollama, registry)
                .map_err(|error| anyhow!("the url of [ollama.{name}]: {error}"))?;
            backends.models.insert(name.clone(), models);
        }
        Ok(backends)
    }

    pub fn postgres(&self, name: &str) -> Option<Arc<dyn Database>> {
        let database = self.databases.get(name)?.clone();
        Some(Arc::new(database))
    }

    pub fn ollama(&self, name: &str) -> Option<Arc<dyn Server>> {
        let client = self.models.get(name)?.client.clone();
        Some(client)
    }

    /// What does not answer, in words for people. Looks now.
    pub async fn unavailable(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        for (name, database) in &self.databases {
            if let Err(error) = database.check().await {
                tracing::debug!(database = name, "{error:?}");
                reasons.push(format!("the database {name} does not answer"));
            }
        }
        for (name, models) in &self.models {
            match models.upstream.check().await {
                Serving::Server => {}
                Serving::Fallback => {
                    reasons.push(format!("no Ollama answers for {name}; its demo stands in"))
                }
                Serving::Unknown | Serving::Nothing => {
                    reasons.push(format!("no Ollama answers for {name}"));
                }
            }
        }
        reasons
    }

    /// Close connections.
    pub fn close(&self) {
        for database in self.databases.values() {
            database.close();
        }
    }
}

async fn embedded(config: &Config) -> Result<Option<EmbeddedServer>> {
    if config.postgres.values().all(|postgres| postgres.url.is_some()) {
        return Ok(None);
    }
    let server = EmbeddedConfig { state_dir: config.state_dir.clone(), name: config.name.clone() };
    embedded_postgres::start(server).await.map(Some)
}

/// The address that the application file gives, or one where nobody is.
fn address(name: &str, postgres: &PostgresConfig) -> Result<Address> {
    match &postgres.url {
        Some(url) => {
            Address::from_uri(url.expose()).with_context(|| format!("the url of [postgres.{name}]"))
        }
        None => Ok(Address::new("127.0.0.1", 0, name, "", name)),
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

fn models(config: &OllamaConfig, registry: &RegistryHandle) -> Result<Models, String> {
    let url = config.url.expose().parse().map_err(|_| "it cannot be read".to_string())?;
    let address = ollama::Address::from_url(url)?;
    let fallback = config.fallback.as_ref().map(|service| Fallback {
        service: service.clone(),
        transport: Arc::new(registry.transport(service)),
    });
    let upstream = Arc::new(Upstream::new(&address, fallback)?);
    let options = Options {
        calls: config.concurrent,
        first_byte: config.first_byte_timeout,
        forward: ForwardRules::default(),
    };
    Ok(Models { client: Arc::new(Client::new(upstream.clone(), options)), upstream })
}
