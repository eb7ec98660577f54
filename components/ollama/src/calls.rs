//! The calls of the typed interface and their answers in Ollama's own form.

use wasm_host_guest::ollama::inference::{self, EmbedRequest, Event};
use wasm_host_guest::ollama::models;
use wasm_host_guest::ollama::types::{Error, Summary};
use wasm_host_guest::{FutureReader, Response, StreamReader};

use crate::failure::{Failure, JSON};
use crate::json;
use crate::relay::Stream;
use crate::request::Named;
use crate::whole::{Kind, Whole};

type Answer = Result<Response, Failure>;

/// A stream as the host gives it.
type Streamed<T, S> = Result<(StreamReader<T>, FutureReader<Result<S, Error>>), Error>;

pub(crate) async fn version() -> Answer {
    let version = models::version().await?;
    Ok(Response::new(200, JSON, format!("{{\"version\":{}}}", json::text(&version))))
}

pub(crate) async fn tags() -> Answer {
    Ok(listed(models::list().await?.into_iter().map(|model| model.raw)))
}

pub(crate) async fn ps() -> Answer {
    Ok(listed(models::running().await?.into_iter().map(|model| model.raw)))
}

pub(crate) async fn show(request: Named) -> Answer {
    let details = models::show(request.model, request.extra).await?;
    Ok(Response::new(200, JSON, details))
}

pub(crate) async fn delete(request: Named) -> Answer {
    models::delete(request.model).await?;
    Ok(Response::empty(200))
}

pub(crate) async fn pull(request: Named) -> Answer {
    let (items, done) = models::pull(request.model, request.extra).await?;
    let stream = Stream { items, done };
    if request.streamed {
        return Ok(stream.into_response(|step: models::Progress| step.raw));
    }
    let mut last = String::new();
    stream.read(|step: models::Progress| last = step.raw).await?;
    Ok(Response::new(200, JSON, last))
}

/// `generate` and `chat`, which differ in where the text is.
pub(crate) async fn say(stream: Streamed<Event, Summary>, kind: Kind, streamed: bool) -> Answer {
    let (items, done) = stream?;
    let stream = Stream { items, done };
    if streamed {
        return Ok(stream.into_response(|event: Event| event.raw));
    }
    let mut whole = Whole::new(kind);
    stream.read(|event| whole.add(event)).await?;
    let body = whole.finish().ok_or(Error::Truncated)?;
    Ok(Response::new(200, JSON, body))
}

pub(crate) async fn embed(request: EmbedRequest) -> Answer {
    Ok(Response::new(200, JSON, inference::embed(request).await?.raw))
}

fn listed(models: impl Iterator<Item = String>) -> Response {
    let models: Vec<String> = models.collect();
    Response::new(200, JSON, format!("{{\"models\":[{}]}}", models.join(",")))
}
