//! One request in an instance: the call of the guest, and the way of its answer.
//!
//! It differs between the two versions of WASI: 0.3 returns a response; 0.2 sets one, and goes on until its body
//! is written.

use std::sync::Arc;

use http::uri::Scheme;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use wasmtime::component::{Accessor, AccessorTask, GuestTaskId, Resource, TypedFuncCallConcurrent};
use wasmtime::{StoreContextMut, format_err};
use wasmtime_wasi_http::handler::Proxy;
use wasmtime_wasi_http::p2::bindings::http::types as p2;
use wasmtime_wasi_http::p3::bindings::http::types as p3;
use wasmtime_wasi_http::{Error, WasiBody, WasiHttpView as _};

use super::error::CallError;
use super::handler::CallResult;
use super::instance_state::{InstanceState, RequestState};
use crate::state::StoreData;

type Call2 = TypedFuncCallConcurrent<
    StoreData,
    (Resource<p2::IncomingRequest>, Resource<p2::ResponseOutparam>),
    (),
>;
type Call3 = TypedFuncCallConcurrent<
    StoreData,
    (Resource<p3::Request>,),
    (Result<Resource<p3::Response>, p3::ErrorCode>,),
>;
/// Ends when the request's own body has been dealt with.
type Received = std::pin::Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// A guest that was called.
pub(super) enum GuestCall {
    P2(Call2, Awaited, Arc<RequestState>),
    P3(Call3, Received, oneshot::Sender<CallResult>),
}

/// Where an answer is waited for, until there is one. The guest of WASI 0.2 has the other handle.
type Awaited = Arc<Mutex<Option<oneshot::Sender<CallResult>>>>;

impl GuestCall {
    /// Queue the call. The guest runs when the instance's events are looked at.
    pub(super) fn begin(
        mut store: StoreContextMut<'_, StoreData>,
        proxy: &Proxy,
        state: &Arc<RequestState>,
        request: http::Request<WasiBody>,
        answer: oneshot::Sender<CallResult>,
    ) -> wasmtime::Result<Self> {
        match proxy {
            Proxy::P3(guest) => {
                let view = store.data_mut().http();
                let (request, received) = p3::Request::from_http(view.hooks, request);
                let request = view.table.push(request)?;
                let handle = guest.wasi_http_handler().func_handle();
                let call = handle.start_call_concurrent(store, (request,))?;
                Ok(Self::P3(call, Box::pin(received), answer))
            }
            Proxy::P2(guest) => {
                let scheme = match request.uri().scheme() {
                    Some(scheme) if *scheme == Scheme::HTTPS => p2::Scheme::Https,
                    _ => p2::Scheme::Http,
                };
                let awaited: Awaited = Arc::new(Mutex::new(Some(answer)));
                let mut view = store.data_mut().http();
                let request = view.new_incoming_request(scheme, request)?;
                let set = awaited.clone();
                let out = view.new_response_outparam_from_callback(move |response| {
                    send(&set, response.map_err(|error| CallError::of_guest(error.into())));
                })?;
                let handle = guest.wasi_http_incoming_handler().func_handle();
                let call = handle.start_call_concurrent(store, (request, out))?;
                Ok(Self::P2(call, awaited, state.clone()))
            }
        }
    }

    pub(super) fn task(&self) -> GuestTaskId {
        match self {
            Self::P2(call, ..) => call.task(),
            Self::P3(call, ..) => call.task(),
        }
    }
}

/// Give the answer to what waits for it, once.
fn send(awaited: &Awaited, answer: CallResult) {
    if let Some(waiting) = awaited.lock().take() {
        // Its client may have left.
        let _ = waiting.send(answer);
    }
}

/// Waits for a guest's answer and hands it over.
pub(super) struct Answering {
    pub(super) call: GuestCall,
    pub(super) proxy: Arc<Proxy>,
    pub(super) instance: Arc<InstanceState>,
}

impl AccessorTask<StoreData> for Answering {
    async fn run(self, accessor: &Accessor<StoreData>) -> wasmtime::Result<()> {
        match (self.call, &*self.proxy) {
            (GuestCall::P3(call, received, answer), Proxy::P3(guest)) => {
                let handle = guest.wasi_http_handler().func_handle();
                let returned = handle.finish_call_concurrent(accessor, call).await;
                let response = returned.and_then(|(response,)| {
                    let response = response?;
                    accessor.with(|mut access| {
                        let response = access.get().http().table.delete(response)?;
                        response.into_http_with_getter(&mut access, received, StoreData::http)
                    })
                });
                self.instance.answered();
                // Its client may have left.
                let _ = answer.send(response.map_err(CallError::of_guest));
            }
            (GuestCall::P2(call, awaited, state), Proxy::P2(guest)) => {
                let handle = guest.wasi_http_incoming_handler().func_handle();
                let ended = handle.finish_call_concurrent(accessor, call).await;
                // Before its body ends, or that could be taken for broken although all of it was there.
                if ended.is_ok() {
                    state.set_returned();
                }
                let is_unanswered = awaited.lock().is_some();
                let is_unfinished = accessor.with(|mut access| access.get().end_unfinished());
                if is_unanswered || is_unfinished {
                    self.instance.fail();
                }
                self.instance.answered();
                let none = || format_err!("it set no response");
                let error = ended.err().unwrap_or_else(none);
                send(&awaited, Err(CallError::of_guest(error)));
            }
            _ => wasmtime::bail!("a call of another version of WASI"),
        }
        Ok(())
    }
}
