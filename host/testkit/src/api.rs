//! The test kit as a library: a component, a script and requests, in Rust.
//!
//! It makes cases of what a test says and runs them as `wasm-host test` does.

mod database;
mod exchange;
mod function;
mod response;

use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use anyhow::anyhow;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

pub use database::{Cell, DatabaseError, Execute, Rows, SqlError, Transaction};
pub use exchange::Exchange;
pub use function::Function;
pub use response::{Failure, TestResponse};

use super::case::{
    Action, Body, Call, Case, Content, Leave, Matching, OllamaBounds, Outcome, Request, StreamEnd,
    Target,
};
use super::component::{Component, ComponentPaths, Kit};

use super::run::{Observed, run};
use super::script::{ObservedCall, Question};
use wasm_host_limits as limits;

/// A component with a script. Every request meets a new instance and the script from its beginning.
pub struct ComponentTest {
    component: Arc<Component>,
    case: Case,
    seen: Mutex<Vec<Observed>>,
}

impl ComponentTest {
    /// Load the component `NAME`, whose build is `target/components/NAME.wasm` or cargo's own, in the working directory
    /// or above, or the one at a path (which has a `/` or ends in `.wasm`). It is compiled once; later loads, of later processes too, take
    /// the code from the user's cache.
    ///
    /// # Errors
    /// It is not built, is no component, is no service, or imports what the host does not have.
    pub fn load(name: &str) -> Result<Self, Failure> {
        let load = || {
            let place = ComponentPaths::named(name)?;
            kit()?.load(&place.component)
        };
        let component = load().map_err(|error| Failure::new(format!("{error:#}")))?;
        Ok(Self { component: Arc::new(component), case: case(name), seen: Mutex::default() })
    }

    /// What the database is asked next, and answers.
    pub fn postgres(mut self, calls: impl IntoIterator<Item = Call>) -> Self {
        self.case.calls.extend(calls);
        self
    }

    /// What the granted Ollama is asked next, and answers.
    pub fn ollama(mut self, exchange: Exchange) -> Self {
        self.case.calls.push(exchange.call(Target::Ollama));
        self
    }

    /// What another service is asked next, and answers.
    pub fn http(mut self, exchange: Exchange) -> Self {
        self.case.calls.push(exchange.call(Target::Service));
        self
    }

    /// What a function of another capability is asked next, and answers.
    pub fn function(mut self, function: Function) -> Self {
        self.case.calls.push(function.call());
        self
    }

