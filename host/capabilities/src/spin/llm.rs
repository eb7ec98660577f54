//! `fermyon:spin/llm` on the granted Ollama server.

use serde::Deserialize;
use wasmtime::component::Linker;

use super::bindings::llm::{
    EmbeddingsResult, EmbeddingsUsage, Error, InferencingParams, InferencingResult,
    InferencingUsage,
};
use super::call::{Call, Refused};
use crate::budget::hold_for_call;
use crate::context::RequestContext;
use crate::instance::HasInstance;
use crate::ollama::Ollama;
use crate::ollama::backend::{self, EmbedRequest, GenerateRequest, Server};
use wasm_host_limits::ollama::{ANSWER_BYTES, REQUEST_BYTES};

const NOT_GRANTED: &str =
    "access denied: no Ollama server is granted to this service (`ollama` in the application file)";

/// What Spin itself takes where a component gives no parameters.
const DEFAULTS: InferencingParams = InferencingParams {
    max_tokens: 100,
    repeat_penalty: 1.1,
    repeat_penalty_last_n_token_count: 64,
    temperature: 0.8,
    top_k: 40,
    top_p: 0.9,
};

pub(super) fn link<T: HasInstance>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut instance = linker.instance("fermyon:spin/llm@2.0.0")?;
    instance.func_wrap_async(
        "infer",
        |mut store, (model, prompt, params): (String, String, Option<InferencingParams>)| {
            let call = Call::of_store(&mut store).alone();
            Box::new(async move { Ok((infer(call, model, prompt, params).await,)) })
        },
    )?;
    instance.func_wrap_async(
        "generate-embeddings",
        |mut store, (model, text): (String, Vec<String>)| {
            let call = Call::of_store(&mut store).alone();
            Box::new(async move { Ok((embed(call, model, text).await,)) })
        },
    )
}

async fn infer(
    call: Call,
    model: String,
    prompt: String,
    params: Option<InferencingParams>,
) -> Result<InferencingResult, Error> {
    let server = call.granted.of::<Ollama>().cloned().ok_or_else(not_granted)?;
    let given = given([&model, &prompt])?;
    let request = GenerateRequest {
        model,
        prompt: Some(prompt),
        extra: Some(options(&params.unwrap_or(DEFAULTS))),
    };
    call.run(given, true, |caller| said(&*server, request, caller)).await
}

/// Everything that the model says, and how much that was.
async fn said(
    server: &dyn Server,
    request: GenerateRequest,
    caller: RequestContext,
) -> Result<InferencingResult, Error> {
    let mut stream = server.generate(request, caller).await?;
    let mut text = String::new();
    while let Some(event) = stream.items.recv().await {
        let event = event.open();
        if text.len() + event.content.len() > ANSWER_BYTES {
            let why = format!("the model said more than {ANSWER_BYTES} bytes");
            return Err(Error::RuntimeError(why));
        }
        hold_for_call(event.content.len()).map_err(|full| Error::from(Refused::Busy(full)))?;
        text.push_str(&event.content);
    }
    let summary = stream.done.await.unwrap_or(Err(backend::Error::Truncated))?;
    let usage = InferencingUsage {
        prompt_token_count: count(summary.prompt_eval_count),
        generated_token_count: count(summary.eval_count),
    };
    Ok(InferencingResult { text, usage })
}

async fn embed(call: Call, model: String, text: Vec<String>) -> Result<EmbeddingsResult, Error> {
    let server = call.granted.of::<Ollama>().cloned().ok_or_else(not_granted)?;
    let given = given(text.iter().chain([&model]))?;
    let request = EmbedRequest { model, input: text, extra: None };
    let answer = call.run(given, true, |caller| async {
        let answer = server.embed(request, caller).await;
        answer.map_err(Error::from)
    });
    let backend::Embeddings { vectors, raw } = answer.await?;
    let usage = EmbeddingsUsage { prompt_token_count: prompt_tokens(&raw) };
    Ok(EmbeddingsResult { embeddings: vectors, usage })
}

/// Tokens of the texts, as the server's answer counts them.
fn prompt_tokens(raw: &str) -> u32 {
    #[derive(Deserialize)]
    struct Counted {
        prompt_eval_count: Option<u64>,
    }
    let counted: Option<Counted> = serde_json::from_str(raw).ok();
    count(counted.and_then(|counted| counted.prompt_eval_count).unwrap_or_default())
}

fn count(tokens: u64) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}

/// The parameters as Ollama's options.
fn options(params: &InferencingParams) -> String {
    serde_json::json!({
        "options": {
            "num_predict": params.max_tokens,
            "repeat_penalty": shortest(params.repeat_penalty),
            "repeat_last_n": params.repeat_penalty_last_n_token_count,
            "temperature": shortest(params.temperature),
            "top_k": params.top_k,
            "top_p": shortest(params.top_p),
        }
    })
    .to_string()
}

/// The number as people write it: 1.1, not 1.10000002384.
fn shortest(number: f32) -> f64 {
    number.to_string().parse().unwrap_or_default()
}

/// Bytes of what a guest has given. An error, if it is more than can be sent.
fn given<'a>(texts: impl IntoIterator<Item = &'a String>) -> Result<usize, Error> {
    let bytes: usize = texts.into_iter().map(String::len).sum();
    if bytes > REQUEST_BYTES {
        return Err(Error::InvalidInput(format!("it has more than {REQUEST_BYTES} bytes")));
    }
    Ok(bytes)
}

fn not_granted() -> Error {
    Error::RuntimeError(NOT_GRANTED.to_owned())
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self::RuntimeError(refused.to_string())
    }
}

impl From<backend::Error> for Error {
    fn from(error: backend::Error) -> Self {
        use backend::Error as Of;
        match error {
            Of::Refused(refusal) if refusal.status == 404 => Self::ModelNotSupported,
            Of::Invalid(why) => Self::InvalidInput(why),
            Of::Refused(refusal) => Self::RuntimeError(refusal.message),
            Of::Unreachable(why)
            | Of::TimedOut(why)
            | Of::Interrupted(why)
            | Of::Malformed(why)
            | Of::Busy(why) => Self::RuntimeError(why),
            Of::Truncated => Self::RuntimeError("the answer ended before its end".to_owned()),
            Of::Cancelled => Refused::Cancelled.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_the_options_of_ollama_with_the_numbers_that_were_written() {
        let text = options(&DEFAULTS);
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            read["options"],
            serde_json::json!({
                "num_predict": 100, "repeat_penalty": 1.1, "repeat_last_n": 64,
                "temperature": 0.8, "top_k": 40, "top_p": 0.9,
            })
        );
    }

    #[test]
    fn a_model_that_is_not_there_is_not_supported() {
        let refused = |status| {
            Error::from(backend::Error::Refused(backend::Refusal {
                status,
                message: "no".to_owned(),
                body: String::new(),
            }))
        };
        assert!(matches!(refused(404), Error::ModelNotSupported));
        assert!(matches!(refused(500), Error::RuntimeError(why) if why == "no"));
    }

    #[test]
    fn the_tokens_of_embedded_texts_are_read_from_the_answer() {
        assert_eq!(prompt_tokens(r#"{"embeddings":[],"prompt_eval_count":7}"#), 7);
        assert_eq!(prompt_tokens(r#"{"embeddings":[]}"#), 0);
        assert_eq!(prompt_tokens("no"), 0);
    }
}
