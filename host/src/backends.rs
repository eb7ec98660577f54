//! The backends that the application file names: connected once, shared by the services that are
//! granted them.

mod embedded;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use futures_util::future::join_all;

use crate::capability::Capability;
use crate::capability::backend::{Backend, what_calls_do};
use crate::capability::granted::Granted;
use crate::capability::ollama::upstream::{Fallback, Transport};
use crate::capability::ollama::{self, Models, Ollama, Options, Upstream};
use crate::capability::outgoing::Outbound;
use crate::capability::postgres::url::Address;
use crate::capability::postgres::{Awaited, PgDatabase, PoolConfig, Postgres};
use crate::config::{BackendUrl, Config, Grants, OllamaConfig, PostgresConfig, ServiceConfig};
use crate::embedded_postgres::{self, EmbeddedConfig, Script, Share};
use crate::record::{self, Recorder};
use crate::service::registry::RegistryHandle;
use crate::telemetry::tell_if_long_async;
use crate::{threads, tls};
pub use embedded::Embedded;
use embedded::Wanted;

/// All that tables of the application file declare, connected.
#[derive(Default)]
pub struct Backends {
    /// In the order in which they are complained about.
    declared: Vec<Declared>,
    /// The ways of services to hosts outside, by service.
    outbound: BTreeMap<String, Arc<Outbound>>,
    started: bool,
    recorder: Option<Arc<Recorder>>,
}

/// The backend of one table, such as `[postgres.shop]`.
struct Declared {
    /// The key that grants it, and the first part of the table's name.
    key: &'static str,
    name: String,
    backend: Box<dyn Backend>,
}

/// Databases that the host may have to start a server for, by their names.
type Databases = BTreeMap<String, Awaited>;

impl Backends {
    /// Start what has to be started, and bring databases to the state that their init scripts say.
    /// The server of the databases without a url is the caller's to stop.
    pub async fn start(
        config: &Config,
        registry: &RegistryHandle,
        recorder: Option<Arc<Recorder>>,
    ) -> Result<(Self, Option<Embedded>)> {
        let (mut backends, databases) = Self::made(config, registry, recorder)?;
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
        let embedded = embedded(config, databases).await?;
        backends.started = true;
        Ok((backends, embedded))
    }

    /// Backends that connect to nothing until they are used, for checking components.
    pub fn unconnected(config: &Config, registry: &RegistryHandle) -> Result<Self> {
        Self::made(config, registry, None).map(|(backends, _)| backends)
    }

    fn made(
        config: &Config,
        registry: &RegistryHandle,
        recorder: Option<Arc<Recorder>>,
    ) -> Result<(Self, Databases)> {
        tls::install();
        let threads = threads::count(config.limits.threads);
        let mut backends = Self { recorder, ..Self::default() };
        let mut databases = Databases::new();
        for (name, postgres) in &config.postgres {
            let database = match &postgres.url {
                Some(url) => PgDatabase::new(address(name, postgres, url)?, pool(postgres)).into(),
                None => Awaited::missing("its server has not been started"),
            };
            backends.declare::<Postgres>(name, database.clone());
            databases.insert(name.clone(), database);
        }
        for (name, ollama) in &config.ollama {
            let models = models(ollama, threads, registry, backends.recorder.as_ref())
                .with_context(|| format!("the url of [ollama.{name}]"))?;
            backends.declare::<Ollama>(name, models);
        }
        for (name, service) in &config.services {
            let Some(component) = service.component() else { continue };
            let allowed = component.outbound.clone().unwrap_or_default();
            let outbound = Outbound::new(name.as_str().into(), allowed)
                .with_context(|| format!("no certificates for 'outbound' of [service.{name}]"))?;
            backends.outbound.insert(name.clone(), outbound);
        }
        Ok((backends, databases))
    }

    fn declare<C: Capability>(&mut self, name: &str, backend: impl Backend + 'static) {
        let (name, backend) = (name.to_owned(), Box::new(backend));
        self.declared.push(Declared { key: C::KEY, name, backend });
    }

