//! `/health` and `/alive` of every service, from the host unless the component serves them itself.

use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use wasm_host_capabilities::body::{Body, full};
use wasm_host_limits as limits;
use wasm_host_service::Service;
use wasm_host_service::failure::Failure;

/// A request for one of the two health paths.
pub struct Probe(());

impl Probe {
    pub fn of(method: &Method, path: &str) -> Option<Self> {
        let reads = method == Method::GET || method == Method::HEAD;
        (reads && matches!(path, "/health" | "/alive")).then_some(Self(()))
    }

    /// The component's answer, or the host's if the component has no such path. A component that fails fails its health, too.
    pub async fn answer(
        self,
        service: &Service,
        answer: Result<Response<Body>, Failure>,
    ) -> Result<Response<Body>, Failure> {
        let response = answer?;
        match response.status() {
            StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_IMPLEMENTED => {
                // Read to its end, or the component's request would count as abandoned; nothing of it is kept.
                let mut body = response.into_body();
                let read = async { while let Some(Ok(_)) = body.frame().await {} };
                let _ = timeout(limits::HEALTH_TIMEOUT, read).await;
                Ok(healthy(&service.name, service.active().stable.digest.short()))
            }
            _ => Ok(response),
        }
    }
}

/// The answer of a service that reports no problem.
pub fn healthy(service: &str, version: &str) -> Response<Body> {
    let body = serde_json::json!({ "status": "healthy", "service": service, "version": version });
    let mut response = Response::new(full(body.to_string()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