    /// A variable of the environment; there are no others.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.case.env.insert(name.to_string(), value.to_string());
        self
    }

    /// A value of the configuration, as `wasi:config` has it; there are no others.
    pub fn config(mut self, key: &str, value: &str) -> Self {
        self.case.config.insert(key.to_string(), value.to_string());
        self
    }

    /// The time when each request comes, such as `2026-01-31T23:59:30Z`; without this, 2026 begins.
    ///
    /// # Panics
    /// It is no such time: that is a mistake in the test.
    #[expect(
        clippy::panic,
        reason = "a mistake in the test's own text, which a test tells by a panic"
    )]
    pub fn clock(mut self, time: &str) -> Self {
        match time.parse() {
            Ok(time) => self.case.clock = time,
            Err(_) => panic!("'{time}' is no time such as 2026-01-31T23:59:30Z"),
        }
        self
    }

    /// What all randomness is made of; 0 without this.
    pub fn seed(mut self, seed: u64) -> Self {
        self.case.seed = seed;
        self
    }

    /// Mind neither the order of calls nor which are left over or come without being scripted.
    pub fn lenient(mut self) -> Self {
        self.case.matching = Matching::Lenient;
        self
    }

    /// Real time that a request may compute; 10 s without this.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.case.timeout = Some(time);
        self
    }

    /// Virtual time that a request may wait; an hour without this.
    pub fn patience(mut self, time: Duration) -> Self {
        self.case.patience = time;
        self
    }

    /// Bounds of the granted Ollama: calls at once (with 0, every call is `busy`), and time to the head of an answer.
    pub fn ollama_bounds(mut self, concurrent: usize, first_byte_timeout: Duration) -> Self {
        self.case.ollama = OllamaBounds { concurrent, first_byte_timeout };
        self
    }

    /// Ask the component.
    ///
    /// # Errors
    /// It gave no response, did not come to an end, or its calls are not those of the script; the text says which.
    pub async fn get(&self, path: &str) -> Result<TestResponse, Failure> {
        self.send(request("GET", path)).await
    }

    /// Send it JSON.
    ///
    /// # Errors
    /// As [`ComponentTest::get`].
    pub async fn post(&self, path: &str, json: &str) -> Result<TestResponse, Failure> {
        self.send(request("POST", path).json(json)).await
    }

    /// Send it any request, from a client that may leave.
    ///
    /// # Errors
    /// As [`ComponentTest::get`].
    pub async fn send(&self, request: Request) -> Result<TestResponse, Failure> {
        let mut case = self.case.clone();
        case.request = request;
        let observed = self.observe(case.clone()).await?;
        TestResponse::of(&case, observed)
    }

    /// Send a request and look at everything that happened, with no opinion.
    ///
    /// # Errors
    /// The machine has no thread left.
    pub async fn watch(&self, request: Request) -> Result<Observed, Failure> {
        let mut case = self.case.clone();
        case.request = request;
        self.observe(case).await
    }

    async fn observe(&self, case: Case) -> Result<Observed, Failure> {
        let component = self.component.clone();
        let (sender, receiver) = oneshot::channel();
        // A case has a runtime of its own, and cannot have it on a thread of another.
        let work = move || {
            let _ = sender.send(run(&component, &case, limits::testkit::TIMEOUT));
        };
        let failed = |error: anyhow::Error| Failure::new(format!("{error:#}"));
        thread::Builder::new()
            .name("case".to_string())
            .spawn(work)
            .map_err(|error| failed(error.into()))?;
        let observed = receiver
            .await
            .map_err(|_| failed(anyhow!("the test kit itself failed")))?
            .map_err(failed)?;
        self.lock().push(observed.clone());
        Ok(observed)
    }

    /// The calls of all requests so far, in order.
    pub fn calls(&self) -> Vec<ObservedCall> {
        self.lock().iter().flat_map(|observed| observed.calls.clone()).collect()
    }

    /// The statements that the database was asked so far, in order.
    pub fn statements(&self) -> Vec<String> {
        let statement = |seen: ObservedCall| match seen.question {
            Question::Query { statement, .. } | Question::Execute { statement, .. } => {
                Some(statement)
            }
            _ => None,
        };
        self.calls().into_iter().filter_map(statement).collect()
    }

    /// The requests that it made so far, in order: `POST /api/chat`, `GET http://other/path`.
    pub fn requests(&self) -> Vec<String> {
        let line = |seen: ObservedCall| match seen.question {
            Question::Http(asked) => Some(format!("{} {}", asked.method, asked.target)),
            _ => None,
        };
        self.calls().into_iter().filter_map(line).collect()
    }

    /// The calls that were given up: dropped by the component, or ended because the client left.
    pub fn cancelled(&self) -> Vec<ObservedCall> {
        self.calls().into_iter().filter(|seen| seen.cancelled).collect()
    }

    /// What became of the transactions that were begun, in order.
    pub fn transactions(&self) -> Vec<Outcome> {
        self.calls().into_iter().filter_map(|seen| seen.outcome).collect()
    }

    /// All that the component has printed so far.
    pub fn log(&self) -> String {
        self.lock().iter().map(|observed| observed.log.as_str()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Observed>> {
        self.seen.lock()
    }
}

/// A request without a body. `path` has the query, too.
pub fn request(method: &str, path: &str) -> Request {
    Request {
        method: method.to_string(),
        path: path.to_string(),
        headers: Vec::new(),
        content: Content::Empty,
        end: StreamEnd::Whole,
        leave: None,
    }
}

impl Request {
    /// With this header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_string(), value.to_string()));
        self
    }

    /// With JSON as its body.
    pub fn json(mut self, text: &str) -> Self {
        self.content = Content::Whole(Body::Json(text.to_string()));
        self.header("content-type", "application/json")
    }

    /// With these bytes as its body.
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.content = Content::Whole(Body::Bytes(bytes.into()));
        self
    }

    /// The client leaves after this many bytes of the response's body.
    pub fn leave_after_bytes(mut self, bytes: usize) -> Self {
        self.leave = Some(Leave::AfterBytes(bytes));
        self
    }

    /// The client leaves after this much virtual time.
    pub fn leave_after(mut self, time: Duration) -> Self {
        self.leave = Some(Leave::After(time));
        self
    }
}

fn call(action: Action) -> Call {
    Call { line: 0, transaction: None, action, cancelled: false, after: Duration::ZERO }
}

fn case(name: &str) -> Case {
    Case { name: name.to_string(), request: request("GET", "/"), ..Case::default() }
}

/// One engine for all tests of a process: it reserves address space.
fn kit() -> anyhow::Result<&'static Kit> {
    static KIT: OnceLock<Result<Kit, String>> = OnceLock::new();
    let kit = KIT.get_or_init(|| Kit::new().map_err(|error| format!("{error:#}")));
    kit.as_ref().map_err(|error| anyhow!("{error}"))
}
