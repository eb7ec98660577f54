//! The same for guests that cannot import an `async func`: each call holds the instance until it is done.

#![expect(unreachable_pub, reason = "the generated bindings re-export the resources")]

use wasmtime::component::{Access, Accessor, Resource};

use super::Ollama;
use super::backend::{
    Call, ChatRequest, EmbedRequest, Embeddings, Error, Event, GenerateRequest, Loaded, Model,
    Progress, Server, Stream, Summary,
};
use super::bindings::blocking::{
    Host, HostEventStream, HostEventStreamWithStore, HostProgressStream,
    HostProgressStreamWithStore, HostWithStore,
};
use super::host::{GuestResult, begin, given, given_chat, given_embed, given_generate};
use crate::context::{RequestContext, calling_request};
use crate::instance::InstanceView;
use crate::reader::Reader;
use crate::stream::Parcel;

type Items<T, S> = Reader<Box<Parcel<T>>, S, Error>;

/// An answer that a guest reads. Dropping it ends the call.
pub struct EventStream(Items<Event, Summary>);

/// A pull that a guest follows. Dropping it ends the call.
pub struct ProgressStream(Items<Progress, ()>);

impl Host for InstanceView<'_> {}
impl HostEventStream for InstanceView<'_> {}
impl HostProgressStream for InstanceView<'_> {}

impl<T: Send + 'static> HostWithStore<T> for Ollama {
    async fn version(mut store: Access<'_, T, Self>) -> GuestResult<String> {
        Ok(call(&mut store, given([], []), |server, caller| server.version(caller)).await)
    }

    async fn list(mut store: Access<'_, T, Self>) -> GuestResult<Vec<Model>> {
        Ok(call(&mut store, given([], []), |server, caller| server.list(caller)).await)
    }

    async fn running(mut store: Access<'_, T, Self>) -> GuestResult<Vec<Loaded>> {
        Ok(call(&mut store, given([], []), |server, caller| server.running(caller)).await)
    }

    async fn show(
        mut store: Access<'_, T, Self>,
        model: String,
        extra: Option<String>,
    ) -> GuestResult<String> {
        let given = given([&model], [&extra]);
        Ok(call(&mut store, given, |server, caller| server.show(model, extra, caller)).await)
    }

    async fn delete(mut store: Access<'_, T, Self>, model: String) -> GuestResult<()> {
        let given = given([&model], []);
        Ok(call(&mut store, given, |server, caller| server.delete(model, caller)).await)
    }

    async fn pull(
        mut store: Access<'_, T, Self>,
        model: String,
        extra: Option<String>,
    ) -> GuestResult<Resource<ProgressStream>> {
        let given = given([&model], [&extra]);
        let pulled = call(&mut store, given, |server, caller| server.pull(model, extra, caller));
        let pulled = pulled.await;
        hand_over(store, pulled, ProgressStream)
    }

    async fn chat(
        mut store: Access<'_, T, Self>,
        request: ChatRequest,
    ) -> GuestResult<Resource<EventStream>> {
        let given = given_chat(&request);
        let answer = call(&mut store, given, |server, caller| server.chat(request, caller)).await;
        hand_over(store, answer, EventStream)
    }

    async fn generate(
        mut store: Access<'_, T, Self>,
        request: GenerateRequest,
    ) -> GuestResult<Resource<EventStream>> {
        let given = given_generate(&request);
        let answer = call(&mut store, given, |server, caller| server.generate(request, caller));
        let answer = answer.await;
        hand_over(store, answer, EventStream)
    }

    async fn embed(
        mut store: Access<'_, T, Self>,
        request: EmbedRequest,
    ) -> GuestResult<Embeddings> {
        let given = given_embed(&request);
        Ok(call(&mut store, given, |server, caller| server.embed(request, caller)).await)
    }
}

impl<T: Send + 'static> HostEventStreamWithStore<T> for Ollama {
    async fn next(
        mut store: Access<'_, T, Self>,
        this: Resource<EventStream>,
    ) -> GuestResult<Option<Event>> {
        let items = store.get().table.get(&this)?.0.clone();
        next(&mut store, items).await
    }

    async fn drop(
        accessor: &Accessor<T, Self>,
        this: Resource<EventStream>,
    ) -> wasmtime::Result<()> {
        accessor.with(|mut access| access.get().table.delete(this).map(drop))?;
        Ok(())
    }
}

impl<T: Send + 'static> HostProgressStreamWithStore<T> for Ollama {
    async fn next(
        mut store: Access<'_, T, Self>,
        this: Resource<ProgressStream>,
    ) -> GuestResult<Option<Progress>> {
        let items = store.get().table.get(&this)?.0.clone();
        next(&mut store, items).await
    }

    async fn drop(
        accessor: &Accessor<T, Self>,
        this: Resource<ProgressStream>,
    ) -> wasmtime::Result<()> {
        accessor.with(|mut access| access.get().table.delete(this).map(drop))?;
        Ok(())
    }
}

async fn call<T: 'static, R>(
    store: &mut Access<'_, T, Ollama>,
    given: Result<usize, Error>,
    ask: impl for<'s> FnOnce(&'s dyn Server, RequestContext) -> Call<'s, R>,
) -> Result<R, Error> {
    begin(store)?.call(given, ask).await
}

fn hand_over<T: 'static, I: Send + 'static, S: Send + 'static, R: Send + 'static>(
    mut store: Access<'_, T, Ollama>,
    stream: Result<Stream<I, S>, Error>,
    resource: fn(Items<I, S>) -> R,
) -> GuestResult<Resource<R>> {
    let Stream { items, done } = match stream {
        Ok(stream) => stream,
        Err(error) => return Ok(Err(error)),
    };
    let items = Reader::new(items, done, Error::Cancelled, Error::Truncated);
    Ok(Ok(store.get().table.push(resource(items))?))
}

async fn next<T: 'static, I, S>(
    store: &mut Access<'_, T, Ollama>,
    items: Items<I, S>,
) -> GuestResult<Option<I>> {
    let caller = calling_request(store, |store| store.get().requests);
    let caller = caller.unwrap_or_else(RequestContext::of_no_request);
    Ok(items.next(caller.cancel()).await.map(|item| item.map(|item| item.open())))
}
