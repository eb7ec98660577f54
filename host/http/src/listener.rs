//! Sockets: bind, accept, and hand each connection to its own task. Of services it knows nothing but the time that
//! an answer may have.
//!
//! What all connections share, their bounds above all, is in [`Connections`]; a [`Listener`] is one socket and
//! its accept loop, which runs on the runtime that it is started on. Several of them, each on a runtime
//! and a socket of its own, may feed the same [`Connections`].

mod arriving;
mod clock;
mod connection;
mod connection_state;
mod connections;
mod departure;
mod frames;
mod protocol;
mod socket;
mod streams;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use http::{Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub use self::arriving::Arriving;
pub use self::clock::LazyTimer;
use self::connections::{Complaint, Place};
pub use self::connections::{Connections, Ends};
use crate::forwarded::ForwardedHeaders;
use wasm_host_capabilities::body::Body;
use wasm_host_limits::http as limits;
use wasm_host_system::threads::Threads;

/// The other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    pub address: SocketAddr,
    /// Whether the connection is encrypted.
    pub secure: bool,
    /// What components are told of it, which is mostly the same for all of its requests.
    pub told: Arc<ForwardedHeaders>,
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

    /// Accept until `stop` fires, and close the socket. Returns when all connections that the system had let in by then
    /// have a place, for which they wait as long as the caller does. They go on, each on one of the threads;
    /// `connections` has their end.
    pub async fn serve<H, F>(
        self,
        handle: H,
        connections: Arc<Connections>,
        threads: Arc<Threads>,
        stop: CancellationToken,
    ) where
        H: Fn(Request<Arriving>, Peer) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let socket = match TcpListener::from_std(self.socket) {
            Ok(socket) => socket,
            Err(error) => return tracing::error!("cannot accept connections: {error}"),
        };
        let complaint = Complaint::default();
        let mut last = None;
        while let Some((stream, address)) =
            stop.run_until_cancelled(accept(&socket, &connections, &complaint)).await
        {
            let entering = connections.enter(address.ip());
            let Some(entered) = stop.run_until_cancelled(entering).await else {
                last = Some((stream, address));
                break;
            };
            let Some(place) = entered else { continue };
            spawn(&threads, stream, address, place, handle.clone());
        }
        let waiting = match socket.into_std() {
            Ok(socket) => waiting(socket),
            Err(error) => return tracing::error!("cannot accept the last connections: {error}"),
        };
        // The system lets none in any more. One that was let in waits for a place, like all: what is idle goes.
        for (stream, address) in last.into_iter().chain(waiting) {
            let Some(place) = connections.enter(address.ip()).await else { continue };
            spawn(&threads, stream, address, place, handle.clone());
        }
    }
}

/// The next connection. An accept that fails is never the end: what is missing comes back.
async fn accept(
    socket: &TcpListener,
    connections: &Connections,
    complaint: &Complaint,
) -> (TcpStream, SocketAddr) {
    loop {
        match socket.accept().await {
            Ok(accepted) => return accepted,
            // That one is gone; the next one may be well.
            Err(error) if is_of_one_connection(&error) => tokio::task::yield_now().await,
            Err(error) => {
                if complaint.is_due() {
                    tracing::warn!("cannot accept connections, and goes on trying: {error}");
                }
                connections.give_descriptor();
                tokio::time::sleep(limits::ACCEPT_BACKOFF).await;
            }
        }
    }
}

/// Clients that the operating system has let in already: they were told that they are connected. It is asked
/// itself, because what `tokio` does in one turn of a task ends before a long backlog does. Closes the socket.
fn waiting(socket: std::net::TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    let accepted = std::iter::repeat_with(|| socket.accept())
        .take(limits::ACCEPT_BACKLOG as usize)
        .filter(|accepted| !accepted.as_ref().is_err_and(is_of_one_connection))
        .map_while(|accepted| accepted.inspect_err(not_all).ok());
    let watched = |(stream, address): (std::net::TcpStream, _)| {
        let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
        stream
            .inspect_err(|error| cannot_serve(address, error))
            .ok()
            .map(|stream| (stream, address))
    };
    accepted.filter_map(watched).collect()
}

