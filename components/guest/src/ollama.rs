//! The granted model server: answers as streams of what the model says.
//!
//! ```no_run
//! use wasm_host_guest::ollama::{self, ChatRequest};
//!
//! # async fn example() -> Result<(), ollama::Error> {
//! let mut reply = ollama::chat(ChatRequest::new("tinyllama").user("Why is the sky blue?")).await?;
//! while let Some(event) = reply.next().await? {
//!     print!("{}", event.content);
//! }
//! # Ok(())
//! # }
//! ```

mod reply;

use crate::bindings::wasm_host::ollama::{inference, models, proxy};
use crate::convert::{request_to_wasi, response_from_wasi};
use crate::{Request, Response};

pub use crate::bindings::wasm_host::ollama::inference::{
    ChatRequest, EmbedRequest, Embeddings, Event, GenerateRequest, Message,
};
pub use crate::bindings::wasm_host::ollama::models::{Details, Loaded, Model, Progress};
pub use crate::bindings::wasm_host::ollama::types::{Error, Refusal, Summary};
pub use models::{delete, list, running, show, version};
pub use reply::Reply;

/// Answer the last message of a conversation.
///
/// # Errors
/// What failed before the model said anything; what fails later is an item of the reply.
pub async fn chat(request: ChatRequest) -> Result<Reply<Event, Summary>, Error> {
    inference::chat(request).await.map(Reply::new)
}

/// Continue a prompt.
///
/// # Errors
/// As [`chat`].
pub async fn generate(request: GenerateRequest) -> Result<Reply<Event, Summary>, Error> {
    inference::generate(request).await.map(Reply::new)
}

/// Turn texts into vectors of unit length, one for each.
///
/// # Errors
/// What the host or the server said of the call.
pub async fn embed(request: EmbedRequest) -> Result<Embeddings, Error> {
    inference::embed(request).await
}

/// Fetch a model from the registry, step by step. `extra` is a JSON object of further fields.
///
/// # Errors
/// As [`chat`].
pub async fn pull(
    model: impl Into<String>,
    extra: Option<String>,
) -> Result<Reply<Progress, ()>, Error> {
    models::pull(model.into(), extra).await.map(Reply::new)
}

/// Send a request to the server as it is, and return its answer as it is. Method and path must be on the server's
/// `forward` list in the application file. Neither body enters the component.
///
/// # Errors
/// What the host or the server said of the call.
pub async fn forward(request: Request) -> Result<Response, Error> {
    let request =
        request_to_wasi(request, None).map_err(|error| Error::Invalid(error.to_string()))?;
    let response = proxy::forward(request).await?;
    response_from_wasi(response).map_err(|error| Error::Malformed(error.to_string()))
}

impl ChatRequest {
    /// A conversation with a model, without a message yet.
    pub fn new(model: impl Into<String>) -> Self {
        Self { model: model.into(), messages: Vec::new(), extra: None }
    }

    /// What the model is told about its part.
    #[must_use]
    pub fn system(self, content: impl Into<String>) -> Self {
        self.message("system", content)
    }

    /// What its user says.
    #[must_use]
    pub fn user(self, content: impl Into<String>) -> Self {
        self.message("user", content)
    }

    /// What the model said.
    #[must_use]
    pub fn assistant(self, content: impl Into<String>) -> Self {
        self.message("assistant", content)
    }

    /// Further fields, such as `{"options": {"temperature": 0}}`.
    #[must_use]
    pub fn extra(mut self, fields: &serde_json::Value) -> Self {
        self.extra = Some(fields.to_string());
        self
    }

    fn message(mut self, role: &str, content: impl Into<String>) -> Self {
        self.messages.push(Message {
            role: role.to_string(),
            content: content.into(),
            extra: None,
        });
        self
    }
}

impl GenerateRequest {
    /// A prompt for a model.
    pub fn new(model: impl Into<String>, prompt: impl Into<String>) -> Self {
        Self { model: model.into(), prompt: Some(prompt.into()), extra: None }
    }

    /// Further fields, such as `{"options": {"temperature": 0}}`.
    #[must_use]
    pub fn extra(mut self, fields: &serde_json::Value) -> Self {
        self.extra = Some(fields.to_string());
        self
    }
}

impl EmbedRequest {
    /// Texts for a model.
    pub fn new<T: Into<String>>(
        model: impl Into<String>,
        input: impl IntoIterator<Item = T>,
    ) -> Self {
        let input = input.into_iter().map(Into::into).collect();
        Self { model: model.into(), input, extra: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_its_messages_in_order() {
        let request =
            ChatRequest::new("m").system("Be brief.").user("Hi").assistant("Hello").user("Bye");
        let said: Vec<_> =
            request.messages.iter().map(|message| (&*message.role, &*message.content)).collect();
        assert_eq!(
            said,
            [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", "Bye")]
        );
        let extra = request.extra(&serde_json::json!({"think": true})).extra;
        assert_eq!(extra.as_deref(), Some(r#"{"think":true}"#));
    }
}
