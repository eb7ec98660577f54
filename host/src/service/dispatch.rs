//! One request through one version of a service: admission, deadline, the body's end.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Method;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, sleep, timeout};
use wasmtime::PoolConcurrencyLimitError;
use wasmtime_wasi_http::handler::{ExpirationError, InstantiationError};
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{Error, WasiBody};

use crate::capability::context::RequestContext;
use crate::capability::outgoing::{HttpRequest, HttpResponse};
use crate::engine::compile::Digest;
use crate::engine::worker::{AllInstancesBusy, Slot};
use crate::failure::{Failure, Kind, Source};
use crate::limits;
use crate::service::Service;
use crate::service::admission::{Permit, busy};
use crate::service::version::{Counts, Version};

impl Service {
    /// Answer a request. Dropping the future, or the response's body before its end, ends what was begun for it.
    pub async fn handle(
        self: &Arc<Self>,
        context: RequestContext,
        request: HttpRequest,
    ) -> Result<HttpResponse, Failure> {
        let Some(recorder) = &self.recorder else {
            return self.answer(context, request).await;
        };
        let (recording, request) = recorder.begin(&context, request);
        let answer = self.answer(context, request).await;
        match recording {
            Some(recording) => recording.answered(answer),
            None => answer,
        }
    }

    async fn answer(
        self: &Arc<Self>,
        context: RequestContext,
        request: HttpRequest,
    ) -> Result<HttpResponse, Failure> {
        let permit = self.admission.admit(&self.name).await?;
        let version = self.begin();
        // The guard comes before the call: whatever happens from here on, the slot gets an end.
        let mut guard = Guard {
            slot: Slot::new(context),
            service: self.clone(),
            digest: version.digest.clone(),
            counts: version.counts.clone(),
            whole: false,
            _permit: permit,
        };
        let wants_body = request.method() != Method::HEAD;
        let answer = timeout(self.first_byte_timeout, self.call(&version, &guard.slot, request));
        let answer = answer.await.unwrap_or_else(|_| Err(self.too_slow()));
        match &answer {
            Ok(response) => version.counts.answer(response.status().is_server_error()),
            // Busy is the host's word, not the version's.
            Err(failure) => version.counts.answer(failure.kind.source() == Source::Guest),
        }
        let response = answer?;
        // The answer to HEAD is its head; nobody reads what the guest writes behind it.
        guard.whole = !wants_body;
        Ok(response.map(|body| GuardedBody { body, guard, error: None }.boxed_unsync()))
    }

    /// The version for a request, which counts the request from now on.
    fn begin(&self) -> Arc<Version> {
        let version = self.serving.load().pick().clone();
        version.counts.begin();
        if !version.is_retired() {
            return version;
        }
        // It was replaced in between, and whoever drains it may have found it empty already. What replaced it
        // was published before it was retired. Once is enough: replaced again, the request is merely late.
        let newer = self.serving.load().pick().clone();
        newer.counts.begin();
        version.counts.pass_on();
        newer
    }

    /// Call the version, waiting for an instance if all are in use.
    async fn call(
        &self,
        version: &Version,
        slot: &Arc<Slot>,
        mut request: HttpRequest,
    ) -> Result<HttpResponse, Failure> {
        let until = Instant::now() + self.admission.timeout();
        let mut wait = limits::INSTANCE_WAIT_FIRST;
        loop {
            let error = match version.handler.handle(slot.clone(), request).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let error = match error.downcast::<InstantiationError<Arc<Slot>>>() {
                Ok(error) => error,
                Err(error) => return Err(self.failure(error)),
            };
            if !is_full(&error.error) {
                return Err(self.trapped().because(format_args!("{:#}", error.error)));
            }
            if Instant::now() >= until {
                return Err(busy(&self.name).because(&error.error));
            }
            // The guest has not seen the request, so it can be tried again.
            request = error.request.into_inner().unwrap_or_else(PoisonError::into_inner);
            sleep(wait).await;
            wait = (wait * 2).min(limits::INSTANCE_WAIT_LAST);
        }
    }

    fn failure(&self, error: wasmtime::Error) -> Failure {
        if error.is::<ExpirationError>() {
            // The request's token fired: its client is gone, or a deadline above this one has passed.
            return Failure::new(Kind::FirstByteTimeout, "The request was cancelled.");
        }
        match error.downcast_ref::<ErrorCode>() {
            Some(ErrorCode::HttpRequestBodySize(limit)) => {
                let limit = limit.map(|limit| format!(" of {limit} bytes")).unwrap_or_default();
                Failure::new(Kind::BodyTooLarge, format!("The body is over the bound{limit}."))
            }
            Some(code) => Failure::new(
                Kind::GuestFailed,
                format!("The service {} gave no response.", self.name),
            )
            .because(format_args!("{code:?}")),
            None => self.trapped().because(error.root_cause()),
        }
    }

    fn too_slow(&self) -> Failure {
        Failure::new(
            Kind::FirstByteTimeout,
            format!(
                "The service {} did not begin to answer within {:?}.",
                self.name, self.first_byte_timeout
            ),
        )
    }

    fn trapped(&self) -> Failure {
        Failure::new(
            Kind::GuestTrapped,
            format!("The service {} failed while it handled this request.", self.name),
        )
    }
}

fn is_full(error: &wasmtime::Error) -> bool {
    error.is::<AllInstancesBusy>() || error.is::<PoolConcurrencyLimitError>()
}

/// What a request holds until its end. Its drop tells the instance how it ended.
struct Guard {
    slot: Arc<Slot>,
    service: Arc<Service>,
    /// The one version that answers this request. It lives as long as an instance of it does; from here it
    /// is only counted, so that a client that stopped reading does not keep its code in memory.
    digest: Digest,
    counts: Arc<Counts>,
    /// Nothing more is wanted: the body came to its end, or there is none to be read.
    whole: bool,
    _permit: Permit,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.counts.end(self.whole);
        if self.whole {
            self.service.served.fetch_add(1, Ordering::Relaxed);
            self.slot.finish();
        } else {
            self.service.failed.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(
                service = %self.service.name,
                version = %self.digest,
                request = self.slot.context.id(),
                "ended before its response did"
            );
            self.slot.abandon();
        }
    }
}

/// A response's body with what its request holds.
struct GuardedBody {
    body: WasiBody,
    guard: Guard,
    /// The error that the body ended with, held back for one turn: the connection is closed at once by an
    /// error, and what was written just before it, often the reason, would never be sent.
    error: Option<Error>,
}

impl GuardedBody {
    /// Whether all of it has been read. A reader that knows the length does not ask for the end.
    fn is_read(&self) -> bool {
        let nothing_left = self.body.size_hint().exact() == Some(0);
        (nothing_left || self.body.is_end_stream()) && !self.guard.slot.is_broken()
    }
}

impl Drop for GuardedBody {
    fn drop(&mut self) {
        self.guard.whole |= self.is_read();
    }
}

impl Body for GuardedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(error) = self.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let error = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => return Poll::Ready(Some(Ok(frame))),
            Some(Err(error)) => error,
            // The body of an instance that trapped ends as if it were whole.
            None if self.guard.slot.is_broken() => Error::ConnectionTerminated,
            None => {
                self.guard.whole = true;
                return Poll::Ready(None);
            }
        };
        self.guard.counts.broke_off();
        self.error = Some(error);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && !self.guard.slot.is_broken()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
