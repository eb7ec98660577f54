//! Connects the WIT interfaces of `wit/ollama` to a [`Server`].
//!
//! Knows wasmtime and nothing of HTTP. Each call first finds the request that it works for, while
//! its guest task is still on the stack, and hands that on: the guest may forget what it started, the
//! host may not.

use std::sync::Arc;

use anyhow::Context as _;
use http::uri::{Authority, PathAndQuery, Scheme};
use toml::de::DeTable;
use wasmtime::component::{
    Access, Accessor, FutureReader, HasData, Lift, Linker, Lower, Resource, StreamReader,
};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p3::{Request, Response};

use super::backend::{
    Body, Call, ChatRequest, EmbedRequest, Embeddings, Error, Event, GenerateRequest, Loaded,
    Model, Progress, Server, Stream, Summary,
};
use super::bindings::{blocking, inference, models, proxy, types};
use super::models::Models;
use super::{OllamaConfig, json, seen};
use crate::Capability;
use crate::backend::{Backend, Host};
use crate::budget::{Exhausted, Holdings, on_account_of};
use crate::caught::answered;
use crate::context::{RequestContext, calling_request};
use crate::figures::Figure;
use crate::header_sets::{head_bytes, sent_bytes};
use crate::instance::{HasInstance, InstanceView};
use crate::stream::{Items, Parcel};
use wasm_host_limits::ollama::REQUEST_BYTES;
use wasm_host_settings::context::{Context, Span};
use wasm_host_settings::resource::Declared;

/// The models of an Ollama server.
pub struct Ollama;

impl Capability for Ollama {
    const KEY: &'static str = "ollama";
    const PACKAGE: &'static str = "wasm-host:ollama";
    const INTERFACES: &'static [(&'static str, &'static [&'static str])] =
        &[("0.1", &["types", "models", "inference", "proxy", "blocking"])];
    const INSTEAD_OF: &'static [(&'static str, &'static str)] =
        &[("wasi:nn/", "import wasm-host:ollama and grant `ollama`")];
    const BLOCKING: &'static [&'static str] = &["blocking"];
    type Settings = OllamaConfig;
    type Grant = Arc<dyn Server>;

    fn read<'t>(
        cx: &Context<'_>,
        name: &str,
        at: Span,
        table: &'t DeTable<'t>,
    ) -> Declared<OllamaConfig> {
        OllamaConfig::read(cx, name, at, table)
    }

    fn connect(
        settings: &OllamaConfig,
        name: &str,
        host: &dyn Host,
    ) -> anyhow::Result<Box<dyn Backend>> {
        let models = Models::connect(settings, host);
        Ok(Box::new(models.with_context(|| format!("the url of [ollama.{name}]"))?))
    }

    fn link<T: HasInstance>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
        types::add_to_linker::<T, Self>(linker, T::instance)?;
        models::add_to_linker::<T, Self>(linker, T::instance)?;
        inference::add_to_linker::<T, Self>(linker, T::instance)?;
        proxy::add_to_linker::<T, Self>(linker, T::instance)?;
        blocking::add_to_linker::<T, Self>(linker, T::instance)
    }

    fn figures(_name: &str) -> Vec<Figure> {
        seen::figures()
    }

    fn url_of(server: &str) -> Option<String> {
        Some(format!("http://{server}:11434"))
    }
}

impl HasData for Ollama {
    type Data<'a> = InstanceView<'a>;
}

/// A result that a guest sees within one that only the host sees.
pub(super) type GuestResult<T> = wasmtime::Result<Result<T, Error>>;

/// A stream and its end, as a guest receives them.
type Streamed<T, S> = (StreamReader<T>, FutureReader<Result<S, Error>>);

impl types::Host for InstanceView<'_> {}
impl models::Host for InstanceView<'_> {}
impl inference::Host for InstanceView<'_> {}
impl proxy::Host for InstanceView<'_> {}

