//! Connections to hosts outside: the name is looked up, each address is checked, and only those that
//! were checked are connected to.
//!
//! A name that is looked up again for the connection could stand for another address by then, so
//! there is one look-up for both.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use tower_service::Service;

use super::public::is_public;
use super::settings::AllowList;
use super::target::{Host, Target};
use wasm_host_limits::outgoing as limits;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("its name is not known")]
    Name,
    #[error("it is at {0}, which is not public")]
    NotPublic(IpAddr),
    #[error("the service has {} connections open", limits::CONNECTIONS)]
    TooMany,
    #[error("no connection in time")]
    TimedOut,
    #[error(transparent)]
    Failed(#[from] io::Error),
}

/// What the client opens connections with. The timeout includes the look-up and TLS.
#[derive(Clone)]
pub(super) struct Connector {
    https: HttpsConnector<Checked>,
    timeout: Duration,
}

impl Connector {
    pub(super) fn new(allow: AllowList, timeout: Duration, tls: ClientConfig) -> Self {
        let checked = Checked(Arc::new(Shared {
            allow,
            timeout,
            connections: Arc::new(Semaphore::new(limits::CONNECTIONS)),
            lookups: Arc::new(Semaphore::new(limits::LOOKUPS)),
        }));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(checked);
        Self { https, timeout }
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<CountedConnection>;
    type Error = BoxError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = timeout(self.timeout, self.https.call(uri));
        Box::pin(
            async move { connecting.await.unwrap_or_else(|_| Err(ConnectError::TimedOut.into())) },
        )
    }
}

/// Plain connections, to addresses that were checked.
#[derive(Clone)]
struct Checked(Arc<Shared>);

struct Shared {
    allow: AllowList,
    timeout: Duration,
    connections: Arc<Semaphore>,
    lookups: Arc<Semaphore>,
}

impl Service<Uri> for Checked {
    type Response = CountedConnection;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<CountedConnection, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let shared = self.0.clone();
        Box::pin(async move {
            let target = Target::of(&uri).ok_or(ConnectError::Name)?;
            shared.connect(&target).await
        })
    }
}

impl Shared {
    async fn connect(&self, target: &Target) -> Result<CountedConnection, ConnectError> {
        let permit =
            self.connections.clone().try_acquire_owned().map_err(|_| ConnectError::TooMany)?;
        let until = Instant::now() + self.timeout;
        let addresses = self.checked(target, self.addresses(target).await?)?;
        let mut last = ConnectError::Name;
        let count = addresses.len();
        for (tried, address) in addresses.into_iter().enumerate() {
            // One that does not answer must leave time for the others.
            let left = until.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(count - tried).unwrap_or(1);
            let connecting = TcpStream::connect(address);
            match timeout_at(Instant::now() + share, connecting).await {
                Ok(Ok(stream)) => {
                    // Small pieces are sent as they come. Without it they are only later.
                    let _ = stream.set_nodelay(true);
                    return Ok(CountedConnection { stream: TokioIo::new(stream), _permit: permit });
                }
                Ok(Err(error)) => last = error.into(),
                Err(_) => last = ConnectError::TimedOut,
            }
        }
        Err(last)
    }

    async fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>, ConnectError> {
        let name = match &target.host {
            Host::Address(address) => return Ok(vec![SocketAddr::new(*address, target.port)]),
            Host::Name(name) => (name.clone(), target.port),
        };
        // Held until the system has answered, whether or not a caller still waits for it.
        let permit = self.lookups.clone().acquire_owned().await.map_err(|_| ConnectError::Name)?;
        let found = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            name.to_socket_addrs().map(|found| found.take(limits::ADDRESSES).collect())
        });
        found.await.ok().and_then(Result::ok).ok_or(ConnectError::Name)
    }

    /// Those that may be connected to.
    fn checked(
        &self,
        target: &Target,
        mut found: Vec<SocketAddr>,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        let refused = found.first().map(|address| address.ip().to_canonical());
        found.retain(|address| {
            let address = address.ip().to_canonical();
            is_public(address) || self.allow.has_address(target.scheme, address, target.port)
        });
        match refused {
            Some(refused) if found.is_empty() => Err(ConnectError::NotPublic(refused)),
            None => Err(ConnectError::Name),
            Some(_) => Ok(found),
        }
    }
}

/// A connection that counts until it is closed.
pub(super) struct CountedConnection {
    stream: TokioIo<TcpStream>,
    _permit: OwnedSemaphorePermit,
}

impl Connection for CountedConnection {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

impl Read for CountedConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl Write for CountedConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(rules: &[&str]) -> Shared {
        Shared {
            allow: AllowList::of(rules),
            timeout: Duration::from_secs(5),
            connections: Arc::new(Semaphore::new(1)),
            lookups: Arc::new(Semaphore::new(1)),
        }
    }

    fn target(uri: &str) -> Target {
        Target::of(&uri.parse().unwrap()).unwrap()
    }

    fn checked(rules: &[&str], uri: &str, found: &[&str]) -> Result<Vec<String>, String> {
        let target = target(uri);
        let found = found.iter().map(|a| SocketAddr::new(a.parse().unwrap(), target.port));
        shared(rules)
            .checked(&target, found.collect())
            .map(|kept| kept.iter().map(|address| address.ip().to_string()).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn only_checked_addresses_of_a_name_are_connected_to() {
        let rules = ["http://a.example:81", "http://10.1.0.0/16:81"];
        let of = |found: &[&str]| checked(&rules, "http://a.example:81/", found);
        assert_eq!(of(&["93.184.216.34"]).unwrap(), ["93.184.216.34"]);
        // A name that stands for a private address beside a public one.
        assert_eq!(of(&["127.0.0.1", "93.184.216.34"]).unwrap(), ["93.184.216.34"]);
        assert_eq!(of(&["10.1.7.7"]).unwrap(), ["10.1.7.7"]);
        for private in ["10.2.7.7", "169.254.169.254", "::1", "::ffff:127.0.0.1"] {
            assert!(of(&[private]).unwrap_err().contains("not public"), "{private}");
        }
        assert_eq!(of(&[]).unwrap_err(), "its name is not known");
        // The rule for addresses is one for its port and its scheme.
        let rules = ["http://a.example:82", "https://a.example:81", "http://10.1.0.0/16:81"];
        for uri in ["http://a.example:82/", "https://a.example:81/"] {
            assert!(checked(&rules, uri, &["10.1.7.7"]).is_err(), "{uri}");
        }
    }

    #[tokio::test]
    async fn a_name_for_this_machine_is_refused_however_it_is_written() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = shared(&[&format!("http://*:{port}")]);
        for host in
            ["localhost", "LOCALHOST.", "127.0.0.1", "2130706433", "0x7f.1", "127.1", "[::1]"]
        {
            let target = target(&format!("http://{host}:{port}/"));
            let refused = shared.connect(&target).await.err();
            assert!(
                matches!(refused, Some(ConnectError::NotPublic(_) | ConnectError::Name)),
                "{host}: {refused:?}"
            );
        }
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "somebody connected");
    }

    #[tokio::test]
    async fn connections_that_are_open_count_and_those_that_are_closed_do_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let place = format!("http://{}", listener.local_addr().unwrap());
        let shared = shared(&[&place]);
        let target = target(&place);
        let first = shared.connect(&target).await.unwrap();
        assert!(matches!(shared.connect(&target).await, Err(ConnectError::TooMany)));
        drop(first);
        shared.connect(&target).await.map(drop).unwrap();
    }
}
