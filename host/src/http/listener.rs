//! Sockets: bind, accept, serve HTTP/1.1, close gracefully. Knows nothing of services.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use wasmtime_wasi_http::WasiBody;

use crate::limits;

/// What to do about an address that cannot be used.
fn advice(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program uses it; choose another address with --listen or --admin, or port 0 for a free one"
                .to_string()
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address; 127.0.0.1 is this machine only, 0.0.0.0 all of it"
                .to_string()
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need a privilege; choose one above".to_string()
        }
        _ => error.to_string(),
    }
}

/// A bound address.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    connections: usize,
}

impl Listener {
    /// Bind `host:port`. Port 0 takes a free one.
    pub async fn bind(host: &str, port: u16, connections: usize) -> Result<Self> {
        let socket = TcpListener::bind((host, port))
            .await
            .map_err(|error| anyhow!("cannot listen on {host}:{port}: {}", advice(&error)))?;
        // With port 0 the address is known only now.
        let address = socket.local_addr().context("the listener has no address")?;
        Ok(Self { socket, address, connections })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serve until `stop` fires; then take no more connections, let the open ones finish what they have begun,
    /// and return when all are closed.
    pub async fn serve<H, F>(self, handle: H, stop: CancellationToken)
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Response<WasiBody>> + Send + 'static,
    {
        let places = Arc::new(Semaphore::new(self.connections));
        let graceful = GracefulShutdown::new();
        while let Some((stream, place)) = self.accept(&places, &stop).await {
            let handle = handle.clone();
            let service = service_fn(move |request| {
                let response = handle(request);
                async move { Ok::<_, Infallible>(response.await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits::REQUEST_HEADER_READ_TIMEOUT)
                .max_buf_size(limits::REQUEST_HEADER_BYTES)
                .serve_connection(TokioIo::new(stream), service);
            let connection = graceful.watch(connection);
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!("a connection ended: {error}");
                }
                drop(place);
            });
        }
        // Refuse new connections at once instead of leaving them in the socket's backlog.
        drop(self.socket);
        graceful.shutdown().await;
    }

    /// The next connection and its place among the open ones; none when it is time to stop.
    async fn accept(
        &self,
        places: &Arc<Semaphore>,
        stop: &CancellationToken,
    ) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
        stop.run_until_cancelled(async {
            loop {
                let place = places.clone().acquire_owned().await.ok()?;
                match self.socket.accept().await {
                    Ok((stream, _)) => {
                        // Streams of small pieces would otherwise wait tens of milliseconds for each other.
                        let _ = stream.set_nodelay(true);
                        return Some((stream, place));
                    }
                    Err(error) => {
                        tracing::warn!("cannot accept a connection: {error}");
                        tokio::time::sleep(limits::ACCEPT_BACKOFF).await;
                    }
                }
            }
        })
        .await
        .flatten()
    }
}
