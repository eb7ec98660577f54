//! The control plane, on a listener of its own: is the host alive, is it ready, what does it run, and put
//! another version of it into service. Never on the public port.
//!
//! Read [`Admin::handle`] from top to bottom. [`guard`] decides which requests are let in, [`body`]
//! how much they may send, [`swap`] reads what a swap is asked for, and [`export`] makes one file of all that is kept.

pub(crate) mod body;
mod export;
mod guard;
mod intake;
mod page;
pub mod recordings;
pub mod resources;
mod session;
mod services;
mod swap;
pub mod telemetry;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use self::services::no_service;
pub use self::session::Sessions;
use self::telemetry::TelemetrySources;
use crate::control::Token;
use crate::intake::Intake;
use crate::listener::Arriving;
use crate::{is_end_of_connection, request};
use wasm_host_capabilities::body::{Body, full};
use wasm_host_limits as limits;
use wasm_host_oci::Registries;
use wasm_host_service::failure::respond::respond;
use wasm_host_service::failure::{Failure, Kind};
use wasm_host_service::swap::Swaps;
use wasm_host_settings::bounds::Bound;
use wasm_host_telemetry::id::SpanId;
use wasm_host_telemetry::metrics::Reading;

/// What the control plane says about the host. Implemented by the part that knows it.
pub trait Status: Send + Sync {
    /// The application's name.
    fn application(&self) -> &str;
    /// How to switch telemetry on. None: it is.
    fn telemetry_off(&self) -> Option<String>;
    /// Whether new requests are welcome.
    fn readiness(&self) -> Readiness;
    /// What does not work at the moment. It makes some answers errors, and is no reason to send
    /// no requests at all: the other services work.
    fn degraded(&self) -> Pin<Box<dyn Future<Output = Vec<String>> + Send + '_>>;
    fn services(&self) -> Vec<ServiceStatus>;
    /// All that is counted and measured, and how things are at the moment.
    fn figures(&self) -> Vec<Reading>;
    fn backends(&self) -> Vec<BackendStatus>;
    /// The bounds that the application file sets, or may set.
    fn bounds(&self) -> &[Bound];
    /// All that is there, as the dashboard shows it.
    fn resources(&self) -> Pin<Box<dyn Future<Output = resources::Resources> + Send + '_>>;
    /// One service. None: there is no such service.
    fn service<'a>(
        &'a self,
        name: &'a str,
    ) -> Pin<Box<dyn Future<Output = Option<resources::Described>> + Send + 'a>>;
}

/// Whether new requests are welcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    Stopping,
    /// It does not serve yet what the other replicas serve. With what keeps it from that, if that is known.
    Joining(Option<String>),
}

/// What runs on one backend. Zero when no client waits: a call that outlives its client would show here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackendStatus {
    /// Its table in the application file, such as `ollama.local`.
    pub backend: String,
    /// Calls, streams and transactions of all services together that have not ended.
    pub calls: usize,
}

/// One service as `ps` and the start-up table show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    pub service: String,
    /// The path prefix; none for services that only other services reach.
    pub route: Option<String>,
    /// `component` or `static`.
    pub kind: String,
    /// The component's digest, shortened.
    pub version: Option<String>,
    /// The version on trial and its share of the requests.
    pub canary: Option<String>,
    /// `running`; `canary` while a version is on trial; `standing in` while something answers in the place of a backend that
    /// it is granted; or what it lacks, such as `no database`.
    pub state: String,
    /// Where it answers.
    pub address: String,
    pub instances: usize,
    pub in_flight: usize,
    /// Requests that wait for admission.
    pub queued: usize,
    /// Whole answers, whatever they say.
    pub served: u64,
    pub failed: u64,
    /// Those of `failed` whose answer had begun and broke off.
    #[serde(default)]
    pub cut: u64,
    /// The host had no room for them: 503 of its own.
    pub refused: u64,
    pub cancelled: u64,
    /// What each replica serves; empty without `[replicas]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<ReplicaStatus>,
}

/// One service on one replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaStatus {
    pub replica: String,
    /// Counts up with every version that all replicas put into service; none before it serves any.
    pub generation: Option<u64>,
    /// `serving`, `joining`, or `lost` when its lease has ended.
    pub state: String,
    /// What is left of its lease, in milliseconds.
    pub lease_ms: u64,
}

