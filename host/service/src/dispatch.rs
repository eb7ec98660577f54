//! One request through one version of a service: admission, deadline, the body's end.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::Service;
use crate::admission::{Permit, busy};
use crate::failure::respond::status;
use crate::failure::{Failure, Kind, Source};
use crate::traffic::Ending;
use crate::version::{Counts, Version};
use wasm_host_capabilities::context::{About, Inbound, Served};
use wasm_host_capabilities::outgoing::{ErrorCode, HttpError as Error, HttpRequest, HttpResponse};
use wasm_host_engine::worker::{AnswerBody, CallError, RequestState, has_no_body};
use wasm_host_limits as limits;
use wasm_host_telemetry::trace::RequestEnd;

/// When an answer must be whole: an extension of the response, for what writes it. A body that its reader makes
/// wait is not polled, and cannot check it itself.
#[derive(Clone, Copy, Debug)]
pub struct AnswerUntil(pub Instant);

impl Service {
    /// Answer a request. Dropping the future, or the response's body before its end, ends what was begun for it.
    pub async fn handle(
        self: &Arc<Self>,
        mut inbound: Inbound,
        request: HttpRequest,
    ) -> Result<HttpResponse, Failure> {
        let Some(observer) = self.observer.as_ref().filter(|observer| observer.is_watching())
        else {
            return self.answer(inbound, request, false).await;
        };
        let (observation, request) = observer.begin(&mut inbound, request);
        let answer = self.answer(inbound, request, observation.is_some()).await;
        match observation {
            Some(observation) => observation.answered(answer),
            None => answer,
        }
    }

    async fn answer(
        self: &Arc<Self>,
        inbound: Inbound,
        mut request: HttpRequest,
        is_observed: bool,
    ) -> Result<HttpResponse, Failure> {
        let mut waiting =
            Waiting { inbound: &inbound, service: self, ending: Ending::Left, failed: None };
        let permit = self.traffic.admit(&self.name, inbound.hops() > 0).await;
        let permit = permit.map_err(|busy| {
            let failure = if self.is_stopped() { self.cut() } else { busy };
            waiting.ending = Ending::without_a_place(failure.kind);
            waiting.failed = Some((status(failure.kind).0.as_u16(), failure.public.clone()));
            failure
        })?;
        std::mem::forget(waiting);
        inbound.trace().admitted();
        if let Some(context) = inbound.trace().context() {
            context.tell(request.headers_mut());
        }
        let until = permit.until();
        let deadline = self.deadlines.total.map(|total| Box::pin(sleep(total)));
        let (version, is_canary) = self.begin();
        let served = Served {
            service: self.name.clone(),
            version: version.digest.clone(),
            deadline: deadline.as_ref().map(|deadline| deadline.deadline()),
        };
        // The guard comes before the call: whatever happens from here on, the request gets an end.
        let mut guard = Guard {
            state: RequestState::new(inbound.served_by(served)),
            service: self.clone(),
            counts: version.counts.clone(),
            ending: Ending::Left,
            is_canary,
            status: None,
            error: None,
            _permit: permit,
        };
        let method = request.method().clone();
        let patience = self.patience();
        let mut answer = if self.is_stopped() {
            Err(self.cut())
        } else {
            let call = self.call(&version, &guard.state, request, until, is_observed);
            timeout(patience, call).await.unwrap_or_else(|_| Err(self.too_slow(patience)))
        };
        if guard.state.was_cut() {
            // Also if the guest made an answer of what had been ended under it.
            answer = Err(self.cut());
        }
        match &answer {
            Ok(response) => {
                guard.state.context.trace().answered();
                guard.status = Some(response.status().as_u16());
                version.counts.answer(response.status().is_server_error());
            }
            Err(failure) => {
                guard.status = Some(status(failure.kind).0.as_u16());
                guard.error = Some(failure.to_string().into());
                // The host says busy, not the version.
                version.counts.answer(failure.kind.source() == Source::Guest);
                guard.fail(Ending::Failed);
                if failure.kind == Kind::Busy && guard.ending == Ending::Failed {
                    guard.ending = Ending::Refused;
                }
            }
        }
        let mut response = answer.map_err(|failure| {
            let version = Some(version.digest.clone());
            Failure { version, ..failure }
        })?;
        if let Some(until) = guard.state.context.served().and_then(|served| served.deadline) {
            response.extensions_mut().insert(AnswerUntil(until));
        }
        let promised = if has_no_body(&method, response.status()) {
            // Its head is all of it; what the guest writes behind it is not read.
            guard.ending = Ending::Whole;
            None
        } else {
            AnswerBody::promised(response.headers())
        };
        Ok(response.map(|body| {
            GuardedBody::new(AnswerBody::new(body, promised), guard, deadline).boxed_unsync()
        }))
    }

