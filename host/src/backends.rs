//! The backends that the application file names: connected once, shared by the services that are
//! granted them.

mod embedded;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tokio::time::timeout;

use crate::capability::ollama::backend::Server;
use crate::capability::ollama::upstream::{Fallback, Serving, Transport};
use crate::capability::ollama::{self, Client, Options, Upstream};
use crate::capability::outgoing::Outbound;
use crate::capability::postgres::url::Address;
use crate::capability::postgres::{Awaited, Database, PgDatabase, PoolConfig};
use crate::config::{BackendUrl, Config, OllamaConfig, PostgresConfig, ServiceConfig};
use crate::embedded_postgres::{self, EmbeddedConfig, Script, Share};
use crate::limits::backends::READY_TIMEOUT;
use crate::record::{self, Recorder};
use crate::service::registry::RegistryHandle;
use crate::telemetry::tell_if_long_async;
use crate::{threads, tls};
pub use embedded::Embedded;
use embedded::Wanted;

/// All resources by their names in the application file.
#[derive(Default)]
pub struct Backends {
    databases: BTreeMap<String, Awaited>,
    models: BTreeMap<String, Models>,
    /// By service.
    outbound: BTreeMap<String, Arc<Outbound>>,
    started: bool,
    recorder: Option<Arc<Recorder>>,
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
        recorder: Option<Arc<Recorder>>,
    ) -> Result<(Self, Option<Embedded>)> {
        let mut backends = Self::made(config, registry, recorder)?;
        for (name, postgres) in &config.postgres {
            if let Some(url) = &postgres.url {
                let scripts = scripts(&config.folder, postgres);
                let what = format!("running init scripts of the database {name}");
                let address = address(name, postgres, url)?;
                let applied = embedded_postgres::apply(&address, &scripts);
                let applied = tell_if_long_async(&what, applied).await;
                tell(name, &applied.with_context(|| place(config, name, postgres))?);
            }
        }
        let embedded = backends.embedded(config).await?;
        backends.started = true;
        Ok((backends, embedded))
    }

    async fn embedded(&self, config: &Config) -> Result<Option<Embedded>> {
        let mut shares = BTreeMap::new();
        let wanted = config.postgres.iter().filter_map(|(name, postgres)| {
            // Servers of others have none.
            let size_bytes = postgres.size_bytes?;
            shares.insert(name.clone(), Share { pool: postgres.pool, size_bytes });
            Some(Wanted {
                name: name.clone(),
                place: place(config, name, postgres),
                scripts: scripts(&config.folder, postgres),
                pool: pool(postgres),
                database: self.databases.get(name)?.clone(),
            })
        });
        let wanted: Vec<Wanted> = wanted.collect();
        if wanted.is_empty() {
            return Ok(None);
        }
        let server = EmbeddedConfig {
            state_dir: config.state_dir.clone(),
            name: config.name.clone(),
            shares,
        };
        Embedded::start(server, wanted).await.map(Some)
    }

    /// Backends that connect to nothing until they are used, for checking components.
    pub fn unconnected(config: &Config, registry: &RegistryHandle) -> Result<Self> {
        Self::made(config, registry, None)
    }

    fn made(
        config: &Config,
        registry: &RegistryHandle,
        recorder: Option<Arc<Recorder>>,
    ) -> Result<Self> {
        tls::install();
        let threads = threads::count(config.limits.threads);
        let mut backends = Self { recorder, ..Self::default() };
        for (name, postgres) in &config.postgres {
            let database = match &postgres.url {
                Some(url) => PgDatabase::new(address(name, postgres, url)?, pool(postgres)).into(),
                None => Awaited::missing("its server has not been started"),
            };
            backends.databases.insert(name.clone(), database);
        }
        for (name, ollama) in &config.ollama {
            let models = models(ollama, threads, registry, backends.recorder.as_ref())
                .with_context(|| format!("the url of [ollama.{name}]"))?;
            backends.models.insert(name.clone(), models);
        }
        for (name, service) in &config.services {
            let Some(component) = service.component() else { continue };
            let allowed = component.outbound.clone().unwrap_or_default();
            let outbound = Outbound::new(name.as_str().into(), allowed)
                .with_context(|| format!("no certificates for 'outbound' of [service.{name}]"))?;
            backends.outbound.insert(name.clone(), outbound);
        }
        Ok(backends)
    }

    /// What records the calls that are made of them.
    pub fn recorder(&self) -> Option<&Arc<Recorder>> {
        self.recorder.as_ref()
    }

    /// Whether they were started, or only stand in for a check.
    pub fn are_started(&self) -> bool {
        self.started
    }

    /// Whether a database is missing that a service asks, itself or through the services that it calls.
    pub fn are_missing_for(&self, config: &Config, service: &str) -> bool {
        let (mut seen, mut open) = (BTreeSet::new(), vec![service]);
        while let Some(name) = open.pop() {
            let component = config.services.get(name).and_then(ServiceConfig::component);
            let Some(component) = component.filter(|_| seen.insert(name)) else { continue };
            if component.grants.postgres.as_deref().is_some_and(|name| self.is_missing(name)) {
                return true;
            }
            open.extend(component.grants.services.iter().map(String::as_str));
        }
        false
    }

    /// Whether a database's server has not come up yet.
    pub fn is_missing(&self, database: &str) -> bool {
        self.databases.get(database).is_some_and(|database| database.get().is_none())
    }

    /// A database as a service uses it.
    pub fn postgres(&self, name: &str, service: &str) -> Option<Arc<dyn Database>> {
        let database: Arc<dyn Database> = Arc::new(self.databases.get(name)?.of_service(service));
        Some(match &self.recorder {
            Some(_) => record::database(database),
            None => database,
        })
    }

    pub fn ollama(&self, name: &str) -> Option<Arc<dyn Server>> {
        let client = self.models.get(name)?.client.clone();
        Some(client)
    }

    /// The way of a service to hosts outside.
    pub fn outbound(&self, service: &str) -> Arc<Outbound> {
        self.outbound.get(service).cloned().unwrap_or_else(|| Outbound::closed(service.into()))
    }

    /// What does not answer, in words for people. Looks now, at all of them at the same time.
    pub async fn unavailable(&self) -> Vec<String> {
        let databases = self.databases.iter().map(async |(name, database)| {
            let Some(database) = database.get() else {
                let why = database.why_missing()?;
                return Some(format!("the database {name} is missing: {why}; it is tried again"));
            };
            match look(database.check()).await {
                Some(Ok(())) => {
                    let why = database.why_full()?;
                    Some(format!("the database {name} is full: {why}"))
                }
                answer => {
                    tracing::debug!(database = name, "{answer:?}");
                    let tried = tried(database.is_open());
                    Some(format!("the database {name} does not answer{tried}"))
                }
            }
        });
        let models = self.models.iter().map(|(name, models)| {
            look(models.upstream.check()).map(move |answer| match answer {
                Some(Serving::Server) => None,
                Some(Serving::Fallback) => {
                    Some(format!("no Ollama answers for {name}; its demo stands in"))
                }
                _ => Some(format!(
                    "no Ollama answers for {name}{}",
                    tried(models.upstream.is_open())
                )),
            })
        });
        let (databases, models) = tokio::join!(join_all(databases), join_all(models));
        let outbound = self.outbound.iter().flat_map(|(service, outbound)| {
            let hosts = outbound.unreachable();
            hosts.into_iter().map(move |host| {
                format!("the service {service} does not reach {host}{}", tried(true))
            })
        });
        databases.into_iter().chain(models).flatten().chain(outbound).collect()
    }

    /// How many calls run on each backend at this moment, by its table in the application file. Asks nobody.
    pub fn calls(&self) -> Vec<(String, usize)> {
        let databases = self.databases.iter().map(|(name, database)| {
            (format!("postgres.{name}"), database.get().map_or(0, PgDatabase::in_use))
        });
        let models = self
            .models
            .iter()
            .map(|(name, models)| (format!("ollama.{name}"), models.client.live_calls()));
        databases.chain(models).collect()
    }

    /// Close connections.
    pub fn close(&self) {
        for database in self.databases.values().filter_map(Awaited::get) {
            database.close();
        }
    }
}

