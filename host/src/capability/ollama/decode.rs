//! The server's JSON as the types of the WIT interface. Pure.
//!
//! Lenient where Ollama is: what is zero is left out, what is unknown is passed over, `null` is the
//! same as nothing. Strict where a mistake would be taken for an answer: a line must be an object.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::backend::{Details, Embeddings, Error, Event, Loaded, Model, Progress, Summary};
use super::json;

/// One line of a stream.
#[derive(Debug)]
pub(super) enum Line<T, S> {
    Item(T),
    /// The item after which nothing follows.
    Last(T, S),
    /// The server gave up; the text of its `error` field.
    Error(String),
}

/// How the lines of one kind of stream are read.
pub(super) type Decode<T, S> = fn(String) -> Result<Line<T, S>, Error>;

pub(super) fn generate_line(raw: String) -> Result<Line<Event, Summary>, Error> {
    let line: Spoken<'_> = object(&raw)?;
    let summary = line.summary();
    let said =
        Said { content: line.response, thinking: line.thinking, tool_calls: line.tool_calls };
    let (event, failed) = (said.into_event(&summary), line.error.is_some());
    finish(raw, event, summary, failed)
}

pub(super) fn chat_line(raw: String) -> Result<Line<Event, Summary>, Error> {
    let line: Spoken<'_> = object(&raw)?;
    let summary = line.summary();
    let said = line.message.unwrap_or_default();
    let (event, failed) = (said.into_event(&summary), line.error.is_some());
    finish(raw, event, summary, failed)
}

pub(super) fn progress_line(raw: String) -> Result<Line<Progress, ()>, Error> {
    let line: Progressed<'_> = object(&raw)?;
    if line.error.is_some()
        && let Some(text) = json::error_text(&raw)
    {
        return Ok(Line::Error(text));
    }
    let last = line.status.as_deref() == Some("success");
    let progress = Progress {
        status: line.status.unwrap_or_default(),
        digest: line.digest,
        total: line.total,
        completed: line.completed,
        raw,
    };
    Ok(if last { Line::Last(progress, ()) } else { Line::Item(progress) })
}

pub(super) fn version(answer: &str) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Version {
        version: String,
    }
    object(answer).map(|Version { version }| version)
}

pub(super) fn models(answer: &str) -> Result<Vec<Model>, Error> {
    let Listed { models } = object(answer)?;
    let model = |raw: &RawValue| {
        let model: Installed = object(raw.get())?;
        let details = model.details.unwrap_or_default();
        Ok(Model {
            name: model.name.or(model.model).unwrap_or_default(),
            size: model.size.unwrap_or_default(),
            digest: model.digest.unwrap_or_default(),
            modified_at: model.modified_at.unwrap_or_default(),
            details: Details {
                format: details.format.unwrap_or_default(),
                family: details.family.unwrap_or_default(),
                parameter_size: details.parameter_size.unwrap_or_default(),
                quantization_level: details.quantization_level.unwrap_or_default(),
            },
            raw: raw.get().to_string(),
        })
    };
    models.unwrap_or_default().into_iter().map(model).collect()
}

pub(super) fn loaded(answer: &str) -> Result<Vec<Loaded>, Error> {
    let Listed { models } = object(answer)?;
    let model = |raw: &RawValue| {
        let model: Installed = object(raw.get())?;
        Ok(Loaded {
            name: model.name.or(model.model).unwrap_or_default(),
            size: model.size.unwrap_or_default(),
            size_vram: model.size_vram.unwrap_or_default(),
            expires_at: model.expires_at.unwrap_or_default(),
            raw: raw.get().to_string(),
        })
    };
    models.unwrap_or_default().into_iter().map(model).collect()
}

pub(super) fn embeddings(raw: String) -> Result<Embeddings, Error> {
    #[derive(Deserialize)]
    struct Embedded {
        embeddings: Option<Vec<Vec<f32>>>,
    }
    let Embedded { embeddings } = object(&raw)?;
    Ok(Embeddings { vectors: embeddings.unwrap_or_default(), raw })
}

/// An answer that is passed on as it is, but must be an object.
pub(super) fn any_object(raw: String) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Anything {}
    object(&raw).map(|Anything {}| raw)
}

/// Parse an object. Without the check for the brace, serde would read `[]` as an object whose
/// members are all absent.
fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Error> {
    if !text.trim_start().starts_with('{') {
        return Err(Error::Malformed("the server sent something that is no JSON object".into()));
    }
    serde_json::from_str(text)
        .map_err(|error| Error::Malformed(format!("the server sent unexpected JSON: {error}")))
}

fn finish(
    raw: String,
    mut event: Event,
    summary: Option<Summary>,
    failed: bool,
) -> Result<Line<Event, Summary>, Error> {
    if failed && let Some(text) = json::error_text(&raw) {
        return Ok(Line::Error(text));
    }
    event.raw = raw;
    Ok(match summary {
        Some(summary) => Line::Last(event, summary),
        None => Line::Item(event),
    })
}

/// A line of `generate` or `chat`: the first speaks in the line itself, the second in `message`.
#[derive(Deserialize)]
struct Spoken<'a> {
    response: Option<String>,
    thinking: Option<String>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<Said<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    done: Option<bool>,
    done_reason: Option<String>,
    total_duration: Option<u64>,
    load_duration: Option<u64>,
    prompt_eval_count: Option<u64>,
    prompt_eval_duration: Option<u64>,
    eval_count: Option<u64>,
    eval_duration: Option<u64>,
}

impl Spoken<'_> {
    fn summary(&self) -> Option<Summary> {
        self.done.unwrap_or_default().then(|| Summary {
            done_reason: self.done_reason.clone(),
            total_duration: self.total_duration.unwrap_or_default(),
            load_duration: self.load_duration.unwrap_or_default(),
            prompt_eval_count: self.prompt_eval_count.unwrap_or_default(),
            prompt_eval_duration: self.prompt_eval_duration.unwrap_or_default(),
            eval_count: self.eval_count.unwrap_or_default(),
            eval_duration: self.eval_duration.unwrap_or_default(),
        })
    }
}

#[derive(Default, Deserialize)]
struct Said<'a> {
    content: Option<String>,
    thinking: Option<String>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
}

impl Said<'_> {
    fn into_event(self, summary: &Option<Summary>) -> Event {
        Event {
            content: self.content.unwrap_or_default(),
            thinking: self.thinking,
            tool_calls: self.tool_calls.map(|calls| calls.get().to_string()),
            done: summary.clone(),
            raw: String::new(),
        }
    }
}

#[derive(Deserialize)]
struct Progressed<'a> {
    status: Option<String>,
    digest: Option<String>,
    total: Option<u64>,
    completed: Option<u64>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Listed<'a> {
    #[serde(borrow)]
    models: Option<Vec<&'a RawValue>>,
}

/// A member of `models`, of `/api/tags` and `/api/ps` alike.
#[derive(Deserialize)]
struct Installed {
    name: Option<String>,
    model: Option<String>,
    size: Option<u64>,
    digest: Option<String>,
    modified_at: Option<String>,
    details: Option<InstalledDetails>,
    size_vram: Option<u64>,
    expires_at: Option<String>,
}

#[derive(Default, Deserialize)]
struct InstalledDetails {
    format: Option<String>,
    family: Option<String>,
    parameter_size: Option<String>,
    quantization_level: Option<String>,
}

#[cfg(test)]
mod tests;