    /// The version for a request, which counts the request from now on, and whether it is on trial.
    fn begin(&self) -> (Arc<Version>, bool) {
        let pick = || {
            let active = self.active.load();
            let version = active.pick();
            let is_canary =
                active.canary.as_ref().is_some_and(|it| Arc::ptr_eq(&it.version, version));
            (version.clone(), is_canary)
        };
        let (version, is_canary) = pick();
        version.counts.begin();
        if !version.is_retired() {
            return (version, is_canary);
        }
        // It was replaced in between, and what drains it may have found it empty already. What replaced it
        // was published before it was retired. Once is enough: replaced again, the request is merely late.
        let (newer, is_canary) = pick();
        newer.counts.begin();
        version.counts.pass_on();
        (newer, is_canary)
    }

    /// Call the version.
    async fn call(
        &self,
        version: &Version,
        state: &Arc<RequestState>,
        request: HttpRequest,
        until: Instant,
        is_observed: bool,
    ) -> Result<HttpResponse, Failure> {
        let wants = || !self.is_stopped();
        let answer = version.call(state, request, until, wants, is_observed).await;
        answer.map_err(|error| self.failure(&error, state))
    }

    /// How long this waits for the beginning of an answer.
    fn patience(&self) -> Duration {
        let first_byte = self.deadlines.first_byte;
        self.deadlines.total.map_or(first_byte, |total| total.min(first_byte))
    }

    fn failure(&self, error: &CallError, state: &RequestState) -> Failure {
        if state.overran() {
            return Failure::new(
                Kind::FirstByteTimeout,
                format!("The service {} computed for too long without a pause.", self.name),
            )
            .because(state.cause().unwrap_or("'cpu-timeout' sets the bound"));
        }
        match error {
            CallError::NoRoom(..) if self.is_stopped() => self.cut(),
            CallError::NoRoom(_, why) => busy(&self.name).because(why),
            CallError::NotStarted(error) => self.trapped().because(format_args!("{error:#}")),
            CallError::Ended => self.trapped().because(ended(state)),
            CallError::Trapped(error) => self.trapped().because(error.root_cause()),
            CallError::Refused(ErrorCode::HttpRequestBodySize(limit)) => {
                let limit = limit.map(|limit| format!(" of {limit} bytes")).unwrap_or_default();
                Failure::new(Kind::BodyTooLarge, format!("The body is over the bound{limit}."))
            }
            CallError::Refused(code) => self.no_response().because(format_args!("{code:?}")),
            CallError::Informational(status) => {
                self.no_response().because(format_args!("it answered {status}"))
            }
        }
    }

    fn no_response(&self) -> Failure {
        let public = format!("The service {} gave no response.", self.name);
        Failure::new(Kind::GuestFailed, public)
    }

    fn too_slow(&self, patience: Duration) -> Failure {
        Failure::new(
            Kind::FirstByteTimeout,
            format!("The service {} did not begin to answer within {patience:?}.", self.name),
        )
        .because(match self.deadlines.total {
            Some(total) if total <= self.deadlines.first_byte => "'timeout' sets the bound",
            _ => "'first-byte-timeout' sets the bound",
        })
    }

