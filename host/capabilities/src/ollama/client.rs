//! The real server: requests to a transport, within the bounds of the application file, and what
//! counts as an answer.
//!
//! Which requests these are is `api`'s business, where they go is the transport's, and how lines
//! become items is `decode`'s.

use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::backend::{Error, Stream};
use super::body::{self, Body};
use super::decode::Decode;
use super::headers::strip_request;
use super::passed::PassedCall;
use super::seen::{ModelCall, Noticed};
use super::settings::ForwardList;
use super::{error, pump};
use crate::backend::Pool;
use crate::budget::{Exhausted, hold_for_call};
use crate::context::RequestContext;
use crate::outgoing::seen::ClientCall;
use crate::transport::Transport;
use crate::until::until_ended;
use wasm_host_limits::ollama::{ANSWER_BYTES, OllamaLimits, QUEUE_BYTES, REFUSAL_BYTES};
use wasm_host_telemetry::context::TraceContext;

/// What the application file says of one server, the same for all services that are granted it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Calls that run at the same time, of all services together.
    pub calls: usize,
    /// Calls that wait for one of these to end; one more is `busy`.
    pub queue: usize,
    /// Time that they wait, before they are `busy`, too.
    pub queue_timeout: Duration,
    /// Time to the head of an answer.
    pub first_byte: Duration,
    /// What `forward` lets through.
    pub forward: ForwardList,
}

impl Default for Options {
    fn default() -> Self {
        let limits = OllamaLimits::default();
        Self {
            calls: limits.concurrent,
            queue: limits.queue,
            queue_timeout: limits.queue_timeout,
            first_byte: limits.first_byte_timeout,
            forward: ForwardList::default(),
        }
    }
}

/// An Ollama server as components see it. Shared by all services that are granted it, so that its
/// bounds protect the server.
pub struct Client {
    transport: Arc<dyn Transport>,
    /// Places at the server. The call that has waited longest gets the next one.
    permits: Arc<Semaphore>,
    /// Places in the line in front of it, and bytes that the calls in it may hold.
    line: Semaphore,
    line_bytes: Semaphore,
    options: Options,
}

impl Client {
    pub fn new(transport: Arc<dyn Transport>, options: Options) -> Self {
        let permits = Arc::new(Semaphore::new(options.calls));
        let (line, line_bytes) = (Semaphore::new(options.queue), Semaphore::new(QUEUE_BYTES));
        Self { transport, permits, line, line_bytes, options }
    }

    /// Calls under way at this moment, streams included up to their ends.
    pub fn live_calls(&self) -> usize {
        self.options.calls.saturating_sub(self.permits.available_permits())
    }

    /// Its places, and how many calls wait for one.
    pub fn pool(&self) -> Pool {
        let waiting = self.options.queue.saturating_sub(self.line.available_permits());
        Pool { most: self.options.calls, waiting, idle: None }
    }

    /// A place at the server for a call with this many bytes, now or after those that came before.
    pub(super) async fn admit(
        &self,
        bytes: usize,
        caller: &RequestContext,
    ) -> Result<OwnedSemaphorePermit, Error> {
        let Options { calls, queue, queue_timeout, .. } = self.options;
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        // Held for as long as this waits.
        let (Ok(_line), Ok(_bytes)) =
            (self.line.try_acquire(), self.line_bytes.try_acquire_many(bytes))
        else {
            return Err(error::busy(calls, queue));
        };
        let place = async {
            match timeout(queue_timeout, self.permits.clone().acquire_owned()).await {
                Ok(Ok(permit)) => Ok(permit),
                _ => Err(error::waited_in_vain(calls, queue_timeout)),
            }
        };
        until_ended(caller, Error::Cancelled, place).await
    }

    /// Run `work` until it is done, the request is cancelled or the first-byte timeout is over.
    async fn within<T>(
        &self,
        caller: &RequestContext,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let first_byte = self.options.first_byte;
        let result = async {
            let result = timeout(first_byte, work).await;
            result.unwrap_or_else(|_| Err(error::timed_out(first_byte)))
        };
        until_ended(caller, Error::Cancelled, result).await
    }

    /// Send a request and return its answer, if it is one and no refusal.
    async fn send(
        &self,
        method: Method,
        path: &'static str,
        body: Option<String>,
        caller: &RequestContext,
        context: Option<TraceContext>,
    ) -> Result<Body, Error> {
        let mut request = Request::new(body::full(""));
        tell(request.extensions_mut(), context);
        if let Some(body) = body {
            *request.body_mut() = body::full(body);
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(header::CONTENT_TYPE, json);
        }
        *request.method_mut() = method;
        *request.uri_mut() = Uri::from_static(path);
        let response = self.transport.send(request, caller.clone()).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        // A refusal that breaks off is a refusal all the same.
        let body = read(response.into_body(), REFUSAL_BYTES).await;
        Err(error::refused(status, &body.bytes))
    }

