//! One request's life on the public port: find the service, hand over, answer.
//!
//! Read [`App::handle`] from top to bottom. Sockets are [`listener`]'s, routes are [`route`]'s, files
//! are [`files`]'s; what a service does is behind `service`.

pub mod admin;
pub mod body;
pub mod files;
pub mod health;
pub mod listener;
pub mod request;
pub mod route;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use wasmtime_wasi_http::WasiBody;

use crate::capability::context::RequestContext;
use crate::capability::outgoing::hops;
use crate::failure::{Failure, Kind, Source, respond::respond};
use crate::http::files::Files;
use crate::http::listener::Peer;
use crate::http::route::Router;
use crate::service::Service;

/// What answers under a route.
#[derive(Clone)]
pub enum Target {
    Component {
        service: Arc<Service>,
        /// Largest request body, in bytes.
        max_body: u64,
        /// Whether it has a model server, whose clients it may have, too.
        has_models: bool,
    },
    Static(Arc<Files>),
}

/// The public side of the application.
pub struct App {
    router: Router<Target>,
    /// Time between two pieces of a request body.
    body_idle: Duration,
    ids: RequestIds,
}

impl App {
    pub fn new(router: Router<Target>, body_idle: Duration) -> Self {
        Self { router, body_idle, ids: RequestIds::new() }
    }

    /// Answer one request. Never fails: a failure is a response.
    pub async fn handle(&self, request: Request<Incoming>, peer: Peer) -> Response<WasiBody> {
        let id = self.ids.next();
        match self.route(&id, request, peer).await {
            Ok(response) => response,
            Err(failure) => {
                log(&id, &failure);
                let mut response = respond(&failure, &id);
                let headers = response.headers_mut();
                if let Ok(id) = HeaderValue::from_str(&id) {
                    headers.insert("x-request-id", id);
                }
                if is_end_of_connection(failure.kind) {
                    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                response
            }
        }
    }

    async fn route(
        &self,
        id: &str,
        request: Request<Incoming>,
        peer: Peer,
    ) -> Result<Response<WasiBody>, Failure> {
        request::check(&request)?;
        let host = request::host(&request)?;
        let Some((target, rest)) = self.router.find(&host, request.uri().path()) else {
            let path = request.uri().path();
            return Err(Failure::new(Kind::NoRoute, format!("No service answers {path}.")));
        };
        match target {
            Target::Static(files) => files.serve(&request, rest).await,
            Target::Component { service, max_body, has_models } => {
                let of_service = |failure: Failure| Failure {
                    is_for_models: *has_models,
                    ..failure.of(&service.name)
                };
                let probe = health::Probe::of(request.method(), rest);
                let rest = rest.to_string();
                let body = body::Bounds { bytes: *max_body, idle: self.body_idle };
                let passage =
                    request::Passage { host: &host, path: &rest, secure: peer.secure, body };
                let hops = hops::passed(request.headers());
                let (request, fate) = request::for_guest(request, &passage).map_err(of_service)?;
                let context = RequestContext::new(id.to_string(), hops);
                let answer = service.handle(context, request).await.and_then(final_answer);
                let answer = match fate {
                    Some(fate) => fate.judge(answer),
                    None => answer,
                };
                let answer = match probe {
                    Some(probe) => probe.answer(service, answer).await,
                    None => answer,
                };
                answer.map_err(of_service)
            }
        }
    }
}

/// An answer of 1xx is none, and with one of them the rest of the connection would mean something else.
fn final_answer(response: Response<WasiBody>) -> Result<Response<WasiBody>, Failure> {
    let status = response.status();
    if !status.is_informational() {
        return Ok(response);
    }
    let why = format!("The service answered with {}, which is no answer.", status.as_u16());
    Err(Failure::new(Kind::GuestFailed, why))
}

/// Whether what follows on the connection is not to be trusted, or is the rest of a body that nobody wants.
fn is_end_of_connection(kind: Kind) -> bool {
    matches!(kind, Kind::Malformed | Kind::BodyTooLarge | Kind::BodyTooSlow | Kind::NotImplemented)
}

/// Whose fault it is decides how loud the log says it.
fn log(id: &str, failure: &Failure) {
    let service = failure.service.as_deref();
    match failure.kind.source() {
        Source::Client => tracing::debug!(service, request = id, "{failure}"),
        Source::Guest | Source::Host => tracing::warn!(service, request = id, "{failure}"),
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