/// `None` without an answer in time.
async fn look<T>(question: impl Future<Output = T>) -> Option<T> {
    timeout(READY_TIMEOUT, question).await.ok()
}

/// What happens to calls meanwhile.
fn tried(is_open: bool) -> &'static str {
    if is_open { "; calls fail at once until it does" } else { "" }
}

/// Tell what was run.
fn tell(database: &str, scripts: &[String]) {
    for script in scripts {
        tracing::info!(database, "ran {script}");
    }
}

/// The address that the application file gives.
fn address(name: &str, postgres: &PostgresConfig, url: &BackendUrl) -> Result<Address> {
    let address =
        Address::from_uri(url.expose()).with_context(|| format!("the url of [postgres.{name}]"))?;
    Ok(match &postgres.ca {
        Some(ca) => address.with_authorities(ca.pem()),
        None => address,
    })
}

/// Where the application file speaks of a database.
fn place(config: &Config, name: &str, postgres: &PostgresConfig) -> String {
    let file = config.file.as_deref().unwrap_or_default();
    format!("{file}:{}: [postgres.{name}]", postgres.line)
}

fn pool(postgres: &PostgresConfig) -> PoolConfig {
    PoolConfig {
        connections: postgres.pool,
        acquire_timeout: postgres.acquire_timeout,
        connect_timeout: postgres.connect_timeout,
        statement_timeout: postgres.statement_timeout,
        breaker: postgres.breaker.clone(),
    }
}

