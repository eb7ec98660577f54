//! What an Ollama server can be asked, as one object-safe trait: the real client implements it, and
//! so does the fake of the component tests.
//!
//! Types are those of the WIT interface, so nothing is converted twice. Every call takes the request
//! that it works for and ends when that does, whether or not its caller still listens.

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use crate::stream::Parcel;

pub use super::bindings::inference::{
    ChatRequest, EmbedRequest, Embeddings, Event, GenerateRequest, Message,
};
pub use super::bindings::models::{Details, Loaded, Model, Progress};
pub use super::bindings::types::{Error, Refusal, Summary};
pub use super::body::Body;
use crate::context::RequestContext;

/// A call under way. Dropping it ends it, and with it the connection.
pub type Call<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// The items of a stream and how it ended.
///
/// Dropping `items` stops the backend within a moment. `done` is answered after the last item was
/// handed over; a backend that vanishes without an answer counts as truncated.
#[derive(Debug)]
pub struct Stream<T, S> {
    pub items: mpsc::Receiver<Box<Parcel<T>>>,
    pub done: oneshot::Receiver<Result<S, Error>>,
}

/// An Ollama server. The meaning of each call is in `wit/ollama/ollama.wit`.
pub trait Server: Send + Sync {
    fn version(&self, caller: RequestContext) -> Call<'_, String>;

    fn list(&self, caller: RequestContext) -> Call<'_, Vec<Model>>;

    fn running(&self, caller: RequestContext) -> Call<'_, Vec<Loaded>>;

    fn show(
        &self,
        model: String,
        extra: Option<String>,
        caller: RequestContext,
    ) -> Call<'_, String>;

    fn delete(&self, model: String, caller: RequestContext) -> Call<'_, ()>;

    fn pull(
        &self,
        model: String,
        extra: Option<String>,
        caller: RequestContext,
    ) -> Call<'_, Stream<Progress, ()>>;

    fn chat(
        &self,
        request: ChatRequest,
        caller: RequestContext,
    ) -> Call<'_, Stream<Event, Summary>>;

    fn generate(
        &self,
        request: GenerateRequest,
        caller: RequestContext,
    ) -> Call<'_, Stream<Event, Summary>>;

    fn embed(&self, request: EmbedRequest, caller: RequestContext) -> Call<'_, Embeddings>;

    /// Pass a request on as it is. Of its URI only path and query count.
    fn forward(
        &self,
        request: http::Request<Body>,
        caller: RequestContext,
    ) -> Call<'_, http::Response<Body>>;
}
