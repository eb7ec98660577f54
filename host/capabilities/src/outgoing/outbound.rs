//! Calls of one service to hosts outside: what the application file allows, within its bounds, and
//! nothing else.
//!
//! The client is the service's own, so that no two services share a connection. Answers come as they
//! are: no redirect is followed, because its target was not asked for; nothing is decompressed. A
//! request is sent a second time only if a kept connection turned out to be closed before a byte of
//! it was sent.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Semaphore;
use wasmtime_wasi_http::Error;

use super::connect::Connector;
use super::exchange::{self, Bounds, Client, NoAnswer};
use super::public::is_public;
use super::settings::OutboundConfig;
use super::target::{Host, Target};
use super::{HttpRequest, HttpResponse, SendFuture};
use crate::body::guard;
use crate::breaker::Breaker;
use crate::context::{About, RequestContext};
use crate::outgoing::seen::ClientCall;
use crate::until::until_ended;
use wasm_host_limits as limits;
use wasm_host_limits::outgoing::HOSTS;
use wasm_host_settings::tls;

/// The way out of one service.
pub struct Outbound {
    /// For logs.
    service: Arc<str>,
    config: OutboundConfig,
    client: Client,
    calls: Arc<Semaphore>,
    /// By host.
    breakers: Mutex<BTreeMap<String, Arc<Breaker>>>,
    /// Targets whose refusal was logged.
    refused: Mutex<BTreeSet<String>>,
}