/// A script is recorded under its path in the application's folder, so that the folder may move.
fn scripts(folder: &Path, postgres: &PostgresConfig) -> Vec<Script> {
    let name = |path: &Path| path.strip_prefix(folder).unwrap_or(path).display().to_string();
    postgres.init.iter().map(|path| Script { name: name(path), path: path.clone() }).collect()
}

fn models(
    config: &OllamaConfig,
    threads: usize,
    registry: &RegistryHandle,
    recorder: Option<&Arc<Recorder>>,
) -> Result<Models> {
    let address = ollama::Address::parse(config.url.expose())?;
    let fallback = config.fallback.as_ref().map(|service| Fallback {
        service: service.clone(),
        transport: Arc::new(registry.transport(service)),
    });
    let terms = ollama::Terms {
        connect_timeout: config.connect_timeout,
        ca: config.ca.clone(),
        breaker: config.breaker.clone(),
        threads,
    };
    let upstream = Arc::new(Upstream::new(&address, &terms, fallback).map_err(|why| anyhow!(why))?);
    let options = Options {
        calls: config.concurrent,
        queue: config.queue,
        queue_timeout: config.queue_timeout,
        first_byte: config.first_byte_timeout,
        forward: config.forward.clone(),
    };
    let transport: Arc<dyn Transport> = match recorder {
        Some(_) => record::transport(upstream.clone()),
        None => upstream.clone(),
    };
    Ok(Models { client: Arc::new(Client::new(transport, options)), upstream })
}

#[cfg(test)]
mod tests {
    use http::{Method, Request};
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::capability::context::RequestContext;
    use crate::capability::ollama::backend::Error;
    use crate::config::Source;

    /// What becomes of a request to an Ollama that is not there.
    async fn forward(setting: &str, method: Method, path: &str) -> Error {
        let text = format!(
            "name = \"shop\"\n[ollama.gpu]\nurl = \"http://127.0.0.1:1\"\n{setting}\n\
             [service.a]\ncomponent = \"a.wasm\"\nollama = \"gpu\"\n"
        );
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.wasm"), "").unwrap();
        let environment = |_: &str| None;
        let (file, folder) = ("wasm-host.toml", folder.path());
        let source = Source { text: &text, file, folder, environment: &environment };
        let config = Config::parse(&source).unwrap();
        let backends = Backends::unconnected(&config, &RegistryHandle::default()).unwrap();
        let body = http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync();
        let request = Request::builder().method(method).uri(path).body(body).unwrap();
        let server = backends.ollama("gpu").unwrap();
        server.forward(request, RequestContext::of_host("test")).await.unwrap_err()
    }

    #[tokio::test]
    async fn what_passes_through_to_ollama_is_what_the_file_says() {
        for (setting, method, path, passes) in [
            ("", Method::GET, "/api/ps", true),
            ("", Method::POST, "/api/push", false),
            ("forward = [\"default\", \"POST /api/push\"]", Method::POST, "/api/push", true),
            ("forward = [\"GET /api/tags\"]", Method::GET, "/api/ps", false),
        ] {
            match forward(setting, method, path).await {
                Error::Unreachable(_) => assert!(passes, "{setting} lets {path} pass"),
                Error::Refused(refusal) => {
                    assert!(!passes, "{setting} keeps {path} back");
                    assert!(refusal.message.contains("under [ollama.gpu]"), "{refusal:?}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