    fn find(&self, key: &str, name: &str) -> Option<&dyn Backend> {
        let is_it = |declared: &&Declared| declared.key == key && declared.name == name;
        self.declared.iter().find(is_it).map(|declared| &*declared.backend)
    }

    /// What records the calls that are made of them.
    pub fn recorder(&self) -> Option<&Arc<Recorder>> {
        self.recorder.as_ref()
    }

    /// Whether they were started, or only stand in for a check.
    pub fn are_started(&self) -> bool {
        self.started
    }

    /// Whether a backend is missing that a service asks, itself or through the services that it calls.
    pub fn are_missing_for(&self, config: &Config, service: &str) -> bool {
        let (mut seen, mut open) = (BTreeSet::new(), vec![service]);
        while let Some(name) = open.pop() {
            let component = config.services.get(name).and_then(ServiceConfig::component);
            let Some(component) = component.filter(|_| seen.insert(name)) else { continue };
            if self.missing_of(&component.grants).is_some() {
                return true;
            }
            open.extend(component.grants.services.iter().map(String::as_str));
        }
        false
    }

    /// The key of the first grant whose backend has not come up yet.
    pub fn missing_of(&self, grants: &Grants) -> Option<&'static str> {
        let mut granted = grants.resources();
        let missing = granted
            .find(|(key, name)| self.find(key, name).is_some_and(|backend| backend.is_missing()));
        missing.map(|(key, _)| key)
    }

    /// What a service has by its grants.
    pub fn granted(&self, service: &str, grants: &Grants) -> Granted {
        let mut granted = Granted::default();
        for (key, name) in grants.resources() {
            if let Some(backend) = self.find(key, name) {
                granted = backend.grant(service, granted);
            }
        }
        match &self.recorder {
            Some(_) => record::granted(granted),
            None => granted,
        }
    }

    /// The way of a service to hosts outside.
    pub fn outbound(&self, service: &str) -> Arc<Outbound> {
        self.outbound.get(service).cloned().unwrap_or_else(|| Outbound::closed(service.into()))
    }

    /// What does not answer, in words for people. Looks now, at all of them at the same time.
    pub async fn unavailable(&self) -> Vec<String> {
        let complaints =
            self.declared.iter().map(|Declared { name, backend, .. }| backend.complaint(name));
        let outbound = self.outbound.iter().flat_map(|(service, outbound)| {
            let hosts = outbound.unreachable();
            hosts.into_iter().map(move |host| {
                format!("the service {service} does not reach {host}{}", what_calls_do(true))
            })
        });
        join_all(complaints).await.into_iter().flatten().chain(outbound).collect()
    }

    /// How many calls run on each backend at this moment, by its table in the application file. Asks nobody.
    pub fn calls(&self) -> Vec<(String, usize)> {
        let calls = self
            .declared
            .iter()
            .map(|Declared { key, name, backend }| (format!("{key}.{name}"), backend.calls()));
        calls.collect()
    }

    /// Close connections.
    pub fn close(&self) {
        self.declared.iter().for_each(|declared| declared.backend.close());
    }
}

/// Bring up the server of the databases without a url, if there are any.
async fn embedded(config: &Config, mut databases: Databases) -> Result<Option<Embedded>> {
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
            database: databases.remove(name)?,
        })
    });
    let wanted: Vec<Wanted> = wanted.collect();
    if wanted.is_empty() {
        return Ok(None);
    }
    let server =
        EmbeddedConfig { state_dir: config.state_dir.clone(), name: config.name.clone(), shares };
    Embedded::start(server, wanted).await.map(Some)
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
    Ok(Models::new(upstream, transport, options))
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
        let grants = &config.services["a"].component().unwrap().grants;
        let granted = backends.granted("a", grants);
        let server = granted.of::<Ollama>().unwrap();
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
