//! What is seen of calls of models that pass through as they are, such as those of OpenAI's API: which model, how many
//! tokens, when the first piece came. Read from the answer on its way, of which only the beginning and the end are looked at.
//!
//! A figure is found by its key with its quotes and colon. Inside of a text these would be escaped, so no text that a model
//! writes is taken for it; the last figure counts, as what a model makes of a tool's arguments stands before.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Response, header};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;

use crate::body::{Body, BodyGuard as _};
use crate::context::RequestContext;
use crate::outgoing::seen::ClientCall;
use wasm_host_limits::telemetry::{ANSWER_END_BYTES, TEXT_BYTES};
use wasm_host_telemetry::attributes as names;
use wasm_host_telemetry::instruments::{MODEL_DURATION, MODEL_FIRST, MODEL_TOKENS};
use wasm_host_telemetry::metrics::Instrument;

/// What a call is called by OpenTelemetry's conventions. None: it calls no model.
fn operation(method: &Method, path: &str) -> Option<&'static str> {
    if method != Method::POST {
        return None;
    }
    match path {
        "/v1/chat/completions" | "/v1/responses" | "/v1/messages" | "/api/chat" => Some("chat"),
        "/v1/completions" => Some("text_completion"),
        "/api/generate" => Some("generate_content"),
        "/v1/embeddings" | "/api/embed" | "/api/embeddings" => Some("embeddings"),
        _ => None,
    }
}

/// What tokens are called, by OpenAI's APIs and by Ollama's.
const INPUT: [&str; 3] = ["prompt_tokens", "input_tokens", "prompt_eval_count"];
const OUTPUT: [&str; 3] = ["completion_tokens", "output_tokens", "eval_count"];

/// A call that calls a model.
pub(super) struct PassedCall {
    operation: &'static str,
    caller: RequestContext,
}

impl PassedCall {
    /// None: it calls no model, or nothing is seen.
    pub(super) fn of(caller: &RequestContext, method: &Method, path: &str) -> Option<Self> {
        let operation = operation(method, path).filter(|_| caller.trace().is_seen())?;
        Some(Self { operation, caller: caller.clone() })
    }

    /// Watch its answer, and end `call` with it.
    pub(super) fn watch(self, response: Response<Body>, mut call: ClientCall) -> Response<Body> {
        call.span.set(names::AI_OPERATION, self.operation);
        call.span.set(names::AI_PROVIDER, "ollama");
        let streams = streams(response.headers());
        let is_text = !response.headers().contains_key(header::CONTENT_ENCODING);
        let answer =
            PassedAnswer { streams, is_text, first: None, begin: Vec::new(), end: Vec::new() };
        let is_refused = !response.status().is_success();
        response.map(|inner| {
            Watched { inner, of: self, call, answer, is_refused, is_told: false }.boxed_unsync()
        })
    }
}

/// Whether an answer comes piece by piece as the model makes it.
fn streams(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| {
        kind.starts_with("text/event-stream") || kind.starts_with("application/x-ndjson")
    })
}

/// What of an answer is looked at.
struct PassedAnswer {
    streams: bool,
    /// It is not compressed.
    is_text: bool,
    /// When the first piece was there.
    first: Option<Duration>,
    begin: Vec<u8>,
    end: Vec<u8>,
}

impl PassedAnswer {
    fn piece(&mut self, bytes: &[u8]) {
        if !self.is_text {
            return;
        }
        let room = ANSWER_END_BYTES.saturating_sub(self.begin.len());
        self.begin.extend(bytes.iter().take(room));
        let kept = ANSWER_END_BYTES.saturating_sub(bytes.len()).min(self.end.len());
        self.end.drain(..self.end.len() - kept);
        self.end.extend(bytes.iter().skip(bytes.len().saturating_sub(ANSWER_END_BYTES)));
    }

    /// At the beginning, or behind all else.
    fn model(&self) -> Option<String> {
        let found = after(&self.begin, "model", false).or_else(|| after(&self.end, "model", true));
        let rest = found?.strip_prefix(b"\"")?;
        let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        let model = str::from_utf8(rest.get(..end.min(TEXT_BYTES))?).ok()?;
        (!model.is_empty()).then(|| model.to_owned())
    }

    /// The last figure with one of these names.
    fn figure(&self, names: &[&str]) -> Option<u64> {
        let found = names.iter().filter_map(|name| after(&self.end, name, true));
        let rest = found.min_by_key(|rest| rest.len())?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        str::from_utf8(rest.get(..digits)?).ok()?.parse().ok()
    }
}

/// What stands behind a key of a JSON object, the first or the last of that name.
fn after<'t>(text: &'t [u8], key: &str, last: bool) -> Option<&'t [u8]> {
    let key = format!("\"{key}\"");
    let finder = memchr::memmem::Finder::new(&key);
    let mut found = finder.find_iter(text).filter_map(|at| {
        let rest = text.get(at + key.len()..)?.trim_ascii_start().strip_prefix(b":")?;
        Some(rest.trim_ascii_start())
    });
    if last { found.last() } else { found.next() }
}

struct Watched {
    inner: Body,
    of: PassedCall,
    call: ClientCall,
    answer: PassedAnswer,
    is_refused: bool,
    is_told: bool,
}

impl Watched {
    fn passes(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.answer.streams && self.answer.first.is_none() {
            let first = self.call.span.elapsed();
            self.answer.first = Some(first);
            self.call.span.event("first token");
            self.call.span.set(names::AI_FIRST, first.as_secs_f64());
        }
        self.answer.piece(bytes);
    }

