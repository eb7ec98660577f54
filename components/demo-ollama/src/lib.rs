//! `demo-ollama` speaks Ollama's HTTP API on machines that have no Ollama, so that everything that
//! talks to one can be tried: forecast, model library, chat. Its texts come from a small
//! statistical model that is trained on `corpus/` when the component is built, and its names say
//! that it is a demo.
//!
//! What an instance remembers, and what is lost with it: a component has no storage, so pulled,
//! deleted and loaded models are remembered by the instance that was asked. A new instance lists
//! `demo:latest` and nothing else. For the list to be right, the application file gives this
//! service one instance that serves all requests at the same time and is not ended for being idle
//! or after so many requests. Where an instance goes all the same, little breaks: `demo:tiny` still
//! answers who asks for it by name, which brings it back into the list, and a deleted model may be
//! back.

mod answer;
mod api;
mod embed;
mod fields;
mod library;
mod model;
mod openai;
mod pull;
mod random;
mod route;
mod table;
mod talk;
mod time;
mod tokens;
mod topics;
#[cfg(test)]
mod train;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use wasm_host_guest::{Body, BodyError, IntoResponse, Json, Request, Response, StatusCode, header};

use answer::Form;
use api::Shape;
use fields::{Fields, Refusal};
use library::Kind;
use openai::Chunks;
use route::Route;
use talk::Talk;

/// The largest body, in bytes: long conversations fit, pictures are not looked at anyway.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The content type of an answer of several lines.
const LINES: &str = "application/x-ndjson";

wasm_host_guest::service!(serve);

async fn serve(request: Request) -> Response {
    let path = request.uri().path().to_string();
    let route = route::route(request.method(), &path);
    match answer(route, &path, request).await {
        Ok(response) => response,
        Err(refusal) if path.starts_with("/v1/") => {
            (refusal.status, Json(openai::refusal(&refusal))).into_response()
        }
        Err(refusal) => (refusal.status, Json(refusal.body())).into_response(),
    }
}

async fn answer(route: Route, path: &str, request: Request) -> Result<Response, Refusal> {
    let now = SystemTime::now();
    match route {
        Route::Running => Ok("Ollama is running".into_response()),
        Route::Version => Ok(ok(&api::version())),
        Route::Tags => Ok(ok(&library::with(now, |library| api::tags(library)))),
        Route::Ps => Ok(ok(&library::with(now, |library| api::ps(library, now)))),
        Route::OpenAiModels => Ok(ok(&library::with(now, |library| openai::models(library)))),
        Route::Show => show(&fields(request).await?, now),
        Route::Generate => talk(Shape::Response, &fields(request).await?, now).await,
        Route::Chat => talk(Shape::Message, &fields(request).await?, now).await,
        Route::OpenAiChat => openai_chat(&fields(request).await?, now).await,
        Route::Embed => embed(&fields(request).await?, now),
        Route::Embeddings => embeddings(&fields(request).await?, now),
        Route::Pull => pull(&fields(request).await?, now).await,
        Route::Delete => delete(&fields(request).await?, now),
        Route::Absent => Err(Refusal::new(
            StatusCode::NOT_IMPLEMENTED,
            format!("this is the demo service, which has no {path}"),
        )),
        Route::MethodNotAllowed(methods) => {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            Ok((status, [(header::ALLOW, methods)], "405 method not allowed").into_response())
        }
        Route::NotFound => Ok((StatusCode::NOT_FOUND, "404 page not found").into_response()),
    }
}

fn ok(body: &Value) -> Response {
    Json(body).into_response()
}

async fn fields(request: Request) -> Result<Fields, Refusal> {
    let body = request.into_body().bytes(BODY_BYTES_MAX).await.map_err(|error| match error {
        BodyError::TooLarge { limit } => Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the request body is larger than {limit} bytes"),
        ),
        BodyError::Incomplete | BodyError::Json(_) | BodyError::Other(_) => {
            Refusal::new(StatusCode::BAD_REQUEST, "the request body ended before its end")
        }
    })?;
    Fields::parse(&body)
}

