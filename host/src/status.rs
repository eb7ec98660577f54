//! What the control plane says of a running application: its services, its backends, and which asks which.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;

use crate::application::service_variables;
use crate::backends::Backends;
use crate::gauges;
use crate::replicas;
use crate::seen::TelemetryReader;
use crate::serve::Host;
use wasm_host_capabilities::backend::{Condition, STANDING_IN};
use wasm_host_config::{ComponentConfig, ServiceConfig, ServiceKind};
use wasm_host_http::admin::resources::{
    BackendResource, Described, Edge, GrantState, Health, HostStatus, LimitInEffect, Recent,
    Resources, ServiceResource, Variable, VersionStatus,
};
use wasm_host_http::admin::{BackendStatus, Readiness, ServiceStatus, Status};
use wasm_host_http::control::versions::{Attempt, AttemptPart};
use wasm_host_limits as limits;
use wasm_host_limits::service::{ServiceLimits, StaticLimits};
use wasm_host_limits::setting::Settings as _;
use wasm_host_otlp::Counts;
use wasm_host_service::history::Verdict;
use wasm_host_service::traffic::Traffic;
use wasm_host_service::version::Version;
use wasm_host_settings::bounds::Bound;
use wasm_host_settings::secret::EnvironmentValue;
use wasm_host_system::table;
use wasm_host_telemetry::clock;
use wasm_host_telemetry::metrics::Reading;

/// Services as the start-up table shows them.
pub fn table(services: &[ServiceStatus]) -> String {
    let rows: Vec<[String; 6]> = services
        .iter()
        .map(|service| {
            [
                service.service.clone(),
                service.route.clone().unwrap_or_else(|| "(internal)".to_string()),
                service.kind.to_string(),
                service.version.clone().unwrap_or_else(|| "-".to_string()),
                service.state.to_string(),
                service.address.clone(),
            ]
        })
        .collect();
    table::render(["SERVICE", "ROUTE", "KIND", "VERSION", "STATE", "ADDRESS"], &rows)
}

impl Host {
    /// A service's state in a word.
    fn state(&self, service: &ServiceConfig, is_on_trial: bool) -> &'static str {
        let Some(component) = service.component() else { return "running" };
        match self.backends.lacking(&component.grants) {
            Some(lacking) => lacking,
            None if is_on_trial => "canary",
            None if self.backends.are_stood_in_for(&component.grants) => STANDING_IN,
            None => "running",
        }
    }
}

impl Status for Host {
    fn readiness(&self) -> Readiness {
        match &self.replica {
            _ if self.stopping.load(Ordering::Acquire) => Readiness::Stopping,
            Some(replica) if !replica.is_open() => {
                Readiness::Joining(replica.complaint().or_else(|| replica.behind()))
            }
            _ => Readiness::Ready,
        }
    }

    fn degraded(&self) -> Pin<Box<dyn Future<Output = Vec<String>> + Send + '_>> {
        Box::pin(async move {
            let mut complaints = self.backends.unavailable().await;
            complaints.extend(self.replica.as_ref().and_then(|replica| replica.complaint()));
            complaints
        })
    }

    fn backends(&self) -> Vec<BackendStatus> {
        let calls = self.backends.calls().into_iter();
        calls.map(|(backend, calls)| BackendStatus { backend, calls }).collect()
    }

    fn bounds(&self) -> &[Bound] {
        &self.config.bounds
    }

    fn figures(&self) -> Vec<Reading> {
        let mut figures = self.telemetry.figures();
        figures.extend(gauges::now(self));
        figures.push(self.seen.dropped());
        figures.extend(self.sent.iter().flat_map(Counts::readings));
        figures
    }

    fn application(&self) -> &str {
        &self.config.name
    }

    fn telemetry_off(&self) -> Option<String> {
        let file = self.config.file.as_deref().filter(|_| !self.config.telemetry.is_enabled)?;
        Some(format!(
            "Telemetry is off, so that no request is seen and no line is kept: write enabled = true below [telemetry] \
             in {file} and start the host again."
        ))
    }

    fn resources(&self) -> Pin<Box<dyn Future<Output = Resources> + Send + '_>> {
        Box::pin(async move {
            let (conditions, others) =
                tokio::join!(self.conditions.of(&self.backends), self.others());
            Resources { others, ..self.all(&conditions) }
        })
    }

    fn service<'a>(
        &'a self,
        name: &'a str,
    ) -> Pin<Box<dyn Future<Output = Option<Described>> + Send + 'a>> {
        Box::pin(self.described(name))
    }

    fn services(&self) -> Vec<ServiceStatus> {
        self.config
            .services
            .values()
            .map(|config| {
                let service = self.registry.find(&config.name);
                let active = service.map(|service| service.active());
                let files = self.files.get(&config.name).map(Arc::as_ref);
                let traffic = service.map(|service| service.traffic()).or(files);
                // Read once, as both counts have it.
                let cut = traffic.map_or(0, Traffic::cut);
                let versions = active.as_ref().map(|active| active.versions()).unwrap_or_default();
                ServiceStatus {
                    service: config.name.clone(),
                    route: config.route.clone(),
                    kind: if service.is_some() { "component" } else { "static" }.to_string(),
                    version: active.as_ref().map(|active| active.stable.digest.short().to_string()),
                    canary: active.as_ref().and_then(|active| {
                        let canary = active.canary.as_ref()?;
                        Some(format!("{} {}%", canary.version.digest.short(), canary.percent))
                    }),
                    state: self.state(config, versions.len() > 1).to_string(),
                    address: address(&self.address, config),
                    instances: versions.iter().map(|version| version.live_instances()).sum(),
                    in_flight: traffic.map_or(0, Traffic::in_flight),
                    queued: traffic.map_or(0, Traffic::queued),
                    served: traffic.map_or(0, Traffic::served),
                    failed: traffic.map_or(0, Traffic::unanswered) + cut,
                    cut,
                    refused: traffic.map_or(0, Traffic::refused),
                    cancelled: traffic.map_or(0, Traffic::cancelled),
                    replicas: self
                        .replica
                        .as_ref()
                        // Files are what each host has.
                        .filter(|_| service.is_some())
                        .map_or_else(Vec::new, |replica| replicas::status(replica, &config.name)),
                }
            })
            .collect()
    }
}

