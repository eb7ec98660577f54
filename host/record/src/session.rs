//! One request while it is recorded: what was seen of it so far.
//!
//! It knows what a case is made of, and neither redaction nor files.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::ServiceRecorder;
use super::time::{Time, Wait};
use wasm_host_capabilities::outgoing::{HttpRequest, HttpResponse};
use wasm_host_engine::worker::has_no_body;
use wasm_host_limits::record::CASE_BYTES;
use wasm_host_limits::testkit::CALLS;
use wasm_host_testkit::case::{
    Action, Call, Case, Content, Leave, Matching, Piece, Request, Response, ResponseEnd, StreamEnd,
    Timestamp,
};

pub(super) struct RecordingSession {
    service: Arc<str>,
    served: OnceLock<(u64, Arc<Time>)>,
    state: Mutex<SessionState>,
    trapped: AtomicBool,
    settled: Notify,
}

struct SessionState {
    case: Case,
    /// All of the response's body that was read.
    body: Vec<u8>,
    bytes: u64,
    /// Calls and bodies that have not ended.
    open: usize,
    transactions: usize,
    over: bool,
}

/// What a case is made from.
#[derive(Clone)]
pub(super) struct Recorded {
    pub(super) case: Case,
    pub(super) body: Vec<u8>,
}

impl RecordingSession {
    pub(super) fn new(of: &ServiceRecorder, request: &HttpRequest) -> Self {
        let uri = request.uri();
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let case = Case {
            name: String::new(),
            about: None,
            clock: Timestamp::UNIX_EPOCH,
            seed: 0,
            env: of.told.environment.iter().cloned().collect(),
            config: of.told.configuration.clone(),
            matching: Matching::Strict,
            timeout: None,
            patience: wasm_host_limits::testkit::PATIENCE,
            ollama: of.ollama.clone(),
            request: Request {
                method: request.method().to_string(),
                path: path.to_string(),
                headers: headers(request.headers()),
                content: Content::Stream { pieces: Vec::new(), lines: false },
                end: StreamEnd::Whole,
                leave: None,
            },
            calls: Vec::new(),
            response: Some(Response::default()),
            log: Vec::new(),
        };
        let state = SessionState {
            case,
            body: Vec::new(),
            bytes: 0,
            open: 0,
            transactions: 0,
            over: false,
        };
        Self {
            service: of.service.clone(),
            served: OnceLock::new(),
            state: Mutex::new(state),
            trapped: AtomicBool::new(false),
            settled: Notify::new(),
        }
    }

    pub(super) fn service(&self) -> &str {
        &self.service
    }

    /// Whether an answer with this status has a head and nothing else.
    pub(super) fn wants_head_only(&self, status: StatusCode) -> bool {
        let method = self.state.lock().case.request.method.parse();
        method.is_ok_and(|method| has_no_body(&method, status))
    }

    /// An instance takes the request.
    pub(super) fn is_served(&self, seed: u64, time: Arc<Time>) {
        let _ = self.served.set((seed, time));
    }

    pub(super) fn traps(&self) {
        self.trapped.store(true, Ordering::Release);
    }

    /// Whether its instance ended because of its guest.
    pub(super) fn has_trapped(&self) -> bool {
        self.trapped.load(Ordering::Acquire)
    }

    /// The time of the request; none before an instance has it.
    pub(super) fn time(&self) -> Option<&Arc<Time>> {
        self.served.get().map(|(_, time)| time)
    }

    /// A call begins. Gives its number.
    fn call(&self, transaction: Option<usize>, action: Action, bytes: usize) -> usize {
        let mut state = self.state.lock();
        state.open += 1;
        let number = state.case.calls.len();
        if !state.over {
            let (line, cancelled, after) = (0, false, Duration::ZERO);
            state.case.calls.push(Call { line, transaction, action, cancelled, after });
            state.over = number >= CALLS;
            state.count(bytes.saturating_add(size_of::<Call>()));
        }
        number
    }

    /// Something was learned of a call. `bytes` is what it adds.
    fn learn(&self, call: usize, bytes: usize, learn: impl FnOnce(&mut Call)) {
        let mut state = self.state.lock();
        if state.over {
            return;
        }
        if let Some(call) = state.case.calls.get_mut(call) {
            learn(call);
        }
        state.count(bytes);
    }

    /// Watch a call to its end.
    pub(super) fn open(
        self: &Arc<Self>,
        transaction: Option<usize>,
        action: Action,
        bytes: usize,
    ) -> OpenCall {
        let wait = self.time().map(|time| Wait::begin(time));
        OpenCall {
            number: self.call(transaction, action, bytes),
            session: self.clone(),
            wait,
            done: false,
        }
    }

    /// Nothing more is to be learned of a call.
    fn call_ends(&self) {
        let mut state = self.state.lock();
        state.open = state.open.saturating_sub(1);
        drop(state);
        self.settled.notify_waiters();
    }

    /// The number of a transaction that begins, from 1.
    pub(super) fn transaction(&self) -> usize {
        let mut state = self.state.lock();
        state.transactions += 1;
        state.transactions
    }

    /// A piece of the request's body, after a wait.
    pub(super) fn sent(&self, wait: Duration, bytes: &[u8]) {
        let mut state = self.state.lock();
        if !state.over
            && let Content::Stream { pieces, .. } = &mut state.case.request.content
        {
            push(pieces, wait, bytes);
        }
        state.count(size(wait, bytes));
    }

    /// How the request's body ended.
    pub(super) fn sent_all(&self, end: StreamEnd) {
        self.state.lock().case.request.end = end;
    }

