//! One request's life on the public port: find the service, hand over, answer.
//!
//! Read [`App::handle`] from top to bottom. Sockets are [`listener`]'s, routes are [`route`]'s, files
//! are [`files`]'s; what a service does is behind `service`.

pub mod admin;
pub mod body;
pub mod control;
pub mod cookies;
pub mod cors;
pub mod files;
pub mod forwarded;
pub mod health;
pub mod intake;
pub mod listener;
pub mod origin;
mod page_spans;
pub mod request;
pub mod route;
mod streaming;

use std::sync::Arc;
use std::time::Duration;

use http::header::Entry;
use http::uri::Authority;
use http::{HeaderName, HeaderValue, Method, Request, Response, header};

use crate::cors::{Pages, Reader};
use crate::files::Files;
use crate::forwarded::Proxies;
use crate::intake::Intake;
use crate::listener::{Arriving, Peer};
use crate::origin::{Names, RequestedHost};
use crate::page_spans::PageSpans;
use crate::route::Router;
use wasm_host_capabilities::body::{Body, full};
use wasm_host_capabilities::context::{About, Inbound};
use wasm_host_capabilities::outgoing::hops;
use wasm_host_service::Service;
use wasm_host_service::failure::respond::respond;
use wasm_host_service::failure::{Failure, Kind};
use wasm_host_telemetry::Telemetry;
use wasm_host_telemetry::context::TraceContext;
use wasm_host_telemetry::trace::{RequestEnd, Trace};

/// What answers under a route.
#[derive(Clone)]
pub enum RouteTarget {
    Component {
        service: Arc<Service>,
        /// Largest request body, in bytes.
        max_body: u64,
        /// It sees its route as a part of the path.
        keeps_path: bool,
        /// Whether it has a model server, whose clients it may have, too.
        has_models: bool,
    },
    Static(Arc<Files>),
    /// Takes the spans of pages.
    PageSpans(Arc<Intake>),
}

impl RouteTarget {
    /// Whether clients of Ollama ask it.
    fn has_models(&self) -> bool {
        matches!(self, Self::Component { has_models: true, .. })
    }
}

/// What answers under a route, and what pages of other origins may do with it.
#[derive(Clone)]
pub struct Served {
    pub target: RouteTarget,
    pub pages: Arc<Pages>,
}

/// Asked before each request: why none is answered now.
pub type Gate = Box<dyn Fn() -> Result<(), Failure> + Send + Sync>;

/// The public side of the application.
pub struct App {
    router: Router<Served>,
    names: Names,
    /// Time between two pieces of a request body.
    body_idle: Duration,
    proxies: Proxies,
    telemetry: &'static Telemetry,
    /// None: spans of pages are not taken.
    page_spans: Option<PageSpans>,
    /// None: requests are always answered.
    gate: Option<Gate>,
}

impl App {
    pub fn new(
        router: Router<Served>,
        names: Names,
        body_idle: Duration,
        proxies: Proxies,
        telemetry: &'static Telemetry,
        page_route: Option<&str>,
    ) -> Self {
        let page_spans = page_route.map(PageSpans::new);
        Self { router, names, body_idle, proxies, telemetry, page_spans, gate: None }
    }

    /// Answer requests only while the gate is open.
    pub fn with_gate(self, gate: Option<Gate>) -> Self {
        Self { gate, ..self }
    }

