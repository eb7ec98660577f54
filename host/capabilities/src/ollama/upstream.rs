//! Which server a call goes to: the one at the configured address, or, while nothing answers there,
//! a service of this host that stands in for it.
//!
//! The real server takes over as soon as it appears and the stand-in as soon as it vanishes,
//! without a restart. Each change is logged once, so that a demo is never mistaken for a model. A
//! request whose connection was opened is never sent to the other one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{Request, Response};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::address::Address;
use super::body::{Body, full, lend};
use super::network::Network;
use crate::breaker::{self, Breaker};
use crate::context::RequestContext;
use crate::transport::{Transport, TransportError};
use wasm_host_limits::backends::BreakerConfig;
use wasm_host_limits::ollama::{PROBE_INTERVAL, PROBE_TIMEOUT};
use wasm_host_settings::tls::Authorities;

/// How the server at an address is reached.
#[derive(Clone)]
pub struct Terms {
    pub connect_timeout: Duration,
    /// The authorities that are trusted for a server of `https`, beside the system's.
    pub ca: Option<Authorities>,
    pub breaker: BreakerConfig,
    /// Threads that serve.
    pub threads: usize,
}

/// A service of this host that stands in for an absent server.
#[derive(Clone)]
pub struct Fallback {
    /// Its name in the application file.
    pub service: String,
    pub transport: Arc<dyn Transport>,
}

/// Where calls go now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallTarget {
    /// Nothing has asked yet.
    Unknown,
    Server,
    Fallback,
    /// There is neither.
    Nothing,
}

/// The server at an address together with its stand-in. Shared by all services that are granted it.
pub struct Upstream {
    server: Arc<dyn Transport>,
    /// For logs: scheme, host and port.
    address: String,
    fallback: Option<Fallback>,
    state: Mutex<UpstreamState>,
    /// Held while the server is looked for, so that one request does it at a time.
    looking: tokio::sync::Mutex<()>,
    interval: Duration,
    /// Asked before the server is, where nothing stands in for it.
    breaker: Arc<Breaker>,
}

struct UpstreamState {
    target: CallTarget,
    /// When the server was last found absent.
    absent_at: Instant,
}

impl Upstream {
    /// Fails if the address cannot be used. Nothing is connected yet.
    pub fn new(
        address: &Address,
        terms: &Terms,
        fallback: Option<Fallback>,
    ) -> Result<Self, String> {
        let server = Arc::new(Network::new(address, terms)?);
        let breaker = Breaker::new(format!("Ollama at {address}"), terms.breaker.clone());
        Ok(Self {
            breaker,
            ..Self::with_server(server, address.to_string(), fallback, PROBE_INTERVAL)
        })
    }

    pub(super) fn with_server(
        server: Arc<dyn Transport>,
        address: String,
        fallback: Option<Fallback>,
        interval: Duration,
    ) -> Self {
        let state = UpstreamState { target: CallTarget::Unknown, absent_at: Instant::now() };
        let looking = tokio::sync::Mutex::new(());
        let breaker = Breaker::new(format!("Ollama at {address}"), BreakerConfig::default());
        Self { server, address, fallback, state: Mutex::new(state), looking, interval, breaker }
    }

    /// Where calls went last. Costs nothing.
    pub fn target(&self) -> CallTarget {
        self.state.lock().target
    }

    /// Whether calls fail without the server being tried.
    pub fn is_open(&self) -> bool {
        self.breaker.is_open()
    }

    /// How its circuit breaker is.
    pub fn breaker(&self) -> breaker::Reading {
        self.breaker.read()
    }

    /// Look for the server now. For start-up and health reports; calls look for themselves.
    pub async fn check(&self) -> CallTarget {
        let _turn = self.looking.lock().await;
        self.look().await
    }

