//! One case in one instance: from the request to the end of everything that it began.
//!
//! A case has a thread and a runtime of its own, whose clock is paused. What waits costs no time; what computes
//! costs real time, which a second thread watches. Nothing that a component does reaches another case.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use wasmtime::{Trap as WasmTrap, WasmBacktrace};

use super::component::{Component, grants};
use super::fake::content;
use super::script::{ObservedCall, Script};
use super::world::{Trap, World};
use crate::case::{Case, Leave, ResponseEnd};
use wasm_host_capabilities::body::Body;
use wasm_host_capabilities::context::RequestContext;
use wasm_host_engine::worker::{AnswerBody, CallError, Handler, Policy, RequestState, has_no_body};
use wasm_host_limits::service::ServiceLimits;
use wasm_host_limits::testkit as bounds;

/// What a component did.
#[derive(Clone, Debug)]
pub struct Observed {
    /// None if it did not begin to answer.
    pub status: Option<u16>,
    pub headers: Vec<(String, String)>,
    /// The response's body, by the virtual time since the request.
    pub chunks: Vec<(Duration, Vec<u8>)>,
    pub end: RunEnd,
    /// The message of the trap or error.
    pub reason: Option<String>,
    /// Where in the component it trapped.
    pub backtrace: Option<String>,
    /// The calls of capabilities that it made, in order.
    pub calls: Vec<ObservedCall>,
    /// What it printed.
    pub log: String,
    /// Virtual time from the request to the end of its response.
    pub virtual_time: Duration,
    /// Real time of all of it.
    pub took: Duration,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// As a case may expect it.
    Response(ResponseEnd),
    /// It computed for longer than it may, in real time.
    Computing,
    /// It waited for longer than it may, in virtual time: for something that does not come.
    Waiting,
}

impl Observed {
    pub(super) fn new() -> Self {
        Self {
            status: None,
            headers: Vec::new(),
            chunks: Vec::new(),
            end: RunEnd::Response(ResponseEnd::Whole),
            reason: None,
            backtrace: None,
            calls: Vec::new(),
            log: String::new(),
            virtual_time: Duration::ZERO,
            took: Duration::ZERO,
        }
    }

    /// The response's body as far as it came.
    pub fn body(&self) -> Vec<u8> {
        self.chunks.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect()
    }

    /// The first value of a header of the response.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Run a case. `patience` is the real time for a case that does not say its own. Blocks until it is over,
/// and must not be called from within a runtime.
///
/// # Errors
/// The machine has no thread left.
pub fn run(component: &Component, case: &Case, patience: Duration) -> anyhow::Result<Observed> {
    let began = std::time::Instant::now();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let late = CancellationToken::new();
    let limit = case.timeout.unwrap_or(patience);
    let mut observed = thread::scope(|scope| {
        // Dropped at the end, which ends the watch.
        let (_over, watch) = mpsc::channel::<()>();
        let fires = late.clone();
        thread::Builder::new().name("watch".to_string()).spawn_scoped(scope, move || {
            if watch.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
                fires.cancel();
            }
        })?;
        std::io::Result::Ok(runtime.block_on(under_watch(component, case, late)))
    })?;
    // Whatever still runs is dropped here, in the middle of what it does.
    drop(runtime);
    observed.took = began.elapsed();
    Ok(observed)
}

async fn under_watch(component: &Component, case: &Case, late: CancellationToken) -> Observed {
    let script = Script::new(case.matching, case.calls.clone());
    let world = World::new(case.clock, case.seed);
    let begun = Instant::now();
    let mut observed = Observed::new();
    let exchange = exchange(component, case, &script, &world, &mut observed);
    let ended = tokio::select! {
        biased;
        () = late.cancelled() => Err(RunEnd::Computing),
        ended = timeout(case.patience, exchange) => ended.map_err(|_| RunEnd::Waiting),
    };
    match ended {
        Ok(()) => settled(&script).await,
        Err(ended) => {
            observed.end = ended;
            observed.virtual_time = begun.elapsed();
        }
    }
    observed.calls = script.close();
    observed.log = world.log();
    observed
}

/// Let calls come to their end: whether that is seen before the response has ended is a matter of chance where the case
/// was recorded.
async fn settled(script: &Script) {
    let begun = Instant::now();
    while !script.is_settled() && begun.elapsed() < bounds::SETTLING {
        sleep(bounds::END_POLL_FIRST).await;
    }
}

