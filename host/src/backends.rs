//! The backends that the application file names: connected once, shared by the services that are
//! granted them.

mod embedded;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::join_all;

use embedded::DatabaseSpec;
pub use embedded::Embedded;
use wasm_host_capabilities::backend::{Backend, Condition, Host, Pool, what_calls_do};
use wasm_host_capabilities::breaker;
use wasm_host_capabilities::granted::Granted;
use wasm_host_capabilities::outgoing::Outbound;
use wasm_host_capabilities::postgres::{Awaited, Postgres, PostgresConfig};
use wasm_host_capabilities::transport::Transport;
use wasm_host_capabilities::{self as capability, Capability};
use wasm_host_config::{Config, Grants, ServiceConfig};
use wasm_host_embedded_postgres::{self as embedded_postgres, EmbeddedConfig, Script, Share};
use wasm_host_limits::deploy::DATABASES_UNNEEDED;
use wasm_host_log::tell_if_long_async;
use wasm_host_record as record;
use wasm_host_service::registry::RegistryHandle;
use wasm_host_settings::tls;
use wasm_host_system::threads;

/// All that tables of the application file declare, connected.
#[derive(Default)]
pub struct Backends {
    /// In the order in which complaints name them.
    declared: Vec<Declared>,
    /// The ways of services to hosts outside, by service.
    outbound: BTreeMap<String, Arc<Outbound>>,
    started: bool,
}

/// The backend of one table, such as `[postgres.shop]`.
struct Declared {
    /// The key that grants it, and the first part of the table's name.
    key: &'static str,
    name: String,
    backend: Box<dyn Backend>,
}

/// What the host is to backends.
struct Around<'a> {
    config: &'a Config,
    threads: usize,
    registry: &'a RegistryHandle,
}

impl Host for Around<'_> {
    fn threads(&self) -> usize {
        self.threads
    }

    fn service(&self, name: &str) -> Arc<dyn Transport> {
        Arc::new(self.registry.transport(name))
    }

    fn declared(&self, key: &str) -> Vec<String> {
        self.config.resources.of_key(key).map(|(name, _)| name.to_owned()).collect()
    }

    fn state_dir(&self) -> &Path {
        &self.config.state_dir
    }

    fn watched(&self, transport: Arc<dyn Transport>) -> Arc<dyn Transport> {
        record::transport(transport)
    }
}

/// Wait for all databases with a url at the same time. One in which scripts are to run has to be there in the end. The
/// others are waited for so that the first requests find them, and not for long: what asks no database is served without.
async fn reach(config: &Config, patience: Duration) -> Result<()> {
    if patience.is_zero() {
        return Ok(());
    }
    let mut waits = Vec::new();
    for (name, postgres) in config.resources.of::<Postgres>() {
        let Some(address) = postgres.address(name)? else { continue };
        let is_needed = !postgres.init.is_empty();
        let patience = if is_needed { patience } else { patience.min(DATABASES_UNNEEDED) };
        waits.push(async move {
            let what = format!("waiting for the database {name}");
            let reached = embedded_postgres::wait_for(&address, patience);
            let reached = tell_if_long_async(&what, reached).await;
            (reached.with_context(|| place(config, name, postgres)), is_needed)
        });
    }
    for (reached, is_needed) in join_all(waits).await {
        match reached {
            Err(why) if !is_needed => tracing::warn!("serving without a database: {why:#}"),
            reached => reached?,
        }
    }
    Ok(())
}

impl Backends {
    /// Start what has to be started, and bring databases to the state that their init scripts say.
    /// Databases with a url are waited for so long. The caller has to stop the server of the databases without one.
    pub async fn start(
        config: &Config,
        registry: &RegistryHandle,
        wait: Duration,
    ) -> Result<(Self, Option<Embedded>)> {
        let mut backends = Self::made(config, registry)?;
        reach(config, wait).await?;
        for (name, postgres) in config.resources.of::<Postgres>() {
            if let Some(address) = postgres.address(name)? {
                let scripts = scripts(&config.folder, postgres);
                let what = format!("running init scripts of the database {name}");
                let applied = embedded_postgres::apply(&address, &scripts);
                let applied = tell_if_long_async(&what, applied).await;
                tell(name, &applied.with_context(|| place(config, name, postgres))?);
            }
        }
        let embedded = backends.embedded(config).await?;
        backends.started = true;
        Ok((backends, embedded))
    }

    /// Bring up the server of the databases without a url, if there are any.
    async fn embedded(&self, config: &Config) -> Result<Option<Embedded>> {
        let mut shares = BTreeMap::new();
        let mut wanted = Vec::new();
        for (name, postgres) in config.resources.of::<Postgres>() {
            // Databases on servers of others have no bound.
            let Some(size_bytes) = postgres.size_bytes else { continue };
            let backend: Option<&dyn Any> = self.find(Postgres::KEY, name).map(|it| it as _);
            let database = backend.and_then(|backend| backend.downcast_ref::<Awaited>());
            let place = place(config, name, postgres);
            shares.insert(name.to_owned(), Share { pool: postgres.pool.connections, size_bytes });
            wanted.push(DatabaseSpec {
                name: name.to_owned(),
                database: database.with_context(|| place.clone())?.clone(),
                place,
                scripts: scripts(&config.folder, postgres),
                pool: postgres.pool.clone(),
            });
        }
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
        Self::made(config, registry)
    }

