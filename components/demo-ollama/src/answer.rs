//! Carries out a [`Talk`]: makes the text at once, which costs microseconds, and sends it at the
//! pace of a small model, so that streaming can be seen.

use std::sync::{Once, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use wasm_host_guest::bindings::wasi::clocks::monotonic_clock::wait_for;
use wasm_host_guest::{Body, BodyWriter, Disconnected, IntoResponse, Json, Response, header};

use crate::api::{self, Figures};
use crate::library;
use crate::model::{self, Answer};
use crate::openai::Chunks;
use crate::table::TABLE;
use crate::talk::Talk;
use crate::tokens;
use crate::topics::Topics;

/// About 30 tokens in a second.
const PACE: Duration = Duration::from_millis(33);

/// Wait while others are served.
pub(crate) async fn wait(duration: Duration) {
    if !duration.is_zero() {
        wait_for(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)).await;
    }
}

/// How an answer is written down.
pub(crate) enum Form {
    /// Ollama's own
    Native,
    /// that of `/v1/chat/completions`
    OpenAi(Chunks),
}

/// A text that is made and not yet sent.
struct Begun {
    talk: Talk,
    form: Form,
    answer: Answer,
    started: Instant,
    figures: Figures,
}

pub(crate) async fn respond(talk: Talk, form: Form) -> Response {
    let now = SystemTime::now();
    let started = Instant::now();
    let topics = topics();
    let load = started.elapsed();
    if talk.prompt.is_empty() {
        let reason = if talk.keep_alive.is_zero() { "unload" } else { "load" };
        library::with(now, |library| library.load(talk.kind, now, talk.keep_alive));
        let last = api::piece(talk.shape, &talk.model, now, "");
        // No figures: Ollama gives none here either.
        return Json(api::finish(last, reason, &Figures::default())).into_response();
    }

    // In memory while it works, whatever becomes of it afterwards.
    let working = talk.keep_alive.max(Duration::from_secs(60));
    library::with(now, |library| library.load(talk.kind, now, working));
    let answer = model::answer(&TABLE, topics, talk.kind.context, &talk.prompt(), &talk.options);
    let figures = Figures {
        load,
        // The whole text is made here; what follows is the pace.
        prompt: started.elapsed().saturating_sub(load),
        prompt_count: talk.prompt.iter().map(|(text, _)| tokens::split(text).len()).sum(),
        count: answer.pieces.len(),
        ..Figures::default()
    };
    let stream = talk.stream;
    let begun = Begun { talk, form, answer, started, figures };
    if !stream {
        return begun.whole().await;
    }
    let content_type = match begun.form {
        Form::Native => crate::LINES,
        Form::OpenAi(_) => "text/event-stream",
    };
    let body = Body::produce(|mut writer| async move {
        // The reader having gone is no fault of the body; there is nobody left to tell.
        let _ = begun.stream(&mut writer).await;
        Ok(())
    });
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}

impl Begun {
    async fn stream(mut self, writer: &mut BodyWriter) -> Result<(), Disconnected> {
        let evaluating = Instant::now();
        for text in &self.answer.pieces {
            wait(PACE).await;
            let now = SystemTime::now();
            let bytes = match &self.form {
                Form::Native => api::line(&Value::Object(api::piece(
                    self.talk.shape,
                    &self.talk.model,
                    now,
                    text,
                ))),
                Form::OpenAi(chunks) => chunks.piece(text),
            };
            writer.write(bytes).await?;
        }
        let last = self.last(evaluating, "");
        let bytes = match &self.form {
            Form::Native => api::line(&last),
            Form::OpenAi(chunks) => chunks.last(self.reason(), &self.figures),
        };
        writer.write(bytes).await
    }

    async fn whole(mut self) -> Response {
        let evaluating = Instant::now();
        wait(PACE * u32::try_from(self.answer.pieces.len()).unwrap_or(u32::MAX)).await;
        let text = self.answer.pieces.concat();
        let last = self.last(evaluating, &text);
        let body = match &self.form {
            Form::Native => last,
            Form::OpenAi(chunks) => chunks.whole(&text, self.reason(), &self.figures),
        };
        Json(body).into_response()
    }

    fn reason(&self) -> &'static str {
        if self.answer.cut_off { "length" } else { "stop" }
    }

    /// The last line, once all is sent. From now on the model's time in memory counts.
    fn last(&mut self, evaluating: Instant, text: &str) -> Value {
        let now = SystemTime::now();
        self.figures.eval = evaluating.elapsed();
        self.figures.total = self.started.elapsed();
        library::with(now, |library| {
            library.load(self.talk.kind, now, self.talk.keep_alive);
        });
        let last = api::piece(self.talk.shape, &self.talk.model, now, text);
        api::finish(last, self.reason(), &self.figures)
    }
}

/// What the model is told to talk about, built and announced on first use.
fn topics() -> &'static Topics {
    static TOPICS: OnceLock<Topics> = OnceLock::new();
    static SAID: Once = Once::new();
    SAID.call_once(|| eprintln!("demo-ollama: {}", api::NOTE));
    TOPICS.get_or_init(|| Topics::new(&TABLE))
}
