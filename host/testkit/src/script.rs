//! The calls of a case held against what the component asks: which answer a question gets, and what was asked.
//!
//! The code that answers holds a [`Ticket`] and finishes it when all of the answer was handed over. A ticket that is
//! dropped before that is a call that was given up. It must not know what answers look like on their way to the
//! component.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use serde_json::{Map, Value as Json};
use tokio::time::Instant;

use crate::case::{Action, Body, Call, Exchange, Matching, Outcome, Target};
use wasm_host_capabilities::function::{self, FunctionCall};
use wasm_host_capabilities::postgres::backend::{self, Value};
use wasm_host_limits::testkit::{ASKED_BYTES, CALLS};

/// What a component asked.
#[derive(Clone, Debug)]
pub enum Question {
    Query { statement: String, parameters: Vec<Value> },
    Execute { statement: String, parameters: Vec<Value> },
    Begin,
    Commit,
    Rollback,
    Http(SentRequest),
    Function(FunctionCall),
}

/// A request of a component.
#[derive(Clone, Debug)]
pub struct SentRequest {
    pub to: Target,
    pub method: String,
    /// Path and query; for a service with `http://NAME` in front.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// A call that a component made.
#[derive(Clone, Debug)]
pub struct ObservedCall {
    /// Virtual time since the request.
    pub at: Duration,
    /// The transaction that it was made in.
    pub transaction: Option<usize>,
    pub question: Question,
    /// Which call of the case answered it; None if nothing was scripted for it.
    pub answered_by: Option<usize>,
    /// Whether it was given up before its answer's end.
    pub cancelled: bool,
    /// What became of the transaction that it began.
    pub outcome: Option<Outcome>,
}

/// The script of one run.
#[derive(Clone)]
pub struct Script(Arc<Mutex<Inner>>);

struct Inner {
    matching: Matching,
    calls: Vec<Call>,
    used: Vec<bool>,
    seen: Vec<ObservedCall>,
    /// Of all questions.
    bytes: usize,
    /// Transactions by their number, as the call that began each.
    transactions: Vec<usize>,
    begun: Instant,
    closed: bool,
    /// Each ticket has one more of it.
    open: Arc<()>,
}

/// The right to answer a call.
#[derive(Clone)]
pub struct Ticket {
    script: Script,
    at: usize,
    /// For as long as it lives, its call is under way.
    _open: Arc<()>,
}

/// How a question is answered.
pub struct Given {
    pub action: Action,
    /// Virtual time before anything is answered.
    pub after: Duration,
    pub ticket: Ticket,
}

impl Script {
    /// The script of a case whose request comes now.
    pub fn new(matching: Matching, calls: Vec<Call>) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            matching,
            used: vec![false; calls.len()],
            calls,
            seen: Vec::new(),
            bytes: 0,
            transactions: Vec::new(),
            begun: Instant::now(),
            closed: false,
            open: Arc::default(),
        })))
    }

    /// The answer to a question. None if there is none.
    pub fn ask(&self, transaction: Option<usize>, question: Question) -> Option<Given> {
        let mut inner = self.lock();
        inner.bytes = inner.bytes.saturating_add(question.size());
        if inner.seen.len() >= CALLS || inner.bytes > ASKED_BYTES {
            return None;
        }
        let found = inner.find(transaction, &question);
        let given = found.and_then(|found| inner.calls.get(found).cloned());
        if let Some(used) = found.and_then(|found| inner.used.get_mut(found)) {
            *used = true;
        }
        let seen = ObservedCall {
            at: inner.begun.elapsed(),
            transaction,
            question,
            answered_by: found,
            // Until it is answered.
            cancelled: given.is_some(),
            outcome: None,
        };
        inner.seen.push(seen);
        let at = inner.seen.len() - 1;
        let ticket = Ticket { script: self.clone(), at, _open: inner.open.clone() };
        given.map(|Call { action, after, .. }| Given { action, after, ticket })
    }

    /// Whether every call has been answered to its end, or was given up.
    pub fn is_settled(&self) -> bool {
        Arc::strong_count(&self.lock().open) == 1
    }

    /// Note that a transaction ended, unless it had before.
    pub fn end_transaction(&self, number: usize, outcome: Outcome) {
        let mut inner = self.lock();
        let begin = number.checked_sub(1).and_then(|index| inner.transactions.get(index).copied());
        if let Some(seen) = begin.and_then(|at| inner.seen.get_mut(at)) {
            seen.outcome.get_or_insert(outcome);
        }
    }

    /// Whether a transaction was committed or rolled back.
    pub fn has_ended(&self, number: usize) -> bool {
        let inner = self.lock();
        let begin = number.checked_sub(1).and_then(|index| inner.transactions.get(index));
        begin.and_then(|at| inner.seen.get(*at)).is_none_or(|seen| seen.outcome.is_some())
    }

    /// What was asked so far.
    pub fn seen(&self) -> Vec<ObservedCall> {
        self.lock().seen.clone()
    }

    /// What was asked. What still runs is taken to be given up; what comes of it later does not count.
    pub fn close(&self) -> Vec<ObservedCall> {
        let mut inner = self.lock();
        inner.closed = true;
        inner.seen.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock()
    }
}

