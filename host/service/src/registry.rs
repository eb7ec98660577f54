//! The services of the application by name, and calls from one to another inside the host.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

use crate::Service;
use crate::dispatch::AnswerUntil;
use crate::failure::respond::respond;
use wasm_host_capabilities::body::{guard_until, limited};
use wasm_host_capabilities::context::{About, RequestContext};
use wasm_host_capabilities::outgoing::seen::ClientCall;
use wasm_host_capabilities::outgoing::{
    HttpError as Error, HttpRequest, HttpResponse, Outbound, Peers, SendFuture, within_waits,
};
use wasm_host_capabilities::transport::{Transport, TransportError};
use wasm_host_limits as limits;
use wasm_host_telemetry::attributes;

/// All component services. The set does not change while the host runs; the versions behind it do.
#[derive(Default)]
pub struct Registry {
    services: BTreeMap<Arc<str>, Arc<Service>>,
}

impl Registry {
    pub fn new(services: impl Iterator<Item = Arc<Service>>) -> Arc<Self> {
        let services = services.map(|service| (service.name.clone(), service)).collect();
        Arc::new(Self { services })
    }

    pub fn find(&self, name: &str) -> Option<&Arc<Service>> {
        self.services.get(name)
    }

    /// End all instances that are idle, and the others when they become so. Returns when none is left,
    /// or some time after the deadline, at which what still runs is ended. Tells how many requests that were.
    pub async fn drain(&self, deadline: Duration) -> usize {
        let versions = self.services.values().flat_map(|service| service.versions());
        let drains = versions.map(|version| async move {
            // One that was replaced is being drained already, by a task that waits for that same retirement.
            let retirement = version.retirement().unwrap_or_else(|| version.retire());
            version.drained(retirement, deadline).await
        });
        join_all(drains).await.iter().flatten().map(|drained| drained.cut).sum()
    }

    /// Instances that are alive.
    pub fn live_instances(&self) -> usize {
        self.services.values().map(|service| service.live_instances()).sum()
    }

    /// End everything now: what has no answer yet is told to come back, what has begun ends as an error.
    pub async fn cut(&self) -> usize {
        self.services.values().for_each(|service| service.stop());
        self.drain(Duration::ZERO).await
    }
}

/// The registry as services see it: there once all of them are loaded, and not kept alive by them.
#[derive(Clone, Default)]
pub struct RegistryHandle(Arc<OnceLock<Weak<Registry>>>);

impl RegistryHandle {
    /// Connect the services that were loaded with this handle.
    pub fn connect(&self, registry: &Arc<Registry>) {
        // A second call would name the same registry.
        let _ = self.0.set(Arc::downgrade(registry));
    }

    fn find(&self, name: &str) -> Option<Arc<Service>> {
        self.0.get()?.upgrade()?.find(name).cloned()
    }

    /// Send a request to a service inside the host. Its failure is a response, as it would be outside.
    pub fn send(
        &self,
        service: &str,
        caller: &RequestContext,
        mut request: HttpRequest,
    ) -> SendFuture {
        let Some(uri) = inside(service, request.uri()) else {
            return Box::pin(async { Err(Error::HttpRequestUriInvalid) });
        };
        *request.uri_mut() = uri;
        let mut call = ClientCall::begin(caller, &request);
        call.span.set_text(attributes::PEER, service);
        let Some(service) = self.find(service) else {
            call.refused("this host has no such service");
            return Box::pin(async { Err(Error::DestinationNotFound) });
        };
        if usize::from(caller.hops()) >= limits::HOP_LIMIT {
            call.refused("its request has passed too many services");
            return Box::pin(async { Err(Error::LoopDetected) });
        }
        let request = request
            .map(|body| limited(body, service.limits.max_body_bytes, Error::HttpRequestBodySize));
        let (id, token) = (caller.id().to_owned(), caller.cancel().clone());
        let inbound = caller.next_hop(&call.span, request.method(), request.uri());
        let (trace_id, span_id) = (inbound.trace().id().0, inbound.trace().span_id().0);
        Box::pin(async move {
            // When the caller ends, so does this: its guest, too, not only its capability calls.
            let answer = tokio::select! {
                answer = service.handle(inbound, request) => answer,
                () = token.cancelled() => return Err(Error::ConnectionTerminated),
            };
            let response = answer.unwrap_or_else(|failure| {
                let about = About { request: &id, trace_id, span_id, service_version: None };
                service.log(about, &failure);
                respond(&failure, &id)
            });
            // The caller may hold it unread, and with it a place of this service.
            let until = response.extensions().get().map(|AnswerUntil(until)| *until);
            call.answered(response.status());
            Ok(response.map(|body| guard_until(body, token, call, until)))
        })
    }
}

