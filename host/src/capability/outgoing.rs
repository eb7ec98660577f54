//! Outgoing HTTP: `http://<service>/…` from a component goes to that service inside the host.
//!
//! No socket is opened here. What a name means and who may call whom is behind [`Peers`], which the
//! service registry implements; everything else is refused.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use wasmtime::AsContextMut;
use wasmtime::component::{Accessor, Linker, Resource, ResourceTable};
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p3::{Request, Response};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks, WasiHttpView};

use crate::capability::context::{RequestContext, Requests, calling_request};

/// A request's or response's way through the host.
pub type HttpRequest = http::Request<WasiBody>;
pub type HttpResponse = http::Response<WasiBody>;
pub type SendFuture = Pin<Box<dyn Future<Output = Result<HttpResponse, Error>> + Send>>;

/// The services that one service may call.
pub trait Peers: Send + Sync {
    /// Send a request to the service that its authority names. `caller` is the request on whose behalf this
    /// one is sent: when that ends, so does this.
    fn send(&self, caller: RequestContext, request: HttpRequest) -> SendFuture;
}

/// What the linked functions need of a store.
pub struct OutgoingView<'a> {
    pub peers: &'a Arc<dyn Peers>,
    pub requests: &'a Requests,
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
        let OutgoingView { peers, table, .. } = view(access.data_mut());
        let peers = peers.clone();
        let request = table.delete(request)?;
        let request = match request.into_http(access.as_context_mut(), async { Ok(()) }) {
            Ok((request, _options)) => request,
            Err(error) => return error.downcast().map(Err),
        };
        Ok(match caller {
            Some(caller) => Ok(peers.send(caller, request)),
            // Without a request that has an end there would be nothing to stop this one.
            None => Err(ErrorCode::HttpRequestDenied),
        })
    })?;
    let sending = match sending {
        Ok(sending) => sending,
        Err(error) => return Ok(Err(error)),
    };
    match sending.await {
        Ok(response) => accessor.with(|mut access| {
            let OutgoingView { table, hooks, .. } = view(access.data_mut());
            let (response, _sent) = Response::from_http(hooks, response);
            Ok(Ok(table.push(response)?))
        }),
        Err(error) => Ok(Err(error_code(&error))),
    }
}

fn error_code(error: &Error) -> ErrorCode {
    match error {
        Error::HttpRequestDenied => ErrorCode::HttpRequestDenied,
        Error::LoopDetected => ErrorCode::LoopDetected,
        Error::DestinationNotFound => ErrorCode::DestinationNotFound,
        Error::ConnectionTerminated => ErrorCode::ConnectionTerminated,
        Error::HttpResponseTimeout => ErrorCode::HttpResponseTimeout,
        Error::DestinationUnavailable => ErrorCode::DestinationUnavailable,
        other => ErrorCode::InternalError(Some(format!("{other:?}"))),
    }
}

/// Outgoing HTTP of `wasi:http@0.2` guests. Such a guest serves one request at a time, so the
/// request it works for is the one that it was last given.
pub struct OutgoingHooks {
    peers: Arc<dyn Peers>,
    request: Option<RequestContext>,
}

impl OutgoingHooks {
    pub fn new(peers: Arc<dyn Peers>) -> Self {
        Self { peers, request: None }
    }

    pub fn set_request(&mut self, request: RequestContext) {
        self.request = Some(request);
    }
}

type SentFuture = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for OutgoingHooks {
    fn send_request(
        &mut self,
        request: HttpRequest,
        _options: Option<RequestOptions>,
        _processed: SentFuture,
    ) -> Box<dyn Future<Output = Result<(HttpResponse, SentFuture), Error>> + Send> {
        let sending = self.request.clone().map(|caller| self.peers.send(caller, request));
        Box::new(async move {
            let response = sending.ok_or(Error::HttpRequestDenied)?.await?;
            Ok((response, Box::new(async { Ok(()) }) as SentFuture))
        })
    }
}