impl Inner {
    fn find(&self, transaction: Option<usize>, question: &Question) -> Option<usize> {
        let unused = |index: &usize| self.used.get(*index) == Some(&false);
        let all = || 0..self.calls.len();
        let exact = |index: &usize| {
            self.calls.get(*index).is_some_and(|call| {
                call.transaction == transaction && question.is_answered_by(&call.action)
            })
        };
        let close = |index: &usize| {
            self.calls.get(*index).is_some_and(|call| question.resembles(&call.action))
        };
        match self.matching {
            // The next one, even if it is asked a little differently: the difference will be reported, and the
            // component goes on.
            Matching::Strict => all().find(unused).filter(|index| {
                self.calls.get(*index).is_some_and(|call| question.is_like(&call.action))
            }),
            Matching::Lenient => all()
                .find(|index| unused(index) && exact(index))
                .or_else(|| all().find(|index| unused(index) && close(index)))
                .or_else(|| all().find(exact))
                .or_else(|| all().find(close)),
        }
    }
}

impl Ticket {
    /// All of the answer was handed over.
    pub fn finish(self) {
        let mut inner = self.script.lock();
        if !inner.closed
            && let Some(seen) = inner.seen.get_mut(self.at)
        {
            seen.cancelled = false;
        }
    }

    /// The call began a transaction: its number.
    pub fn begin_transaction(&self) -> usize {
        let mut inner = self.script.lock();
        inner.transactions.push(self.at);
        inner.transactions.len()
    }
}

impl Question {
    /// Bytes, about.
    fn size(&self) -> usize {
        match self {
            Self::Query { statement, parameters } | Self::Execute { statement, parameters } => {
                statement.len() + parameters.iter().map(backend::size).sum::<usize>()
            }
            Self::Begin | Self::Commit | Self::Rollback => 0,
            Self::Http(asked) => {
                let headers = asked.headers.iter().map(|(name, value)| name.len() + value.len());
                asked.target.len() + asked.body.len() + headers.sum::<usize>()
            }
            Self::Function(call) => call.function.len() + function::sizes(&call.arguments),
        }
    }

    /// Whether it is asked exactly as scripted.
    pub fn is_answered_by(&self, action: &Action) -> bool {
        match (self, action) {
            (
                Self::Query { statement, parameters },
                Action::Query { statement: scripted, parameters: expected, .. },
            )
            | (
                Self::Execute { statement, parameters },
                Action::Execute { statement: scripted, parameters: expected, .. },
            ) => {
                statement == scripted
                    && parameters.len() == expected.len()
                    && expected.iter().zip(parameters).all(|(one, other)| one.matches(other))
            }
            (Self::Begin, Action::Begin { .. })
            | (Self::Commit, Action::Commit { .. })
            | (Self::Rollback, Action::Rollback { .. }) => true,
            (Self::Http(asked), Action::Http { exchange, .. }) => asked.is(exchange),
            (Self::Function(asked), Action::Function { call, .. }) => {
                asked.function == call.function && same_members(&asked.arguments, &call.arguments)
            }
            _ => false,
        }
    }

    /// Whether it is about the same thing: the same statement, the same method and path, or the same function.
    fn resembles(&self, action: &Action) -> bool {
        match (self, action) {
            (Self::Query { statement, .. }, Action::Query { statement: scripted, .. })
            | (Self::Execute { statement, .. }, Action::Execute { statement: scripted, .. }) => {
                statement == scripted
            }
            (Self::Http(asked), Action::Http { exchange, .. }) => asked.is_for(exchange),
            (Self::Function(asked), Action::Function { call, .. }) => {
                asked.function == call.function
            }
            _ => self.is_answered_by(action),
        }
    }

    /// Whether it can be given the answer at all.
    fn is_like(&self, action: &Action) -> bool {
        match (self, action) {
            (Self::Query { .. }, Action::Query { .. })
            | (Self::Execute { .. }, Action::Execute { .. }) => true,
            _ => self.resembles(action),
        }
    }
}

/// Whether two values of JSON are the same, numbers by what they are and not by how they are written.
fn same(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::Number(one), Json::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Json::Array(one), Json::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Json::Object(one), Json::Object(other)) => same_members(one, other),
        _ => one == other,
    }
}

fn same_members(one: &Map<String, Json>, other: &Map<String, Json>) -> bool {
    let is_there = |(name, value)| other.get(name).is_some_and(|other| same(value, other));
    one.len() == other.len() && one.iter().all(is_there)
}

impl SentRequest {
    fn is_for(&self, exchange: &Exchange) -> bool {
        self.to == exchange.to && self.method == exchange.method && self.target == exchange.target
    }

    fn is(&self, exchange: &Exchange) -> bool {
        let has = |(name, value): &(String, String)| {
            self.headers.iter().any(|(own, text)| own.eq_ignore_ascii_case(name) && text == value)
        };
        let body = match &exchange.body {
            _ if exchange.any_body => true,
            None => self.body.is_empty(),
            Some(body) => body.is(&self.body),
        };
        self.is_for(exchange) && body && exchange.headers.iter().all(has)
    }
}

impl Body {
    /// The bytes that are sent for it.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) | Self::Json(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// Whether these are the bytes, or the same JSON.
    pub fn is(&self, bytes: &[u8]) -> bool {
        let json = |bytes| serde_json::from_slice::<serde_json::Value>(bytes).ok();
        match self {
            _ if self.bytes() == bytes => true,
            Self::Json(text) => json(text.as_bytes()).is_some_and(|own| Some(own) == json(bytes)),
            Self::Text(_) | Self::Bytes(_) => false,
        }
    }

    /// Bytes in the form in which people read them best.
    pub fn of(bytes: Vec<u8>, media_type: Option<&str>) -> Self {
        let is_json =
            media_type.is_none_or(|kind| kind.contains("json") && !kind.contains("ndjson"));
        match String::from_utf8(bytes) {
            Ok(text) if is_json && serde_json::from_str::<serde_json::Value>(&text).is_ok() => {
                Self::Json(text)
            }
            Ok(text) => Self::Text(text),
            Err(error) => Self::Bytes(error.into_bytes()),
        }
    }
}
