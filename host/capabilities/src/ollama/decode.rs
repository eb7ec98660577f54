//! The server's JSON as the types of the WIT interface. Pure.
//!
//! Lenient where Ollama is: what is zero is left out, what is unknown is passed over, `null` is the
//! same as nothing, and a figure that cannot be read is none. Strict where a mistake would be taken for an answer: a
//! line must be an object, and what a model says a text.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::backend::{Details, Embeddings, Error, Event, Loaded, Model, Progress, Summary};
use super::json::{self, Words};

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
    let said = MessageDelta {
        content: line.response,
        thinking: line.thinking,
        tool_calls: line.tool_calls,
    };
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
        let model: Installed = object(raw.get()).ok()?;
        let details = model.details.unwrap_or_default();
        Some(Model {
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
    Ok(each(models, model))
}

pub(super) fn loaded(answer: &str) -> Result<Vec<Loaded>, Error> {
    let Listed { models } = object(answer)?;
    let model = |raw: &RawValue| {
        let model: Installed = object(raw.get()).ok()?;
        Some(Loaded {
            name: model.name.or(model.model).unwrap_or_default(),
            size: model.size.unwrap_or_default(),
            size_vram: model.size_vram.unwrap_or_default(),
            expires_at: model.expires_at.unwrap_or_default(),
            raw: raw.get().to_string(),
        })
    };
    Ok(each(models, model))
}

/// One that cannot be read is left out, and the others are not.
fn each<T>(models: Option<Vec<&RawValue>>, read: impl Fn(&RawValue) -> Option<T>) -> Vec<T> {
    models.unwrap_or_default().into_iter().filter_map(read).collect()
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
    #[serde(default, deserialize_with = "said")]
    response: Option<String>,
    #[serde(default, deserialize_with = "said")]
    thinking: Option<String>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<MessageDelta<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    done: Option<bool>,
    #[serde(default, deserialize_with = "text")]
    done_reason: Option<String>,
    #[serde(default, deserialize_with = "count")]
    total_duration: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    load_duration: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    prompt_eval_count: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    prompt_eval_duration: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    eval_count: Option<u64>,
    #[serde(default, deserialize_with = "count")]
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
struct MessageDelta<'a> {
    #[serde(default, deserialize_with = "said")]
    content: Option<String>,
    #[serde(default, deserialize_with = "said")]
    thinking: Option<String>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
}

impl MessageDelta<'_> {
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
    #[serde(default, deserialize_with = "said")]
    status: Option<String>,
    #[serde(default, deserialize_with = "text")]
    digest: Option<String>,
    #[serde(default, deserialize_with = "count")]
    total: Option<u64>,
    #[serde(default, deserialize_with = "count")]
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
    #[serde(default, deserialize_with = "text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "text")]
    model: Option<String>,
    #[serde(default, deserialize_with = "count")]
    size: Option<u64>,
    #[serde(default, deserialize_with = "text")]
    digest: Option<String>,
    #[serde(default, deserialize_with = "text")]
    modified_at: Option<String>,
    #[serde(default, deserialize_with = "object_or_none")]
    details: Option<InstalledDetails>,
    #[serde(default, deserialize_with = "count")]
    size_vram: Option<u64>,
    #[serde(default, deserialize_with = "text")]
    expires_at: Option<String>,
}

#[derive(Default, Deserialize)]
struct InstalledDetails {
    #[serde(default, deserialize_with = "text")]
    format: Option<String>,
    #[serde(default, deserialize_with = "text")]
    family: Option<String>,
    #[serde(default, deserialize_with = "text")]
    parameter_size: Option<String>,
    #[serde(default, deserialize_with = "text")]
    quantization_level: Option<String>,
}

// === Values that are only passed on ===

/// A number that is only passed on: servers other than Ollama write it as `1.5`, `12.0` or `-1`. What is less than
/// zero, or no number, counts as absent.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let raw = Option::<&RawValue>::deserialize(deserializer)?;
    Ok(raw.and_then(|raw| {
        let whole = raw.get().parse::<u64>().ok();
        // Beyond the largest number it is the largest number.
        let rounded = || raw.get().parse::<f64>().ok().filter(|number| *number >= 0.0);
        whole.or_else(|| rounded().map(|number| number as u64))
    }))
}

/// A text that is only passed on.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let raw = Option::<&RawValue>::deserialize(deserializer)?;
    Ok(raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).map(|Words(text)| text))
}

/// A text that an answer consists of: anything else is a mistake.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Words>::deserialize(deserializer)?.map(|Words(text)| text))
}

/// An object that is only passed on.
fn object_or_none<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let raw = Option::<&RawValue>::deserialize(deserializer)?;
    Ok(raw.and_then(|raw| object(raw.get()).ok()))
}

#[cfg(test)]
mod tests;
