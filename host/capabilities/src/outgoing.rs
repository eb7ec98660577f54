//! Outgoing HTTP: `http://<service>/…` from a component goes to that service inside the host, and
//! what the application file lists goes outside.
//!
//! What a name means and which service may call which is behind [`Peers`], which the service
//! registry implements; the way outside is [`outbound`]. Everything else is refused.

mod connect;
mod exchange;
pub mod hops;
pub mod outbound;
mod public;
pub mod seen;
pub mod settings;
mod target;
mod waits;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::HeaderName;
use wasmtime::AsContextMut;
use wasmtime::component::{Accessor, Linker, Resource, ResourceTable};
use wasmtime_wasi_http::p3::bindings::http::types::DnsErrorPayload;
use wasmtime_wasi_http::p3::{Request, Response};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, RequestOptions, WasiBody, WasiHttpHooks, WasiHttpView,
};

use crate::budget::{Exhausted, Holdings};
use crate::caught::answered;
use crate::context::{RequestContext, Requests, calling_request};
use crate::header_sets::{Tally, head_bytes, sent_bytes};
pub use outbound::Outbound;
pub use waits::within_waits;
use wasm_host_limits as limits;

pub use wasmtime_wasi_http::Error as HttpError;
pub use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;

/// A request's or response's way through the host.
pub type HttpRequest = http::Request<WasiBody>;
pub type HttpResponse = http::Response<WasiBody>;
pub type SendFuture = Pin<Box<dyn Future<Output = Result<HttpResponse, Error>> + Send>>;

/// What one service may call.
pub trait Peers: Send + Sync {
    /// Send a request to what its authority names. `caller` is the request on whose behalf this one
    /// is sent: when that ends, so does this. The guest's [`RequestOptions`] are an extension of the
    /// request.
    fn send(&self, caller: RequestContext, request: HttpRequest) -> SendFuture;
}

/// What the linked functions need of a store.
pub struct OutgoingView<'a> {
    pub peers: &'a Arc<dyn Peers>,
    pub requests: &'a Requests,
    pub holdings: &'a Holdings,
    pub tally: &'a mut Tally,
    pub table: &'a mut ResourceTable,
    pub hooks: &'a mut OutgoingHooks,
}

/// Link `wasi:http/client@0.3`. The rest of `wasi:http` is wasmtime's.
pub fn add_to_linker<T: WasiHttpView + Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> OutgoingView<'_>,
) -> wasmtime::Result<()> {
    linker.instance("wasi:http/client@0.3.0")?.func_wrap_concurrent(
        "send",
        move |accessor: &Accessor<T>, (request,): (Resource<Request>,)| {
            Box::pin(async move { Ok((send(accessor, view, request).await?,)) })
        },
    )
}

async fn send<T: WasiHttpView + 'static>(
    accessor: &Accessor<T>,
    view: fn(&mut T) -> OutgoingView<'_>,
    request: Resource<Request>,
) -> wasmtime::Result<Result<Resource<Response>, ErrorCode>> {
    let sending = accessor.with(|mut access| {
        let caller = calling_request(&mut access, |access| view(access.data_mut()).requests);
        let OutgoingView { peers, holdings, table, .. } = view(access.data_mut());
        let peers = peers.clone();
        let request = table.delete(request)?;
        // It is in no table until it has been sent.
        let held = match holdings.hold(sent_bytes(&request.headers)) {
            Ok(held) => held,
            Err(exhausted) => return Ok(Err(error_code(&refused(exhausted)))),
        };
        let request = match request.into_http(access.as_context_mut(), async { Ok(()) }) {
            Ok((request, options)) => with_options(request, options.as_deref().copied()),
            Err(error) => return error.downcast().map(Err),
        };
        Ok(match caller {
            Some(caller) => Ok((peers.send(caller, request), held)),
            // Without a request that has an end there would be nothing to stop this one.
            None => Err(ErrorCode::HttpRequestDenied),
        })
    })?;
    let (sending, _held) = match sending {
        Ok(sending) => sending,
        Err(error) => return Ok(Err(error)),
    };
    match answered(sending).await {
        Ok(response) => accessor.with(|mut access| {
            let OutgoingView { tally, table, hooks, .. } = view(access.data_mut());
            tally.grow(table, head_bytes(response.headers()))?;
            let (response, _sent) = Response::from_http(hooks, response);
            Ok(Ok(table.push(response)?))
        }),
        Err(error) => Ok(Err(error_code(&error))),
    }
}

fn refused(exhausted: Exhausted) -> Error {
    Error::InternalError(Some(exhausted.to_string()))
}

/// What travels with a request to the code that sends it.
fn with_options(mut request: HttpRequest, options: Option<RequestOptions>) -> HttpRequest {
    if let Some(options) = options {
        request.extensions_mut().insert(options);
    }
    request
}

