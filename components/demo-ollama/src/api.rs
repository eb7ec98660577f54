//! The JSON that Ollama's clients read. Fields that are zero are left out where Ollama leaves them
//! out. Pure: times come from the caller.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use crate::embed::DIMENSIONS;
use crate::library::{Kind, Library};
use crate::table::TABLE;
use crate::time::rfc3339;

/// What this is, in one line; it is logged on first use as well.
pub(crate) const NOTE: &str = "a small statistical text model, not a language model";

pub(crate) fn version() -> Value {
    // Clients compare the numbers, so they come first; the rest says that this is no Ollama.
    json!({ "version": "0.0.0-demo" })
}

/// One JSON text per line.
pub(crate) fn line(value: &Value) -> Vec<u8> {
    format!("{value}\n").into_bytes()
}

fn details(kind: &Kind) -> Value {
    json!({
        "parent_model": "",
        "format": "ngram",
        "family": "n-gram (demo)",
        "families": ["n-gram (demo)"],
        "parameter_size": kind.parameter_size(),
        "quantization_level": "none",
    })
}

pub(crate) fn tags(library: &Library) -> Value {
    let models = library.installed().map(|(kind, since)| {
        json!({
            "name": kind.name,
            "model": kind.name,
            "modified_at": rfc3339(*since),
            "size": kind.size(),
            "digest": kind.digest(),
            "details": details(kind),
        })
    });
    json!({ "models": models.collect::<Vec<_>>() })
}

pub(crate) fn ps(library: &mut Library, now: SystemTime) -> Value {
    let models = library.loaded(now).iter().map(|(kind, until)| {
        json!({
            "name": kind.name,
            "model": kind.name,
            "size": kind.size(),
            "digest": kind.digest(),
            "details": details(kind),
            "expires_at": rfc3339(*until),
            "size_vram": 0,
            "context_length": kind.context,
        })
    });
    json!({ "models": models.collect::<Vec<_>>() })
}

pub(crate) fn show(kind: &Kind, since: SystemTime) -> Value {
    json!({
        "license": include_str!("license.txt"),
        "modelfile": format!(
            "# {name} is a demo: {NOTE}.\n\
             # It counts which word follows which in a few pages of English that belong to\n\
             # wasm-host, and looks back {context} words. System prompts, templates and tools\n\
             # mean nothing to it.\n\
             FROM {name}\n",
            name = kind.name,
            context = kind.context,
        ),
        "template": "{{ .Prompt }}",
        "details": details(kind),
        "model_info": {
            "general.architecture": "ngram",
            "general.description": NOTE,
            "general.parameter_count": kind.ngrams(),
            "ngram.context_length": kind.context,
            "ngram.embedding_length": DIMENSIONS,
            "ngram.vocabulary_size": TABLE.words.len(),
        },
        // `embedding` is left out although there is /api/embed: clients take a model that has it
        // for one that only embeds.
        "capabilities": ["completion"],
        "modified_at": rfc3339(since),
    })
}

/// Which of the two native shapes an answer has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    /// `/api/generate`
    Response,
    /// `/api/chat`
    Message,
}

/// The last line's figures.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub total: Duration,
    pub load: Duration,
    pub prompt_count: usize,
    pub prompt: Duration,
    pub count: usize,
    pub eval: Duration,
}

/// One piece of an answer.
pub(crate) fn piece(shape: Shape, model: &str, now: SystemTime, text: &str) -> Map<String, Value> {
    let mut line = Map::new();
    line.insert("model".to_string(), model.into());
    line.insert("created_at".to_string(), rfc3339(now).into());
    match shape {
        Shape::Response => line.insert("response".to_string(), text.into()),
        Shape::Message => {
            line.insert("message".to_string(), json!({ "role": "assistant", "content": text }))
        }
    };
    line.insert("done".to_string(), false.into());
    line
}

/// Make a piece the last one.
pub(crate) fn finish(mut line: Map<String, Value>, reason: &str, figures: &Figures) -> Value {
    line.insert("done".to_string(), true.into());
    line.insert("done_reason".to_string(), reason.into());
    let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    for (name, figure) in [
        ("total_duration", nanoseconds(figures.total)),
        ("load_duration", nanoseconds(figures.load)),
        ("prompt_eval_count", figures.prompt_count as u64),
        ("prompt_eval_duration", nanoseconds(figures.prompt)),
        ("eval_count", figures.count as u64),
        ("eval_duration", nanoseconds(figures.eval)),
    ] {
        if figure > 0 {
            line.insert(name.to_string(), figure.into());
        }
    }
    Value::Object(line)
}

#[cfg(test)]
mod tests;
