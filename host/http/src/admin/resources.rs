//! What there is, as the dashboard shows it: services, backends, and which asks which.

use serde::Serialize;

use super::ServiceStatus;
use crate::control::versions::{Attempt, AttemptPart};

#[derive(Debug, Serialize)]
pub struct Resources {
    pub application: String,
    pub host: HostStatus,
    pub services: Vec<ServiceResource>,
    /// Names that telemetry is kept of beside those of the services: of programs and pages outside, of the host itself,
    /// and of services that the application had before.
    pub others: Vec<String>,
    pub backends: Vec<BackendResource>,
    pub edges: Vec<Edge>,
}

#[derive(Debug, Serialize)]
pub struct HostStatus {
    pub version: &'static str,
    /// Microseconds since 1970.
    pub started: u64,
    pub address: String,
    pub pid: u32,
    /// Bytes of physical memory, guests included. None: the system does not say it.
    pub memory: Option<u64>,
}

/// What happened in the last minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Recent {
    /// In a second.
    pub rate: f64,
    pub errors: f64,
    /// Microseconds; none without anything to measure.
    pub p50: Option<u64>,
    pub p99: Option<u64>,
}

#[derive(Debug, Serialize)]
pub struct ServiceResource {
    #[serde(flatten)]
    pub status: ServiceStatus,
    #[serde(flatten)]
    pub recent: Recent,
    /// `postgres.weather`, `ollama.local`, `service.other`.
    pub grants: Vec<String>,
}

/// How a backend that a service is granted was last seen to be.
#[derive(Debug, Serialize)]
pub struct GrantState {
    pub grant: String,
    /// `up`, or `standing in` or `down` with the reason in `detail`. None: it is a service.
    pub state: Option<String>,
    pub detail: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct BackendResource {
    pub backend: String,
    pub kind: String,
    /// `up`, or `standing in` or `down` with the reason in `detail`, as was last seen.
    pub state: String,
    pub detail: Option<String>,
    pub calls: usize,
    #[serde(flatten)]
    pub recent: Recent,
}

/// A service that may ask another one, or a backend; or a backend and the service that stands in for it.
#[derive(Debug, Serialize)]
pub struct Edge {
    pub from: String,
    pub to: String,
    pub rate: f64,
    pub errors: f64,
}

/// One service and all that is known of it.
#[derive(Debug, Serialize)]
pub struct Described {
    pub service: ServiceResource,
    pub imports: Vec<String>,
    /// What the version that serves is put together from. None of them: it is one component.
    pub parts: Vec<AttemptPart>,
    pub grants: Vec<String>,
    /// The same grants with the state of each.
    pub granted: Vec<GrantState>,
    pub limits: Vec<LimitInEffect>,
    pub environment: Vec<Variable>,
    pub health: Health,
    pub history: Vec<Attempt>,
    pub versions: Vec<VersionStatus>,
    pub failures: Vec<RecentFailure>,
}

#[derive(Debug, Serialize)]
pub struct LimitInEffect {
    pub key: String,
    pub value: String,
    /// `default`, or the place in the application file.
    pub source: String,
    /// What it is, in a sentence.
    pub what: String,
}

/// A variable that the component sees.
#[derive(Debug, Serialize)]
pub struct Variable {
    pub name: String,
    /// None: it is a secret.
    pub value: Option<String>,
    pub secret: bool,
    pub source: &'static str,
}

/// What a version said of itself before it was published; no version that is not well is.
#[derive(Debug, Serialize)]
pub struct Health {
    /// Where it is asked. None: it is not.
    pub path: Option<String>,
    /// `healthy`, or `unknown` where it is not asked.
    pub state: &'static str,
    pub detail: Option<String>,
    /// When it was asked last.
    pub checked: Option<u64>,
}

#[derive(Debug, Serialize)]
pub struct VersionStatus {
    pub version: String,
    /// `serving`, `canary` or `draining`.
    pub state: &'static str,
    pub in_flight: usize,
    pub served: u64,
    pub errors: u64,
    pub instances: usize,
    /// Requests of the last minute, in a second.
    pub rate: f64,
    /// Times of their answers, in microseconds; none without anything to measure.
    pub p50: Option<u64>,
    pub p99: Option<u64>,
}

#[derive(Debug, Serialize)]
pub struct RecentFailure {
    pub time: u64,
    pub trace: String,
    pub status: Option<u16>,
    /// What it is called, such as `GET /weather`.
    pub message: String,
    /// The path that was asked for.
    pub path: Option<String>,
    /// Why the service failed, as its span says it.
    pub reason: Option<String>,
}