/// wasmtime's own of these is private. The senders here give no other.
fn error_code(error: &Error) -> ErrorCode {
    match error {
        Error::HttpRequestDenied => ErrorCode::HttpRequestDenied,
        Error::HttpRequestUriInvalid => ErrorCode::HttpRequestUriInvalid,
        Error::HttpRequestMethodInvalid => ErrorCode::HttpRequestMethodInvalid,
        Error::LoopDetected => ErrorCode::LoopDetected,
        Error::DestinationNotFound => ErrorCode::DestinationNotFound,
        Error::DestinationUnavailable => ErrorCode::DestinationUnavailable,
        Error::DestinationIpProhibited => ErrorCode::DestinationIpProhibited,
        Error::DnsError { .. } => {
            ErrorCode::DnsError(DnsErrorPayload { rcode: None, info_code: None })
        }
        Error::ConnectionRefused => ErrorCode::ConnectionRefused,
        Error::ConnectionTimeout => ErrorCode::ConnectionTimeout,
        Error::ConnectionTerminated => ErrorCode::ConnectionTerminated,
        Error::ConnectionLimitReached => ErrorCode::ConnectionLimitReached,
        Error::TlsProtocolError => ErrorCode::TlsProtocolError,
        Error::TlsCertificateError => ErrorCode::TlsCertificateError,
        Error::HttpResponseTimeout => ErrorCode::HttpResponseTimeout,
        Error::HttpResponseIncomplete => ErrorCode::HttpResponseIncomplete,
        Error::HttpResponseBodySize(limit) => ErrorCode::HttpResponseBodySize(*limit),
        Error::HttpResponseHeaderSectionSize(limit) => {
            ErrorCode::HttpResponseHeaderSectionSize(*limit)
        }
        Error::HttpProtocolError => ErrorCode::HttpProtocolError,
        Error::HttpUpgradeFailed => ErrorCode::HttpUpgradeFailed,
        Error::InternalError(why) => ErrorCode::InternalError(why.clone()),
        other => ErrorCode::InternalError(Some(format!("{other:?}"))),
    }
}

/// Outgoing HTTP of `wasi:http@0.2` guests. Such a guest serves one request at a time, so the
/// request it works for is the one that it was last given.
pub struct OutgoingHooks {
    peers: Arc<dyn Peers>,
    holdings: Holdings,
    request: Option<RequestContext>,
}

impl OutgoingHooks {
    pub fn new(peers: Arc<dyn Peers>, holdings: Holdings) -> Self {
        Self { peers, holdings, request: None }
    }

    pub fn set_request(&mut self, request: RequestContext) {
        self.request = Some(request);
    }
}

type SentFuture = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// Made once: as a constant they would be made for each header that is looked for among them.
static FORBIDDEN: [HeaderName; 9] = DEFAULT_FORBIDDEN_HEADERS;

impl WasiHttpHooks for OutgoingHooks {
    /// What it is by default, without a memory allocation for each header of each request.
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        FORBIDDEN.contains(name)
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        limits::GUEST_BODY_BYTES
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        limits::GUEST_BODY_BYTES
    }

    fn send_request(
        &mut self,
        request: HttpRequest,
        options: Option<RequestOptions>,
        _processed: SentFuture,
    ) -> Box<dyn Future<Output = Result<(HttpResponse, SentFuture), Error>> + Send> {
        let holdings = self.holdings.clone();
        let held = holdings.hold(sent_bytes(request.headers()));
        let request = with_options(request, options);
        let sending = self.request.clone().map(|caller| self.peers.send(caller, request));
        Box::new(async move {
            let mut held = held.map_err(refused)?;
            let mut response = answered(sending.ok_or(Error::HttpRequestDenied)?).await?;
            // Until the guest asks for it: then it is counted with what the guest has.
            held.resize(head_bytes(response.headers())).map_err(refused)?;
            response.extensions_mut().insert(Arc::new(held));
            Ok((response, Box::new(async { Ok(()) }) as SentFuture))
        })
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::body::full;
    use crate::budget::Budget;
    use crate::testing::panics_in_its_body;

    /// Peers that panic: as soon as they are waited for, or in the middle of the answer's body.
    struct Panicking {
        in_its_body: bool,
    }

    impl Peers for Panicking {
        fn send(&self, _: RequestContext, _: HttpRequest) -> SendFuture {
            let in_its_body = self.in_its_body;
            Box::pin(async move {
                assert!(in_its_body, "on purpose");
                Ok(http::Response::new(panics_in_its_body()))
            })
        }
    }

    /// What a component of WASI 0.2 has of a call of them.
    async fn call(in_its_body: bool) -> Result<HttpResponse, Error> {
        let holdings = Holdings::new(1_000_000, &Budget::new(1_000_000).share(1_000_000));
        let mut hooks = OutgoingHooks::new(Arc::new(Panicking { in_its_body }), holdings.clone());
        hooks.set_request(RequestContext::of_host("test"));
        let request = http::Request::new(full(""));
        let processed = Box::new(async { Ok(()) });
        let sent = Box::into_pin(hooks.send_request(request, None, processed)).await;
        let response = sent.map(|(response, _)| response);
        assert!(response.is_ok() || holdings.used() == 0, "what was held is not given back");
        response
    }

    // Fault (Hosts outside): the host panics in a call of a component, before the answer or in its body | ends the call alone; the panic is in the log | the component's error, which says so | the call
    #[tokio::test]
    async fn a_call_that_panics_is_an_error_of_it_also_in_its_body() {
        let error = call(false).await.unwrap_err();
        assert!(format!("{error:?}").contains("failed in the host itself"), "{error:?}");
        let mut body = call(true).await.unwrap().into_body();
        assert!(body.frame().await.unwrap().is_ok());
        let error = body.frame().await.unwrap().unwrap_err();
        assert!(format!("{error:?}").contains("failed in the host itself"), "{error:?}");
    }
}
