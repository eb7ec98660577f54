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

use wasm_host_guest::ollama::{inference, proxy};
use wasm_host_guest::{Request, Response, Service};

use failure::Failure;
use route::{Call, Route};

/// Bytes of a request body that this component reads. Images come in it, as base64.
const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;

struct Ollama;

impl Service for Ollama {
    async fn handle(request: Request) -> Response {
        match route::route(&request.method, &request.path) {
            Route::Heartbeat => Response::text(200, "Ollama is running"),
            Route::Call(call) => match answer(call, request).await {
                Ok(response) => response,
                Err(failure) => failure.into_response(),
            },
            Route::PassOn => match proxy::forward(request.into_wasi()).await {
                Ok(response) => Response::passed(response),
                Err(error) => Failure::of(error).into_response(),
            },
            Route::WrongMethod { allow } => {
                Response::text(405, "405 method not allowed").header("allow", allow)
            }
            Route::Redirect { status, to } => {
                let query = request.query.map(|query| format!("?{query}")).unwrap_or_default();
                Response::empty(status).header("location", format!("{to}{query}"))
            }
            Route::Unknown => Response::text(404, "404 page not found"),
        }
    }
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
            calls::say(inference::generate(request).await, whole::Kind::Generate, streamed).await
        }
        Call::Chat => {
            let (request, streamed) = request::chat(&body(request).await?)?;
            calls::say(inference::chat(request).await, whole::Kind::Chat, streamed).await
        }
        Call::Embed => calls::embed(request::embed(&body(request).await?)?).await,
    }
}

/// The body, whatever its content type says: Ollama does not look at that, and its own examples
/// send forms.
async fn body(request: Request) -> Result<Vec<u8>, Failure> {
    request.body(BODY_BYTES_MAX).await.map_err(Failure::of_body)
}

wasm_host_guest::service!(Ollama);