impl Outbound {
    /// Fails if a rule needs certificates and the system has none.
    pub fn new(service: Arc<str>, config: OutboundConfig) -> io::Result<Arc<Self>> {
        let roots = if config.allow.uses_tls() {
            tls::roots(config.ca.as_ref())?
        } else {
            // A small machine may have none.
            RootCertStore::empty()
        };
        let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self::with_tls(service, config, tls))
    }

    /// A way out that is closed.
    pub fn closed(service: Arc<str>) -> Arc<Self> {
        let tls = ClientConfig::builder().with_root_certificates(RootCertStore::empty());
        Self::with_tls(service, OutboundConfig::default(), tls.with_no_client_auth())
    }

    fn with_tls(service: Arc<str>, config: OutboundConfig, tls: ClientConfig) -> Arc<Self> {
        let connector = Connector::new(config.allow.clone(), config.limits.connect_timeout, tls);
        let client = exchange::client(connector);
        let calls = Arc::new(Semaphore::new(config.limits.concurrent));
        let (breakers, refused) = Default::default();
        Arc::new(Self { service, config, client, calls, breakers, refused })
    }

    /// Hosts that calls do not reach at the moment.
    pub fn unreachable(&self) -> Vec<String> {
        let breakers = self.breakers.lock();
        breakers
            .iter()
            .filter(|(_, breaker)| breaker.is_open())
            .map(|(host, _)| host.clone())
            .collect()
    }

    /// Send a request on behalf of `caller`, or refuse it.
    pub fn send(self: &Arc<Self>, caller: RequestContext, request: HttpRequest) -> SendFuture {
        let outbound = self.clone();
        Box::pin(async move {
            let answer = outbound.answer(&caller, request);
            until_ended(&caller, Error::ConnectionTerminated, answer).await
        })
    }

    async fn answer(
        &self,
        caller: &RequestContext,
        request: HttpRequest,
    ) -> Result<HttpResponse, Error> {
        let target = Target::of(request.uri()).ok_or(Error::HttpRequestUriInvalid)?;
        if !self.allows(&target) {
            self.refuse(caller, &target, &target);
            return Err(Error::HttpRequestDenied);
        }
        let mut call = ClientCall::begin(caller, &request);
        if usize::from(caller.hops()) >= limits::HOP_LIMIT {
            call.refused("its request has passed too many services");
            return Err(Error::LoopDetected);
        }
        let permit = self.calls.clone().try_acquire_owned().map_err(|_| {
            call.refused("too many calls of this service are under way");
            Error::ConnectionLimitReached
        })?;
        let breaker = self.breaker(&target);
        let pass = breaker.map(|breaker| breaker.admit()).transpose().map_err(|_| {
            call.refused("the host could not be reached just now");
            Error::DestinationUnavailable
        })?;
        let bounds = Bounds::new(&self.config, request.extensions().get());
        let prepared = exchange::prepare(request, &target, caller.hops());
        let mut request = prepared.inspect_err(|error| call.refused(&format!("{error:?}")))?;
        if let Some(context) = caller.trace().context_of_call(&call.span) {
            context.tell(request.headers_mut());
        }
        let answer = exchange::send(&self.client, request, &bounds).await;
        match (&answer, pass) {
            (Err(NoAnswer::NotConnected(_)), Some(pass)) => pass.failed(),
            // The component would not wait, or the host here was in the way.
            (Err(NoAnswer::GivenUp(_) | NoAnswer::NotPublic(_)), _) => {}
            (Ok(_) | Err(NoAnswer::Lost(_)), Some(pass)) => pass.reached(),
            (_, None) => {}
        }
        let response = answer.map_err(|error| match error {
            NoAnswer::NotPublic(address) => {
                call.failed("it has no public address");
                let named = Target { host: Host::Address(address), ..target.clone() };
                self.refuse(caller, &target, &named);
                Error::DestinationIpProhibited
            }
            NoAnswer::NotConnected(error) | NoAnswer::GivenUp(error) | NoAnswer::Lost(error) => {
                call.failed(&format!("{error:?}"));
                tracing::debug!(service = %self.service, "{target} gave no answer: {error:?}");
                error
            }
        })?;
        let response = exchange::receive(response, &bounds);
        let response = response.inspect_err(|error| call.failed(&format!("{error:?}")))?;
        call.answered(response.status());
        Ok(response.map(|body| guard(body, caller, (permit, call))))
    }

    fn allows(&self, target: &Target) -> bool {
        let Target { scheme, host, port } = target;
        let allow = &self.config.allow;
        match host {
            Host::Name(name) => allow.has_name(*scheme, name, *port),
            Host::Address(address) => {
                let address = address.to_canonical();
                allow.has_address(*scheme, address, *port)
                    || (allow.has_any(*scheme, *port) && is_public(address))
            }
        }
    }

    /// Log which line would allow it, once for each target: a component can ask for ever.
    fn refuse(&self, caller: &RequestContext, target: &Target, named: &Target) {
        let mut refused = self.refused.lock();
        if refused.len() >= HOSTS || !refused.insert(target.to_string()) {
            return;
        }
        drop(refused);
        let place = match &named.host {
            Host::Address(address) if named != target => format!(", which is at {address}"),
            _ => String::new(),
        };
        let About { request, trace_id, span_id, service_version } = caller.about();
        tracing::warn!(
            service = %self.service,
            request,
            trace_id,
            span_id,
            service_version,
            "refused a request to \"{target}\"{place}: add \"{named}\" to outbound = [...] under \
             [service.{}] to allow it",
            self.service
        );
    }

    /// None for one of more hosts than are counted.
    fn breaker(&self, target: &Target) -> Option<Arc<Breaker>> {
        let place = target.to_string();
        let mut breakers = self.breakers.lock();
        if let Some(breaker) = breakers.get(&place) {
            return Some(breaker.clone());
        }
        if breakers.len() >= HOSTS {
            breakers.retain(|_, breaker| breaker.is_open());
        }
        if breakers.len() >= HOSTS {
            return None;
        }
        let what = format!("{place}, for the service {},", self.service);
        let breaker = Breaker::new(what, self.config.limits.breaker.clone());
        breakers.insert(place, breaker.clone());
        Some(breaker)
    }
}

#[cfg(test)]
mod tests;
