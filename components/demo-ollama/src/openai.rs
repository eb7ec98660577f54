//! `/v1/chat/completions` and `/v1/models`: the same answers in the shapes of OpenAI's API. A
//! request is rewritten to Ollama's own, an answer to theirs.

use serde_json::{Map, Value, json};
use wasm_host_guest::StatusCode;

use crate::api::Figures;
use crate::fields::{Fields, Refusal};
use crate::library::Library;

/// The request as `/api/chat` takes it.
pub(crate) fn chat_fields(fields: &Fields) -> Result<Fields, Refusal> {
    let mut native = Map::new();
    for name in ["model", "tools"] {
        if let Some(value) = fields.get(name) {
            native.insert(name.to_string(), value.clone());
        }
    }
    native.insert("stream".to_string(), fields.flag("stream", false)?.into());
    let kind = fields.get("response_format").and_then(|format| format.get("type"));
    if let Some(kind) = kind.filter(|kind| *kind != "text") {
        native.insert("format".to_string(), kind.clone());
    }

    let mut messages = fields.list("messages")?.to_vec();
    if messages.is_empty() {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "messages must not be empty"));
    }
    for message in &mut messages {
        // Theirs is `developer`, and content may come in parts.
        if message.get("role").is_some_and(|role| role == "developer") {
            set(message, "role", "system".into());
        }
        if let Some(Value::Array(parts)) = message.get("content") {
            let texts = parts.iter().filter_map(|part| part.get("text")?.as_str());
            let text = texts.collect::<Vec<_>>().join(" ");
            set(message, "content", text.into());
        }
    }
    native.insert("messages".to_string(), messages.into());

    let mut options = Map::new();
    for (theirs, ours) in [
        ("seed", "seed"),
        ("temperature", "temperature"),
        ("max_tokens", "num_predict"),
        ("max_completion_tokens", "num_predict"),
    ] {
        if let Some(value) = fields.get(theirs) {
            options.insert(ours.to_string(), value.clone());
        }
    }
    match fields.get("stop") {
        None => {}
        Some(Value::String(stop)) => drop(options.insert("stop".to_string(), json!([stop]))),
        Some(stops) => drop(options.insert("stop".to_string(), stops.clone())),
    }
    native.insert("options".to_string(), options.into());
    Ok(Fields::from_map(native))
}

fn set(message: &mut Value, name: &str, value: Value) {
    if let Some(message) = message.as_object_mut() {
        message.insert(name.to_string(), value);
    }
}

/// A refusal as OpenAI's clients expect it.
pub(crate) fn refusal(refusal: &Refusal) -> Value {
    let kind = match refusal.status {
        StatusCode::BAD_REQUEST => "invalid_request_error",
        StatusCode::NOT_FOUND => "not_found_error",
        _ => "api_error",
    };
    json!({ "error": { "message": refusal.message, "type": kind, "param": null, "code": null } })
}

pub(crate) fn models(library: &Library) -> Value {
    let seconds = |time: std::time::SystemTime| {
        time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs()
    };
    let models = library.installed().map(|(kind, since)| {
        json!({
            "id": kind.name, "object": "model", "created": seconds(*since), "owned_by": "library",
        })
    });
    json!({ "object": "list", "data": models.collect::<Vec<_>>() })
}

/// Writes the pieces of one answer.
pub(crate) struct Chunks {
    pub id: String,
    pub model: String,
    /// Seconds since 1970.
    pub created: u64,
    /// The client asked for the figures at the end of the stream.
    pub usage: bool,
}

impl Chunks {
    /// One server-sent event with the next piece of text.
    pub(crate) fn piece(&self, text: &str) -> Vec<u8> {
        self.event(&self.chunk(json!([{
            "index": 0,
            "delta": { "role": "assistant", "content": text },
            "finish_reason": null,
        }])))
    }

