//! Request bodies as the typed interface wants them. Pure.
//!
//! What this component does not know of a request is passed on in `extra`, so a field that Ollama
//! learns tomorrow works today.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use wasm_host_guest::json::without_half_characters;
use wasm_host_guest::ollama::{ChatRequest, EmbedRequest, GenerateRequest, Message};

use crate::json::Members;

/// Why a body is no request; the text for the client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Invalid(pub(crate) String);

/// A request about one model.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) model: String,
    pub(crate) streamed: bool,
    pub(crate) extra: Option<String>,
}

/// The body of `show`, `delete` and `pull`.
pub(crate) fn named(body: &[u8]) -> Result<Named, Invalid> {
    let text = text(body)?;
    let mut members = members(&text)?;
    let model = model(&mut members)?;
    let streamed = streamed(&mut members)?;
    Ok(Named { model, streamed, extra: members.rest() })
}

/// The body of `generate`, and whether the answer is to be streamed.
pub(crate) fn generate(body: &[u8]) -> Result<(GenerateRequest, bool), Invalid> {
    let text = text(body)?;
    let mut members = members(&text)?;
    let model = model(&mut members)?;
    let streamed = streamed(&mut members)?;
    let prompt = value(&mut members, "prompt", "a string")?;
    Ok((GenerateRequest { model, prompt, extra: members.rest() }, streamed))
}

/// The body of `chat`, and whether the answer is to be streamed.
pub(crate) fn chat(body: &[u8]) -> Result<(ChatRequest, bool), Invalid> {
    let text = text(body)?;
    let mut members = members(&text)?;
    let model = model(&mut members)?;
    let streamed = streamed(&mut members)?;
    let messages: Vec<Members<'_>> =
        value(&mut members, "messages", "an array of objects")?.unwrap_or_default();
    let messages = messages.into_iter().map(message).collect::<Result<_, _>>()?;
    Ok((ChatRequest { model, messages, extra: members.rest() }, streamed))
}

pub(crate) fn embed(body: &[u8]) -> Result<EmbedRequest, Invalid> {
    let text = text(body)?;
    let mut members = members(&text)?;
    let model = model(&mut members)?;
    let input = match members.take("input").map(RawValue::get) {
        None => Vec::new(),
        Some(text) if text.starts_with('"') => {
            // An empty text asks only for the model to be loaded, and so does no text at all.
            let text: String = parse(text, "input", "a string")?;
            if text.is_empty() { Vec::new() } else { vec![text] }
        }
        Some(texts) => parse(texts, "input", "a string or an array of strings")?,
    };
    Ok(EmbedRequest { model, input, extra: members.rest() })
}

fn message(mut members: Members<'_>) -> Result<Message, Invalid> {
    Ok(Message {
        role: value(&mut members, "role", "a string")?.unwrap_or_default(),
        content: value(&mut members, "content", "a string")?.unwrap_or_default(),
        extra: members.rest(),
    })
}

fn text(body: &[u8]) -> Result<Cow<'_, str>, Invalid> {
    if body.trim_ascii().is_empty() {
        return Err(Invalid("missing request body".to_string()));
    }
    let text = std::str::from_utf8(body)
        .map_err(|_| Invalid("the request body is not UTF-8".to_string()))?;
    Ok(without_half_characters(text))
}

fn members(text: &str) -> Result<Members<'_>, Invalid> {
    Members::parse(text)
        .map_err(|error| Invalid(format!("the request body is no JSON object: {error}")))
}

/// The model's name. Ollama's own command line still sends it as `name`.
fn model(members: &mut Members<'_>) -> Result<String, Invalid> {
    let model: Option<String> = value(members, "model", "a string")?;
    let name: Option<String> = value(members, "name", "a string")?;
    model
        .filter(|model| !model.is_empty())
        .or(name)
        .filter(|name| !name.is_empty())
        .ok_or_else(|| Invalid("Model name is required".to_string()))
}

/// Streaming is Ollama's default.
fn streamed(members: &mut Members<'_>) -> Result<bool, Invalid> {
    Ok(value(members, "stream", "true or false")?.unwrap_or(true))
}

