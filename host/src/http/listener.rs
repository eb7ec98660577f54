//! Sockets: bind, accept, and hand each connection to its own task. Knows nothing of services.
//!
//! What all connections share, their bounds above all, is in [`Connections`]; a [`Listener`] is one socket and
//! its accept loop, which runs on the runtime that it is started on. Several of them, each on a runtime
//! and a socket of its own, may feed the same [`Connections`].

mod clock;
mod connection;
mod connections;
mod departure;
mod protocol;
mod pulse;
mod socket;
mod streams;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use futures_util::FutureExt as _;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wasmtime_wasi_http::WasiBody;

pub use self::clock::LazyTimer;
use self::connections::Place;
pub use self::connections::{Connections, Ends};
use crate::limits::http as limits;
use crate::threads::Threads;

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    pub address: SocketAddr,
    /// Whether the connection is encrypted.
    pub secure: bool,
}

/// A bound address.
pub struct Listener {
    /// Watched by the runtime that serves it.
    socket: std::net::TcpListener,
    address: SocketAddr,
}

// === impl Listener ===

impl Listener {
    /// Bind `host:port`. Port 0 takes a free one. A client of it that takes nothing is given up after `write_idle`.
    pub async fn bind(host: &str, port: u16, write_idle: Duration) -> Result<Self> {
        let socket = socket::listen(host, port, write_idle)
            .await
            .map_err(|error| anyhow!("cannot listen on {host}:{port}: {}", advice(&error)))?;
        // With port 0 the address is known only now.
        let address = socket.local_addr().context("the listener has no address")?;
        let socket = socket.into_std().context("the listener cannot be moved")?;
        Ok(Self { socket, address })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accept until `stop` fires, and close the socket. The connections go on, each on one of the threads;
    /// `connections` has their end.
    pub async fn serve<H, F>(
        self,
        handle: H,
        connections: Arc<Connections>,
        threads: Arc<Threads>,
        stop: CancellationToken,
    ) where
        H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<WasiBody>> + Send + 'static,
    {
        let socket = match TcpListener::from_std(self.socket) {
            Ok(socket) => socket,
            Err(error) => return tracing::error!("cannot accept connections: {error}"),
        };
        let mut complained = None;
        while let Some((stream, address)) =
            stop.run_until_cancelled(accept(&socket, &connections, &mut complained)).await
        {
            let entering = connections.enter(address.ip());
            let Some(entered) = stop.run_until_cancelled(entering).await else {
                break;
            };
            let Some(place) = entered else { continue };
            spawn(&threads, stream, address, place, handle.clone());
        }
        // Clients that the operating system has let in already were told that they are connected.
        while let Some(Ok((stream, address))) = socket.accept().now_or_never() {
            let Some(Some(place)) = connections.enter(address.ip()).now_or_never() else { break };
            spawn(&threads, stream, address, place, handle.clone());
        }
    }
}

/// The next connection. An accept that fails is never the end: what is missing comes back.
async fn accept(
    socket: &TcpListener,
    connections: &Connections,
    complained: &mut Option<Instant>,
) -> (TcpStream, SocketAddr) {
    loop {
        match socket.accept().await {
            Ok(accepted) => return accepted,
            // That one is gone; the next one may be well.
            Err(error) if is_of_one_connection(&error) => tokio::task::yield_now().await,
            Err(error) => {
                if complained.is_none_or(|at| at.elapsed() > limits::ACCEPT_COMPLAINT) {
                    *complained = Some(Instant::now());
                    tracing::warn!("cannot accept connections, and goes on trying: {error}");
                }
                connections.make_room();
                tokio::time::sleep(limits::ACCEPT_BACKOFF).await;
            }
        }
    }
}

/// Serve a connection on the thread that has the fewest. That one's runtime is then the one that watches it.
fn spawn<H, F>(threads: &Threads, stream: TcpStream, address: SocketAddr, place: Place, handle: H)
where
    H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<WasiBody>> + Send + 'static,
{
    let thread = threads.idlest();
    if thread.is_here() {
        return thread.spawn(move || connection::serve(stream, address, place, handle));
    }
    let stream = stream.into_std();
    thread.spawn(move || async move {
        match stream.and_then(TcpStream::from_std) {
            Ok(stream) => connection::serve(stream, address, place, handle).await,
            Err(error) => tracing::warn!("cannot serve a connection of {address}: {error}"),
        }
    });
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

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