/// Serve a connection on the thread that has the fewest. That one's runtime is then the one that watches it.
fn spawn<H, F>(threads: &Threads, stream: TcpStream, address: SocketAddr, place: Place, handle: H)
where
    H: Fn(Request<Arriving>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let thread = threads.idlest();
    if thread.is_here() {
        return thread.spawn(move || connection::serve(stream, address, place, handle));
    }
    let stream = stream.into_std();
    thread.spawn(move || async move {
        match stream.and_then(TcpStream::from_std) {
            Ok(stream) => connection::serve(stream, address, place, handle).await,
            Err(error) => cannot_serve(address, &error),
        }
    });
}

fn not_all(error: &io::Error) {
    if error.kind() != io::ErrorKind::WouldBlock {
        tracing::warn!("cannot accept all who waited to be accepted: {error}");
    }
}

fn cannot_serve(address: SocketAddr, error: &io::Error) {
    tracing::warn!("cannot serve a connection of {address}: {error}");
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

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, StreamBody};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpSocket;
    use tokio::time::Instant;

    use super::*;
    use wasm_host_capabilities::body::full;
    use wasm_host_capabilities::outgoing::HttpError;
    use wasm_host_config::HttpLimits;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

    async fn client(listener: &Listener, from: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        let mut client = socket.connect(listener.address()).await.unwrap();
        client.write_all(REQUEST).await.unwrap();
        client
    }

    /// Begin to serve after the signal to stop.
    async fn serve_too_late(listener: Listener, bounds: HttpLimits) {
        let stop = CancellationToken::new();
        stop.cancel();
        let handle = |_: Request<Arriving>, _: Peer| async { Response::new(full("served")) };
        let connections = Connections::new(bounds, None);
        listener.serve(handle, connections, Arc::new(Threads::none()), stop).await;
    }

    async fn answer(mut client: TcpStream) -> std::io::Result<String> {
        let mut answer = String::new();
        client.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    async fn clients(listener: &Listener, count: usize) -> Vec<TcpStream> {
        let mut clients = Vec::new();
        for _ in 0..count {
            clients.push(client(listener, "127.0.0.1").await);
        }
        clients
    }

    async fn are_served(clients: Vec<TcpStream>) {
        for (number, client) in clients.into_iter().enumerate() {
            let answer = answer(client).await;
            assert!(
                answer.as_ref().is_ok_and(|text| text.ends_with("served")),
                "{number}: {answer:?}"
            );
        }
    }

    #[tokio::test]
    async fn all_whom_the_system_has_let_in_before_the_stop_are_served() {
        let listener = Listener::bind("127.0.0.1", 0, Duration::from_secs(30)).await.unwrap();
        // More than a task may do in one turn, and fewer than any system's backlog.
        let clients = clients(&listener, 120).await;
        serve_too_late(listener, HttpLimits::default()).await;
        are_served(clients).await;
    }

    #[tokio::test]
    async fn who_waits_at_the_stop_has_a_place_as_soon_as_there_is_one() {
        let listener = Listener::bind("127.0.0.1", 0, Duration::from_secs(30)).await.unwrap();
        let clients = clients(&listener, 3).await;
        let bounds = HttpLimits { connections: 1, ..HttpLimits::default() };
        serve_too_late(listener, bounds).await;
        are_served(clients).await;
    }

    /// How long a client that has sent a body, and does not close, waits for the end of an answer that breaks off,
    /// and how long its connection then takes to be cut.
    async fn waits_at_the_end() -> [Duration; 2] {
        let listener = Listener::bind("127.0.0.1", 0, Duration::from_secs(30)).await.unwrap();
        let mut client = TcpStream::connect(listener.address()).await.unwrap();
        let handle = |_: Request<Arriving>, _: Peer| async {
            let piece = Ok(http_body::Frame::data("piece".into()));
            let broken = Err(HttpError::HttpResponseIncomplete);
            let pieces = futures_util::stream::iter([piece, broken]);
            Response::new(StreamBody::new(pieces).boxed_unsync())
        };
        let (bounds, stop) = (HttpLimits::default(), CancellationToken::new());
        let connections = Connections::new(bounds, None);
        let threads = Arc::new(Threads::none());
        tokio::spawn(listener.serve(handle, connections.clone(), threads, stop.clone()));
        let request = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody";
        client.write_all(request).await.unwrap();
        let asked = Instant::now();
        client.read_to_string(&mut String::new()).await.unwrap();
        let ended = asked.elapsed();
        stop.cancel();
        let told = Instant::now();
        connections.cut();
        connections.closed().await;
        [ended, told.elapsed()]
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_ends_before_the_host_has_lingered_and_a_cut_ends_that() {
        let at_once = |wait: Duration| wait < limits::LINGER / 2;
        // A busy machine may be late, but not always.
        for _ in 0..10 {
            let waits = waits_at_the_end().await;
            if waits.into_iter().all(at_once) {
                return;
            }
            println!("{waits:?}");
        }
        panic!("it lingers each time");
    }

    /// How long a host that stops waits for a client that has had its answer to this, and does not close. The body is
    /// read, or is not looked at.
    async fn waits_for_idle(request: &[u8], reads: bool) -> Duration {
        let listener = Listener::bind("127.0.0.1", 0, Duration::from_secs(30)).await.unwrap();
        let mut client = TcpStream::connect(listener.address()).await.unwrap();
        let handle = move |request: Request<Arriving>, _: Peer| async move {
            if reads {
                let _ = request.into_body().collect().await;
            }
            Response::new(full("served"))
        };
        let (connections, stop) =
            (Connections::new(HttpLimits::default(), None), CancellationToken::new());
        let threads = Arc::new(Threads::none());
        tokio::spawn(listener.serve(handle, connections.clone(), threads, stop.clone()));
        client.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"served") {
            assert_ne!(client.read_buf(&mut answer).await.unwrap(), 0);
        }
        stop.cancel();
        let told = Instant::now();
        connections.finish();
        connections.closed().await;
        told.elapsed()
    }

    #[tokio::test]
    async fn an_idle_client_whose_last_request_had_a_body_does_not_hold_the_stop_up() {
        let chunked = &b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"[..];
        let plain = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody";
        for (request, reads) in [(chunked, true), (plain, true), (chunked, false), (plain, false)] {
            let mut waits = Vec::new();
            // A busy machine may be late, but not always.
            while waits.len() < 10 && waits.last().is_none_or(|wait| *wait >= limits::LINGER / 2) {
                waits.push(waits_for_idle(request, reads).await);
            }
            assert!(waits.len() < 10, "it lingers each time: {waits:?}");
        }
    }

    #[tokio::test]
    async fn who_has_been_accepted_and_waits_for_a_place_at_the_stop_is_served() {
        let listener = Listener::bind("127.0.0.1", 0, Duration::from_secs(30)).await.unwrap();
        let address = listener.address();
        let [first, second] =
            [client(&listener, "127.0.0.1").await, client(&listener, "127.0.0.1").await];
        let begun = Arc::new(tokio::sync::Semaphore::new(0));
        let go_on = Arc::new(tokio::sync::Semaphore::new(0));
        let handle = {
            let (begun, go_on) = (begun.clone(), go_on.clone());
            move |_: Request<Arriving>, _: Peer| {
                let (begun, go_on) = (begun.clone(), go_on.clone());
                async move {
                    begun.add_permits(1);
                    let _ = go_on.acquire().await;
                    Response::new(full("served"))
                }
            }
        };
        let bounds = HttpLimits { connections: 1, ..HttpLimits::default() };
        let (connections, stop) = (Connections::new(bounds, None), CancellationToken::new());
        let threads = Arc::new(Threads::none());
        let serving = listener.serve(handle, connections, threads, stop.clone());
        let serving = tokio::spawn(serving);
        let _ = begun.acquire().await;
        // Most likely the second one has been accepted by then, and waits; if not, it waits in the system.
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.cancel();
        closed(address).await;
        go_on.add_permits(2);
        serving.await.unwrap();
        for client in [first, second] {
            assert!(answer(client).await.unwrap().ends_with("served"));
        }
    }

    /// Wait until no connection is let in there any more, though one that was let in still waits.
    async fn closed(address: SocketAddr) {
        let closing = async {
            while TcpStream::connect(address).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), closing).await.expect("it closes");
    }

    /// Of the machine's own addresses only Linux has more than one without being asked.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_client_with_too_many_connections_at_the_stop_takes_nothing_from_others() {
        let listener = Listener::bind("127.0.0.1", 0, Duration::from_secs(30)).await.unwrap();
        let first = client(&listener, "127.0.0.1").await;
        let refused = client(&listener, "127.0.0.1").await;
        let other = client(&listener, "127.0.0.2").await;
        let bounds = HttpLimits { connections_per_client: 1, ..HttpLimits::default() };
        serve_too_late(listener, bounds).await;
        assert!(answer(first).await.unwrap().ends_with("served"));
        assert!(!answer(refused).await.is_ok_and(|text| !text.is_empty()));
        assert!(answer(other).await.unwrap().ends_with("served"));
    }
}
