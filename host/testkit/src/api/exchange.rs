//! What a model server or another service is asked and answers, as a test in Rust writes it.

use std::time::Duration;

use super::call;
use crate::case::{self, Action, Body, Call, Content, HttpAnswer, Piece, StreamEnd, Target};

/// A request that the component makes, with its answer. Without more, the answer is 200 and empty, and the
/// request's body does not matter.
#[derive(Clone, Debug)]
pub struct Exchange {
    method: String,
    target: String,
    asked: Vec<(String, String)>,
    body: Option<Body>,
    answer: Option<HttpAnswer>,
    status: u16,
    headers: Vec<(String, String)>,
    pieces: Vec<Piece>,
    whole: Option<Body>,
    end: StreamEnd,
    after: Duration,
    cancelled: bool,
}

impl Exchange {
    /// A request to this path (Ollama) or url (`http://NAME/path`, a service).
    pub fn of(method: &str, target: &str) -> Self {
        Self {
            method: method.to_string(),
            target: target.to_string(),
            asked: Vec::new(),
            body: None,
            answer: None,
            status: 200,
            headers: Vec::new(),
            pieces: Vec::new(),
            whole: None,
            end: StreamEnd::Whole,
            after: Duration::ZERO,
            cancelled: false,
        }
    }

    /// An answer to `POST /api/chat` that says these tokens. [`done`](Self::done) ends it as Ollama does; without, it
    /// breaks off.
    pub fn chat<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Self {
        let mut exchange = Self::of("POST", "/api/chat");
        for token in tokens {
            let message = serde_json::json!({ "role": "assistant", "content": token });
            let line = serde_json::json!({ "message": message, "done": false });
            exchange = exchange.line(&line.to_string());
        }
        exchange
    }

    /// The last line of an answer of Ollama.
    pub fn done(self) -> Self {
        self.line(
            r#"{"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop"}"#,
        )
    }

    /// The JSON that the component must send.
    pub fn asked(mut self, json: &str) -> Self {
        self.body = Some(Body::Json(json.to_string()));
        self
    }

    /// A header that the component must send.
    pub fn asked_header(mut self, name: &str, value: &str) -> Self {
        self.asked.push((name.to_string(), value.to_string()));
        self
    }

    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_string(), value.to_string()));
        self
    }

    /// The whole answer.
    pub fn json(mut self, text: &str) -> Self {
        self.whole = Some(Body::Json(text.to_string()));
        self.header("content-type", "application/json")
    }

    /// The same, of any kind.
    pub fn text(mut self, text: &str) -> Self {
        self.whole = Some(Body::Text(text.to_string()));
        self
    }

    /// One more line of a streamed answer.
    pub fn line(self, text: &str) -> Self {
        self.chunk(format!("{text}\n"))
    }

    /// More bytes of a streamed answer.
    pub fn chunk(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.pieces.push(match String::from_utf8(bytes.into()) {
            Ok(text) => Piece::Text(text),
            Err(error) => Piece::Bytes(error.into_bytes()),
        });
        self
    }

    /// Virtual time before what follows.
    pub fn pause(mut self, time: Duration) -> Self {
        self.pieces.push(Piece::Pause(time));
        self
    }

    /// How the streamed answer ends.
    pub fn end(mut self, end: StreamEnd) -> Self {
        self.end = end;
        self
    }

    /// Virtual time before the answer's head.
    pub fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }

    /// No server is there. For a service, `why` may be an error of `wasi:http`, such as `connection-timeout`.
    pub fn unreachable(mut self, why: &str) -> Self {
        self.answer = Some(HttpAnswer::Unreachable(why.to_string()));
        self
    }

    /// The connection breaks before the answer's head.
    pub fn lost(mut self, how: &str) -> Self {
        self.answer = Some(HttpAnswer::Lost(how.to_string()));
        self
    }

    /// No answer ever comes.
    pub fn silent(mut self) -> Self {
        self.answer = Some(HttpAnswer::Silent);
        self
    }

    /// The component gives it up.
    pub fn cancelled(mut self) -> Self {
        self.cancelled = true;
        self
    }

    pub(super) fn call(self, to: Target) -> Call {
        let content = match self.whole {
            Some(body) => Content::Whole(body),
            None if self.pieces.is_empty() => Content::Empty,
            None => Content::Stream { pieces: self.pieces, lines: false },
        };
        let response = HttpAnswer::Response {
            status: self.status,
            headers: self.headers,
            content,
            end: self.end,
        };
        let exchange = case::Exchange {
            to,
            method: self.method,
            target: self.target,
            headers: self.asked,
            any_body: self.body.is_none(),
            body: self.body,
        };
        let answer = self.answer.unwrap_or(response);
        Call {
            cancelled: self.cancelled,
            after: self.after,
            ..call(Action::Http { exchange, answer })
        }
    }
}