/// `http://<service>/path?query`
fn inside(service: &str, uri: &Uri) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(Authority::try_from(service).ok()?);
    parts.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
    Uri::from_parts(parts).ok()
}

/// A service of this host as a stand-in for a server on the network.
pub struct ServiceTransport {
    service: String,
    registry: RegistryHandle,
}

impl RegistryHandle {
    pub fn transport(&self, service: &str) -> ServiceTransport {
        ServiceTransport { service: service.to_string(), registry: self.clone() }
    }
}

impl Transport for ServiceTransport {
    fn send(
        &self,
        request: HttpRequest,
        caller: RequestContext,
    ) -> BoxFuture<'_, Result<HttpResponse, TransportError>> {
        let sending = self.registry.send(&self.service, &caller, request);
        Box::pin(async move { sending.await.map_err(|error| not_answered(&error)) })
    }
}

/// Why there is no response, in words for a component.
fn not_answered(error: &Error) -> TransportError {
    match error {
        Error::HttpRequestUriInvalid => {
            TransportError::Invalid("the path is not one of a URL".into())
        }
        Error::DestinationNotFound => {
            TransportError::Unreachable("the service that stands in for it is not running".into())
        }
        Error::LoopDetected => TransportError::Unreachable(
            "the request has passed through as many services as one may".into(),
        ),
        // The service may have begun to work.
        _ => TransportError::Lost("the service that stands in for it gave no answer".into()),
    }
}

/// What the application file lets one service call: other services, and hosts outside.
pub struct GrantedPeers {
    pub caller: Arc<str>,
    pub allowed: Vec<String>,
    pub registry: RegistryHandle,
    pub outbound: Arc<Outbound>,
}

impl Peers for GrantedPeers {
    fn send(&self, caller: RequestContext, request: HttpRequest) -> SendFuture {
        // Names of hosts have no case; those of services are written in small letters.
        let name = request.uri().host().unwrap_or_default().to_ascii_lowercase();
        if self.allowed.contains(&name) {
            let registry = &self.registry;
            return within_waits(request, |request| registry.send(&name, &caller, request));
        }
        if self.registry.find(&name).is_none() {
            return self.outbound.send(caller, request);
        }
        let About { request, trace_id, span_id, service_version } = caller.about();
        tracing::warn!(
            service = %self.caller,
            request,
            trace_id,
            span_id,
            service_version,
            "refused a request to {name:?}: add services = [{name:?}] under [service.{}] to allow it",
            self.caller
        );
        Box::pin(async { Err(Error::HttpRequestDenied) })
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Empty};

    use super::*;

    #[tokio::test]
    async fn a_stand_in_that_is_not_there_is_told_in_words() {
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let transport = RegistryHandle::default().transport("demo-ollama");
        let answer = transport.send(HttpRequest::new(body), RequestContext::of_host("test")).await;
        let expected = "the service that stands in for it is not running";
        assert_eq!(answer.err(), Some(TransportError::Unreachable(expected.into())));
    }

    #[test]
    fn a_request_that_may_have_run_is_lost_and_not_unreachable() {
        let lost = not_answered(&Error::ConnectionTerminated);
        assert!(matches!(lost, TransportError::Lost(_)), "{lost:?}");
    }
}