    /// Say what was seen. Once: at the end, or where its reader wants no more.
    fn tell(&mut self, kind: &str) {
        if std::mem::replace(&mut self.is_told, true) {
            return;
        }
        let kind = if self.is_refused { "refused" } else { kind };
        let model = self.answer.model().unwrap_or_default();
        if !model.is_empty() {
            self.call.span.set_text(names::AI_MODEL, &model);
        }
        let [input, output] = [INPUT, OUTPUT].map(|names| self.answer.figure(&names));
        for (kind, attribute, count) in
            [("input", names::AI_INPUT_TOKENS, input), ("output", names::AI_OUTPUT_TOKENS, output)]
        {
            let Some(count) = count else { continue };
            self.call.span.set(attribute, count);
            self.measure(&MODEL_TOKENS, &model, kind, count as f64);
        }
        self.measure(&MODEL_DURATION, &model, kind, self.call.span.elapsed().as_secs_f64());
        if let Some(first) = self.answer.first {
            self.measure(&MODEL_FIRST, &model, "", first.as_secs_f64());
        }
    }

    fn measure(&self, instrument: &'static Instrument, model: &str, last: &str, value: f64) {
        let Some(served) = self.of.caller.served() else { return };
        let labels = [&*served.service, self.of.operation, model, last];
        let labels = labels.get(..instrument.labels.len()).unwrap_or(&labels);
        self.of.caller.trace().measure_call(instrument, labels, value);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.tell(if self.inner.is_end_stream() { "" } else { "cancelled" });
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = wasmtime_wasi_http::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                this.passes(frame.data_ref().map(AsRef::as_ref).unwrap_or_default());
            }
            Poll::Ready(Some(Err(why))) => {
                this.call.broke(why);
                this.tell("interrupted");
            }
            Poll::Ready(None) => this.tell(""),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(pieces: &[&str]) -> PassedAnswer {
        let mut answer = PassedAnswer {
            streams: false,
            is_text: true,
            first: None,
            begin: Vec::new(),
            end: Vec::new(),
        };
        pieces.iter().for_each(|piece| answer.piece(piece.as_bytes()));
        answer
    }

    fn figures(answer: &PassedAnswer) -> [Option<u64>; 2] {
        [INPUT, OUTPUT].map(|names| answer.figure(&names))
    }

    #[test]
    fn model_and_tokens_are_read_from_answers_of_either_api() {
        let whole = r#"{"id":"1","model":"llama3.2","choices":[],"usage":{"prompt_tokens":26,"completion_tokens":298,"total_tokens":324}}"#;
        let pieces = [
            "data: {\"model\": \"llama3.2\",\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n",
            "data: {\"model\":\"other\",\"usage\":{\"prompt_tokens\": 26,\"completion_",
            "tokens\": 298}}\n\ndata: [DONE]\n\n",
        ];
        let lines = [
            "{\"model\":\"llama3.2\",\"response\":\"Hi\",\"done\":false}\n",
            "{\"model\":\"llama3.2\",\"done\":true,\"prompt_eval_count\":26,\"eval_count\":298}\n",
        ];
        for answer in [answer(&[whole]), answer(&pieces), answer(&lines)] {
            assert_eq!(answer.model().as_deref(), Some("llama3.2"));
            assert_eq!(figures(&answer), [Some(26), Some(298)]);
        }
    }

    #[test]
    fn what_a_model_writes_is_not_taken_for_a_figure() {
        let said =
            r#"{"content":"{\"usage\":{\"prompt_tokens\":99}, \"model\":\"evil\"","model":"m"}"#;
        let answer = answer(&[said]);
        assert_eq!(answer.model().as_deref(), Some("m"));
        assert_eq!(figures(&answer), [None, None]);
    }

    #[test]
    fn what_a_model_asks_of_a_tool_is_not_taken_for_a_figure_either() {
        let asked = r#"{"message":{"tool_calls":[{"function":{"arguments":{"prompt_tokens":99,"eval_count":99}}}]},"prompt_eval_count":1,"eval_count":2,"model":"m"}"#;
        let answer = answer(&[asked]);
        assert_eq!(figures(&answer), [Some(1), Some(2)]);
    }

    #[test]
    fn a_model_that_is_named_behind_its_vectors_is_found() {
        let vectors = format!(r#"{{"data":[{}1]"#, "0.123456789,".repeat(ANSWER_END_BYTES / 12));
        let answer = answer(&[&vectors, r#","model":"m","usage":{"prompt_tokens":3}}"#]);
        assert_eq!(answer.model().as_deref(), Some("m"));
        assert_eq!(figures(&answer), [Some(3), None]);
    }

    #[test]
    fn of_a_long_answer_only_the_beginning_and_the_end_are_held() {
        let long = "x".repeat(3 * ANSWER_END_BYTES);
        let end = r#","usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
        let answer = answer(&[r#"{"model":"m","text":""#, &long, "\"", end]);
        assert_eq!(answer.model().as_deref(), Some("m"));
        assert_eq!(figures(&answer), [Some(1), Some(2)]);
        assert!(answer.begin.len() <= ANSWER_END_BYTES && answer.end.len() <= ANSWER_END_BYTES);
    }

    #[test]
    fn only_calls_of_models_are_looked_at() {
        assert_eq!(operation(&Method::POST, "/v1/chat/completions"), Some("chat"));
        assert_eq!(operation(&Method::GET, "/v1/models"), None);
        assert_eq!(operation(&Method::POST, "/api/pull"), None);
    }
}
