//! From the application file to loaded services: what `serve` and `check` have in common.
//!
//! Everything that can be wrong with a component is found here, for all components at once, before a
//! port is bound.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Error;
use futures_util::future::join_all;
use parking_lot::Mutex;

use crate::backends::Backends;
use crate::components::{Components, Pulls, at};
use crate::composed;
use wasm_host_capabilities::ollama::Ollama;
use wasm_host_capabilities::outgoing::Peers;
use wasm_host_config::{
    ComponentConfig, ComponentSource, Config, ServiceConfig, ServiceKind, grant_hint,
};
use wasm_host_engine::compile::{Compiler, ComponentFile};
use wasm_host_engine::compose::Faults;
use wasm_host_engine::link::Refusal;
use wasm_host_engine::memory::Budget;
use wasm_host_engine::output::LogRate;
use wasm_host_engine::state::Grants;
use wasm_host_limits::ollama::OllamaLimits;
use wasm_host_record::{self as record, Recorder, ServiceEnvironment};
use wasm_host_service::Service;
use wasm_host_service::active::ActiveVersions;
use wasm_host_service::admission::{Admission, Gate};
use wasm_host_service::loader::{Loader, Terms, make_ready};
use wasm_host_service::observer::Observer;
use wasm_host_service::registry::{GrantedPeers, Registry, RegistryHandle};
use wasm_host_service::store::{Saved, Store};
use wasm_host_service::swap::{Explain, SwapSlot};
use wasm_host_settings::diagnostic::{Diagnostic, Diagnostics, Severity};
use wasm_host_settings::secret::EnvironmentValue;
use wasm_host_system::digest::Digest;
use wasm_host_testkit::case::OllamaBounds;

/// Read the application file, or make an application of one component.
pub fn read(path: &Path) -> Result<Config, Diagnostics> {
    read_within(path, None)
}

/// The same, with paths that begin in a folder, if one is given, instead of that of the file.
pub fn read_within(path: &Path, folder: Option<&Path>) -> Result<Config, Diagnostics> {
    if path.extension().is_some_and(|extension| extension == "wasm") {
        // Before a folder is taken and a database started for it.
        ComponentFile::look(path).map_err(|error| nameless(&error))?;
        return Ok(Config::single(path));
    }
    let folder = folder.unwrap_or(path.parent().unwrap_or(Path::new("")));
    Config::read_within(path, folder, &|name| std::env::var(name).ok())
}

/// What compiles the components of an application.
pub fn compiler(config: &Config) -> Result<Arc<Compiler>, Error> {
    Compiler::new(config.limits.clone()).map(Arc::new)
}

/// The loaded services of an application.
pub struct Application {
    pub registry: Arc<Registry>,
    /// What swaps need to know of each.
    pub slots: Vec<SwapSlot>,
}

/// Load every component of the application, or tell what is wrong with all of them. With a `store`,
/// what was published before the last stop is served again; with a `recorder`, requests can be recorded.
pub async fn load(
    config: &Arc<Config>,
    backends: &Backends,
    registry: &RegistryHandle,
    loader: &Loader,
    components: &Components,
    store: Option<&Arc<Store>>,
    recorder: Option<&Arc<Recorder>>,
) -> Result<Application, Vec<Diagnostic>> {
    let pulls = components.pull(config).await.map_err(|error| vec![nameless(error)])?;
    let memory = Budget::new(bytes(config.limits.memory_bytes));
    let gate = Gate::new(config.limits.concurrent, config.limits.queue);
    let common = Common { gate, loader, pulls, store, kept: Mutex::default() };
    let common = &common;
    let loads = config.services.values().filter_map(|service| match &service.kind {
        ServiceKind::Component(component) => {
            let mut terms = terms(service, component, backends, registry, &memory);
            if recorder.is_some_and(|recorder| recorder.takes_all()) {
                // They would take the room of those that are made for each request.
                terms.limits.warm = 0;
            }
            let terms = Arc::new(terms);
            let observer = recorder.map(|recorder| observer(config, service, component, recorder));
            Some(load_service(config, service, component, terms, observer, common))
        }
        ServiceKind::Static { .. } => None,
    });
    let drafts = all(join_all(loads).await)?;
    let services = Registry::new(drafts.iter().map(|draft| draft.loaded.clone()));
    registry.connect(&services);
    // Only now: a health path may lead to another service.
    let settled = drafts.into_iter().map(|draft| {
        // That a database is missing says nothing of a component.
        let is_askable = !backends.are_missing_for(config, &draft.service.name);
        draft.settle(common, is_askable)
    });
    let slots = all(join_all(settled).await)?;
    Ok(Application { registry: services, slots })
}

