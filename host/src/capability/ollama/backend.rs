//! What an Ollama server can be asked, as one object-safe trait: the real client implements it, and
//! so does the fake of the component tests.
//!
//! Types are those of the WIT interface, so nothing is converted twice. Every call takes the token
//! of the request that it works for and ends when it fires, whether or not somebody still listens.

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::capability::stream::Parcel;

pub use super::body::Body;
pub use crate::capability::bindings::wasm_host::ollama::inference::{
    ChatRequest, EmbedRequest, Embeddings, Event, GenerateRequest, Message,
};
pub use crate::capability::bindings::wasm_host::ollama::models::{
    Details, Loaded, Model, Progress,
};
pub use crate::capability::bindings::wasm_host::ollama::types::{Error, Refusal, Summary};

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
    fn version(&self, cancel: CancellationToken) -> Call<'_, String>;

    fn list(&self, cancel: CancellationToken) -> Call<'_, Vec<Model>>;

    fn running(&self, cancel: CancellationToken) -> Call<'_, Vec<Loaded>>;

    fn show(
        &self,
        model: String,
        extra: Option<String>,
        cancel: CancellationToken,
    ) -> Call<'_, String>;

    fn delete(&self, model: String, cancel: CancellationToken) -> Call<'_, ()>;

    fn pull(
        &self,
        model: String,
        extra: Option<String>,
        cancel: CancellationToken,
    ) -> Call<'_, Stream<Progress, ()>>;

    fn chat(
        &self,
        request: ChatRequest,
        cancel: CancellationToken,
    ) -> Call<'_, Stream<Event, Summary>>;

    fn generate(
        &self,
        request: GenerateRequest,
        cancel: CancellationToken,
    ) -> Call<'_, Stream<Event, Summary>>;

    fn embed(&self, request: EmbedRequest, cancel: CancellationToken) -> Call<'_, Embeddings>;

    /// Pass a request on as it is. Of its URI only path and query count.
    fn forward(
        &self,
        request: http::Request<Body>,
        cancel: CancellationToken,
    ) -> Call<'_, http::Response<Body>>;
}
