//! What is seen of calls of a model server: which model, how many tokens, when the first came. What is said only where
//! the application file wants it seen.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::backend::{ChatRequest, Error, Event, GenerateRequest, Progress, Summary};
use super::json;
use crate::context::RequestContext;
use crate::figures::Figure;
use wasm_host_limits::telemetry::{MESSAGE_BYTES, TEXT_BYTES};
use wasm_host_telemetry::attributes as names;
use wasm_host_telemetry::context::TraceContext;
use wasm_host_telemetry::instruments::{MODEL_DURATION, MODEL_FIRST, MODEL_TOKENS};
use wasm_host_telemetry::metrics::Instrument;
use wasm_host_telemetry::span::Kind;
use wasm_host_telemetry::trace::ActiveSpan;

/// Of the role of a message. Roles are single words.
const ROLE_BYTES: usize = 64;

/// Where calls of a service are counted, which has one model server.
pub(super) fn figures() -> Vec<Figure> {
    vec![Figure::new(&MODEL_DURATION, [])]
}

/// A call under way.
pub(super) struct ModelCall {
    span: ActiveSpan,
    caller: RequestContext,
    operation: &'static str,
    model: Arc<str>,
    first: Option<Duration>,
    /// What the model has said, where that is wanted.
    said: Option<String>,
}

/// What a stream of a model server has.
pub(super) trait Noticed {
    fn notice(&self, call: &mut ModelCall);
}

impl ModelCall {
    pub(super) fn begin(caller: &RequestContext, operation: &'static str, model: &str) -> Self {
        let is_seen = caller.trace().is_seen();
        let model = if is_seen { model.get(..model.floor_char_boundary(TEXT_BYTES)) } else { None };
        let model = model.unwrap_or_default();
        let name: Cow<'static, str> = match (is_seen, model) {
            (false, _) | (_, "") => operation.into(),
            _ => format!("{operation} {model}").into(),
        };
        let mut span = caller.span(name, Kind::Client);
        span.set(names::AI_OPERATION, operation);
        span.set(names::AI_PROVIDER, "ollama");
        if !model.is_empty() {
            span.set_text(names::AI_MODEL, model);
        }
        let captures = span.is_seen() && caller.trace().captures_messages();
        Self {
            span,
            caller: caller.clone(),
            operation,
            model: model.into(),
            first: None,
            said: captures.then(String::new),
        }
    }

    pub(super) fn chat(caller: &RequestContext, request: &ChatRequest) -> Self {
        let mut call = Self::begin(caller, "chat", &request.model);
        if call.said.is_some() {
            let messages = request.messages.iter();
            call.asked(messages.map(|message| (&*message.role, &*message.content)));
        }
        call
    }

    pub(super) fn generate(caller: &RequestContext, request: &GenerateRequest) -> Self {
        let mut call = Self::begin(caller, "generate_content", &request.model);
        if call.said.is_some() {
            call.asked(request.prompt.iter().map(|prompt| ("user", &**prompt)));
        }
        call
    }

    /// Where it stands in its trace.
    pub(super) fn context(&self) -> Option<TraceContext> {
        self.caller.trace().context_of_call(&self.span)
    }

    fn asked<'m>(&mut self, messages: impl Iterator<Item = (&'m str, &'m str)>) {
        let mut left = MESSAGE_BYTES;
        let messages = messages.map_while(|(role, content)| {
            let shown = fitting(role, content, left)?;
            left = left.saturating_sub(shown.len() + 1);
            Some(shown)
        });
        self.span.set(names::AI_INPUT, json::array(&messages.collect::<Vec<_>>()));
    }

    /// The server has answered, if not all yet.
    fn piece(&mut self, text: &str) {
        if self.first.is_none() && !text.is_empty() {
            let first = self.span.elapsed();
            self.first = Some(first);
            self.span.event("first token");
            self.span.set(names::AI_FIRST, first.as_secs_f64());
        }
        if let Some(said) = &mut self.said {
            let room = MESSAGE_BYTES.saturating_sub(said.len());
            said.push_str(text.get(..text.floor_char_boundary(room)).unwrap_or_default());
        }
    }

    fn tokens(&mut self, kind: &'static str, attribute: &'static str, count: u64) {
        self.span.set(attribute, count);
        self.measure(&MODEL_TOKENS, Some(kind), count as f64);
    }

    pub(super) fn ended<S: Noticed>(mut self, result: &Result<S, Error>) {
        match result {
            Ok(summary) => summary.notice(&mut self),
            Err(error) => return self.failed(error),
        }
        self.end("");
    }

    pub(super) fn failed(mut self, error: &Error) {
        let (kind, why) = describe(error);
        match error {
            // Nothing went wrong: it was not wanted any more.
            Error::Cancelled => self.span.set(names::LEFT, true),
            _ => self.span.fail(kind, &why),
        }
        self.end(kind);
    }

    fn end(&mut self, kind: &str) {
        if let Some(said) = self.said.take() {
            let said: Vec<_> = fitting("assistant", &said, MESSAGE_BYTES).into_iter().collect();
            self.span.set(names::AI_OUTPUT, json::array(&said));
        }
        self.measure(&MODEL_DURATION, Some(kind), self.span.elapsed().as_secs_f64());
        if let Some(first) = self.first {
            self.measure(&MODEL_FIRST, None, first.as_secs_f64());
        }
    }

    fn measure(&self, instrument: &'static Instrument, last: Option<&str>, value: f64) {
        let Some(served) = self.caller.served().filter(|_| self.caller.trace().is_seen()) else {
            return;
        };
        let labels = [&*served.service, self.operation, &*self.model, last.unwrap_or_default()];
        let labels = labels.get(..instrument.labels.len()).unwrap_or(&labels);
        self.caller.trace().measure_call(instrument, labels, value);
    }
}

