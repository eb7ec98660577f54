//! HTTP servers that know a script: the granted Ollama, below the client that `serve` uses, and the
//! services that a component may call.

use futures_util::future::BoxFuture;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::time::{sleep, timeout};
use wasmtime_wasi_http::Error;

use super::content::{body, silence};
use super::errors;
use crate::case::{Action, HttpAnswer, Target};
use crate::script::{Given, Question, Script, SentRequest};
use wasm_host_capabilities::body::{Body, full};
use wasm_host_capabilities::context::RequestContext;
use wasm_host_capabilities::outgoing::{
    HttpRequest, HttpResponse, Peers, SendFuture, within_waits,
};
use wasm_host_capabilities::transport::{Transport, TransportError};
use wasm_host_capabilities::until::until_ended;
use wasm_host_limits::testkit::{BODY_BYTES, UPLOAD_PAUSE};

/// The granted Ollama.
pub(crate) struct FakeOllama(pub(crate) Script);

/// All other services.
pub(crate) struct FakePeers(pub(crate) Script);

impl Transport for FakeOllama {
    fn send(
        &self,
        request: Request<Body>,
        caller: RequestContext,
    ) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        Box::pin(async move {
            let answer = async {
                exchange(&self.0, Target::Ollama, request).await.map_err(|error| match error {
                    Failed::Unreachable(why) => TransportError::Unreachable(why),
                    Failed::Lost(how) => TransportError::Lost(how),
                })
            };
            until_ended(&caller, TransportError::Cancelled, answer).await
        })
    }
}

impl Peers for FakePeers {
    fn send(&self, caller: RequestContext, request: HttpRequest) -> SendFuture {
        let script = self.0.clone();
        Box::pin(async move {
            let answer = within_bounds(script, request);
            until_ended(&caller, Error::ConnectionTerminated, answer).await
        })
    }
}

/// What the component itself asks for is kept as between services. It begins when all of the request is there.
async fn within_bounds(script: Script, request: HttpRequest) -> Result<HttpResponse, Error> {
    let (parts, content) = request.into_parts();
    let content = read(content).await.map_err(Error::from)?;
    let request = Request::from_parts(parts, full(content));
    let answer = within_waits(request, |request| {
        Box::pin(
            async move { exchange(&script, Target::Service, request).await.map_err(Error::from) },
        )
    });
    answer.await
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Unreachable(why) => errors::named(&why).unwrap_or(Self::DestinationUnavailable),
            Failed::Lost(_) => Self::ConnectionTerminated,
        }
    }
}

enum Failed {
    Unreachable(String),
    Lost(String),
}

async fn exchange(
    script: &Script,
    to: Target,
    request: Request<Body>,
) -> Result<Response<Body>, Failed> {
    let (parts, content) = request.into_parts();
    let body = read(content).await?;
    let target = match to {
        Target::Ollama => {
            parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_string()
        }
        Target::Service => parts.uri.to_string(),
    };
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let headers = parts.headers.iter().map(header).collect();
    let method = parts.method.to_string();
    let question = Question::Http(SentRequest { to, method, target, headers, body });
    let unscripted = || Failed::Unreachable("the case has no answer to this call".to_string());
    let Given { action, after, ticket } = script.ask(None, question).ok_or_else(unscripted)?;
    let Action::Http { answer, .. } = action else { return Err(unscripted()) };
    sleep(after).await;
    match answer {
        HttpAnswer::Silent => silence().await,
        HttpAnswer::Unreachable(why) => {
            ticket.finish();
            Err(Failed::Unreachable(why))
        }
        HttpAnswer::Lost(how) => {
            ticket.finish();
            Err(Failed::Lost(how))
        }
        HttpAnswer::Response { status, headers, content, end } => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            let invalid = |error: http::Error| Failed::Lost(format!("the case's answer: {error}"));
            response.body(self::body(content, end, Some(ticket))).map_err(invalid)
        }
    }
}

/// All of a request's body.
async fn read(mut content: Body) -> Result<Vec<u8>, Failed> {
    let mut bytes = Vec::new();
    while content.size_hint().exact() != Some(0)
        && let Ok(Some(frame)) = timeout(UPLOAD_PAUSE, content.frame()).await
    {
        let frame = frame.map_err(|_| Failed::Lost("the request's body broke off".to_string()))?;
        bytes.extend_from_slice(frame.data_ref().map(AsRef::as_ref).unwrap_or_default());
        if bytes.len() > BODY_BYTES {
            return Err(Failed::Lost(format!("a request of more than {BODY_BYTES} bytes")));
        }
    }
    Ok(bytes)
}