impl Application {
    /// Services for which the file asks for more requests in an instance than their components can serve.
    pub fn crowded(&self, config: &Config) -> Vec<Diagnostic> {
        let crowded = config.services.values().filter_map(|service| {
            let asked = service.component()?.limits.per_instance.filter(|asked| *asked > 1)?;
            let version = self.registry.find(&service.name)?.active().stable.clone();
            let import = version.blocking.first()?;
            let what = format!(
                "'per-instance' is {asked}, but its component serves one request at a time"
            );
            let hint = format!("{import} holds an instance while it waits; raise 'instances'");
            Some(at(config, service, Severity::Warning, what, Some(hint)))
        });
        crowded.collect()
    }
}

/// What all came to, or all that is wrong.
fn all<T>(outcomes: Vec<Result<T, Vec<Diagnostic>>>) -> Result<Vec<T>, Vec<Diagnostic>> {
    let mut good = Vec::new();
    let mut wrong = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(outcome) => good.push(outcome),
            Err(diagnostics) => wrong.extend(diagnostics),
        }
    }
    if wrong.is_empty() { Ok(good) } else { Err(wrong) }
}

/// What all services share while they are loaded.
struct Common<'a> {
    gate: Arc<Gate>,
    loader: &'a Loader,
    pulls: Pulls,
    store: Option<&'a Arc<Store>>,
    /// Components that the store keeps, as what they were put together from: those of many services may be one.
    kept: Mutex<HashSet<(Digest, Digest)>>,
}

/// On what terms a service runs its components.
fn terms(
    service: &ServiceConfig,
    component: &ComponentConfig,
    backends: &Backends,
    registry: &RegistryHandle,
    memory: &Arc<Budget>,
) -> Terms {
    let name: Arc<str> = service.name.as_str().into();
    let limits = &component.limits;
    let peers: Arc<dyn Peers> = Arc::new(GrantedPeers {
        caller: name.clone(),
        allowed: component.grants.services.iter().cloned().collect(),
        registry: registry.clone(),
        outbound: backends.outbound(&service.name),
    });
    let grants = Grants {
        service: name.clone(),
        memory: memory.share(bytes(limits.memory_total_bytes)),
        processor_time: Arc::default(),
        log: LogRate::new(name, limits.log_lines, limits.log_lines_per_request),
        granted: backends.granted(&service.name, &component.grants),
        peers,
        environment: environment(component),
        configuration: Arc::new(configuration(component)),
        instance_environment: None,
    };
    let observed = Grants {
        granted: record::granted(grants.granted.clone()),
        peers: record::peers(grants.peers.clone()),
        instance_environment: Some(record::instance_environment()),
        ..grants.clone()
    };
    Terms {
        grants: Arc::new(grants),
        observed: Some(Arc::new(observed)),
        limits: limits.clone(),
        // Only a component whose backends are there can be healthy.
        health: component.health.clone().filter(|_| backends.are_started()),
    }
}

fn observer(
    config: &Config,
    service: &ServiceConfig,
    component: &ComponentConfig,
    recorder: &Arc<Recorder>,
) -> Arc<dyn Observer> {
    let granted = component.grants.of::<Ollama>();
    let granted = granted.and_then(|name| config.resources.find_of::<Ollama>(name));
    let OllamaLimits { concurrent, first_byte_timeout, .. } =
        granted.map(|ollama| ollama.limits.clone()).unwrap_or_default();
    let bounds = OllamaBounds { concurrent, first_byte_timeout };
    let name = service.name.as_str().into();
    let told = ServiceEnvironment {
        environment: environment(component),
        configuration: configuration(component),
    };
    Arc::new(recorder.service(name, told, bounds))
}

