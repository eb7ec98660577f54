//! The services of the application by name, and calls from one to another inside the host.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use tokio_util::sync::CancellationToken;
use wasmtime_wasi_http::Error;

use crate::capability::context::RequestContext;
use crate::capability::ollama::upstream::{Transport, TransportError};
use crate::capability::outgoing::{HttpRequest, HttpResponse, Peers, SendFuture};
use crate::failure::respond::respond;
use crate::limits;
use crate::service::Service;

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
    /// or at the deadline.
    pub async fn drain(&self, deadline: Duration) {
        let versions = self.services.values().flat_map(|service| service.serving().versions());
        let drains = versions.map(|version| async move {
            let retirement = version.retire();
            version.drained(retirement, deadline).await
        });
        let cut: usize = join_all(drains).await.iter().flatten().map(|drained| drained.cut).sum();
        if cut > 0 {
            tracing::warn!("cut {cut} requests that still ran after {deadline:?}");
        }
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
        let Some(service) = self.find(service) else {
            return Box::pin(async { Err(Error::DestinationNotFound) });
        };
        if usize::from(caller.hops()) >= limits::HOP_LIMIT {
            return Box::pin(async { Err(Error::LoopDetected) });
        }
        let context = caller.next_hop();
        Box::pin(async move {
            let id = context.id().to_string();
            Ok(service.handle(context, request).await.unwrap_or_else(|failure| {
                tracing::warn!(service = %service.name, request = id, "{failure}");
                respond(&failure, &id)
            }))
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
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<HttpResponse, TransportError>> {
        let caller = RequestContext::for_call(format!("for-{}", self.service), cancel);
        let sending = self.registry.send(&self.service, &caller, request);
        Box::pin(async move {
            sending.await.map_err(|error| TransportError::Unreachable(format!("{error:?}")))
        })
    }
}

/// The services that the application file lets one service call.
pub struct GrantedPeers {
    pub caller: Arc<str>,
    pub allowed: Vec<String>,
    pub registry: RegistryHandle,
}

impl Peers for GrantedPeers {
    fn send(&self, caller: RequestContext, request: HttpRequest) -> SendFuture {
        let name = request.uri().host().unwrap_or_default().to_string();
        if self.allowed.contains(&name) {
            return self.registry.send(&name, &caller, request);
        }
        tracing::warn!(
            service = %self.caller,
            request = caller.id(),
            "refused a request to {name:?}: add services = [{name:?}] under [service.{}] to allow it",
            self.caller
        );
        Box::pin(async { Err(Error::HttpRequestDenied) })
    }
}