    /// A call whose answer is one JSON object.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &'static str,
        body: Option<String>,
        caller: RequestContext,
    ) -> Result<String, Error> {
        let seen = ModelCall::begin(&caller, called(path), "");
        let answer = self.ask_unseen(method, path, body, &caller, seen.context()).await;
        seen.ended(&answer.as_ref().map(drop).map_err(Clone::clone));
        answer
    }

    async fn ask_unseen(
        &self,
        method: Method,
        path: &'static str,
        body: Option<String>,
        caller: &RequestContext,
        context: Option<TraceContext>,
    ) -> Result<String, Error> {
        let bytes = body.as_ref().map_or(0, String::len);
        let _permit = self.admit(bytes, caller).await?;
        let work = async {
            let answer =
                read(self.send(method, path, body, caller, context).await?, ANSWER_BYTES).await;
            match answer.end {
                BodyEnd::Clean => String::from_utf8(answer.bytes).map_err(|_| {
                    Error::Malformed("the server sent an answer that is not UTF-8".into())
                }),
                BodyEnd::Broken => Err(Error::Truncated),
                BodyEnd::TooLarge => {
                    let limit = ANSWER_BYTES;
                    Err(Error::Malformed(format!("the server sent more than {limit} bytes")))
                }
                BodyEnd::Exhausted(exhausted) => Err(Error::Busy(exhausted.to_string())),
            }
        };
        self.within(caller, work).await
    }

    /// A call whose answer is a stream.
    pub(super) async fn stream<T: Noticed + Send + 'static, S: Noticed + Send + 'static>(
        &self,
        path: &'static str,
        body: String,
        decode: Decode<T, S>,
        caller: RequestContext,
        seen: ModelCall,
    ) -> Result<Stream<T, S>, Error> {
        let context = seen.context();
        let begun = async {
            let permit = self.admit(body.len(), &caller).await?;
            let work = self.send(Method::POST, path, Some(body), &caller, context);
            let answer = self.within(&caller, work).await?;
            Ok((permit, answer))
        };
        match begun.await {
            Ok((permit, answer)) => Ok(pump::start(answer, decode, caller, permit, seen)),
            Err(error) => {
                seen.failed(&error);
                Err(error)
            }
        }
    }

    pub(super) async fn pass_on(
        &self,
        request: Request<Body>,
        caller: RequestContext,
    ) -> Result<Response<Body>, Error> {
        let (method, path) = (request.method().as_str(), request.uri().path());
        self.options.forward.check(method, path).map_err(error::forbidden)?;
        let mut call = ClientCall::begin(&caller, &request);
        let (mut parts, body) = request.into_parts();
        // Nothing is read of its body meanwhile.
        let permit = self.admit(0, &caller).await;
        let permit = permit.inspect_err(|error| {
            // What is not wanted any more has not failed.
            if !matches!(error, Error::Cancelled) {
                call.refused(
                    "the model server has too many calls, or could not be reached just now",
                );
            }
        })?;
        strip_request(&mut parts.headers);
        let (body, progress) = body::Progress::watch(body);
        let passed = PassedCall::of(&caller, &parts.method, parts.uri.path());
        tell(&mut parts.extensions, caller.trace().context_of_call(&call.span));
        let request = Request::from_parts(parts, body);
        let answer = self.transport.send(request, caller.clone());
        let response = async {
            match progress.answer(self.options.first_byte, answer).await {
                Some(response) => response.map_err(Error::from),
                None => Err(error::timed_out(self.options.first_byte)),
            }
        };
        let response = match until_ended(&caller, Error::Cancelled, response).await {
            Ok(response) => response,
            Err(error) => {
                call.failed("the server gave no answer");
                return Err(error);
            }
        };
        call.answered(response.status());
        let mut response = match passed {
            Some(passed) => {
                passed.watch(response, call).map(|body| body::guard(body, &caller, permit))
            }
            None => response.map(|body| body::guard(body, &caller, (permit, call))),
        };
        // It is not asked with the client's cookies, and sets none.
        response.headers_mut().remove(header::SET_COOKIE);
        Ok(response)
    }
}

/// Let a server outside be told where a call stands in its trace. What stands in for one knows, and recordings have no
/// header for it.
fn tell(extensions: &mut Extensions, context: Option<TraceContext>) {
    if let Some(context) = context {
        extensions.insert(context);
    }
}

/// What a call is called by where it is seen: the last word of its path, but for the one that the conventions have a
/// name for.
fn called(path: &'static str) -> &'static str {
    match path {
        "/api/embed" => "embeddings",
        "/api/tags" => "list",
        "/api/ps" => "running",
        _ => path.strip_prefix("/api/").unwrap_or(path),
    }
}

/// What was read of a body, and why no more.
struct Read {
    bytes: Vec<u8>,
    end: BodyEnd,
}

enum BodyEnd {
    Clean,
    /// The connection broke.
    Broken,
    /// There is more than was asked for.
    TooLarge,
    /// There is more than the host may hold for the component that asks.
    Exhausted(Exhausted),
}

async fn read(mut body: Body, limit: usize) -> Read {
    let mut bytes: Vec<u8> = Vec::new();
    let end = loop {
        let frame = match body.frame().await {
            Some(Ok(frame)) => frame,
            Some(Err(_)) => break BodyEnd::Broken,
            None => break BodyEnd::Clean,
        };
        let piece: &[u8] = frame.data_ref().map(AsRef::as_ref).unwrap_or_default();
        let before = bytes.capacity();
        bytes.reserve(piece.len());
        // As it was sent, and as what the component gets.
        if let Err(exhausted) = hold_for_call(2 * (bytes.capacity() - before)) {
            break BodyEnd::Exhausted(exhausted);
        }
        bytes.extend_from_slice(piece);
        if bytes.len() > limit {
            break BodyEnd::TooLarge;
        }
    };
    Read { bytes, end }
}