fn value<'a, T: Deserialize<'a>>(
    members: &mut Members<'a>,
    name: &str,
    kind: &str,
) -> Result<Option<T>, Invalid> {
    members.take(name).map(|value| parse(value.get(), name, kind)).transpose()
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str, name: &str, kind: &str) -> Result<T, Invalid> {
    serde_json::from_str(text).map_err(|_| Invalid(format!("`{name}` must be {kind}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_and_name_are_both_understood() {
        for body in [r#"{"model":"a"}"#, r#"{"name":"a"}"#, r#"{"model":"","name":"a"}"#] {
            let expected = Named { model: "a".into(), streamed: true, extra: None };
            assert_eq!(named(body.as_bytes()), Ok(expected), "{body}");
        }
        let both = named(br#"{"name":"b","model":"a","insecure":true,"stream":false}"#).unwrap();
        assert_eq!((both.model.as_str(), both.streamed), ("a", false));
        assert_eq!(both.extra.as_deref(), Some(r#"{"insecure":true}"#));
        for body in ["{}", r#"{"model":""}"#, r#"{"model":null}"#] {
            assert_eq!(named(body.as_bytes()), Err(Invalid("Model name is required".into())));
        }
    }

    #[test]
    fn what_is_no_request_says_why() {
        for (body, expected) in [
            ("", "missing request body"),
            (" \n", "missing request body"),
            (r#"{"model":1}"#, "`model` must be a string"),
            (r#"{"model":"m","stream":"yes"}"#, "`stream` must be true or false"),
            (r#"{"model":"m","prompt":["x"]}"#, "`prompt` must be a string"),
        ] {
            assert_eq!(generate(body.as_bytes()).unwrap_err().0, expected, "{body}");
        }
        for body in ["{", "[]", "model=m", "{}{}", "\"x\""] {
            let Invalid(why) = generate(body.as_bytes()).unwrap_err();
            assert!(why.starts_with("the request body is no JSON object: "), "{body}: {why}");
        }
        assert!(generate(b"\xff").is_err());
    }

    #[test]
    fn a_prompt_may_be_absent_and_what_is_unknown_passes_on() {
        let (request, streamed) =
            generate(br#"{"model":"m","keep_alive":0,"options":{"seed":1,"num_ctx":4096}}"#)
                .unwrap();
        assert!(request.prompt.is_none() && streamed);
        assert_eq!(
            request.extra.as_deref(),
            Some(r#"{"keep_alive":0,"options":{"seed":1,"num_ctx":4096}}"#)
        );
        let (request, _) = generate(br#"{"model":"m","prompt":""}"#).unwrap();
        assert_eq!(request.prompt.as_deref(), Some(""));
    }

    #[test]
    fn messages_keep_their_images_and_tool_calls() {
        let (request, streamed) = chat(
            br#"{"model":"m","messages":[{"role":"user","content":"a","images":["AA=="]},{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{}}}]}],"tools":[],"stream":false}"#,
        )
        .unwrap();
        assert!(!streamed);
        assert_eq!(request.extra.as_deref(), Some(r#"{"tools":[]}"#));
        assert_eq!(request.messages[0].content, "a");
        assert_eq!(request.messages[0].extra.as_deref(), Some(r#"{"images":["AA=="]}"#));
        assert_eq!(request.messages[1].content, "");
        assert_eq!(
            request.messages[1].extra.as_deref(),
            Some(r#"{"tool_calls":[{"function":{"name":"f","arguments":{}}}]}"#)
        );
        assert!(chat(br#"{"model":"m"}"#).unwrap().0.messages.is_empty());
        for bad in [r#"{}"#, r#"["x"]"#, r#"[{"role":1}]"#, r#"[{"content":[]}]"#] {
            let body = format!(r#"{{"model":"m","messages":{bad}}}"#);
            assert!(chat(body.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn half_a_character_is_the_replacement_character() {
        let body = br#"{"model":"m","messages":[{"content":"a\ud83d","x":"\ud83d"}],"\ud83d":1}"#;
        let (request, _) = chat(body).unwrap();
        assert_eq!(request.messages[0].content, "a\u{fffd}");
        assert_eq!(request.messages[0].extra.as_deref(), Some(r#"{"x":"\ufffd"}"#));
        assert_eq!(
            generate(br#"{"model":"m","prompt":"\ude00"}"#).unwrap().0.prompt.unwrap(),
            "\u{fffd}"
        );
    }

    #[test]
    fn keys_may_be_written_in_any_case() {
        let body = br#"{"Model":"m","STREAM":false,"Messages":[{"Role":"user","CONTENT":"hi"}],"Options":{}}"#;
        let (request, streamed) = chat(body).unwrap();
        let message = &request.messages[0];
        assert_eq!((request.model.as_str(), streamed), ("m", false));
        assert_eq!((message.role.as_str(), message.content.as_str()), ("user", "hi"));
        assert_eq!(
            (message.extra.as_deref(), request.extra.as_deref()),
            (None, Some(r#"{"Options":{}}"#))
        );
    }

    #[test]
    fn an_embedding_takes_one_text_or_several() {
        for (input, expected) in [
            (r#","input":"a""#, vec!["a"]),
            (r#","input":["a","b"]"#, vec!["a", "b"]),
            (r#","input":"""#, vec![]),
            ("", vec![]),
        ] {
            let body = format!(r#"{{"model":"m"{input}}}"#);
            assert_eq!(embed(body.as_bytes()).unwrap().input, expected, "{body}");
        }
        assert!(embed(br#"{"model":"m","input":[1]}"#).is_err());
        assert!(embed(br#"{"model":"m","input":{}}"#).is_err());
    }
}
