//! What a client asks of `/api/generate` and `/api/chat`: the request as one plan. Pure;
//! `answer.rs` carries it out.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use wasm_host_guest::StatusCode;

use crate::api::Shape;
use crate::fields::{Fields, Refusal};
use crate::library::{Kind, Library};
use crate::model::Options;
use crate::time;
use crate::topics::Prompt;

/// Earlier messages of a conversation matter as much less than the last.
const EARLIER: f64 = 0.25;
/// And only so many of them.
const EARLIER_MAX: usize = 4;

/// A request that can be carried out.
#[derive(Debug)]
pub(crate) struct Talk {
    pub shape: Shape,
    /// As the client wrote it: answers repeat it.
    pub model: String,
    pub kind: &'static Kind,
    pub keep_alive: Duration,
    pub stream: bool,
    /// The parts of the prompt and their weights. None asks only to load or unload the model.
    pub prompt: Vec<(String, f64)>,
    pub options: Options,
}

impl Talk {
    /// Read a request. `seed` is taken where the client gives none.
    pub(crate) fn parse(
        shape: Shape,
        fields: &Fields,
        library: &mut Library,
        now: SystemTime,
        seed: u64,
    ) -> Result<Self, Refusal> {
        let model = fields.model()?;
        let (kind, _) = library.wanted(model, now).ok_or_else(|| Refusal::not_found(model))?;
        refuse_what_it_cannot(shape, fields, model)?;
        let prompt = match shape {
            Shape::Response => match fields.text("prompt")? {
                "" => Vec::new(),
                prompt => vec![(prompt.to_string(), 1.0)],
            },
            Shape::Message => messages(fields.list("messages")?)?,
        };
        Ok(Self {
            shape,
            model: model.to_string(),
            kind,
            keep_alive: time::keep_alive(fields.get("keep_alive"))
                .map_err(|message| Refusal::new(StatusCode::BAD_REQUEST, message))?,
            stream: fields.flag("stream", true)?,
            prompt,
            options: options(fields.get("options"), seed)?,
        })
    }

    pub(crate) fn prompt(&self) -> Vec<Prompt<'_>> {
        self.prompt.iter().map(|(text, weight)| Prompt { text, weight: *weight }).collect()
    }
}

/// Better an error than an answer that ignores what was asked for.
fn refuse_what_it_cannot(shape: Shape, fields: &Fields, model: &str) -> Result<(), Refusal> {
    let refuse = |what: &str| {
        Err(Refusal::new(StatusCode::BAD_REQUEST, format!("{model:?} does not support {what}")))
    };
    match fields.get("think") {
        None | Some(Value::Bool(false)) => {}
        Some(_) => return refuse("thinking"),
    }
    match fields.get("format") {
        None => {}
        Some(Value::String(format)) if format.is_empty() => {}
        Some(_) => return refuse("structured output (format): it is a demo"),
    }
    match shape {
        Shape::Message if !fields.list("tools")?.is_empty() => refuse("tools"),
        Shape::Response if !fields.text("suffix")?.is_empty() => refuse("insert"),
        Shape::Message | Shape::Response => Ok(()),
    }
}

/// The last message of the user, and what was said before it.
fn messages(messages: &[Value]) -> Result<Vec<(String, f64)>, Refusal> {
    let mut said = Vec::new();
    for message in messages {
        let Some(message) = message.as_object() else {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "each message must be an object"));
        };
        let message = Fields::from_map(message.clone());
        let role = message.text("role")?.to_lowercase();
        let content = message.text("content")?.to_string();
        match role.as_str() {
            "user" => said.push(content),
            // What the model said itself, or was told to be, would only make it repeat itself.
            "assistant" | "system" | "tool" => {}
            _ => {
                return Err(Refusal::new(
                    StatusCode::BAD_REQUEST,
                    format!("unknown role {role:?} of a message"),
                ));
            }
        }
    }
    let weight = |back: usize| if back == 0 { 1.0 } else { EARLIER };
    let mut prompt: Vec<_> = said
        .into_iter()
        .rev()
        .take(1 + EARLIER_MAX)
        .enumerate()
        .map(|(back, text)| (text, weight(back)))
        .collect();
    if prompt.is_empty() && !messages.is_empty() {
        prompt.push((String::new(), 1.0));
    }
    Ok(prompt)
}

/// `options`: unknown ones are ignored, wrong types are refused as Ollama refuses them.
fn options(options: Option<&Value>, seed: u64) -> Result<Options, Refusal> {
    let mut read = Options { seed, temperature: 0.8, num_predict: None, stop: Vec::new() };
    let Some(options) = options else { return Ok(read) };
    let wrong = |name: &str, kind: &str| {
        Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("option {name:?} must be of type {kind}"),
        )
    };
    let Some(options) = options.as_object() else {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "options must be an object"));
    };
    for (name, value) in options.iter().filter(|(_, value)| !value.is_null()) {
        // JavaScript knows one kind of number, so 42.0 is as good as 42.
        let integer = || {
            let number = value.as_f64().ok_or_else(|| wrong(name, "integer"))?;
            Ok(value.as_i64().unwrap_or(number as i64))
        };
        match name.as_str() {
            "seed" => match integer()? {
                -1 => {}
                seed => read.seed = seed as u64,
            },
            // Zero and less: as long as the answer happens to be.
            "num_predict" => read.num_predict = usize::try_from(integer()?).ok().filter(|n| *n > 0),
            "temperature" => {
                read.temperature = value.as_f64().ok_or_else(|| wrong(name, "float32"))?;
            }
            "stop" => {
                let stops = value.as_array().ok_or_else(|| wrong(name, "array"))?;
                read.stop = stops
                    .iter()
                    .map(|stop| stop.as_str().map(str::to_string))
                    .collect::<Option<_>>()
                    .ok_or_else(|| wrong(name, "array of strings"))?;
            }
            _ => {}
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests;