/// As much of a message as so many bytes of JSON have room for. None: nothing of it.
fn fitting(role: &str, content: &str, room: usize) -> Option<String> {
    let role = role.get(..role.floor_char_boundary(ROLE_BYTES))?;
    let mut left = room.checked_sub(message(role, "").len())?;
    let mut cut = 0;
    for (at, character) in content.char_indices() {
        let Some(rest) = left.checked_sub(escaped(character)) else { break };
        (left, cut) = (rest, at + character.len_utf8());
    }
    let shown = content.get(..cut).filter(|shown| content.is_empty() || !shown.is_empty())?;
    Some(message(role, shown))
}

/// The most that a character takes in a text of JSON.
fn escaped(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        _ => character.len_utf8(),
    }
}

/// A message as the semantic conventions have it.
fn message(role: &str, content: &str) -> String {
    let (role, content) = (json::text(role), json::text(content));
    format!(r#"{{"role":{role},"parts":[{{"type":"text","content":{content}}}]}}"#)
}

/// What kind of failure, and why. Not what the server says: it may repeat what it was asked.
fn describe(error: &Error) -> (&'static str, Cow<'_, str>) {
    match error {
        Error::Unreachable(why) => ("unreachable", why.into()),
        Error::TimedOut(why) => ("timeout", why.into()),
        Error::Invalid(why) => ("invalid", why.into()),
        Error::Refused(refusal) => {
            ("refused", format!("the server answered {}", refusal.status).into())
        }
        Error::Interrupted(_) => ("interrupted", "the server gave up".into()),
        Error::Truncated => ("truncated", "the stream ended without its last item".into()),
        Error::Malformed(_) => ("malformed", "the answer is not of this protocol".into()),
        Error::Busy(why) => ("busy", why.into()),
        Error::Cancelled => ("cancelled", "cancelled".into()),
    }
}

impl Noticed for Event {
    fn notice(&self, call: &mut ModelCall) {
        let thinks = self.thinking.as_deref().filter(|_| self.content.is_empty());
        // Where a model thinks aloud or calls a tool, it has begun to answer.
        if let Some(thought) = thinks.or(self.tool_calls.as_deref()) {
            let said = call.said.take();
            call.piece(thought);
            call.said = said;
        }
        call.piece(&self.content);
    }
}

impl Noticed for Summary {
    fn notice(&self, call: &mut ModelCall) {
        call.tokens("input", names::AI_INPUT_TOKENS, self.prompt_eval_count);
        call.tokens("output", names::AI_OUTPUT_TOKENS, self.eval_count);
    }
}

impl Noticed for Progress {
    fn notice(&self, call: &mut ModelCall) {
        call.piece(&self.status);
    }
}

impl Noticed for () {
    fn notice(&self, _: &mut ModelCall) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ObservedRequests;
    use wasm_host_telemetry::span::Value;

    /// What is kept of what was asked and said.
    fn kept(messages: &[(&str, &str)], said: &str) -> [Vec<serde_json::Value>; 2] {
        let seen = ObservedRequests::new(true);
        let caller = seen.request(0);
        let mut call = ModelCall::begin(&caller, "chat", "m");
        call.asked(messages.iter().copied());
        call.piece(said);
        call.ended(&Ok(()));
        drop(caller);
        let (attributes, why) = seen.collected.call();
        assert_eq!(why, None);
        [names::AI_INPUT, names::AI_OUTPUT].map(|name| {
            let found = attributes.iter().find(|(known, _)| known == name);
            let Some((_, Value::Text(text))) = found else { panic!("no {name}") };
            assert!(text.len() <= MESSAGE_BYTES + 2, "{name} has {}", text.len());
            serde_json::from_str(text).unwrap()
        })
    }

    #[test]
    fn messages_are_kept_up_to_their_bound_whatever_is_in_them() {
        let [asked, said] = kept(&[("system", ""), ("user", "a \"b\"\n")], "c");
        assert_eq!(asked[0]["role"], "system");
        assert_eq!(asked[1]["parts"][0]["content"], "a \"b\"\n");
        assert_eq!(said[0]["parts"][0]["content"], "c");

        // Each of these is more in JSON than the trace has room for.
        let controls = "\u{1}".repeat(MESSAGE_BYTES);
        let [asked, said] = kept(&[("user", &controls), ("user", "late")], &controls);
        for shown in [&asked, &said] {
            assert_eq!(shown.len(), 1);
            let content = shown[0]["parts"][0]["content"].as_str().unwrap();
            assert!(content.len() > MESSAGE_BYTES / 8, "{}", content.len());
        }
        let many = vec![("user", "a"); 100_000];
        let [asked, _] = kept(&many, "");
        assert!((100..1000).contains(&asked.len()), "{}", asked.len());
        let role = "r".repeat(MESSAGE_BYTES);
        let [asked, _] = kept(&[(&role, "a")], "");
        assert_eq!(asked[0]["role"].as_str().unwrap().len(), ROLE_BYTES);
    }
}