    /// The response begins.
    pub(super) fn answer(&self, response: &HttpResponse) {
        let mut state = self.state.lock();
        if let Some(expected) = &mut state.case.response {
            expected.status = Some(response.status().as_u16());
            let all = headers(response.headers());
            let once = |name: &str| all.iter().filter(|(own, _)| own == name).take(2).count() == 1;
            expected.headers = all
                .iter()
                .filter(|(name, _)| once(name))
                .map(|(name, value)| (name.clone(), Some(value.clone())))
                .collect();
        }
    }

    /// A piece of the response's body.
    pub(super) fn answered(&self, bytes: &[u8]) {
        let mut state = self.state.lock();
        if !state.over {
            state.body.extend_from_slice(bytes);
        }
        state.count(bytes.len());
    }

    /// The response has ended.
    pub(super) fn end(&self, end: ResponseEnd) {
        let now = self.time().map(|time| time.read()).unwrap_or_default();
        let mut state = self.state.lock();
        let end = match end {
            ResponseEnd::Error if self.has_trapped() => ResponseEnd::Trap,
            other => other,
        };
        if end == ResponseEnd::Left {
            let read = state.body.len();
            state.case.request.leave = Some(match read {
                0 => Leave::After(now),
                bytes => Leave::AfterBytes(bytes),
            });
        }
        if let Some(expected) = &mut state.case.response {
            expected.end = end;
        }
    }

    /// Wait until all calls have ended.
    pub(super) async fn settled(&self) {
        loop {
            let mut changed = std::pin::pin!(self.settled.notified());
            changed.as_mut().enable();
            if self.state.lock().open == 0 {
                return;
            }
            changed.await;
        }
    }

    /// The case, or why there is none.
    pub(super) fn take(&self) -> Result<Recorded, String> {
        let Some((seed, time)) = self.served.get() else {
            return Err("there was no instance for it alone".to_owned());
        };
        let mut state = self.state.lock();
        if state.over {
            return Err(format!("it has more than {CASE_BYTES} bytes or {CALLS} calls"));
        }
        // What is still called for the request comes too late.
        state.over = true;
        let mut case = state.case.clone();
        case.seed = *seed;
        let began = i64::try_from(time.began.as_millis()).unwrap_or_default();
        case.clock = Timestamp::from_millisecond(began).unwrap_or(Timestamp::UNIX_EPOCH);
        Ok(Recorded { case, body: std::mem::take(&mut state.body) })
    }
}

/// A call that has not ended. Dropping it means that it was given up.
pub(super) struct OpenCall {
    pub(super) session: Arc<RecordingSession>,
    number: usize,
    wait: Option<Wait>,
    done: bool,
}

impl OpenCall {
    /// Its answer begins now.
    pub(super) fn answered(&mut self) {
        if let (Some(wait), Some(time)) = (self.wait.take(), self.session.time()) {
            let waited = wait.end(time);
            self.session.learn(self.number, 0, |call| call.after = waited);
        }
    }

    /// Wait from here on.
    pub(super) fn waits(&mut self) {
        self.wait = self.session.time().map(|time| Wait::begin(time));
    }

    /// How long that was.
    pub(super) fn waited(&mut self) -> Duration {
        match (self.wait.take(), self.session.time()) {
            (Some(wait), Some(time)) => wait.end(time),
            _ => Duration::ZERO,
        }
    }

    pub(super) fn learn(&self, bytes: usize, learn: impl FnOnce(&mut Action)) {
        self.session.learn(self.number, bytes, |call| learn(&mut call.action));
    }

    /// All of its answer was handed over.
    pub(super) fn ends(mut self) {
        self.done = true;
    }

    /// Its number among all calls.
    pub(super) fn number(&self) -> usize {
        self.number
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let done = self.done;
        self.session.learn(self.number, 0, |call| call.cancelled = !done);
        self.session.call_ends();
    }
}

impl RecordingSession {
    /// A transaction was committed; `begin` is the call that began it.
    pub(super) fn committed(&self, begin: usize) {
        self.learn(begin, 0, |call| {
            if let Action::Begin { outcome, .. } = &mut call.action {
                *outcome = wasm_host_testkit::case::Outcome::Committed;
            }
        });
    }
}

impl SessionState {
    fn count(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        self.over |= self.bytes > CASE_BYTES;
        if self.over {
            // Nothing more is learned, and what was is of no use.
            self.body = Vec::new();
            self.case.request.content = Content::Empty;
            self.case.calls = Vec::new();
        }
    }
}

/// Bytes that [`push`] adds: a body may come in very small pieces.
pub(super) fn size(wait: Duration, bytes: &[u8]) -> usize {
    bytes.len() + if wait.is_zero() { 0 } else { 2 * size_of::<Piece>() }
}

/// Add to a streamed body.
pub(super) fn push(pieces: &mut Vec<Piece>, wait: Duration, bytes: &[u8]) {
    if !wait.is_zero() {
        pieces.push(Piece::Pause(wait));
    }
    match pieces.last_mut() {
        _ if bytes.is_empty() => {}
        Some(Piece::Bytes(last)) => last.extend_from_slice(bytes),
        _ => pieces.push(Piece::Bytes(bytes.to_vec())),
    }
}

/// Headers but those of one connection. What is no text is left out.
pub(super) fn headers(headers: &http::HeaderMap) -> Vec<(String, String)> {
    const OF_THE_CONNECTION: [&str; 7] = [
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "te",
        "transfer-encoding",
        "upgrade",
    ];
    headers
        .iter()
        .filter(|(name, _)| !OF_THE_CONNECTION.contains(&name.as_str()))
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_string())))
        .collect()
}

#[cfg(test)]
pub(crate) mod tests;
