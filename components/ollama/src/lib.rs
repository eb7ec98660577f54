//! `ollama` gives the rest of the application, and any Ollama client, the models of the server that
//! it is granted: Ollama's HTTP API in front, the host's typed `ollama` interface behind.
//!
//! What the application uses goes through the typed interface, so that this component decides what
//! a failure looks like; the rest of the API is passed on by the host without entering this
//! component. It holds no address and no state.
//!
//! Modules, pure ones first: `route` (which path is which call), `json` and `request` (bodies in),
//! `whole` and `failure` (bodies out), `calls` and `relay` (the host's interface).
//!
//! JSON is serde_json's: the bodies come from anyone, and a hand-written parser would be the
//! weakest part of the component. Values that are only passed through stay text (`RawValue`).

mod calls;
mod failure;
mod json;
mod relay;
mod request;
mod route;
mod whole;

use wasm_host_guest::{Bytes, IntoResponse, Request, Response, StatusCode, header, ollama};

use failure::Failure;
use route::{Call, Route};

/// Bytes of a request body that this component reads. Images come in it, as base64.
const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;

wasm_host_guest::service!(serve);

async fn serve(request: Request) -> Result<Response, Failure> {
    Ok(match route::route(request.method(), request.uri().path()) {
        Route::Heartbeat => "Ollama is running".into_response(),
        Route::Call(call) => answer(call, request).await?,
        Route::PassOn => ollama::forward(request).await?,
        Route::WrongMethod { allow } => {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            (status, [(header::ALLOW, allow)], "405 method not allowed").into_response()
        }
        Route::Redirect { status, to } => {
            let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
            (status, [(header::LOCATION, format!("{to}{query}"))], ()).into_response()
        }
        Route::Unknown => (StatusCode::NOT_FOUND, "404 page not found").into_response(),
    })
}

async fn answer(call: Call, request: Request) -> Result<Response, Failure> {
    match call {
        Call::Version => calls::version().await,
        Call::Tags => calls::tags().await,
        Call::Ps => calls::ps().await,
        Call::Show => calls::show(request::named(&body(request).await?)?).await,
        Call::Delete => calls::delete(request::named(&body(request).await?)?).await,
        Call::Pull => calls::pull(request::named(&body(request).await?)?).await,
        Call::Generate => {
            let (request, streamed) = request::generate(&body(request).await?)?;
            calls::say(ollama::generate(request).await?, whole::Kind::Generate, streamed).await
        }
        Call::Chat => {
            let (request, streamed) = request::chat(&body(request).await?)?;
            calls::say(ollama::chat(request).await?, whole::Kind::Chat, streamed).await
        }
        Call::Embed => calls::embed(request::embed(&body(request).await?)?).await,
    }
}

/// The body, whatever its content type says: Ollama does not look at that, and its own examples
/// send forms.
async fn body(request: Request) -> Result<Bytes, Failure> {
    request.into_body().bytes(BODY_BYTES_MAX).await.map_err(Failure::of_body)
}
