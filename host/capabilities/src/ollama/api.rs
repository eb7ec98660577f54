//! Ollama's HTTP API, call by call: which path, which body, and how its answer is read. Nothing
//! else.

use http::{Method, Request, Response};

use super::backend::{
    Body, Call, ChatRequest, EmbedRequest, Embeddings, Error, Event, GenerateRequest, Loaded,
    Message, Model, Progress, Server, Stream, Summary,
};
use super::client::Client;
use super::seen::ModelCall;
use super::{decode, json};
use crate::context::RequestContext;

impl Server for Client {
    fn version(&self, caller: RequestContext) -> Call<'_, String> {
        Box::pin(async move {
            decode::version(&self.ask(Method::GET, "/api/version", None, caller).await?)
        })
    }

    fn list(&self, caller: RequestContext) -> Call<'_, Vec<Model>> {
        Box::pin(
            async move { decode::models(&self.ask(Method::GET, "/api/tags", None, caller).await?) },
        )
    }

    fn running(&self, caller: RequestContext) -> Call<'_, Vec<Loaded>> {
        Box::pin(
            async move { decode::loaded(&self.ask(Method::GET, "/api/ps", None, caller).await?) },
        )
    }

    fn show(
        &self,
        model: String,
        extra: Option<String>,
        caller: RequestContext,
    ) -> Call<'_, String> {
        Box::pin(async move {
            let body = json::object(&[("model", json::text(&model))], extra.as_deref())?;
            decode::any_object(self.ask(Method::POST, "/api/show", Some(body), caller).await?)
        })
    }

    fn delete(&self, model: String, caller: RequestContext) -> Call<'_, ()> {
        Box::pin(async move {
            let body = json::object(&[("model", json::text(&model))], None)?;
            self.ask(Method::DELETE, "/api/delete", Some(body), caller).await.map(drop)
        })
    }

    fn pull(
        &self,
        model: String,
        extra: Option<String>,
        caller: RequestContext,
    ) -> Call<'_, Stream<Progress, ()>> {
        Box::pin(async move {
            let own = [("model", json::text(&model)), streamed()];
            let body = json::object(&own, extra.as_deref())?;
            let seen = ModelCall::begin(&caller, "pull", &model);
            self.stream("/api/pull", body, decode::progress_line, caller, seen).await
        })
    }

    fn chat(
        &self,
        request: ChatRequest,
        caller: RequestContext,
    ) -> Call<'_, Stream<Event, Summary>> {
        Box::pin(async move {
            let seen = ModelCall::chat(&caller, &request);
            let body = chat_body(request)?;
            self.stream("/api/chat", body, decode::chat_line, caller, seen).await
        })
    }

    fn generate(
        &self,
        request: GenerateRequest,
        caller: RequestContext,
    ) -> Call<'_, Stream<Event, Summary>> {
        Box::pin(async move {
            let seen = ModelCall::generate(&caller, &request);
            let body = generate_body(request)?;
            self.stream("/api/generate", body, decode::generate_line, caller, seen).await
        })
    }

    fn embed(&self, request: EmbedRequest, caller: RequestContext) -> Call<'_, Embeddings> {
        Box::pin(async move {
            let body = embed_body(request)?;
            decode::embeddings(self.ask(Method::POST, "/api/embed", Some(body), caller).await?)
        })
    }

    fn forward(&self, request: Request<Body>, caller: RequestContext) -> Call<'_, Response<Body>> {
        Box::pin(self.pass_on(request, caller))
    }
}

/// Streams are always asked for: a component that wants one object puts it together itself.
fn streamed() -> (&'static str, String) {
    ("stream", "true".to_string())
}

// These take what they are given, so that it is gone while its answer is waited for.

fn chat_body(request: ChatRequest) -> Result<String, Error> {
    let messages: Vec<String> = request.messages.iter().map(message).collect::<Result<_, _>>()?;
    let array = json::array(&messages);
    drop(messages);
    let own = [("model", json::text(&request.model)), ("messages", array), streamed()];
    json::object(&own, request.extra.as_deref())
}

fn generate_body(request: GenerateRequest) -> Result<String, Error> {
    let mut own = vec![("model", json::text(&request.model)), streamed()];
    if let Some(prompt) = &request.prompt {
        own.insert(1, ("prompt", json::text(prompt)));
    }
    json::object(&own, request.extra.as_deref())
}

fn embed_body(request: EmbedRequest) -> Result<String, Error> {
    let input: Vec<String> = request.input.iter().map(|text| json::text(text)).collect();
    let array = json::array(&input);
    drop(input);
    let own = [("model", json::text(&request.model)), ("input", array)];
    json::object(&own, request.extra.as_deref())
}

fn message(message: &Message) -> Result<String, Error> {
    let own = [("role", json::text(&message.role)), ("content", json::text(&message.content))];
    json::object(&own, message.extra.as_deref())
}
