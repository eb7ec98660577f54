//! Addresses that are served: the public one, the control plane, and the one for orchestrators.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Host;
use wasm_host_capabilities::body::Body;
use wasm_host_config::HttpLimits;
use wasm_host_http::admin::Admin;
use wasm_host_http::listener::{Arriving, Connections, Listener, Peer};
use wasm_host_limits as limits;
use wasm_host_system::counted::counted;
use wasm_host_system::threads::Threads;

/// An address that is served.
pub(super) struct Running {
    stop: CancellationToken,
    accepting: JoinHandle<()>,
    pub(super) connections: Arc<Connections>,
}

impl Running {
    fn start<H, F>(
        listener: Listener,
        connections: Arc<Connections>,
        threads: Arc<Threads>,
        handle: H,
    ) -> Self
    where
        H: Fn(Request<Arriving>, Peer) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let accepting = listener.serve(handle, connections.clone(), threads.clone(), stop.clone());
        Self { accepting: threads.spawn_on_first(accepting), stop, connections }
    }

    /// Take no more connections and wait until those that are open, or wait for a place, have finished. False if that
    /// took too long.
    pub(super) async fn finish(&self, deadline: Duration) -> bool {
        self.stop.cancel();
        self.connections.finish();
        let finished = async {
            while !self.accepting.is_finished() {
                sleep(limits::DRAIN_POLL).await;
            }
            self.connections.closed().await;
        };
        timeout(deadline, finished).await.is_ok()
    }

    /// End what is left.
    pub(super) async fn cut(&self) {
        // A connection that waits for a place is not let in any more.
        self.accepting.abort();
        let cut = self.connections.cut();
        if cut > 0 {
            tracing::warn!("cut {}", counted(cut, "connection"));
            let _ = timeout(limits::http::CUT_CONNECTIONS, self.connections.closed()).await;
        }
    }
}

pub(super) fn serve_public(host: &Arc<Host>, listener: Listener, threads: Arc<Threads>) -> Running {
    let http = &host.config.http;
    let tls = http.tls.as_ref().map(|tls| &tls.served);
    let connections = Connections::new(http.limits.clone(), tls);
    let host = host.clone();
    Running::start(listener, connections, threads, move |request, peer| {
        let host = host.clone();
        async move { host.app.handle(request, peer).await }
    })
}

/// Where descriptors are short, connections of `public` go for those of the control plane.
pub(super) fn serve_control(
    admin: Arc<Admin>,
    listener: Listener,
    public: &Arc<Connections>,
) -> Running {
    let connections = control_connections(public);
    Running::start(listener, connections, Arc::new(Threads::none()), move |request, _peer| {
        let admin = admin.clone();
        async move { admin.handle(request).await }
    })
}

/// The same for orchestrators, which ask without a token.
pub(super) fn serve_probes(
    admin: Arc<Admin>,
    listener: Listener,
    public: &Arc<Connections>,
) -> Running {
    let connections = control_connections(public);
    Running::start(listener, connections, Arc::new(Threads::none()), move |request, _peer| {
        let admin = admin.clone();
        async move { admin.probe(request).await }
    })
}

fn control_connections(public: &Arc<Connections>) -> Arc<Connections> {
    let bounds = HttpLimits {
        connections: limits::http::ADMIN_CONNECTIONS,
        connections_per_client: limits::http::ADMIN_CONNECTIONS_PER_CLIENT,
        header_timeout: limits::http::ADMIN_HEADER_TIMEOUT,
        write_idle: limits::http::ADMIN_WRITE_IDLE,
        ..HttpLimits::default()
    };
    let connections = Connections::new(bounds, None);
    connections.come_before(public);
    connections
}
