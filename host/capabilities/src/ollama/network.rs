//! An Ollama server on the network, spoken to over HTTP/1.1.
//!
//! Knows bytes and connections, nothing of Ollama's protocol. Answers come back as they are: no
//! redirect is followed (it would turn a POST into a GET), nothing is decompressed, no proxy of the
//! environment gets in between, and a request that may have reached a server is sent again only where
//! `again` says that it does no harm.

use std::io;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use url::Url;

use super::address::Address;
use super::again::{self, Watch};
use super::body::{Body, Shared};
use super::headers::strip_hop_by_hop;
use super::upstream::Terms;
use crate::context::RequestContext;
use crate::transport::{Transport, TransportError};
use crate::until::until_ended;
use wasm_host_limits::ollama::{IDLE_CONNECTION_TIMEOUT, IDLE_CONNECTIONS};
use wasm_host_settings::tls::Authorities;
use wasm_host_system::threads::PerThread;
use wasm_host_telemetry::context::TraceContext;

pub(super) struct Network {
    /// One for each thread that serves, each with connections of its own: the task of a connection stays where it
    /// was opened.
    clients: PerThread<reqwest::Client>,
    /// Keeps no connections: a request that is sent again has a new one.
    fresh: reqwest::Client,
    /// Without user and password. Cloned and given a path, as to parse the host's name takes long.
    base: Url,
    /// From the address's user and password.
    authorization: Option<HeaderValue>,
    connect_timeout: Duration,
}

impl Network {
    pub(super) fn new(address: &Address, terms: &Terms) -> Result<Self, String> {
        let Terms { connect_timeout, ca, threads, .. } = terms;
        let clients = PerThread::try_new(*threads, || {
            client(address, *connect_timeout, ca.as_ref(), IDLE_CONNECTIONS)
        })?;
        let fresh = client(address, *connect_timeout, ca.as_ref(), 0)?;
        // The client knows how a user and a password become a header; let it show one.
        let sample = clients.get().get(address.url().clone()).build();
        let sample = sample.map_err(|_| "not a usable URL".to_string())?;
        let mut authorization = sample.headers().get(header::AUTHORIZATION).cloned();
        if let Some(value) = &mut authorization {
            value.set_sensitive(true);
        }
        let base = sample.url().clone();
        Ok(Self { clients, fresh, base, authorization, connect_timeout: *connect_timeout })
    }

    async fn answer(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let (parts, body) = request.into_parts();
        let mut url = self.base.clone();
        let prefix = self.base.path().trim_end_matches('/');
        url.set_path(&format!("{prefix}{}", parts.uri.path()));
        url.set_query(parts.uri.query());
        let mut headers = parts.headers;
        if let Some(context) = parts.extensions.get::<TraceContext>() {
            context.tell(&mut headers);
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        let head = Head { method: parts.method, url, headers };
        let answer = if again::is_harmless(&head.method, parts.uri.path()) {
            let (body, kept) = again::keep(body);
            let first = head.clone().execute(self.clients.get(), body);
            match again::watched(first).await {
                // Of a connection that was kept, so that it may have been closed before the request came.
                (Err(error), false) if again::was_closed(&error) => match kept.again() {
                    // The server may have had the first one, whatever becomes of the second.
                    Some(body) => head.execute(&self.fresh, body).await.map_err(|_| lost()),
                    None => Err(lost()),
                },
                (answer, _) => answer.map_err(|error| self.explain(error)),
            }
        } else {
            let answer = head.execute(self.clients.get(), body).await;
            answer.map_err(|error| self.explain(error))
        };
        let response = answer?;
        let mut response =
            Response::from(response).map(|body| body.map_err(|_| FAILED_BODY).boxed_unsync());
        strip_hop_by_hop(response.headers_mut());
        Ok(response)
    }

    /// Say what happened, without the address.
    fn explain(&self, error: reqwest::Error) -> TransportError {
        if !error.is_connect() {
            return lost();
        }
        if error.is_timeout() {
            let why = format!("no connection within {:?}", self.connect_timeout);
            return TransportError::Unreachable(why);
        }
        if error.is_dns() {
            return TransportError::Unreachable("its name is not known".into());
        }
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        let mut why = "no connection".to_string();
        while let Some(cause) = source {
            if cause.is::<rustls::Error>() {
                why = "no secure connection: its certificate is not trusted, or it speaks no TLS"
                    .into();
                break;
            }
            source = match cause.downcast_ref::<io::Error>() {
                Some(error) => {
                    // The text of the kind, because the error's own may carry a host name.
                    why = error.kind().to_string();
                    // One that is wrapped does not count as its source.
                    error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static))
                }
                None => cause.source(),
            };
        }
        TransportError::Unreachable(why)
    }
}

fn lost() -> TransportError {
    TransportError::Lost("the connection was lost before the server answered".into())
}

/// A request without its body.
#[derive(Clone)]
struct Head {
    method: Method,
    url: Url,
    headers: HeaderMap,
}

impl Head {
    async fn execute(
        self,
        client: &reqwest::Client,
        body: Body,
    ) -> reqwest::Result<reqwest::Response> {
        let mut request = reqwest::Request::new(self.method, self.url);
        *request.headers_mut() = self.headers;
        *request.body_mut() = Some(reqwest::Body::wrap(Shared(Mutex::new(body))));
        client.execute(request).await
    }
}

fn client(
    address: &Address,
    connect_timeout: Duration,
    ca: Option<&Authorities>,
    idle_connections: usize,
) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder()
        .http1_only()
        .no_proxy()
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .tcp_nodelay(true)
        .connect_timeout(connect_timeout)
        .pool_max_idle_per_host(idle_connections)
        .connector_layer(Watch)
        .pool_idle_timeout(IDLE_CONNECTION_TIMEOUT);
    let url = address.url();
    if url.scheme() == "http" {
        // The system's certificates are not needed, and a small machine may have none.
        builder = builder.tls_certs_only([]);
    } else if let Some(ca) = ca {
        let own = reqwest::Certificate::from_pem_bundle(ca.pem());
        builder = builder.tls_certs_merge(own.map_err(|error| error.to_string())?);
    }
    builder.build().map_err(|error| format!("no HTTP client: {error}"))
}

impl Transport for Network {
    fn send(
        &self,
        request: Request<Body>,
        caller: RequestContext,
    ) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        Box::pin(async move {
            until_ended(&caller, TransportError::Cancelled, self.answer(request)).await
        })
    }
}

/// A body that broke off or was framed wrongly.
const FAILED_BODY: wasmtime_wasi_http::Error = wasmtime_wasi_http::Error::HttpResponseIncomplete;