/// An installed model and since when.
fn installed(name: &str, now: SystemTime) -> Result<(&'static Kind, SystemTime), Refusal> {
    library::with(now, |library| library.wanted(name, now)).ok_or_else(|| Refusal::not_found(name))
}

fn show(fields: &Fields, now: SystemTime) -> Result<Response, Refusal> {
    let (kind, since) = installed(fields.model()?, now)?;
    Ok(ok(&api::show(kind, since)))
}

fn delete(fields: &Fields, now: SystemTime) -> Result<Response, Refusal> {
    let name = fields.model()?;
    if library::with(now, |library| library.delete(name, now)) {
        Ok(().into_response())
    } else {
        Err(Refusal::not_found(name))
    }
}

async fn talk(shape: Shape, fields: &Fields, now: SystemTime) -> Result<Response, Refusal> {
    let seed = random::seed();
    let talk = library::with(now, |library| Talk::parse(shape, fields, library, now, seed))?;
    Ok(answer::respond(talk, Form::Native).await)
}

async fn openai_chat(fields: &Fields, now: SystemTime) -> Result<Response, Refusal> {
    let native = openai::chat_fields(fields)?;
    let seed = random::seed();
    let talk =
        library::with(now, |library| Talk::parse(Shape::Message, &native, library, now, seed))?;
    let wanted = fields.get("stream_options").and_then(|options| options.get("include_usage"));
    let chunks = Chunks {
        id: format!("chatcmpl-{}", seed % 1000),
        model: talk.model.clone(),
        created: now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        usage: wanted.is_some_and(|usage| *usage == true),
    };
    Ok(answer::respond(talk, Form::OpenAi(chunks)).await)
}

fn embed(fields: &Fields, now: SystemTime) -> Result<Response, Refusal> {
    let started = Instant::now();
    let name = fields.model()?;
    installed(name, now)?;
    let texts = embed::inputs(fields)?;
    let dimensions = embed::dimensions(fields)?;
    let vectors: Vec<_> = texts.iter().map(|text| embed::vector(text, dimensions)).collect();
    let count: usize = texts.iter().map(|text| tokens::split(text).len()).sum();
    let mut body = json!({ "model": name, "embeddings": vectors });
    if let Some(body) = body.as_object_mut().filter(|_| !texts.is_empty()) {
        let nanoseconds = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        body.insert("total_duration".to_string(), nanoseconds.into());
        body.insert("prompt_eval_count".to_string(), count.into());
    }
    Ok(ok(&body))
}

fn embeddings(fields: &Fields, now: SystemTime) -> Result<Response, Refusal> {
    installed(fields.model()?, now)?;
    let vector = match fields.text("prompt")? {
        "" => Vec::new(),
        prompt => embed::vector(prompt, embed::DIMENSIONS),
    };
    Ok(ok(&json!({ "embedding": vector })))
}

async fn pull(fields: &Fields, now: SystemTime) -> Result<Response, Refusal> {
    let name = fields.model()?;
    let stream = fields.flag("stream", true)?;
    let Some(kind) = Kind::find(name) else {
        let refusal = pull::refusal(name);
        if !stream {
            return Err(refusal);
        }
        // Ollama has said 200 by the time it learns that there is no such model.
        let mut body = api::line(&Value::Object(pull::status("pulling manifest")));
        body.extend(api::line(&refusal.body()));
        return Ok(([(header::CONTENT_TYPE, LINES)], body).into_response());
    };
    let here = library::with(now, |library| library.is_installed(kind));
    let steps = pull::steps(kind, here);
    if !stream {
        answer::wait(steps.iter().map(|step| step.wait).sum::<Duration>()).await;
        install(kind);
        return Ok(ok(&Value::Object(pull::status("success"))));
    }
    let body = Body::produce(move |mut writer| async move {
        for step in steps {
            answer::wait(step.wait).await;
            if step.installs {
                install(kind);
            }
            // A client that leaves has cancelled the pull.
            if writer.write(api::line(&step.line)).await.is_err() {
                break;
            }
        }
        Ok(())
    });
    Ok(([(header::CONTENT_TYPE, LINES)], body).into_response())
}

fn install(kind: &'static Kind) {
    let now = SystemTime::now();
    library::with(now, |library| library.install(kind, now));
}