    /// Answer one request. Never fails: a failure is a response.
    pub async fn handle(&self, request: Request<Arriving>, peer: Peer) -> Response<Body> {
        let context = TraceContext::of(request.headers());
        let trace = Trace::begin(self.telemetry, context, request.method(), request.uri());
        let id = trace.span_id().to_string();
        let is_head = request.method() == Method::HEAD;
        let about = About::new(&id, &trace);
        let mut reader = None;
        let mut trace = Some(trace);
        let told = self.page_spans.as_ref().and_then(|spans| spans.told_of(&request));
        let mut response = match self.route(about, request, peer, &mut reader, &mut trace).await {
            Ok(mut response) => {
                cookies::refuse(response.headers_mut());
                // What failed is asked about, whether the host or a component says so; all else is spared the header.
                if response.status().is_server_error() {
                    name(&id, response.headers_mut().entry(REQUEST_ID));
                }
                response
            }
            Err(failure) => {
                if failure.service.is_none() {
                    failure.log(None, about);
                }
                let mut response = respond(&failure, &id);
                if is_head {
                    // Over HTTP/1.1 it would be left out anyway; over HTTP/2 it would be sent.
                    *response.body_mut() = full("");
                }
                let headers = response.headers_mut();
                name(&id, headers.entry(REQUEST_ID));
                if is_end_of_connection(failure.kind) {
                    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                response
            }
        };
        // It reached no service.
        if let Some(trace) = trace {
            let status = Some(response.status().as_u16());
            trace.end(&RequestEnd { status, ..RequestEnd::default() });
        }
        if let Some(told) = told {
            told.tell(&self.router, response.headers_mut());
        }
        // Also of a failure: the user of the page that asked reads why.
        if let Some(reader) = reader {
            reader.mark(response.headers_mut());
        }
        response
    }

    /// `reader` becomes the page that may read the answer, whatever that will be.
    async fn route<'a>(
        &'a self,
        about: About<'_>,
        request: Request<Arriving>,
        peer: Peer,
        reader: &mut Option<Reader<'a>>,
        trace: &mut Option<Trace>,
    ) -> Result<Response<Body>, Failure> {
        request::check(&request)?;
        if let Some(gate) = &self.gate {
            gate()?;
        }
        let authority = request::host(&request)?;
        let host = authority.as_ref().map_or("", Authority::as_str);
        let uri = request.uri().clone();
        let path = uri.path();
        let found = self.router.find(host, path);
        let is_for_models = found.is_some_and(|(served, _)| served.target.has_models());
        self.names.check(host).map_err(|refused| Failure { is_for_models, ..refused })?;
        let Some((served, rest)) = found else {
            return Err(Failure::new(Kind::NoRoute, format!("No service answers {path}.")));
        };
        let client = self.proxies.client(peer.address.ip(), peer.secure, host, request.headers());
        let (client_host, secure) = (&client.host, client.secure);
        if let Some(trace) = trace.as_mut().filter(|_| secure) {
            trace.came_over_tls();
        }
        let asked = RequestedHost { host, client_host, secure, names: &self.names };
        if let RouteTarget::PageSpans(intake) = &served.target {
            // It would be seen as often as what it tells of.
            trace.take().into_iter().for_each(Trace::forget);
            return intake.of_page(rest, request, &asked).await;
        }
        match served.pages.admit(&request, &asked) {
            Ok(Some(preflight)) => return Ok(preflight),
            admitted => {
                *reader = Some(served.pages.reader(request.headers()));
                admitted.map_err(|refused| Failure { is_for_models, ..refused })?;
            }
        }
        match &served.target {
            // Answered above.
            RouteTarget::PageSpans(_) => {
                Err(Failure::new(Kind::Internal, "This takes spans of pages."))
            }
            RouteTarget::Static(files) => files.serve(&request, rest, trace.take()).await,
            RouteTarget::Component { service, max_body, keeps_path, has_models } => {
                let of_service = |failure: Failure| {
                    service.log(about, &failure);
                    Failure { is_for_models: *has_models, ..failure.of(&service.name) }
                };
                let probe = health::Probe::of(request.method(), rest);
                let hops = hops::passed(request.headers());
                let (request, outcome) = {
                    let target = request::GuestTarget {
                        host: authority.as_ref(),
                        path: if *keeps_path { path } else { rest },
                        route: if *keeps_path { "" } else { route::stripped(path, rest) },
                        client: &client,
                        told: &peer.told,
                        body: body::Bounds { bytes: *max_body, idle: self.body_idle },
                    };
                    request::for_guest(request, &target).map_err(of_service)?
                };
                let trace = trace.take().unwrap_or_else(Trace::off);
                let inbound = Inbound::new(trace, hops);
                let answer = service.handle(inbound, request).await;
                let answer = match outcome {
                    Some(outcome) => outcome.judge(answer),
                    None => answer,
                };
                let answer = match probe {
                    Some(probe) => probe.answer(service, answer).await,
                    None => answer,
                };
                answer.map(streaming::unbuffered).map_err(of_service)
            }
        }
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Say which request it is, unless that is said.
fn name(id: &str, place: Entry<'_, HeaderValue>) {
    if let (Entry::Vacant(place), Ok(id)) = (place, HeaderValue::from_str(id)) {
        place.insert(id);
    }
}

/// Whether what follows on the connection is not to be trusted, or is the rest of a body that is not wanted.
fn is_end_of_connection(kind: Kind) -> bool {
    matches!(kind, Kind::Malformed | Kind::BodyTooLarge | Kind::BodyTooSlow | Kind::NotImplemented)
}
