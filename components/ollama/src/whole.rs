//! A streamed answer put together into the one object that `"stream": false` asks for, as Ollama
//! does it: the last line, with the texts of all of them. Pure.

use serde_json::value::RawValue;
use wasm_host_guest::ollama::Event;

use crate::json::{self, Members};

/// Where an answer's text is: in the line itself, or in its `message`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Generate,
    Chat,
}

/// What has been said so far.
pub(crate) struct Whole {
    kind: Kind,
    content: String,
    thinking: String,
    tool_calls: Vec<String>,
    logprobs: Vec<String>,
    /// The last line.
    last: String,
}

impl Whole {
    pub(crate) fn new(kind: Kind) -> Self {
        let (tool_calls, logprobs) = (Vec::new(), Vec::new());
        let (content, thinking, last) = (String::new(), String::new(), String::new());
        Self { kind, content, thinking, tool_calls, logprobs, last }
    }

    pub(crate) fn add(&mut self, event: Event) {
        self.content.push_str(&event.content);
        self.thinking.push_str(event.thinking.as_deref().unwrap_or_default());
        if let Some(calls) = &event.tool_calls {
            elements(calls, &mut self.tool_calls);
        }
        // They are rare and in the line itself, so only lines that mention them are read again.
        if event.raw.contains("\"logprobs\"")
            && let Ok(line) = Members::parse(&event.raw)
            && let Some(logprobs) = line.get("logprobs")
        {
            elements(logprobs.get(), &mut self.logprobs);
        }
        self.last = event.raw;
    }

    /// The object. Nothing if nothing was said.
    pub(crate) fn finish(self) -> Option<String> {
        let line = Members::parse(&self.last).ok()?;
        let content = json::text(&self.content);
        let thinking = json::text(&self.thinking);
        let calls = array(&self.tool_calls);
        let logprobs = array(&self.logprobs);

        let mut said = Vec::new();
        if !self.thinking.is_empty() {
            said.push(("thinking", thinking.as_str()));
        }
        if !self.tool_calls.is_empty() {
            said.push(("tool_calls", calls.as_str()));
        }
        let message;
        let mut set = match self.kind {
            Kind::Generate => {
                said.insert(0, ("response", content.as_str()));
                said
            }
            Kind::Chat => {
                said.insert(0, ("content", content.as_str()));
                let text = line.get("message").map_or(r#"{"role":"assistant"}"#, RawValue::get);
                message = Members::parse(text).ok()?.with(&said);
                vec![("message", message.as_str())]
            }
        };
        if !self.logprobs.is_empty() {
            set.push(("logprobs", logprobs.as_str()));
        }
        Some(line.with(&set))
    }
}

/// The elements of a JSON array, as text.
fn elements(array: &str, into: &mut Vec<String>) {
    if let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(array) {
        into.extend(elements.into_iter().map(|element| element.get().to_string()));
    }
}

fn array(elements: &[String]) -> String {
    format!("[{}]", elements.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(content: &str, thinking: Option<&str>, calls: Option<&str>, raw: &str) -> Event {
        Event {
            content: content.into(),
            thinking: thinking.map(str::to_string),
            tool_calls: calls.map(str::to_string),
            done: None,
            raw: raw.into(),
        }
    }

    fn whole(kind: Kind, events: Vec<Event>) -> Option<String> {
        let mut whole = Whole::new(kind);
        events.into_iter().for_each(|event| whole.add(event));
        whole.finish()
    }

    #[test]
    fn generate_is_the_last_line_with_all_the_text() {
        let events = vec![
            event("", Some("hm"), None, r#"{"model":"m","response":"","thinking":"hm"}"#),
            event("a", None, None, r#"{"model":"m","response":"a","logprobs":[{"t":1}]}"#),
            event("b", None, None, r#"{"response":"b","logprobs":[{"t":2},{"t":3}]}"#),
            event("", None, None, r#"{"model":"m","response":"","done":true,"eval_count":2}"#),
        ];
        assert_eq!(
            whole(Kind::Generate, events).unwrap(),
            r#"{"model":"m","response":"ab","done":true,"eval_count":2,"thinking":"hm","logprobs":[{"t":1},{"t":2},{"t":3}]}"#
        );
    }

    #[test]
    fn chat_puts_text_thinking_and_tool_calls_into_the_message() {
        let events = vec![
            event("a ", Some("1"), None, r#"{"message":{"role":"assistant","content":"a "}}"#),
            event("b", Some("2"), Some(r#"[{"x":1.0}]"#), "{}"),
            event(
                "",
                None,
                Some(r#"[{"y":2}]"#),
                r#"{"message":{"role":"assistant","content":"","tool_calls":[{"y":2}]},"done":true}"#,
            ),
        ];
        assert_eq!(
            whole(Kind::Chat, events).unwrap(),
            r#"{"message":{"role":"assistant","content":"a b","tool_calls":[{"x":1.0},{"y":2}],"thinking":"12"},"done":true}"#
        );
        let bare = vec![event("", None, None, r#"{"done":true}"#)];
        assert_eq!(
            whole(Kind::Chat, bare).unwrap(),
            r#"{"done":true,"message":{"role":"assistant","content":""}}"#
        );
    }

    #[test]
    fn nothing_said_is_nothing() {
        assert_eq!(whole(Kind::Chat, Vec::new()), None);
    }
}
