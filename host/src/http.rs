//! One request's life on the public port: find the service, hand over, answer.
//!
//! Read [`App::handle`] from top to bottom. Sockets are [`listener`]'s, routes are [`route`]'s, files
//! are [`files`]'s; what a service does is behind `service`.

pub mod admin;
pub mod files;
pub mod health;
pub mod listener;
pub mod request;
pub mod route;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use wasmtime_wasi_http::WasiBody;

use crate::capability::context::RequestContext;
use crate::capability::outgoing::hops;
use crate::failure::{Failure, Kind, Source, respond::respond};
use crate::http::files::Files;
use crate::http::route::Router;
use crate::service::Service;

/// What answers under a route.
#[derive(Clone)]
pub enum Target {
    Component {
        service: Arc<Service>,
        /// Largest request body, in bytes.
        max_body: u64,
    },
    Static(Arc<Files>),
}

/// The public side of the application.
pub struct App {
    router: Router<Target>,
    ids: RequestIds,
}

impl App {
    pub fn new(router: Router<Target>) -> Self {
        Self { router, ids: RequestIds::new() }
    }

    /// Answer one request. Never fails: a failure is a response.
    pub async fn handle(&self, request: Request<Incoming>) -> Response<WasiBody> {
        let id = self.ids.next();
        match self.route(&id, request).await {
            Ok(response) => response,
            Err(failure) => {
                log(&id, &failure);
                let mut response = respond(&failure, &id);
                if let Ok(id) = HeaderValue::from_str(&id) {
                    response.headers_mut().insert("x-request-id", id);
                }
                response
            }
        }
    }

    async fn route(
        &self,
        id: &str,
        request: Request<Incoming>,
    ) -> Result<Response<WasiBody>, Failure> {
        let host = request::host(&request)?;
        let Some((target, rest)) = self.router.find(&host, request.uri().path()) else {
            let path = request.uri().path();
            return Err(Failure::new(Kind::NoRoute, format!("No service answers {path}.")));
        };
        match target {
            Target::Static(files) => files.serve(&request, rest).await,
            Target::Component { service, max_body } => {
                let probe = health::Probe::of(request.method(), rest);
                let rest = rest.to_string();
                let hops = hops::passed(request.headers());
                let request = request::for_guest(request, &host, &rest, *max_body)?;
                let context = RequestContext::new(id.to_string(), hops);
                let answer = service.handle(context, request).await;
                match probe {
                    Some(probe) => probe.answer(service, answer).await,
                    None => answer,
                }
            }
        }
    }
}

/// Whose fault it is decides how loud the log says it.
fn log(id: &str, failure: &Failure) {
    match failure.kind.source() {
        Source::Client => tracing::debug!(request = id, "{failure}"),
        Source::Guest | Source::Host => tracing::warn!(request = id, "{failure}"),
    }
}

/// Ids that differ between requests and between runs of the host.
struct RequestIds {
    run: u64,
    next: AtomicU64,
}

impl RequestIds {
    fn new() -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { run: started.as_micros() as u64, next: AtomicU64::new(1) }
    }

    fn next(&self) -> String {
        format!("{:x}-{:x}", self.run, self.next.fetch_add(1, Ordering::Relaxed))
    }
}
