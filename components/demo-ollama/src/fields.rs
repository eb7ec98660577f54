//! The fields of a request's JSON body, and how a request is refused. Ollama ignores the content
//! type of a request and fields that it does not know; so does this.

use serde_json::{Map, Value, json};
use wasm_host_guest::StatusCode;
use wasm_host_guest::json::without_half_characters;

/// A request that is answered with an error: `{"error": …}`, as Ollama's clients expect it.
#[derive(Debug, PartialEq)]
pub(crate) struct Refusal {
    pub status: StatusCode,
    pub message: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// Ollama's words for a model that is not installed.
    pub(crate) fn not_found(name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("model '{name}' not found"))
    }

    pub(crate) fn body(&self) -> Value {
        json!({ "error": self.message })
    }
}

/// A JSON object that a client sent.
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        if body.trim_ascii().is_empty() {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "missing request body"));
        }
        let text = std::str::from_utf8(body)
            .map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "the request body is not UTF-8"))?;
        match serde_json::from_str(&without_half_characters(text)) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => {
                Err(Refusal::new(StatusCode::BAD_REQUEST, "the request body must be a JSON object"))
            }
            Err(error) => {
                Err(Refusal::new(StatusCode::BAD_REQUEST, format!("invalid JSON: {error}")))
            }
        }
    }

    pub(crate) fn from_map(fields: Map<String, Value>) -> Self {
        Self(fields)
    }

    /// A field that is there, its name written in any case, and not null.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        let any_case = || self.0.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        let value = self.0.get(name).or_else(|| any_case().map(|(_, value)| value));
        value.filter(|value| !value.is_null())
    }

    /// A text field; empty if it is absent.
    pub(crate) fn text(&self, name: &str) -> Result<&str, Refusal> {
        match self.get(name) {
            None => Ok(""),
            Some(Value::String(text)) => Ok(text),
            Some(_) => {
                Err(Refusal::new(StatusCode::BAD_REQUEST, format!("{name} must be a string")))
            }
        }
    }

    pub(crate) fn list(&self, name: &str) -> Result<&[Value], Refusal> {
        match self.get(name) {
            None => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => {
                Err(Refusal::new(StatusCode::BAD_REQUEST, format!("{name} must be an array")))
            }
        }
    }

    pub(crate) fn flag(&self, name: &str, absent: bool) -> Result<bool, Refusal> {
        match self.get(name) {
            None => Ok(absent),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => {
                Err(Refusal::new(StatusCode::BAD_REQUEST, format!("{name} must be true or false")))
            }
        }
    }

    /// The model's name: `model`, or `name` as the CLI and older clients send it.
    pub(crate) fn model(&self) -> Result<&str, Refusal> {
        let model = match self.text("model")? {
            "" => self.text("name")?,
            model => model,
        };
        if model.trim().is_empty() {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "model is required"));
        }
        Ok(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Result<Fields, Refusal> {
        Fields::parse(body.as_bytes())
    }

    #[test]
    fn the_model_has_two_names() {
        assert_eq!(fields(r#"{"model":"a","name":"b"}"#).unwrap().model(), Ok("a"));
        assert_eq!(fields(r#"{"model":"","name":"b"}"#).unwrap().model(), Ok("b"));
        assert_eq!(
            fields("{}").unwrap().model(),
            Err(Refusal::new(StatusCode::BAD_REQUEST, "model is required"))
        );
        assert_eq!(fields(r#"{"model":5}"#).unwrap().model().unwrap_err().status, 400);
    }

    #[test]
    fn half_a_character_and_names_in_any_case_are_taken() {
        let fields = fields(r#"{"Model":"a","prompt":"x\ud83d"}"#).unwrap();
        assert_eq!(fields.model(), Ok("a"));
        assert_eq!(fields.text("prompt"), Ok("x\u{fffd}"));
    }

    #[test]
    fn a_body_that_is_no_object_is_refused() {
        assert_eq!(fields(" ").err().unwrap().message, "missing request body");
        for body in ["[]", "{", "5", "{}{}"] {
            assert_eq!(fields(body).err().unwrap().status, 400, "{body}");
        }
    }

    #[test]
    fn wrong_types_are_named() {
        let fields = fields(r#"{"stream":"yes","messages":{},"prompt":1,"null":null}"#).unwrap();
        assert!(fields.flag("stream", true).unwrap_err().message.contains("stream"));
        assert!(fields.list("messages").unwrap_err().message.contains("messages"));
        assert!(fields.text("prompt").unwrap_err().message.contains("prompt"));
        assert_eq!(fields.flag("null", true), Ok(true));
    }
}