async fn exchange(
    component: &Component,
    case: &Case,
    script: &Script,
    world: &Arc<World>,
    observed: &mut Observed,
) {
    let begun = Instant::now();
    let environment: Vec<_> = case.env.clone().into_iter().collect();
    let (script, config) = (script.clone(), &case.config);
    let grants = grants(script, &environment, config, Some((case, world.clone())));
    let grants = Arc::new(grants);
    let terms = ServiceLimits {
        instances: 1,
        reuse: Some(1),
        memory_bytes: bounds::MEMORY_BYTES,
        // A case has deadlines of its own, in real time and in virtual time.
        cpu_timeout: Duration::MAX,
        stream_idle_timeout: Duration::ZERO,
        ..ServiceLimits::default()
    };
    let policy = Policy::new(component.pre(), component.engine.clone(), grants, terms);
    let instances = policy.shared().clone();
    let handler = Handler::new(policy);
    let state = RequestState::new(RequestContext::of_host("test"));
    let ended = match request(case) {
        Ok(request) => {
            let answer = answer(&handler, &state, request, case, observed);
            match case.request.leave {
                Some(Leave::After(time)) => {
                    timeout(time, answer).await.unwrap_or(Answered::Ended(ResponseEnd::Left))
                }
                _ => answer.await,
            }
        }
        Err(error) => Answered::Failed(error),
    };
    match &ended {
        Answered::Ended(ResponseEnd::Whole) => state.finish(),
        _ => state.abandon(),
    }
    observed.virtual_time = begun.elapsed();
    // What the component does behind its response belongs to the case: a rollback, a line of its log.
    instances.retire();
    let mut wait = bounds::END_POLL_FIRST;
    while instances.live_instances() > 0 {
        sleep(wait).await;
        wait = (wait * 2).min(bounds::END_POLL_LAST);
    }
    let trap = world.trap();
    let end = match ended {
        Answered::Ended(end) => end,
        Answered::Failed(error) => {
            observed.reason = Some(error);
            ResponseEnd::Error
        }
        Answered::Trapped(known) => {
            if let Some(Trap { reason, backtrace }) = trap.or(known) {
                observed.reason = Some(reason);
                observed.backtrace = Some(backtrace).filter(|backtrace| !backtrace.is_empty());
            }
            ResponseEnd::Trap
        }
    };
    observed.end = RunEnd::Response(end);
}

enum Answered {
    Ended(ResponseEnd),
    /// The component reported an error.
    Failed(String),
    Trapped(Option<Trap>),
}

fn request(case: &Case) -> Result<http::Request<Body>, String> {
    let mut headers = case.request.headers.iter();
    let host = headers.find(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = host.map_or("localhost", |(_, host)| host);
    let mut request = http::Request::builder()
        .method(case.request.method.as_str())
        .uri(format!("http://{host}{}", case.request.path));
    for (name, value) in &case.request.headers {
        request = request.header(name, value);
    }
    let body = content::body(case.request.content.clone(), case.request.end, None);
    request.body(body).map_err(|error| format!("the case's request: {error}"))
}

async fn answer(
    handler: &Handler,
    state: &Arc<RequestState>,
    request: http::Request<Body>,
    case: &Case,
    observed: &mut Observed,
) -> Answered {
    let begun = Instant::now();
    let method = request.method().clone();
    let response = match handler.call(state.clone(), request).await {
        Ok(response) => response,
        Err(error) => return failed(&error),
    };
    observed.status = Some(response.status().as_u16());
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    observed.headers = response.headers().iter().map(header).collect();
    let mut room = match case.request.leave {
        Some(Leave::AfterBytes(bytes)) => bytes,
        _ => usize::MAX,
    };
    let promised = AnswerBody::promised(response.headers())
        .filter(|_| !has_no_body(&method, response.status()));
    let mut body = AnswerBody::new(response.into_body(), promised);
    let mut size = 0;
    loop {
        if room == 0 {
            return Answered::Ended(ResponseEnd::Left);
        }
        match poll_fn(|cx| body.poll_frame(state, cx)).await {
            Some(Ok(frame)) => {
                let Ok(mut data) = frame.into_data() else { continue };
                data.truncate(room);
                room -= data.len();
                size += data.len();
                if size > bounds::BODY_BYTES {
                    let limit = bounds::BODY_BYTES;
                    return Answered::Failed(format!("a response of more than {limit} bytes"));
                }
                observed.add(begun.elapsed(), data);
            }
            Some(Err(_)) if state.is_broken() => return Answered::Trapped(None),
            Some(Err(error)) => return Answered::Failed(format!("{error:?}")),
            // Behind an answer that was whole: a client does not see it, and a test is to.
            None if state.is_broken() => return Answered::Trapped(None),
            None => return Answered::Ended(ResponseEnd::Whole),
        }
    }
}

impl Observed {
    /// What comes at one moment is one chunk, however it was cut: that is the same in every run.
    fn add(&mut self, at: Duration, data: Bytes) {
        if data.is_empty() {
            return;
        }
        match self.chunks.last_mut() {
            Some((last, chunk)) if *last == at => chunk.extend_from_slice(&data),
            _ => self.chunks.push((at, data.into())),
        }
    }
}

/// Why there is no response.
fn failed(error: &CallError) -> Answered {
    match error {
        CallError::NoRoom(_, why) => Answered::Failed(why.to_string()),
        CallError::NotStarted(error) => Answered::Trapped(Some(Trap::of(error))),
        // The instance itself knows why.
        CallError::Ended => Answered::Trapped(None),
        CallError::Trapped(error) if error.is::<WasmTrap>() || error.is::<WasmBacktrace>() => {
            Answered::Trapped(Some(Trap::of(error)))
        }
        CallError::Trapped(error) => Answered::Failed(error.root_cause().to_string()),
        CallError::Refused(code) => Answered::Failed(code.to_string()),
        CallError::Informational(status) => Answered::Failed(format!("it answered {status}")),
    }
}
