//! One connection from its first byte to its last: handshake, requests, deadlines, close.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Peer;
use super::arriving::Arriving;
use super::clock::LazyTimer;
use super::connection_state::{ConnectionCommand, ConnectionState, Due};
use super::connections::Place;
use super::departure;
use super::frames::Frames;
use super::protocol::Version;
use super::socket::{INHERITS, Socket, tune};
use super::streams::Delivered;
use wasm_host_capabilities::body::Body;
use wasm_host_limits::http as limits;
use wasm_host_service::dispatch::AnswerUntil;
use wasm_host_settings::tls::ServerTls;

/// How a connection ended.
enum ConnectionEnd {
    /// By the rules of HTTP, or by breaking them.
    Finished { broken: bool },
    /// An answer could not be made, or written, to its end.
    Failed,
    /// The client left; what was begun for it has ended.
    Left,
    /// Told to, or late.
    Cut,
}

/// Serve the requests of one connection.
pub(super) async fn serve<H, F>(stream: TcpStream, address: SocketAddr, place: Place, handle: H)
where
    H: Fn(Request<Arriving>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let write_idle = place.connections.bounds.write_idle;
    if !INHERITS {
        tune(&stream, write_idle);
    }
    let stream = Arc::new(stream);
    let socket = Socket::new(stream.clone(), place.state.clone(), write_idle);
    let peer = Peer { address, secure: place.connections.tls.is_some(), told: Arc::default() };
    let state = place.state.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let http2 = request.version() == http::Version::HTTP_2;
        let mut in_flight = state.begin(http2, !hyper::body::Body::is_end_stream(request.body()));
        if request.version() < http::Version::HTTP_11 {
            state.speaks_old();
        }
        let request = request.map(|body| Arriving::new(body, http2, &state));
        // Boxed, or its place would be held, empty, for as long as the response's body lasts.
        let response = Box::pin(handle(request, peer.clone()));
        async move {
            let mut response = response.await;
            in_flight.answer();
            let until = response.extensions_mut().remove().map(|AnswerUntil(until)| until);
            Ok::<_, Infallible>(response.map(|body| Delivered::new(body, in_flight, until)))
        }
    });
    // From here on: until now it may have waited for the thread.
    place.state.handshaken(false);
    let (end, cuts_answer) = match &place.connections.tls {
        None => requests(socket, None, &stream, &place, service).await,
        Some(tls) => match handshake(tls, socket, &place).await {
            Some(socket) => {
                let version = Version::of_agreed(socket.get_ref().1.alpn_protocol());
                requests(socket, Some(version), &stream, &place, service).await
            }
            None => (ConnectionEnd::Cut, false),
        },
    };
    if place.state.stalled.load(Ordering::Relaxed) {
        place.connections.ends.stalled();
        tracing::debug!(client = %address, "closed: it did not read for {write_idle:?}");
    }
    if place.state.flooded.load(Ordering::Relaxed) {
        place.connections.ends.flooded();
        tracing::debug!(client = %address, "closed: it sent a flood of frames that ask for nothing");
    }
    if cuts_answer && place.state.is_old() {
        // The end of the connection would be the end of the answer. No client takes a reset for that.
        let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
        return;
    }
    let lingers = match end {
        ConnectionEnd::Finished { broken } => broken || place.state.may_send(),
        ConnectionEnd::Failed => place.state.may_send(),
        ConnectionEnd::Left | ConnectionEnd::Cut => false,
    };
    if lingers {
        let _ = timeout(limits::LINGER, linger(&stream, &place.state)).await;
    }
}

/// The encrypted stream, if the client came to an agreement in time.
async fn handshake(tls: &ServerTls, socket: Socket, place: &Place) -> Option<TlsStream<Socket>> {
    let connections = &place.connections;
    let accepting = TlsAcceptor::from(tls.config()).accept(socket);
    let agreed = tokio::select! {
        agreed = timeout(connections.bounds.handshake_timeout, accepting) => agreed,
        () = is_not_wanted(&place.state) => return None,
    };
    let agreed = agreed.ok().and_then(Result::ok);
    match &agreed {
        Some(stream) => {
            place.state.handshaken(stream.get_ref().1.alpn_protocol() == Some(b"h2"));
        }
        None => connections.ends.failed_handshake(),
    }
    agreed
}

/// Wait until a connection without a request is told to end. One that is to finish has the moment that others have for
/// their first request.
async fn is_not_wanted(state: &ConnectionState) {
    state.told(ConnectionCommand::Finish).await;
    let _ = timeout(limits::FRESH_GRACE, state.told(ConnectionCommand::MakeRoom)).await;
}