/// A service that is loaded and has not been asked for its health.
struct Draft<'a> {
    config: &'a Arc<Config>,
    service: &'a ServiceConfig,
    component: &'a ComponentConfig,
    terms: Arc<Terms>,
    /// The application file's own component.
    own: ComponentFile,
    saved: Saved,
    /// What serves is what was published before the last stop.
    is_restored: bool,
    loaded: Arc<Service>,
}

async fn load_service<'a>(
    config: &'a Arc<Config>,
    service: &'a ServiceConfig,
    component: &'a ComponentConfig,
    terms: Arc<Terms>,
    observer: Option<Arc<dyn Observer>>,
    common: &Common<'_>,
) -> Result<Draft<'a>, Vec<Diagnostic>> {
    let Common { gate, loader, pulls, store, .. } = common;
    let wrong = |error: Error| diagnose(config, service, component, &error);
    let own = pulls.own(config, component, &loader.compiler).await.map_err(wrong)?;
    let mut saved = store.map(|store| store.load(&service.name)).unwrap_or_default();
    let mut restored = None;
    if let Some(published) = store.and_then(|store| saved.current(store, &own)) {
        let loaded = match pulls.vouch(&published) {
            Ok(()) => loader.prepare(&published, &terms).await,
            Err(error) => Err(error),
        };
        restored = loaded.inspect_err(|error| leave_out(service, error)).ok();
        if let Err(error) = store.map_or(Ok(()), |store| store.mend(&own, &saved)) {
            tracing::warn!(service = service.name, "its parts cannot be kept: {error}");
        }
    }
    let is_restored = restored.is_some();
    saved.replaced = Some(own.identity().full().to_string());
    let version = match restored {
        Some(version) => version,
        None => {
            common.keep(service, &own);
            saved.published = None;
            loader.prepare(&own, &terms).await.map_err(wrong)?
        }
    };
    let limits = &component.limits;
    let concurrent = limits.admitted(version.per_instance());
    let loaded = Arc::new(Service::new(
        terms.grants.service.clone(),
        service.route.as_deref().map(Arc::from),
        limits.clone(),
        Admission::new(concurrent, limits.queue, limits.queue_timeout, gate.clone()),
        Arc::new(version),
        observer,
    ));
    Ok(Draft { config, service, component, terms, own, saved, is_restored, loaded })
}

impl Draft<'_> {
    /// Ask for its health. What was published before the last stop makes way if it is ill.
    async fn settle(
        mut self,
        common: &Common<'_>,
        is_askable: bool,
    ) -> Result<SwapSlot, Vec<Diagnostic>> {
        let version = self.loaded.active().stable.clone();
        if !is_askable {
            version.warm_up().await;
        } else if let Err(error) = make_ready(&version, &self.terms).await {
            if !self.is_restored {
                return Err(self.diagnose(&error));
            }
            leave_out(self.service, &error);
            common.keep(self.service, &self.own);
            let own = common.loader.load(&self.own, &self.terms).await;
            let own = own.map_err(|error| self.diagnose(&error))?;
            self.loaded.publish(ActiveVersions::only(Arc::new(own)));
            version.retire();
            self.saved.published = None;
            self.is_restored = false;
        }
        let Self { config, service, component, terms, saved, loaded, .. } = self;
        let cause = if self.is_restored { "start, as it was left" } else { "start" };
        let explain = explain(config.clone(), service.name.clone());
        let vouch = common.pulls.voucher();
        Ok(SwapSlot::new(loaded, terms, component.limits.drain, explain, vouch, saved, cause))
    }

    fn diagnose(&self, error: &Error) -> Vec<Diagnostic> {
        diagnose(self.config, self.service, self.component, error)
    }
}

