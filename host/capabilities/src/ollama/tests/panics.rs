//! Panics below `forward`, as the component sees them that has called it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use tracing::Level;
use wasmtime::Store;
use wasmtime::component::ResourceTable;
use wasmtime_wasi_http::p3::{Request as GuestRequest, Response as GuestResponse};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::super::Ollama;
use super::super::backend::{Body, Error};
use super::super::bindings::proxy::HostWithStore as _;
use super::super::body::full;
use super::*;
use crate::budget::{Budget, Holdings};
use crate::configuration::Configuration;
use crate::context::Requests;
use crate::granted::Granted;
use crate::header_sets::Tally;
use crate::instance::{HasInstance, InstanceView};
use crate::journal::Journal;
use crate::outgoing::{HttpRequest, OutgoingHooks, Peers, SendFuture};
use crate::testing::panics_in_its_body;
use crate::transport::{Transport, TransportError};

/// A way to a server that panics: as soon as an answer is waited for, or in the middle of its body.
struct Panicking {
    in_its_body: bool,
}

impl Transport for Panicking {
    fn send(
        &self,
        _: Request<Body>,
        _: RequestContext,
    ) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        Box::pin(async {
            assert!(self.in_its_body, "on purpose");
            Ok(Response::new(panics_in_its_body()))
        })
    }
}

struct Nothing;

impl Peers for Nothing {
    fn send(&self, _: RequestContext, _: HttpRequest) -> SendFuture {
        unreachable!("no service is called")
    }
}

impl Journal for Nothing {
    fn note(self: Arc<Self>, _: Level, _: Option<&RequestContext>, _: &str) {}
}

/// A store with what an instance has that is granted a model server.
struct Instance {
    granted: Granted,
    configuration: Configuration,
    requests: Requests,
    holdings: Holdings,
    journal: Arc<dyn Journal>,
    tally: Tally,
    table: ResourceTable,
    http: WasiHttpCtx,
    hooks: OutgoingHooks,
}

impl Instance {
    fn new(in_its_body: bool) -> Self {
        let client = Client::new(Arc::new(Panicking { in_its_body }), Options::default());
        let holdings = Holdings::new(1_000_000, &Budget::new(1_000_000).share(1_000_000));
        Self {
            granted: Granted::default().with::<Ollama>(Arc::new(client)),
            configuration: Configuration::default(),
            requests: Requests::default(),
            journal: Arc::new(Nothing),
            tally: Tally::new(&holdings),
            table: ResourceTable::new(),
            http: WasiHttpCtx::new(),
            hooks: OutgoingHooks::new(Arc::new(Nothing), holdings.clone()),
            holdings,
        }
    }
}

impl HasInstance for Instance {
    fn instance(&mut self) -> InstanceView<'_> {
        InstanceView {
            granted: &self.granted,
            configuration: &self.configuration,
            requests: &self.requests,
            holdings: &self.holdings,
            journal: &self.journal,
            tally: &mut self.tally,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Instance {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}

/// What `forward` gives the component.
async fn forward(store: &mut Store<Instance>) -> Result<GuestResponse, Error> {
    let request = Request::builder().method(Method::POST).uri("http://ollama/api/chat");
    let request = request.body(full("{}")).unwrap();
    let Instance { hooks, table, .. } = store.data_mut();
    let (request, _sent) = GuestRequest::from_http(hooks, request);
    let request = table.push(request).unwrap();
    let forwarded = store
        .run_concurrent(async |accessor| {
            Ollama::forward(&accessor.with_getter::<Ollama>(Instance::instance), request).await
        })
        .await
        .unwrap();
    let response = forwarded.unwrap()?;
    Ok(store.data_mut().table.delete(response).unwrap())
}

fn store(in_its_body: bool) -> Store<Instance> {
    let mut config = wasmtime::Config::new();
    config.wasm_component_model_async(true);
    let engine = wasmtime::Engine::new(&config).unwrap();
    Store::new(&engine, Instance::new(in_its_body))
}

// Fault (Model servers): the host panics while it passes a request on, before the answer or in its body | ends the call alone; the panic is in the log | the component's error, which says so | the call
#[tokio::test]
async fn a_panic_below_forward_is_an_error_of_that_call() {
    let mut store = store(false);
    let error = forward(&mut store).await.err().unwrap();
    assert!(format!("{error:?}").contains("failed in the host itself"), "{error:?}");
    assert_eq!(store.data().holdings.used(), 0);
}

#[tokio::test]
async fn a_panic_in_the_body_of_what_was_forwarded_is_its_end() {
    let mut store = store(true);
    let response = forward(&mut store).await.ok().unwrap();
    let response = response.into_http(&mut store, async { Ok(()) }).unwrap();
    let mut body = response.into_body();
    // What the instance reads of it is read within the instance.
    let read = async |_: &wasmtime::component::Accessor<Instance>| {
        let begun = body.frame().await.unwrap().unwrap().into_data().unwrap();
        (begun, body.frame().await.unwrap())
    };
    let (begun, ended) = store.run_concurrent(read).await.unwrap();
    assert_eq!(begun, "begun");
    let error = ended.unwrap_err();
    assert!(format!("{error:?}").contains("failed in the host itself"), "{error:?}");
}