    fn made(config: &Config, registry: &RegistryHandle) -> Result<Self> {
        tls::install();
        let threads = threads::count(config.limits.threads);
        let host = Around { config, threads, registry };
        let mut backends = Self::default();
        for capability in capability::ALL {
            let key = capability.key();
            for (name, resource) in config.resources.of_key(key) {
                let backend = capability.connect(resource, name, &host)?;
                backends.declared.push(Declared { key, name: name.to_owned(), backend });
            }
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

    fn find(&self, key: &str, name: &str) -> Option<&dyn Backend> {
        let is_it = |declared: &&Declared| declared.key == key && declared.name == name;
        self.declared.iter().find(is_it).map(|declared| &*declared.backend)
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
            if self.lacking(&component.grants).is_some() {
                return true;
            }
            open.extend(component.grants.services.iter().map(String::as_str));
        }
        false
    }

    /// What a service with these grants lacks while a backend has not come up.
    pub fn lacking(&self, grants: &Grants) -> Option<&'static str> {
        grants.resources.iter().find_map(|(key, name)| self.find(key, name)?.lacking())
    }

    /// Whether something stands in for a backend of these grants, as was last seen.
    pub fn are_stood_in_for(&self, grants: &Grants) -> bool {
        let mut backends = grants.resources.iter().filter_map(|(key, name)| self.find(key, name));
        backends.any(Backend::is_stood_in_for)
    }

    /// What a service has by its grants.
    pub fn granted(&self, service: &str, grants: &Grants) -> Granted {
        let mut granted = Granted::default();
        for (key, name) in &grants.resources {
            if let Some(backend) = self.find(key, name) {
                granted = backend.grant(service, granted);
            }
        }
        granted
    }

    /// The way of a service to hosts outside.
    pub fn outbound(&self, service: &str) -> Arc<Outbound> {
        self.outbound.get(service).cloned().unwrap_or_else(|| Outbound::closed(service.into()))
    }

    /// What does not answer, in words for people. Looks now, at all of them at the same time.
    pub async fn unavailable(&self) -> Vec<String> {
        let conditions =
            self.declared.iter().map(|Declared { name, backend, .. }| backend.condition(name));
        let outbound = self.outbound.iter().flat_map(|(service, outbound)| {
            let hosts = outbound.unreachable();
            hosts.into_iter().map(move |host| {
                format!("the service {service} does not reach {host}{}", what_calls_do(true))
            })
        });
        let conditions = join_all(conditions).await;
        let complaints = conditions.iter().filter_map(Condition::detail).map(str::to_owned);
        complaints.chain(outbound).collect()
    }

    /// How each backend is, by its table in the application file. Looks now.
    pub async fn conditions(&self) -> Vec<(String, Condition)> {
        let conditions = self.declared.iter().map(|Declared { key, name, backend }| async move {
            (format!("{key}.{name}"), backend.condition(name).await)
        });
        join_all(conditions).await
    }

    /// How many calls run on each backend at this moment, by its table in the application file. Asks no backend.
    pub fn calls(&self) -> Vec<(String, usize)> {
        let calls = self
            .declared
            .iter()
            .map(|Declared { key, name, backend }| (format!("{key}.{name}"), backend.calls()));
        calls.collect()
    }

    /// The pool of each backend that has one, by its table in the application file.
    pub fn pools(&self) -> Vec<(String, Pool)> {
        let pools = self.declared.iter().filter_map(|Declared { key, name, backend }| {
            Some((format!("{key}.{name}"), backend.pool()?))
        });
        pools.collect()
    }

    /// How the circuit breaker of each backend is that has one, by its table in the application file.
    pub fn breakers(&self) -> Vec<(String, breaker::Reading)> {
        let breakers = self.declared.iter().filter_map(|Declared { key, name, backend }| {
            Some((format!("{key}.{name}"), backend.breaker()?))
        });
        breakers.collect()
    }

    /// Close connections, and wait until that is done, within each backend's own bound.
    pub async fn close(&self) {
        join_all(self.declared.iter().map(|declared| declared.backend.close())).await;
    }
}

/// Log what was run.
fn tell(database: &str, scripts: &[String]) {
    for script in scripts {
        tracing::info!(database, "ran {script}");
    }
}

/// Where the application file speaks of a database.
fn place(config: &Config, name: &str, postgres: &PostgresConfig) -> String {
    let file = config.file.as_deref().unwrap_or_default();
    format!("{file}:{}: [postgres.{name}]", postgres.line)
}

/// A script is recorded under its path in the application's folder, so that the folder may move.
fn scripts(folder: &Path, postgres: &PostgresConfig) -> Vec<Script> {
    let name = |path: &Path| path.strip_prefix(folder).unwrap_or(path).display().to_string();
    postgres.init.iter().map(|path| Script { name: name(path), path: path.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use http::{Method, Request};
    use http_body_util::BodyExt as _;

    use super::*;
    use wasm_host_capabilities::context::RequestContext;
    use wasm_host_capabilities::ollama::Ollama;
    use wasm_host_capabilities::ollama::backend::Error;
    use wasm_host_settings::Source;

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