impl Common<'_> {
    /// Keep a service's own component, so that a rollback finds it.
    fn keep(&self, service: &ServiceConfig, own: &ComponentFile) {
        let Some(store) = self.store else { return };
        let identity = (own.digest.clone(), own.identity());
        if self.kept.lock().contains(&identity) {
            return;
        }
        match store.keep(own) {
            Ok(_) => drop(self.kept.lock().insert(identity)),
            Err(error) => {
                tracing::warn!(service = service.name, "its component cannot be kept: {error}");
            }
        }
    }
}

fn leave_out(service: &ServiceConfig, error: &Error) {
    tracing::warn!(service = service.name, "its last version is left out: {error:#}");
}

/// What is wrong with a component that is swapped in, with the line that repairs it.
fn explain(config: Arc<Config>, service: String) -> Explain {
    Box::new(move |error| match error.downcast_ref::<Refusal>() {
        Some(Refusal::NotGranted { capability, .. }) => {
            let hint = grant_hint(&service, capability.key(), &config);
            format!("{error:#}; {hint}, and restart")
        }
        _ => format!("{error:#}"),
    })
}

/// All that a component sees of an environment: what the file declares, and where the services are
/// that it may call.
fn environment(component: &ComponentConfig) -> Vec<(String, String)> {
    service_variables(component).chain(exposed(&component.environment)).collect()
}

/// All that a component is told by `wasi:config`.
fn configuration(component: &ComponentConfig) -> BTreeMap<String, String> {
    exposed(&component.configuration).collect()
}

fn exposed(values: &BTreeMap<String, EnvironmentValue>) -> impl Iterator<Item = (String, String)> {
    values.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()))
}

/// Where the services are that it may call, as its environment says it.
pub(crate) fn service_variables(
    component: &ComponentConfig,
) -> impl Iterator<Item = (String, String)> {
    let services = component.grants.services.iter();
    services.map(|name| (format!("services__{name}__http__0"), format!("http://{name}")))
}

fn bytes(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Where a component's file is. None: a registry has it.
pub fn component_path(config: &Config, source: &ComponentSource) -> Option<PathBuf> {
    match source {
        ComponentSource::File(path) => Some(path.clone()),
        ComponentSource::Crate(name) => {
            Some(config.folder.join("target/components").join(format!("{name}.wasm")))
        }
        ComponentSource::Registry(_) => None,
    }
}

/// What is wrong with a component, at the line of its service or of the part that it is about, with the line that
/// repairs it.
fn diagnose(
    config: &Config,
    service: &ServiceConfig,
    component: &ComponentConfig,
    error: &Error,
) -> Vec<Diagnostic> {
    let wrong = |(line, column): (usize, usize), message: String, hint: Option<String>| {
        let Some(file) = &config.file else { return Diagnostic { hint, ..nameless(message) } };
        let message = format!("[service.{}]: {message}", service.name);
        Diagnostic { file: file.clone(), line, column, severity: Severity::Error, message, hint }
    };
    if let Some(Faults(faults)) = error.downcast_ref() {
        let told = faults.iter().map(|fault| {
            let place = composed::place(service, component, &fault.at);
            wrong(place, fault.message.clone(), fault.hint.clone())
        });
        return told.collect();
    }
    let hint = match error.downcast_ref::<Refusal>() {
        Some(Refusal::NotGranted { capability, .. }) => {
            Some(grant_hint(&service.name, capability.key(), config))
        }
        Some(_) => None,
        None => composed::unbuilt(config, &component.source),
    };
    vec![wrong((service.line, usize::from(service.line > 0)), format!("{error:#}"), hint)]
}

/// What is wrong and stands in no application file.
pub(crate) fn nameless(error: impl Display) -> Diagnostic {
    Diagnostic {
        file: "wasm-host".to_string(),
        line: 0,
        column: 0,
        severity: Severity::Error,
        message: format!("{error:#}"),
        hint: None,
    }
}