    fn cut(&self) -> Failure {
        Failure::new(
            Kind::Cut,
            format!(
                "The service {} was stopped or replaced before it answered; try again in a moment.",
                self.name
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

/// What became of the instance of a request.
fn ended(state: &RequestState) -> String {
    match state.cause() {
        Some(cause) => format!("its instance ended: {cause}"),
        None => "its instance ended".to_owned(),
    }
}

/// A request that waits for its place. Dropped without one, it has ended.
struct Waiting<'a> {
    inbound: &'a Inbound,
    service: &'a Service,
    ending: Ending,
    /// What its client was told. None: it has left.
    failed: Option<(u16, String)>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let (status, error) = self.failed.take().unzip();
        self.service.traffic.count(self.ending);
        self.inbound.trace().end(&RequestEnd {
            service: Some(&self.service.name),
            route: self.service.route.as_deref().filter(|_| self.inbound.hops() == 0),
            status,
            was_left: status.is_none(),
            error: error.map(Into::into),
            ..RequestEnd::default()
        });
    }
}

/// What a request holds until its end. Its drop tells the instance how it ended.
struct Guard {
    state: Arc<RequestState>,
    service: Arc<Service>,
    /// Of the one version that answers this request. It lives as long as an instance of it does; from here it
    /// is only counted, so that a client that stopped reading does not keep its code in memory.
    counts: Arc<Counts>,
    ending: Ending,
    is_canary: bool,
    /// What the client was told, and why it did not get all of it.
    status: Option<u16>,
    error: Option<Cow<'static, str>>,
    _permit: Permit,
}

impl Guard {
    /// There is no answer, or no more of it. That its client has left may be the reason.
    fn fail(&mut self, ending: Ending) {
        if !self.state.context.cancel().is_cancelled() || self.state.is_ended_by_host() {
            self.ending = ending;
        }
    }

    /// Say what became of it to what is seen of it.
    fn end_trace(&mut self) {
        let context = &self.state.context;
        let error = match self.ending {
            Ending::Failed | Ending::Cut | Ending::Refused => {
                Some(self.error.take().unwrap_or("the answer broke off".into()))
            }
            Ending::Left | Ending::Whole => None,
        };
        context.trace().end(&RequestEnd {
            service: Some(&self.service.name),
            version: context.served().map(|served| served.version.full()),
            is_canary: self.is_canary,
            route: self.service.route.as_deref().filter(|_| context.hops() == 0),
            status: self.status,
            was_left: self.ending == Ending::Left,
            processor_time: self.state.processor_time(),
            error,
        });
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.counts.end(self.ending == Ending::Whole);
        self.service.traffic.count(self.ending);
        self.end_trace();
        if self.ending == Ending::Whole {
            return self.state.finish();
        }
        let context = &self.state.context;
        if let Some(Served { service, version, .. }) = context.served() {
            let request = context.id();
            tracing::debug!(%service, %version, request, "ended before its response did");
        }
        self.state.abandon();
    }
}

/// A response's body with what its request holds.
struct GuardedBody {
    body: AnswerBody,
    guard: Guard,
    /// It was ended although the component did all that was asked.
    is_blameless: bool,
    /// The log has said why it did not come to its end.
    is_told: bool,
    /// When all of it must have been read.
    deadline: Option<Pin<Box<Sleep>>>,
    /// The error that the body ended with, held back for one turn: the connection is closed at once by an
    /// error, and what was written just before it, often the reason, would never be sent.
    error: Option<Error>,
}

impl GuardedBody {
    fn new(body: AnswerBody, guard: Guard, deadline: Option<Pin<Box<Sleep>>>) -> Self {
        Self { body, guard, is_blameless: false, is_told: false, deadline, error: None }
    }

    fn is_late(&self) -> bool {
        self.deadline.as_ref().is_some_and(|deadline| deadline.deadline() <= Instant::now())
    }

    fn tell_that_it_is_late(&mut self, whose: Source) {
        let total = self.guard.service.deadlines.total.unwrap_or_default();
        self.tell(whose, format_args!(
            "its response was not whole after {total:?} and was ended ('timeout' sets the bound)"
        ));
    }

    /// Log why the client does not get all of its answer, and whose fault that is. Once.
    fn tell(&mut self, whose: Source, why: fmt::Arguments<'_>) {
        let Guard { service, state, .. } = &self.guard;
        if !std::mem::replace(&mut self.is_told, true) {
            let service = &service.name;
            let About { request, trace_id, span_id, service_version } = state.context.about();
            if whose == Source::Guest {
                tracing::error!(%service, request, trace_id, span_id, service_version, "{why}");
            } else {
                tracing::warn!(%service, request, trace_id, span_id, service_version, "{why}");
            }
            self.guard.error = Some(why.to_string().into());
        }
    }

    /// The same where the log has not said it yet.
    fn tell_that_it_broke_off(&mut self, error: &Error) {
        let state = &self.guard.state;
        let why: Cow<'_, str> = if state.was_cut() {
            "the service was stopped or replaced, and its time to finish was over".into()
        } else if state.overran() {
            match state.cause() {
                Some(cause) => format!("its instance was ended: {cause}").into(),
                None => "the component computed for too long without a pause".into(),
            }
        } else if state.is_broken() {
            ended(state).into()
        } else {
            let mut words = format!("the component ended it with {error:?}");
            words.truncate(words.floor_char_boundary(limits::BREAK_WORDS_BYTES));
            words.into()
        };
        let whose = if state.was_cut() { Source::Host } else { Source::Guest };
        self.tell(whose, format_args!("its response broke off: {why}"));
    }

    /// The next piece, or why there will be none.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let state = &self.guard.state;
        if let Poll::Ready(frame) = self.body.poll_frame(state, cx) {
            // A guest that is never waited for has no more time than others. Its reader may be what is slow, so
            // this is no fault of the version.
            if matches!(frame, Some(Ok(_))) && self.is_late() {
                self.tell_that_it_is_late(Source::Client);
                self.is_blameless = true;
                return Poll::Ready(Some(Err(Error::HttpResponseTimeout)));
            }
            return Poll::Ready(frame);
        }
        // After the waiting was made known: what gives the body up before that is seen here.
        if state.has_stalled() {
            let idle = self.guard.service.deadlines.stream_idle;
            self.tell(Source::Guest, format_args!(
                "its response stood still for {idle:?} and was ended ('stream-idle-timeout' sets the bound)"
            ));
            return Poll::Ready(Some(Err(Error::ConnectionReadTimeout)));
        }
        if self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready()) {
            self.tell_that_it_is_late(Source::Guest);
            return Poll::Ready(Some(Err(Error::HttpResponseTimeout)));
        }
        Poll::Pending
    }
}

impl Drop for GuardedBody {
    fn drop(&mut self) {
        if self.guard.ending != Ending::Left {
            return;
        }
        if self.body.is_read(&self.guard.state) {
            self.guard.ending = Ending::Whole;
        } else if self.is_late() {
            // Its reader was too slow, and what writes it has ended it: no fault of the version.
            self.guard.fail(Ending::Cut);
            if self.guard.ending == Ending::Cut {
                self.tell_that_it_is_late(Source::Client);
            }
        }
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
        let error = match ready!(self.poll_piece(cx)) {
            Some(Ok(frame)) => return Poll::Ready(Some(Ok(frame))),
            Some(Err(error)) => error,
            None => {
                self.guard.ending = Ending::Whole;
                return Poll::Ready(None);
            }
        };
        if !self.guard.state.was_cut() && !self.is_blameless {
            self.guard.counts.broke_off();
        }
        self.guard.fail(Ending::Cut);
        if self.guard.ending == Ending::Cut {
            self.tell_that_it_broke_off(&error);
        }
        self.error = Some(error);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        // Of an answer without a body from the beginning: over HTTP/2 that is said with its head.
        self.guard.ending == Ending::Whole || self.body.is_end_stream(&self.guard.state)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
