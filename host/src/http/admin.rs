//! The control plane, on a listener of its own: is the host alive, is it ready, what does it run.
//! Never on the public port.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serde::Serialize;
use wasmtime_wasi_http::WasiBody;

use crate::failure::respond::{full, respond};
use crate::failure::{Failure, Kind};

/// What the control plane tells of the host. Implemented by the part that knows it.
pub trait Status: Send + Sync {
    /// Whether new requests are welcome.
    fn is_ready(&self) -> bool;
    /// What does not work at the moment. It makes some answers errors, and is no reason to send
    /// no requests at all: the other services work.
    fn degraded(&self) -> Pin<Box<dyn Future<Output = Vec<String>> + Send + '_>>;
    fn services(&self) -> Vec<ServiceStatus>;
}

/// One service as `ps` and the start-up table show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceStatus {
    pub service: String,
    /// The path prefix; none for services that only other services reach.
    pub route: Option<String>,
    /// `component` or `static`.
    pub kind: &'static str,
    /// The component's digest, shortened.
    pub version: Option<String>,
    /// The version on trial and its share of the requests.
    pub canary: Option<String>,
    pub state: &'static str,
    /// Where it answers.
    pub address: String,
    pub instances: usize,
    pub in_flight: usize,
    pub served: u64,
    pub failed: u64,
}

/// Answer a request to the control plane.
pub async fn handle<B>(status: Arc<dyn Status>, request: Request<B>) -> Response<WasiBody> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return respond(&Failure::new(Kind::MethodNotAllowed, "This is read with GET."), "admin");
    }
    match request.uri().path() {
        "/live" => json(StatusCode::OK, &serde_json::json!({ "status": "live" })),
        "/ready" => ready(&*status).await,
        "/services" => json(StatusCode::OK, &status.services()),
        path => respond(
            &Failure::new(
                Kind::NoRoute,
                format!("There is no {path}; there are /live, /ready and /services."),
            ),
            "admin",
        ),
    }
}

async fn ready(status: &dyn Status) -> Response<WasiBody> {
    if !status.is_ready() {
        return json(StatusCode::SERVICE_UNAVAILABLE, &serde_json::json!({ "status": "stopping" }));
    }
    let degraded = status.degraded().await;
    json(StatusCode::OK, &serde_json::json!({ "status": "ready", "degraded": degraded }))
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<WasiBody> {
    // Plain data always has a JSON form.
    let mut response = Response::new(full(serde_json::to_vec(value).unwrap_or_default()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