    /// Whether the next call goes to the server itself.
    async fn server_is_next(&self) -> bool {
        if self.fallback.is_none() {
            return true;
        }
        if let Some(known) = self.known() {
            return known;
        }
        let _turn = match self.looking.try_lock() {
            Ok(turn) => turn,
            // Another request is looking. While there is a stand-in in use, no other has to wait for that.
            Err(_) if self.target() == CallTarget::Fallback => return false,
            Err(_) => self.looking.lock().await,
        };
        match self.known() {
            Some(known) => known,
            None => self.look().await == CallTarget::Server,
        }
    }

    /// Whether the server is next, if that is known and fresh enough.
    fn known(&self) -> Option<bool> {
        let state = self.state.lock();
        match state.target {
            CallTarget::Unknown => None,
            CallTarget::Server => Some(true),
            CallTarget::Fallback | CallTarget::Nothing => {
                (state.absent_at.elapsed() < self.interval).then_some(false)
            }
        }
    }

    async fn look(&self) -> CallTarget {
        let mut request = Request::new(full(""));
        *request.uri_mut() = http::Uri::from_static("/api/version");
        let answer = self.server.send(request, RequestContext::of_host("probe"));
        // Any answer is a server's: one that is there and broken is to be seen, not covered up.
        match tokio::time::timeout(PROBE_TIMEOUT, answer).await {
            Ok(Ok(_)) => self.found(),
            Ok(Err(error)) => self.missed(&error.to_string()),
            Err(_) => self.missed("no answer"),
        }
    }

    fn found(&self) -> CallTarget {
        // The breaker logs that itself if it had opened.
        let was_open = self.breaker.is_open();
        self.breaker.reached();
        if self.change(CallTarget::Server) && !was_open {
            tracing::info!("Ollama answers at {}", self.address);
        }
        CallTarget::Server
    }

    fn missed(&self, why: &str) -> CallTarget {
        let address = &self.address;
        match &self.fallback {
            Some(Fallback { service, .. }) => {
                if self.change(CallTarget::Fallback) {
                    tracing::info!(
                        "no Ollama at {address} ({why}): the service {service}, a demo, stands in \
                         until one appears"
                    );
                }
                CallTarget::Fallback
            }
            None => {
                if self.change(CallTarget::Nothing) {
                    tracing::warn!("no Ollama at {address} ({why})");
                }
                CallTarget::Nothing
            }
        }
    }

    /// Whether this is news.
    fn change(&self, target: CallTarget) -> bool {
        let mut state = self.state.lock();
        if target != CallTarget::Server {
            state.absent_at = Instant::now();
        }
        std::mem::replace(&mut state.target, target) != target
    }
}

/// No server was asked, because that has failed again and again.
fn given_up() -> TransportError {
    TransportError::Unreachable("it could not be reached, and is tried again soon".into())
}

impl Transport for Upstream {
    fn send(
        &self,
        request: Request<Body>,
        caller: RequestContext,
    ) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        Box::pin(async move {
            let Some(fallback) = &self.fallback else {
                let pass = self.breaker.admit().map_err(|_| given_up())?;
                let answer = self.server.send(request, caller).await;
                match &answer {
                    Ok(_) => {
                        self.found();
                        pass.reached();
                    }
                    Err(TransportError::Unreachable(why)) => {
                        pass.failed();
                        self.missed(why);
                    }
                    // Whether it is there was not learned.
                    Err(_) => {}
                }
                return answer;
            };
            if !self.server_is_next().await {
                return fallback.transport.send(request, caller).await;
            }
            let (parts, body) = request.into_parts();
            let (body, loan) = lend(body);
            let again = Request::from_parts(parts.clone(), ());
            let answer = self.server.send(Request::from_parts(parts, body), caller.clone()).await;
            let Err(TransportError::Unreachable(why)) = &answer else { return answer };
            self.missed(why);
            match loan.take_back() {
                Some(body) => fallback.transport.send(again.map(|()| body), caller).await,
                None => answer,
            }
        })
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Upstream")
            .field("address", &self.address)
            .field("fallback", &self.fallback.as_ref().map(|fallback| &fallback.service))
            .field("target", &self.target())
            .finish_non_exhaustive()
    }
}