/// How the backends are, looked at no more often than it can change for a person who looks.
#[derive(Default)]
pub(crate) struct Conditions {
    looked: Mutex<Option<(Instant, Vec<Looked>)>>,
    last: ArcSwapOption<Vec<Looked>>,
}

/// A backend by its table in the application file, and how it is.
type Looked = (String, Condition);

impl Conditions {
    /// As was last seen.
    pub(crate) fn known(&self) -> Vec<Looked> {
        self.last.load().as_deref().cloned().unwrap_or_default()
    }

    async fn of(&self, backends: &Backends) -> Vec<Looked> {
        // Held while it looks: others that ask meanwhile want the same answer.
        let mut known = self.looked.lock().await;
        if let Some((at, conditions)) = &*known
            && at.elapsed() < limits::COMPLAINTS_KEPT
        {
            return conditions.clone();
        }
        let conditions = backends.conditions().await;
        self.last.store(Some(Arc::new(conditions.clone())));
        *known = Some((Instant::now(), conditions.clone()));
        conditions
    }
}

/// The names that telemetry is kept of, asked for as seldom.
#[derive(Default)]
pub(crate) struct KeptNames(Mutex<Option<(Instant, BTreeSet<String>)>>);

impl KeptNames {
    async fn of(&self, seen: &TelemetryReader) -> BTreeSet<String> {
        let mut known = self.0.lock().await;
        match &*known {
            Some((at, names)) if at.elapsed() < limits::COMPLAINTS_KEPT => names.clone(),
            before => {
                // A store that is busy has those of before.
                let before = before.as_ref().map(|(_, names)| names.clone()).unwrap_or_default();
                let names = seen.names().await.unwrap_or(before);
                *known = Some((Instant::now(), names.clone()));
                names
            }
        }
    }
}

impl Host {
    fn all(&self, conditions: &[Looked]) -> Resources {
        let services: Vec<ServiceResource> = self
            .services()
            .into_iter()
            .map(|status| {
                let recent = self.seen.service(&status.service);
                let grants = self.grants(&status.service);
                ServiceResource { status, recent, grants }
            })
            .collect();
        let edges = services.iter().flat_map(|service| {
            let from = &service.status.service;
            service.grants.iter().map(move |to| {
                let Recent { rate, errors, .. } = self.seen.calls(from, to);
                let to = to.strip_prefix("service.").unwrap_or(to).to_owned();
                Edge { from: from.clone(), to, rate, errors }
            })
        });
        let mut edges: Vec<Edge> = edges.collect();
        let calls: BTreeMap<String, usize> = self.backends.calls().into_iter().collect();
        let backends = conditions.iter().map(|(backend, condition)| BackendResource {
            backend: backend.clone(),
            kind: backend.split('.').next().unwrap_or_default().to_owned(),
            state: condition.name().to_owned(),
            detail: condition.detail().map(str::to_owned),
            calls: calls.get(backend).copied().unwrap_or_default(),
            recent: self.seen.backend(
                backend,
                services
                    .iter()
                    .filter(|it| it.grants.contains(backend))
                    .map(|it| &*it.status.service),
            ),
        });
        let backends: Vec<BackendResource> = backends.collect();
        edges.extend(backends.iter().filter_map(|backend| self.stand_in(backend)));
        Resources {
            application: self.config.name.clone(),
            host: HostStatus {
                version: env!("CARGO_PKG_VERSION"),
                started: clock::unix(self.began),
                address: self.address.clone(),
                pid: std::process::id(),
                memory: gauges::memory(),
            },
            backends,
            services,
            others: Vec::new(),
            edges,
        }
    }

    /// From a backend to what answers in its place, with its calls while it does.
    fn stand_in(&self, backend: &BackendResource) -> Option<Edge> {
        let (kind, name) = backend.backend.split_once('.')?;
        let to = self.config.resources.find(kind, name)?.stand_in()?.to_owned();
        let Recent { rate, errors, .. } = match backend.state == STANDING_IN {
            true => backend.recent,
            false => Recent::default(),
        };
        Some(Edge { from: backend.backend.clone(), to, rate, errors })
    }