impl<T: Send + 'static> models::HostWithStore<T> for Ollama {
    async fn version(store: &Accessor<T, Self>) -> GuestResult<String> {
        Ok(call(store, given([], []), |server, caller| server.version(caller)).await)
    }

    async fn list(store: &Accessor<T, Self>) -> GuestResult<Vec<Model>> {
        Ok(call(store, given([], []), |server, caller| server.list(caller)).await)
    }

    async fn running(store: &Accessor<T, Self>) -> GuestResult<Vec<Loaded>> {
        Ok(call(store, given([], []), |server, caller| server.running(caller)).await)
    }

    async fn show(
        store: &Accessor<T, Self>,
        model: String,
        extra: Option<String>,
    ) -> GuestResult<String> {
        let given = given([&model], [&extra]);
        Ok(call(store, given, |server, caller| server.show(model, extra, caller)).await)
    }

    async fn delete(store: &Accessor<T, Self>, model: String) -> GuestResult<()> {
        let given = given([&model], []);
        Ok(call(store, given, |server, caller| server.delete(model, caller)).await)
    }

    async fn pull(
        store: &Accessor<T, Self>,
        model: String,
        extra: Option<String>,
    ) -> GuestResult<Streamed<Progress, ()>> {
        let given = given([&model], [&extra]);
        let pulled = call(store, given, |server, caller| server.pull(model, extra, caller)).await;
        hand_over(store, pulled)
    }
}

impl<T: Send + 'static> inference::HostWithStore<T> for Ollama {
    async fn chat(
        store: &Accessor<T, Self>,
        request: ChatRequest,
    ) -> GuestResult<Streamed<Event, Summary>> {
        let given = given_chat(&request);
        let answer = call(store, given, |server, caller| server.chat(request, caller)).await;
        hand_over(store, answer)
    }

    async fn generate(
        store: &Accessor<T, Self>,
        request: GenerateRequest,
    ) -> GuestResult<Streamed<Event, Summary>> {
        let given = given_generate(&request);
        let answer = call(store, given, |server, caller| server.generate(request, caller)).await;
        hand_over(store, answer)
    }

    async fn embed(store: &Accessor<T, Self>, request: EmbedRequest) -> GuestResult<Embeddings> {
        let given = given_embed(&request);
        Ok(call(store, given, |server, caller| server.embed(request, caller)).await)
    }
}

impl<T: WasiHttpView + 'static> proxy::HostWithStore<T> for Ollama {
    async fn forward(
        store: &Accessor<T, Self>,
        request: Resource<Request>,
    ) -> GuestResult<Resource<Response>> {
        let begun = store.with(|mut access| begin(&mut access));
        // The request is the host's now, whatever comes of it.
        let request = match store.with(|access| take(access, request))? {
            Ok(request) => request,
            Err(error) => return Ok(Err(error)),
        };
        let Begun { server, holdings, caller } = match begun {
            Ok(begun) => begun,
            Err(error) => return Ok(Err(error)),
        };
        // It is in no table until it has been sent.
        let _held = match holdings.hold(sent_bytes(request.headers())) {
            Ok(held) => held,
            Err(exhausted) => return Ok(Err(busy(&exhausted))),
        };
        let Some(_place) = holdings.place(caller.cancel()).await else {
            return Ok(Err(Error::Cancelled));
        };
        let forwarded = async { server.forward(request, caller).await };
        let response = match answered(forwarded).await {
            Ok(response) => response,
            Err(error) => return Ok(Err(error)),
        };
        store.with(|mut access| {
            let InstanceView { tally, table, .. } = access.get();
            tally.grow(table, head_bytes(response.headers()))?;
            let http = access.data_mut().http();
            // Nothing here waits to learn how the transmission went: the body itself ends as an error.
            let (response, _sent) = Response::from_http(http.hooks, response);
            Ok(Ok(http.table.push(response)?))
        })
    }
}

/// What a call needs.
pub(super) struct Begun {
    server: Arc<dyn Server>,
    holdings: Holdings,
    /// The request that the calling guest task serves.
    caller: RequestContext,
}

pub(super) fn begin<T: 'static>(access: &mut Access<'_, T, Ollama>) -> Result<Begun, Error> {
    let request = calling_request(access, |access| access.get().requests);
    let missing = || Error::Unreachable("no Ollama server is granted here".to_string());
    let server = access.get().granted.of::<Ollama>().cloned().ok_or_else(missing)?;
    let caller = request.unwrap_or_else(RequestContext::of_no_request);
    let holdings = access.get().holdings.clone();
    Ok(Begun { server, holdings, caller })
}