/// The control plane.
pub struct Admin {
    status: Arc<dyn Status>,
    swaps: Arc<Swaps>,
    /// What pulls components that a swap names by a reference.
    registries: Arc<Registries>,
    token: Token,
    sessions: Sessions,
    seen: TelemetrySources,
    intake: Arc<Intake>,
    uploads: Semaphore,
    pulls: Semaphore,
    exports: Arc<Semaphore>,
    /// Answers with all figures.
    scrapes: Arc<Semaphore>,
    /// The host is on its way down: its lists are not followed any more.
    stopping: CancellationToken,
}

const PATHS: &str = "there are /live, /ready, /metrics, /services, /backends, and of each service below \
                     /services/NAME/ history, swap, rollback and drain; what the dashboard shows is below /api/, and \
                     telemetry is sent to /v1/traces and /v1/logs";

impl Admin {
    pub fn new(
        status: Arc<dyn Status>,
        swaps: Arc<Swaps>,
        registries: Arc<Registries>,
        token: Token,
        sessions: Sessions,
        seen: TelemetrySources,
        intake: Arc<Intake>,
    ) -> Self {
        let uploads = Semaphore::new(limits::ADMIN_UPLOADS);
        let pulls = Semaphore::new(limits::ADMIN_PULLS);
        let exports = Arc::new(Semaphore::new(limits::telemetry::ARCHIVES));
        let scrapes = Arc::new(Semaphore::new(limits::telemetry::SCRAPES));
        let stopping = CancellationToken::new();
        Self {
            status,
            swaps,
            registries,
            token,
            sessions,
            seen,
            intake,
            uploads,
            pulls,
            exports,
            scrapes,
            stopping,
        }
    }