    /// What telemetry is kept of beside the services.
    async fn others(&self) -> Vec<String> {
        let names = self.kept.of(&self.seen).await.into_iter();
        names.filter(|name| !self.config.services.contains_key(name)).collect()
    }

    fn grants(&self, service: &str) -> Vec<String> {
        let component = self.config.services.get(service).and_then(ServiceConfig::component);
        let Some(component) = component else { return Vec::new() };
        let resources =
            component.grants.resources.iter().map(|(key, name)| format!("{key}.{name}"));
        let services = component.grants.services.iter().map(|name| format!("service.{name}"));
        resources.chain(services).collect()
    }

    async fn described(&self, name: &str) -> Option<Described> {
        let conditions = self.conditions.of(&self.backends).await;
        let mut all = self.all(&conditions).services.into_iter();
        let service = all.find(|service| service.status.service == name)?;
        let config = self.config.services.get(name)?;
        let running = self.registry.find(name);
        let history = self.swaps.history(name).unwrap_or_default();
        let table = format!("service.{name}");
        let file = self.config.file.as_deref().unwrap_or_default();
        let limits = self.config.bounds.iter().filter(|bound| bound.table == table);
        let active = running.map(|service| service.active());
        let versions = running.map(|service| service.versions()).unwrap_or_default();
        let state = |version: &Arc<Version>| match &active {
            Some(active) if Arc::ptr_eq(&active.stable, version) => "serving",
            Some(active) if active.versions().iter().any(|it| Arc::ptr_eq(it, version)) => "canary",
            _ => "draining",
        };
        let imports = active.as_ref().map(|active| active.stable.imports.clone());
        let parts = active.as_ref().map(|active| active.stable.parts().iter().cloned());
        let checked = history.iter().rev().find(|it| it.verdict == Verdict::Activated);
        let checked = checked.map(|it| it.at_ms.saturating_mul(1000));
        let path = config.component().and_then(|component| component.health.clone());
        let explained = match config.component() {
            Some(_) => ServiceLimits::rows(),
            None => StaticLimits::rows(),
        };
        let explained: BTreeMap<&str, String> =
            explained.into_iter().map(|row| (row.key, row.what)).collect();
        let granted = service.grants.iter().map(|grant| {
            let seen = conditions.iter().find(|(backend, _)| backend == grant);
            let condition = seen.map(|(_, condition)| condition);
            GrantState {
                grant: grant.clone(),
                state: condition.map(|it| it.name().to_owned()),
                detail: condition.and_then(|it| it.detail()).map(str::to_owned),
            }
        });
        Some(Described {
            granted: granted.collect(),
            grants: service.grants.clone(),
            service,
            imports: imports.unwrap_or_default(),
            parts: parts.into_iter().flatten().map(AttemptPart::from).collect(),
            limits: limits
                .map(|bound| LimitInEffect {
                    key: bound.key.clone(),
                    value: bound.value.clone(),
                    source: bound
                        .line
                        .map_or("default".to_owned(), |line| format!("{file}:{line}")),
                    what: explained.get(&*bound.key).cloned().unwrap_or_default(),
                })
                .collect(),
            environment: config.component().map(variables).unwrap_or_default(),
            health: Health {
                state: if path.is_some() { "healthy" } else { "unknown" },
                checked: checked.filter(|_| path.is_some()),
                detail: None,
                path,
            },
            history: history.into_iter().map(Attempt::from).collect(),
            versions: versions
                .iter()
                .map(|version| {
                    let Recent { rate, p50, p99, .. } =
                        self.seen.version(name, version.digest.short());
                    VersionStatus {
                        version: version.digest.short().to_owned(),
                        state: state(version),
                        in_flight: version.counts.in_flight(),
                        served: version.counts.served(),
                        errors: version.counts.answers().1,
                        instances: version.live_instances(),
                        rate,
                        p50,
                        p99,
                    }
                })
                .collect(),
            failures: self.seen.failures(name).await,
        })
    }
}

/// What a component sees of an environment, without the values of secrets.
fn variables(component: &ComponentConfig) -> Vec<Variable> {
    let declared = component.environment.iter().map(|(name, value)| {
        let value = match value {
            EnvironmentValue::Plain(value) => Some(value.clone()),
            EnvironmentValue::Secret(_) => None,
        };
        let (secret, source) = (value.is_none(), "application file");
        Variable { name: name.clone(), value, secret, source }
    });
    let services = service_variables(component).map(|(name, value)| Variable {
        name,
        value: Some(value),
        secret: false,
        source: "host",
    });
    declared.chain(services).collect()
}

fn address(public: &str, service: &ServiceConfig) -> String {
    let Some(route) = &service.route else {
        return format!("http://{}/ (inside)", service.name);
    };
    let address = format!("{}{route}", public.trim_end_matches('/'));
    match service.kind {
        // Of a folder: what its page names beside itself is inside it.
        ServiceKind::Static { .. } if !address.ends_with('/') => format!("{address}/"),
        _ => address,
    }
}
