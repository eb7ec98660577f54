//! One connection to a Redis server: opened, encrypted where the address says so, logged in, tried.

use std::sync::Arc;

use anyhow::Context as _;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisError, cmd};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use super::super::settings::Address;
use super::answer;
use wasm_host_settings::tls::{self, Authorities};

/// The way to one server.
pub(super) struct RedisServer {
    address: Address,
    login: RedisConnectionInfo,
    /// None: without encryption.
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// A connection that is logged in. Closed when it is dropped.
pub(super) struct Connection {
    pub(super) connection: MultiplexedConnection,
    driver: AbortHandle,
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The server is not there.
    Unreachable(String),
    /// It is, and says no.
    Refused(String),
}

impl RedisServer {
    pub(super) fn new(
        bucket: &str,
        address: Address,
        ca: Option<&Authorities>,
    ) -> anyhow::Result<Self> {
        let mut login =
            RedisConnectionInfo::default().set_db(address.database).set_skip_set_lib_name();
        if let Some(user) = &address.user {
            login = login.set_username(user);
        }
        if let Some(password) = &address.password {
            login = login.set_password(password.expose());
        }
        let tls = match address.is_encrypted {
            false => None,
            true => {
                let roots = tls::roots(ca)
                    .with_context(|| format!("no certificates for [keyvalue.{bucket}]"))?;
                let provider = Arc::new(rustls::crypto::ring::default_provider());
                let config = ClientConfig::builder_with_provider(provider)
                    .with_safe_default_protocol_versions()?
                    .with_root_certificates(roots)
                    .with_no_client_auth();
                let name = ServerName::try_from(address.host.clone())
                    .with_context(|| format!("the url of [keyvalue.{bucket}] names no host"))?;
                Some((TlsConnector::from(Arc::new(config)), name))
            }
        };
        Ok(Self { address, login, tls })
    }

    /// Connect, without a bound on the time that it takes.
    pub(super) async fn connect(&self) -> Result<Connection, Refusal> {
        let unreachable = |error: std::io::Error| Refusal::Unreachable(error.to_string());
        let Address { host, port, .. } = &self.address;
        let stream = TcpStream::connect((&**host, *port)).await.map_err(unreachable)?;
        // Calls are small, and each waits for its answer.
        stream.set_nodelay(true).map_err(unreachable)?;
        match &self.tls {
            None => self.log_in(stream).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await;
                self.log_in(stream.map_err(unreachable)?).await
            }
        }
    }

    async fn log_in<S>(&self, stream: S) -> Result<Connection, Refusal>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let refused = |error: RedisError| match answer::is_of_the_server(&error) {
            true => Refusal::Refused(error.to_string()),
            false => Refusal::Unreachable(error.to_string()),
        };
        // Times are bounded where a call waits for it.
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let made = MultiplexedConnection::new_with_config(&self.login, stream, config);
        let (connection, driver) = made.await.map_err(refused)?;
        let driver = tokio::spawn(driver).abort_handle();
        let mut connection = Connection { connection, driver };
        // Where nothing is to log in to, nothing has been asked yet.
        connection.ping().await.map_err(refused)?;
        Ok(connection)
    }
}

impl Connection {
    pub(super) async fn ping(&mut self) -> Result<(), RedisError> {
        cmd("PING").query_async(&mut self.connection).await
    }

    /// Ask for a write that changes nothing, which a replica refuses, as does a server that cannot write at this moment,
    /// or a cluster, of which these keys have two servers: two that no component can have, because they are no texts.
    pub(super) async fn write_nothing(&mut self, prefix: &str) -> Result<(), RedisError> {
        let key = |last: u8| [prefix.as_bytes(), &[last]].concat();
        let unlink = cmd("UNLINK").arg(key(0xfe)).arg(key(0xff)).take();
        unlink.query_async(&mut self.connection).await
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
