//! HTTP calls of a component, to its model server and to other services, written down as they are on the wire.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{Request, Response};
use parking_lot::Mutex;
use wasmtime_wasi_http::{Error, RequestOptions};

use super::body::{BodyOwner, Passing, Tee};
use super::session;
use super::session::{OpenCall, RecordingSession, headers, push, size};
use wasm_host_capabilities::body::Body;
use wasm_host_capabilities::context::RequestContext;
use wasm_host_capabilities::outgoing::{HttpRequest, Peers, SendFuture};
use wasm_host_capabilities::transport::{Transport, TransportError};
use wasm_host_testkit::case::{self, Action, Content, Exchange, HttpAnswer, StreamEnd, Target};
use wasm_host_testkit::error_name;

pub(super) struct RecordedTransport(pub(super) Arc<dyn Transport>);

pub(super) struct RecordedPeers(pub(super) Arc<dyn Peers>);

impl Transport for RecordedTransport {
    fn send(
        &self,
        request: Request<Body>,
        caller: RequestContext,
    ) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        let Some(session) = session(&caller).cloned() else {
            return self.0.send(request, caller);
        };
        let (call, request) = ExchangeCall::begin(session, Target::Ollama, request);
        Box::pin(async move {
            let result = self.0.send(request, caller).await;
            match result {
                Ok(response) => Ok(call.answered(response)),
                Err(error) => {
                    match &error {
                        TransportError::Cancelled => {}
                        TransportError::Lost(how) => call.failed(HttpAnswer::Lost(how.clone())),
                        TransportError::Unreachable(why) | TransportError::Invalid(why) => {
                            call.failed(HttpAnswer::Unreachable(why.clone()));
                        }
                    }
                    Err(error)
                }
            }
        })
    }
}

impl Peers for RecordedPeers {
    fn send(&self, caller: RequestContext, request: HttpRequest) -> SendFuture {
        let Some(session) = session(&caller).cloned() else {
            return self.0.send(caller, request);
        };
        let asked = request.extensions().get::<RequestOptions>().copied();
        let (call, request) = ExchangeCall::begin(session, Target::Service, request);
        let token = caller.cancel().clone();
        let limited = asked.and_then(|asked| asked.first_byte_timeout).is_some();
        let sending = self.0.send(caller, request);
        Box::pin(async move {
            match sending.await {
                Ok(response) => Ok(call.answered(response)),
                Err(error) => {
                    match &error {
                        Error::ConnectionTerminated if token.is_cancelled() => {}
                        // The component did not wait; it will not in the test either.
                        Error::HttpResponseTimeout if limited => {}
                        Error::ConnectionTerminated => {
                            call.failed(HttpAnswer::Lost("the connection broke".to_string()));
                        }
                        other => {
                            let why = error_name(other).map(str::to_string);
                            let why = why.unwrap_or_else(|| format!("{other:?}"));
                            call.failed(HttpAnswer::Unreachable(why));
                        }
                    }
                    Err(error)
                }
            }
        })
    }
}

/// One exchange.
#[derive(Clone)]
struct ExchangeCall {
    session: Arc<RecordingSession>,
    open: Arc<Mutex<Option<OpenCall>>>,
}

impl ExchangeCall {
    fn begin(
        session: Arc<RecordingSession>,
        to: Target,
        request: Request<Body>,
    ) -> (Self, Request<Body>) {
        let uri = request.uri();
        let target = match to {
            Target::Ollama => {
                uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_string()
            }
            Target::Service => uri.to_string(),
        };
        let mut headers = headers(request.headers());
        headers.retain(|(name, _)| name != "host");
        let exchange = Exchange {
            to,
            method: request.method().to_string(),
            target,
            headers,
            body: None,
            any_body: false,
        };
        let action = Action::Http { exchange, answer: HttpAnswer::Silent };
        let open = session.open(None, action, 0);
        let call = Self { session: session.clone(), open: Arc::new(Mutex::new(Some(open))) };
        let place = BodyOwner::Sent(Arc::new(call.clone()));
        (call, request.map(|body| Tee::new(body, session, place).boxed()))
    }

    fn learn(&self, bytes: usize, learn: impl FnOnce(&mut Exchange, &mut HttpAnswer)) {
        if let Some(open) = &*self.open.lock() {
            open.learn(bytes, |action| {
                if let Action::Http { exchange, answer } = action {
                    learn(exchange, answer);
                }
            });
        }
    }

    fn answered(self, response: Response<Body>) -> Response<Body> {
        if let Some(open) = &mut *self.open.lock() {
            open.answered();
        }
        let (status, headers) = (response.status().as_u16(), headers(response.headers()));
        self.learn(0, |_, answer| {
            let content = Content::Stream { pieces: Vec::new(), lines: false };
            *answer = HttpAnswer::Response { status, headers, content, end: StreamEnd::Stall };
        });
        let session = self.session.clone();
        let place = BodyOwner::Answer(Arc::new(self));
        response.map(|body| Tee::new(body, session, place).boxed())
    }

    fn failed(&self, how: HttpAnswer) {
        if let Some(open) = &mut *self.open.lock() {
            open.answered();
        }
        self.learn(0, |_, answer| *answer = how);
        if let Some(open) = self.open.lock().take() {
            open.ends();
        }
    }
}

impl Passing for ExchangeCall {
    fn sent(&self, bytes: &[u8]) {
        self.learn(bytes.len(), |exchange, _| match &mut exchange.body {
            Some(case::Body::Bytes(all)) => all.extend_from_slice(bytes),
            _ if bytes.is_empty() => {}
            body => *body = Some(case::Body::Bytes(bytes.to_vec())),
        });
    }

    fn answered(&self, wait: Duration, bytes: &[u8]) {
        self.learn(size(wait, bytes), |_, answer| {
            if let HttpAnswer::Response { content: Content::Stream { pieces, .. }, .. } = answer {
                push(pieces, wait, bytes);
            }
        });
    }

    fn ended(&self, ended: Option<StreamEnd>) {
        self.learn(0, |_, answer| {
            if let HttpAnswer::Response { end, .. } = answer {
                *end = ended.unwrap_or(StreamEnd::Stall);
            }
        });
        let open = self.open.lock().take();
        match (open, ended) {
            (Some(open), Some(_)) => open.ends(),
            (given_up, _) => drop(given_up),
        }
    }
}