    /// The events that end the stream.
    pub(crate) fn last(&self, reason: &str, figures: &Figures) -> Vec<u8> {
        let mut bytes = self.event(&self.chunk(json!([{
            "index": 0,
            "delta": { "role": "assistant", "content": "" },
            "finish_reason": reason,
        }])));
        if self.usage {
            let mut chunk = self.chunk(json!([]));
            set(&mut chunk, "usage", usage(figures));
            bytes.extend(self.event(&chunk));
        }
        bytes.extend(b"data: [DONE]\n\n");
        bytes
    }

    /// An answer that is not streamed.
    pub(crate) fn whole(&self, text: &str, reason: &str, figures: &Figures) -> Value {
        let mut whole = self.chunk(json!([{
            "index": 0,
            "message": { "role": "assistant", "content": text },
            "finish_reason": reason,
        }]));
        set(&mut whole, "object", "chat.completion".into());
        set(&mut whole, "usage", usage(figures));
        whole
    }

    fn chunk(&self, choices: Value) -> Value {
        json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "system_fingerprint": "fp_demo",
            "choices": choices,
        })
    }

    fn event(&self, chunk: &Value) -> Vec<u8> {
        format!("data: {chunk}\n\n").into_bytes()
    }
}

fn usage(figures: &Figures) -> Value {
    json!({
        "prompt_tokens": figures.prompt_count,
        "completion_tokens": figures.count,
        "total_tokens": figures.prompt_count + figures.count,
    })
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::api::Shape;
    use crate::talk::Talk;

    fn chunks(usage: bool) -> Chunks {
        Chunks { id: "chatcmpl-1".to_string(), model: "demo".to_string(), created: 5, usage }
    }

    #[test]
    fn a_request_becomes_one_of_ollamas() {
        let body = json!({
            "model": "demo", "max_tokens": 9, "seed": 4, "stop": "x",
            "messages": [
                { "role": "developer", "content": "be brief" },
                { "role": "user", "content": [{ "type": "text", "text": "hi" }, { "type": "x" }] },
            ],
        });
        let fields = chat_fields(&Fields::parse(body.to_string().as_bytes()).unwrap()).unwrap();
        let mut library = Library::new(UNIX_EPOCH);
        let talk = Talk::parse(Shape::Message, &fields, &mut library, UNIX_EPOCH, 0).unwrap();
        assert!(!talk.stream);
        assert_eq!(talk.prompt, [("hi".to_string(), 1.0)]);
        assert_eq!((talk.options.seed, talk.options.num_predict), (4, Some(9)));
        assert_eq!(talk.options.stop, ["x"]);
        let empty = Fields::parse(br#"{"model":"demo"}"#).unwrap();
        assert_eq!(chat_fields(&empty).err().unwrap().status, 400);
    }

    #[test]
    fn a_stream_ends_with_done() {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let piece = text(chunks(false).piece("hi"));
        assert!(piece.starts_with("data: {") && piece.ends_with("}\n\n"), "{piece}");
        let last = text(chunks(false).last("stop", &Figures::default()));
        assert_eq!(last.matches("data: ").count(), 2);
        assert!(last.ends_with("data: [DONE]\n\n"));
        let last = text(chunks(true).last("length", &Figures { count: 2, ..Figures::default() }));
        assert!(last.contains(r#""completion_tokens":2"#) && last.contains(r#""choices":[]"#));
    }

    #[test]
    fn whole_answers_models_and_errors_have_their_shapes() {
        let whole = chunks(false).whole("hi", "stop", &Figures::default());
        assert_eq!(whole["object"], "chat.completion");
        assert_eq!(whole["choices"][0]["message"]["content"], "hi");
        let models = models(&Library::new(UNIX_EPOCH));
        assert_eq!(models["data"][0]["id"], "demo:latest");
        let error = refusal(&Refusal::not_found("x"));
        assert_eq!(error["error"]["type"], "not_found_error");
    }
}