    /// End the answers that have no end of their own.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Answer a request to the control plane. Never fails: a failure is a response.
    pub async fn handle(&self, request: Request<Arriving>) -> Response<Body> {
        let is_shown = page::is_shown(request.headers());
        self.answer(request).await.unwrap_or_else(|failure| {
            let id = SpanId::new().to_string();
            tracing::debug!(request = id, "control plane: {failure}");
            let mut response = respond(&failure, &id);
            if is_shown {
                page::show(&failure, &mut response);
            }
            if is_end_of_connection(failure.kind) {
                response
                    .headers_mut()
                    .insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            response
        })
    }

    /// Answer a request to the port for orchestrators: how the host is, and its figures, without a token. Nothing there
    /// changes anything, and nothing of a request is shown.
    pub async fn probe(&self, request: Request<Arriving>) -> Response<Body> {
        let answer = self.probed(request).await;
        answer.unwrap_or_else(|failure| respond(&failure, &SpanId::new().to_string()))
    }

    async fn probed(&self, request: Request<Arriving>) -> Result<Response<Body>, Failure> {
        request::check(&request)?;
        guard::same_origin(&request)?;
        reads(&request)?;
        match request.uri().path() {
            "/live" => Ok(self.health(false).await),
            "/ready" => Ok(self.health(true).await),
            "/metrics" => self.scraped(&request),
            path => {
                let told =
                    format!("There is no {path} here; there are /live, /ready and /metrics.");
                Err(Failure::new(Kind::NoRoute, told))
            }
        }
    }

    /// All figures. Each answer holds them until it is read, so that there are few at once.
    fn scraped<B>(&self, request: &Request<B>) -> Result<Response<Body>, Failure> {
        let Ok(turn) = self.scrapes.clone().try_acquire_owned() else {
            let most = limits::telemetry::SCRAPES;
            let why = format!("{most} answers with all figures are being read; ask again.");
            return Err(Failure::new(Kind::Busy, why));
        };
        Ok(telemetry::metrics(self.status.figures(), turn, request))
    }

    async fn answer(&self, request: Request<Arriving>) -> Result<Response<Body>, Failure> {
        request::check(&request)?;
        let path = request.uri().path().to_string();
        if let Some(sent) = intake::Sent::to(&path) {
            guard::no_page(&request)?;
            return self.sent(sent, request).await;
        }
        guard::same_origin(&request)?;
        let steps: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        // Asked by machines that have no token, and no secret.
        if let ["live" | "ready"] = steps[..] {
            reads(&request)?;
            return Ok(self.health(steps == ["ready"]).await);
        }
        if let ["login"] = steps[..] {
            return self.login(&request);
        }
        if let Some(page) = self.page(&request) {
            reads(&request)?;
            return Ok(page);
        }
        let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
        guard::may(&request, &self.token, &self.sessions, changes)?;
        match steps[..] {
            ["api", "recordings", ref steps @ ..] => {
                recordings::answer(&*self.seen.recordings, steps, request).await
            }
            ["api", ref steps @ ..] => self.api(steps, &request).await,
            ["services"] => {
                reads(&request)?;
                Ok(json(StatusCode::OK, &self.status.services()))
            }
            ["metrics"] => {
                reads(&request)?;
                self.scraped(&request)
            }
            ["backends"] => {
                reads(&request)?;
                Ok(json(StatusCode::OK, &self.status.backends()))
            }
            ["services", name, "history"] => {
                reads(&request)?;
                self.history(name)
            }
            ["services", name, "swap"] => {
                writes(&request)?;
                self.swap(name, request).await
            }
            ["services", name, "rollback"] => {
                writes(&request)?;
                self.rollback(name, &request).await
            }
            ["services", name, "drain"] => {
                writes(&request)?;
                self.drain(name)
            }
            _ => Err(Failure::new(Kind::NoRoute, format!("There is no {path}; {PATHS}."))),
        }
    }

    /// What the dashboard asks.
    async fn api<B>(
        &self,
        steps: &[&str],
        request: &Request<B>,
    ) -> Result<Response<Body>, Failure> {
        match steps {
            ["session"] => {
                reads(request)?;
                Ok(self.session(request))
            }
            ["logout"] => {
                writes(request)?;
                Ok(self.logout(request.headers()))
            }
            ["export"] => {
                reads(request)?;
                self.knows_services(request.uri().query()).await?;
                self.export(request)
            }
            ["resources"] if follows(request) => {
                reads(request)?;
                Ok(self.follow_resources())
            }
            ["resources"] => {
                reads(request)?;
                Ok(json(StatusCode::OK, &self.status.resources().await))
            }
            ["resources", name] => {
                reads(request)?;
                let Some(service) = self.status.service(name).await else {
                    return Err(self.no_service(name));
                };
                Ok(json(StatusCode::OK, &service))
            }
            _ => {
                if let ["logs" | "traces" | "telemetry"] | ["metrics", _] = steps {
                    self.knows_services(request.uri().query()).await?;
                }
                if let Some(answer) = self.seen.answer(steps, request, &self.stopping).await? {
                    return Ok(answer);
                }
                let path = request.uri().path();
                Err(Failure::new(Kind::NoRoute, format!("There is no {path}; {PATHS}.")))
            }
        }
    }

    /// All that is there, again and again, for as long as the reader takes it.
    fn follow_resources(&self) -> Response<Body> {
        let status = self.status.clone();
        let lines = stream::unfold((status, false), async |(status, is_next)| {
            if is_next {
                tokio::time::sleep(limits::RESOURCES_AGAIN).await;
            }
            let mut line = serde_json::to_vec(&status.resources().await).unwrap_or_default();
            line.push(b'\n');
            Some((line, (status, true)))
        });
        telemetry::lines(lines, self.stopping.clone())
    }

    async fn health(&self, ready: bool) -> Response<Body> {
        if !ready {
            return json(StatusCode::OK, &serde_json::json!({ "status": "live" }));
        }
        let unready = match self.status.readiness() {
            Readiness::Ready => None,
            Readiness::Stopping => Some(serde_json::json!({ "status": "stopping" })),
            Readiness::Joining(None) => Some(serde_json::json!({ "status": "joining" })),
            Readiness::Joining(Some(reason)) => {
                Some(serde_json::json!({ "status": "joining", "reason": reason }))
            }
        };
        if let Some(unready) = unready {
            return json(StatusCode::SERVICE_UNAVAILABLE, &unready);
        }
        let degraded = self.status.degraded().await;
        json(StatusCode::OK, &serde_json::json!({ "status": "ready", "degraded": degraded }))
    }
}

fn reads<B>(request: &Request<B>) -> Result<(), Failure> {
    if request.method() == Method::GET || request.method() == Method::HEAD {
        return Ok(());
    }
    Err(Failure::new(Kind::MethodNotAllowed, "This is read with GET."))
}

fn writes<B>(request: &Request<B>) -> Result<(), Failure> {
    if request.method() == Method::POST {
        return Ok(());
    }
    Err(Failure::new(Kind::PostOnly, "This is asked for with POST."))
}

/// Whether a list is wanted as it goes on.
fn follows<B>(request: &Request<B>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes())
        .any(|(name, value)| name == "follow" && value == "true")
}

fn malformed(detail: impl Into<String>) -> Failure {
    Failure::new(Kind::Malformed, detail)
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    // Plain data always has a JSON form.
    let mut response = Response::new(full(serde_json::to_vec(value).unwrap_or_default()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
