//! The calls of the typed interface and their answers in Ollama's own form.

use wasm_host_guest::ollama::{self, EmbedRequest, Error, Event, Progress, Reply, Summary};
use wasm_host_guest::{IntoResponse, Response, header};

use crate::failure::{Failure, JSON};
use crate::json;
use crate::relay;
use crate::request::Named;
use crate::whole::{Kind, Whole};

type Answer = Result<Response, Failure>;

pub(crate) async fn version() -> Answer {
    let version = ollama::version().await?;
    Ok(answer(format!("{{\"version\":{}}}", json::text(&version))))
}

pub(crate) async fn tags() -> Answer {
    Ok(listed(ollama::list().await?.into_iter().map(|model| model.raw)))
}

pub(crate) async fn ps() -> Answer {
    Ok(listed(ollama::running().await?.into_iter().map(|model| model.raw)))
}

pub(crate) async fn show(request: Named) -> Answer {
    Ok(answer(ollama::show(request.model, request.extra).await?))
}

pub(crate) async fn delete(request: Named) -> Answer {
    ollama::delete(request.model).await?;
    Ok(().into_response())
}

pub(crate) async fn pull(request: Named) -> Answer {
    let mut steps = ollama::pull(request.model, request.extra).await?;
    if request.streamed {
        return Ok(relay::lines(steps, |step: Progress| step.raw));
    }
    let mut last = String::new();
    while let Some(step) = steps.next().await? {
        last = step.raw;
    }
    Ok(answer(last))
}

/// `generate` and `chat`, which differ in where the text is.
pub(crate) async fn say(mut reply: Reply<Event, Summary>, kind: Kind, streamed: bool) -> Answer {
    if streamed {
        return Ok(relay::lines(reply, |event: Event| event.raw));
    }
    let mut whole = Whole::new(kind);
    while let Some(event) = reply.next().await? {
        whole.add(event);
    }
    let body = whole.finish().ok_or(Error::Truncated)?;
    Ok(answer(body))
}

pub(crate) async fn embed(request: EmbedRequest) -> Answer {
    Ok(answer(ollama::embed(request).await?.raw))
}

fn answer(body: String) -> Response {
    ([(header::CONTENT_TYPE, JSON)], body).into_response()
}

fn listed(models: impl Iterator<Item = String>) -> Response {
    let models: Vec<String> = models.collect();
    answer(format!("{{\"models\":[{}]}}", models.join(",")))
}
