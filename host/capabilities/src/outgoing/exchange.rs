//! One request and its answer on the wire, within bounds, and what its failures are called.
//!
//! It knows nothing of rules and services.

use std::error::Error as StdError;
use std::net::IpAddr;
use std::time::Duration;

use http::{Method, StatusCode, Version, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;
use wasmtime_wasi_http::{Error, RequestOptions};

use super::connect::{ConnectError, Connector};
use super::settings::OutboundConfig;
use super::target::Target;
use super::{HttpRequest, HttpResponse, hops};
use crate::body::{Body, Progress, limited, paced};
use crate::headers::strip_hop_by_hop;
use wasm_host_limits::outgoing::{HEADER_BYTES, IDLE_CONNECTION_TIMEOUT, IDLE_CONNECTIONS};

pub(super) type Client = legacy::Client<Connector, Body>;

pub(super) fn client(connector: Connector) -> Client {
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_CONNECTION_TIMEOUT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .http1_max_buf_size(HEADER_BYTES)
        .build(connector)
}

/// How long, and how much. A component may ask for less than the application file says, not for
/// more.
pub(super) struct Bounds {
    /// `None` where the connector's own is shorter.
    connect: Option<Duration>,
    first_byte: Duration,
    pause: Duration,
    bytes: u64,
}

impl Bounds {
    pub(super) fn new(config: &OutboundConfig, asked: Option<&RequestOptions>) -> Self {
        let asked = asked.copied().unwrap_or_default();
        let least = |asked: Option<Duration>, most| asked.map_or(most, |asked| asked.min(most));
        Self {
            connect: asked.connect_timeout.filter(|asked| *asked < config.limits.connect_timeout),
            first_byte: least(asked.first_byte_timeout, config.limits.first_byte_timeout),
            pause: least(asked.between_bytes_timeout, config.limits.idle_timeout),
            bytes: config.limits.max_body_bytes,
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// Nothing was sent: the host is not there.
    NotConnected(Error),
    /// Nothing was sent: all that the name stands for may not be called.
    NotPublic(IpAddr),
    /// Nothing was sent, and that is not the host's fault.
    GivenUp(Error),
    /// The host is there; something was sent, and no whole head of an answer came.
    Lost(Error),
}

/// The request as it is sent.
pub(super) fn prepare(
    request: HttpRequest,
    target: &Target,
    hops: u8,
) -> Result<HttpRequest, Error> {
    // A tunnel would hide what goes through it.
    if *request.method() == Method::CONNECT {
        return Err(Error::HttpRequestMethodInvalid);
    }
    let (mut parts, body) = request.into_parts();
    parts.uri = target.uri(&parts.uri).ok_or(Error::HttpRequestUriInvalid)?;
    parts.version = Version::HTTP_11;
    strip_hop_by_hop(&mut parts.headers);
    // The client writes the one that fits the URI.
    parts.headers.remove(header::HOST);
    hops::stamp(&mut parts.headers, hops.saturating_add(1));
    Ok(HttpRequest::from_parts(parts, body))
}

pub(super) async fn send(
    client: &Client,
    request: HttpRequest,
    bounds: &Bounds,
) -> Result<http::Response<Incoming>, NoAnswer> {
    let (parts, body) = request.into_parts();
    let (body, progress) = Progress::watch(body);
    let mut request = http::Request::from_parts(parts, body);
    let mut connection = capture_connection(&mut request);
    let mut sending = client.request(request);
    let connected = async {
        let connected = connection.wait_for_connection_metadata();
        match bounds.connect {
            Some(patience) => timeout(patience, connected).await.is_ok(),
            // Bounded by the connector.
            None => {
                let _ = connected.await;
                true
            }
        }
    };
    tokio::select! {
        biased;
        answer = &mut sending => return answer.map_err(|error| explain(&error)),
        // The wait for an answer begins here.
        is_in_time = connected => match is_in_time {
            true => progress.moved(),
            false => return Err(NoAnswer::GivenUp(Error::ConnectionTimeout)),
        },
    }
    match progress.answer(bounds.first_byte, sending).await {
        Some(answer) => answer.map_err(|error| explain(&error)),
        None => Err(NoAnswer::Lost(Error::HttpResponseTimeout)),
    }
}

/// The answer as the component gets it.
pub(super) fn receive(
    response: http::Response<Incoming>,
    bounds: &Bounds,
) -> Result<HttpResponse, Error> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Error::HttpUpgradeFailed);
    }
    let (mut parts, body) = response.into_parts();
    if http_body::Body::size_hint(&body).lower() > bounds.bytes {
        return Err(Error::HttpResponseBodySize(Some(bounds.bytes)));
    }
    strip_hop_by_hop(&mut parts.headers);
    let body = body.map_err(|error| of_hyper(&error)).boxed_unsync();
    let body = paced(limited(body, bounds.bytes, Error::HttpResponseBodySize), bounds.pause);
    Ok(HttpResponse::from_parts(parts, body))
}

fn explain(error: &legacy::Error) -> NoAnswer {
    let mut source: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref() {
            return of_connector(cause);
        }
        if let Some(cause) = cause.downcast_ref::<rustls::Error>() {
            return NoAnswer::NotConnected(of_tls(cause));
        }
        if let (Some(cause), false) = (cause.downcast_ref::<hyper::Error>(), error.is_connect()) {
            return NoAnswer::Lost(of_hyper(cause));
        }
        source = match cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            // An error of another kind may be wrapped in one of this kind, which does not count as
            // its source.
            Some(inner) => Some(inner),
            None => cause.source(),
        };
    }
    if error.is_connect() {
        NoAnswer::NotConnected(Error::DestinationUnavailable)
    } else {
        NoAnswer::Lost(Error::ConnectionTerminated)
    }
}

fn of_connector(error: &ConnectError) -> NoAnswer {
    match error {
        ConnectError::Name => {
            let (rcode, info_code) = (None, None);
            NoAnswer::NotConnected(Error::DnsError { rcode, info_code })
        }
        ConnectError::NotPublic(address) => NoAnswer::NotPublic(*address),
        ConnectError::TooMany => NoAnswer::GivenUp(Error::ConnectionLimitReached),
        ConnectError::TimedOut => NoAnswer::NotConnected(Error::ConnectionTimeout),
        ConnectError::Failed(error) => NoAnswer::NotConnected(match error.kind() {
            std::io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
            std::io::ErrorKind::TimedOut => Error::ConnectionTimeout,
            _ => Error::DestinationUnavailable,
        }),
    }
}

fn of_tls(error: &rustls::Error) -> Error {
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            Error::TlsCertificateError
        }
        _ => Error::TlsProtocolError,
    }
}

fn of_hyper(error: &hyper::Error) -> Error {
    if error.is_parse_too_large() {
        Error::HttpResponseHeaderSectionSize(None)
    } else if error.is_parse() {
        Error::HttpProtocolError
    } else if error.is_body_write_aborted() || error.is_user() {
        // The component's own body ended as an error.
        Error::ConnectionTerminated
    } else {
        Error::HttpResponseIncomplete
    }
}