/// How the connection ended, and whether that was in the middle of an answer. `version` is none while it is not known.
async fn requests<I, S, F>(
    io: I,
    version: Option<Version>,
    stream: &TcpStream,
    place: &Place,
    service: S,
) -> (ConnectionEnd, bool)
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Service<
            Request<Incoming>,
            Response = Response<Delivered<Body>>,
            Error = Infallible,
            Future = F,
        >,
    F: Future<Output = Result<Response<Delivered<Body>>, Infallible>> + Send + 'static,
{
    let bounds = &place.connections.bounds;
    let state: &ConnectionState = &place.state;
    let mut version = pin!(async {
        match version {
            Some(version) => version,
            None => Version::of(stream).await,
        }
    });
    let mut parts = Some((TokioIo::new(Frames::new(io, place.state.clone())), service));
    let mut connection = pin!(None);
    let mut left = pin!(departure::left(stream));
    let mut timer = LazyTimer::default();
    let mut finishing = false;
    let end = poll_fn(|cx| {
        let order = state.order(cx.waker());
        if order == ConnectionCommand::Cut {
            return Poll::Ready(ConnectionEnd::Cut);
        }
        if parts.is_some()
            && let Poll::Ready(version) = version.as_mut().poll(cx)
            && let Some((io, service)) = parts.take()
        {
            let protocol = place.connections.protocols.of(version);
            connection.set(Some(protocol.serve_connection(io, service)));
        }
        while let Some(mut connection) = connection.as_mut().as_pin_mut() {
            // Asked before: of a body that is given up meanwhile the connection may not know yet.
            let (has_unread, begun) = (state.has_unread(), state.begun());
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(finished(ended));
            }
            if !has_unread && state.begun() == begun {
                state.rests();
            }
            // What has been sent is read before the connection is told to end; a new connection has a moment for it.
            if finishing || order < ConnectionCommand::Finish || !state.has_begun() {
                break;
            }
            finishing = true;
            connection.as_mut().graceful_shutdown();
        }
        if state.is_busy() && left.as_mut().poll(cx).is_ready() {
            return Poll::Ready(ConnectionEnd::Left);
        }
        while let Some((at, due)) = state.due(bounds) {
            if timer.poll(at, cx).is_pending() {
                break;
            }
            match due {
                Due::Idle if !finishing && state.has_begun() => {
                    state.tell(ConnectionCommand::Finish);
                    finishing = true;
                    let Some(mut connection) = connection.as_mut().as_pin_mut() else { continue };
                    connection.as_mut().graceful_shutdown();
                    if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                        return Poll::Ready(finished(ended));
                    }
                }
                Due::Idle => return Poll::Ready(ConnectionEnd::Cut),
                Due::Head => {
                    place.connections.ends.slow_head();
                    return Poll::Ready(ConnectionEnd::Cut);
                }
                Due::Answer => {
                    // A body of which something is left warns itself when it is dropped.
                    if !state.is_busy() {
                        tracing::warn!(
                            "the end of an answer was not taken in its time and was cut ('timeout' sets the bound)"
                        );
                    }
                    return Poll::Ready(ConnectionEnd::Cut);
                }
            }
        }
        Poll::Pending
    })
    .await;
    // While the connection is there, and its requests with it.
    let cuts_answer = matches!(end, ConnectionEnd::Failed) || state.is_at_work();
    (end, cuts_answer)
}

fn finished(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) -> ConnectionEnd {
    let Err(error) = ended else { return ConnectionEnd::Finished { broken: false } };
    tracing::debug!("a connection ended: {error}");
    let broken = error
        .downcast_ref::<hyper::Error>()
        .is_some_and(|error| error.is_parse() || error.is_parse_too_large());
    if broken { ConnectionEnd::Finished { broken } } else { ConnectionEnd::Failed }
}

/// Wait until the client has seen the end, or the host's own time is over. Closing while it sends would reset the
/// connection, and it would not see why.
async fn linger(stream: &TcpStream, state: &ConnectionState) {
    // The client of an answer that broke off does not know yet that no more comes.
    let _ = rustix::net::shutdown(stream, rustix::net::Shutdown::Write);
    tokio::select! {
        () = discard(stream) => {}
        () = state.told(ConnectionCommand::MakeRoom) => {}
    }
}

/// Read what is not wanted.
async fn discard(stream: &TcpStream) {
    let mut bytes = [0; 4096];
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut bytes) {
            Ok(0) => return,
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return,
            // A client that sends faster than this reads would leave no other task a turn, and this one would not end.
            _ => yield_now().await,
        }
    }
}