async fn call<T: 'static, R>(
    store: &Accessor<T, Ollama>,
    given: Result<usize, Error>,
    ask: impl for<'s> FnOnce(&'s dyn Server, RequestContext) -> Call<'s, R>,
) -> Result<R, Error> {
    store.with(|mut access| begin(&mut access))?.call(given, ask).await
}

impl Begun {
    /// Ask the granted server. What the guest has given, of `given` bytes, is held for it until the call ends.
    pub(super) async fn call<R>(
        self,
        given: Result<usize, Error>,
        ask: impl for<'s> FnOnce(&'s dyn Server, RequestContext) -> Call<'s, R>,
    ) -> Result<R, Error> {
        let Self { server, holdings, caller } = self;
        let held = holdings.hold_call(given?).map_err(|exhausted| busy(&exhausted))?;
        let _place = holdings.place(caller.cancel()).await.ok_or(Error::Cancelled)?;
        on_account_of(held, async { ask(&*server, caller).await }).await
    }
}

/// What a request gives, in bytes; see [`given`].
pub(super) fn given_chat(request: &ChatRequest) -> Result<usize, Error> {
    let ChatRequest { model, messages, extra } = request;
    let texts = messages.iter().flat_map(|message| [&message.role, &message.content]);
    let extras = messages.iter().map(|message| &message.extra);
    given(texts.chain([model]), extras.chain([extra]))
}

pub(super) fn given_generate(request: &GenerateRequest) -> Result<usize, Error> {
    let GenerateRequest { model, prompt, extra } = request;
    given(prompt.iter().chain([model]), [extra])
}

pub(super) fn given_embed(request: &EmbedRequest) -> Result<usize, Error> {
    let EmbedRequest { model, input, extra } = request;
    given(input.iter().chain([model]), [extra])
}

/// Bytes of what a guest has given: each as it is or as a string of JSON, whichever is more. An error, if it is more
/// than can be sent.
pub(super) fn given<'a>(
    texts: impl IntoIterator<Item = &'a String>,
    extras: impl IntoIterator<Item = &'a Option<String>>,
) -> Result<usize, Error> {
    // With what is around it, and a name.
    let texts = texts.into_iter().map(|text| json::text_bytes(text) + 2 * json::MEMBER_BYTES);
    let extras = extras.into_iter().flatten().map(String::len);
    let bytes: usize = texts.chain(extras).sum();
    if bytes > REQUEST_BYTES {
        return Err(Error::Invalid(format!(
            "the request has more than {REQUEST_BYTES} bytes; `forward` passes on larger ones"
        )));
    }
    Ok(bytes)
}

fn busy(exhausted: &Exhausted) -> Error {
    Error::Busy(exhausted.to_string())
}

fn hand_over<T: 'static, I, S>(
    store: &Accessor<T, Ollama>,
    stream: Result<Stream<I, S>, Error>,
) -> GuestResult<Streamed<I, S>>
where
    I: Lower + Lift + Send + Sync + 'static,
    S: Send + Sync + 'static,
    Result<S, Error>: Lower + Lift,
{
    let Stream { items, done } = match stream {
        Ok(stream) => stream,
        Err(error) => return Ok(Err(error)),
    };
    let end = async move { Ok::<_, wasmtime::Error>(done.await.unwrap_or(Err(Error::Truncated))) };
    store.with(|mut access| {
        let items =
            StreamReader::new(&mut access, Items::new(items, |item: Box<Parcel<I>>| item.open()))?;
        let end = FutureReader::new(&mut access, end)?;
        Ok(Ok((items, end)))
    })
}

/// The guest's request as an HTTP request.
fn take<T: WasiHttpView + 'static>(
    mut access: Access<'_, T, Ollama>,
    request: Resource<Request>,
) -> GuestResult<http::Request<Body>> {
    let mut request = access.data_mut().http().table.delete(request)?;
    // The guest does not decide where it goes; without these the conversion may refuse it.
    request.scheme = Some(Scheme::HTTP);
    request.authority = Some(Authority::from_static("ollama"));
    request.path_with_query.get_or_insert_with(|| PathAndQuery::from_static("/"));
    match request.into_http(&mut access, async { Ok(()) }) {
        Ok((request, _options)) => Ok(Ok(request)),
        Err(error) => {
            let code = error.downcast()?;
            Ok(Err(Error::Invalid(format!("the request cannot be passed on: {code:?}"))))
        }
    }
}
