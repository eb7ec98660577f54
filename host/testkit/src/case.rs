//! A case: one request, what the capabilities answer meanwhile, and what must come of it.
//!
//! These are the types that everything else of the test kit speaks of. A case is written as a file
//! ([`parse`](Case::parse), and a commented example in `example.toml` beside this), recorded from real traffic and written with
//! [`to_toml`](Case::to_toml), or made by the Rust interface. What is expected and what is scripted are kept apart:
//! in a file, everything below `answer` is what a capability says, and everything else is
//! what the component must do.

pub(crate) mod file;
pub(crate) mod forms;
pub(crate) mod keys;
pub(crate) mod value;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use jiff::Timestamp;

pub use file::Wrong;
pub use value::Expected;

use wasm_host_capabilities::function::FunctionCall;
use wasm_host_capabilities::postgres::backend::{Column, Error as SqlFailure, Row};
use wasm_host_limits::ollama::OllamaLimits;
use wasm_host_limits::testkit::PATIENCE;

/// The clock of a case that does not set it: the beginning of 2026.
pub const CLOCK: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// One test of one component.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it is called in reports: the file's name without `.toml`.
    pub name: String,
    /// What it is about, in a sentence.
    pub about: Option<String>,
    /// The time when the request comes. From then on, time passes only while everything waits.
    pub clock: Timestamp,
    /// What all randomness is made of.
    pub seed: u64,
    /// All the environment that the component sees.
    pub env: BTreeMap<String, String>,
    /// All that the component is told by `wasi:config`.
    pub config: BTreeMap<String, String>,
    pub matching: Matching,
    /// Real time for the case; a component that computes longer fails. None: the run's default.
    pub timeout: Option<Duration>,
    /// Virtual time for the case; a component that waits longer fails.
    pub patience: Duration,
    /// The granted model server's bounds.
    pub ollama: OllamaBounds,
    pub request: Request,
    /// What the component asks of its capabilities, in order, with the answers.
    pub calls: Vec<Call>,
    /// What it answers. None only in a file that is to be blessed.
    pub response: Option<Response>,
    /// Texts that must occur in what the component prints.
    pub log: Vec<String>,
}

/// What a file without a key has.
impl Default for Case {
    fn default() -> Self {
        Self {
            name: String::new(),
            about: None,
            clock: CLOCK,
            seed: 0,
            env: BTreeMap::new(),
            config: BTreeMap::new(),
            matching: Matching::default(),
            timeout: None,
            patience: PATIENCE,
            ollama: OllamaBounds::default(),
            request: Request::default(),
            calls: Vec::new(),
            response: None,
            log: Vec::new(),
        }
    }
}

/// How calls find their answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Matching {
    /// Every call as scripted, in the order of the file, and no others.
    #[default]
    Strict,
    /// A call takes the first unused answer to the same question, then one with the same statement or the same
    /// method and path. Answers may be left over. A call that has none fails as an absent
    /// backend would, and the case goes on.
    Lenient,
}

/// As in the application file.
#[derive(Clone, Debug)]
pub struct OllamaBounds {
    /// Calls at once. With 0, every call is `busy`.
    pub concurrent: usize,
    /// Virtual time to the head of an answer.
    pub first_byte_timeout: Duration,
}

impl Default for OllamaBounds {
    fn default() -> Self {
        Self {
            concurrent: OllamaLimits::concurrent().default,
            first_byte_timeout: OllamaLimits::first_byte_timeout().default,
        }
    }
}

/// What the client sends.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub content: Content,
    /// How the body ends.
    pub end: StreamEnd,
    /// When the client hangs up. None: it stays to the end.
    pub leave: Option<Leave>,
}

/// When a client hangs up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// After this many bytes of the response's body.
    AfterBytes(usize),
    /// After this much virtual time.
    After(Duration),
}

/// Bytes as they are written in a case.
#[derive(Clone, Debug)]
pub enum Body {
    Text(String),
    /// JSON text. Compared by value: white space and the order of members do not matter.
    Json(String),
    /// Anything; base64 in a file.
    Bytes(Vec<u8>),
}

/// A body that is sent.
#[derive(Clone, Debug, Default)]
pub enum Content {
    #[default]
    Empty,
    /// At once, with its length.
    Whole(Body),
    /// Piece by piece, without a length. In a file either `chunks`, or `lines`, which adds the line's end to each piece.
    Stream { pieces: Vec<Piece>, lines: bool },
}

/// A piece of a streamed body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "forms::PieceForm", into = "forms::PieceForm")]
pub enum Piece {
    Text(String),
    Bytes(Vec<u8>),
    /// Virtual time in which nothing comes.
    Pause(Duration),
}

/// How something that is sent ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StreamEnd {
    #[default]
    Whole,
    /// The connection breaks.
    Disconnect,
    /// Nothing more comes, and no end either.
    Stall,
}

/// One call of a capability with its answer.
#[derive(Clone, Debug)]
pub struct Call {
    /// Where the file says so; 0 if there is no file.
    pub line: usize,
    /// The transaction that it is made in, counted from 1 in the order in which they begin.
    pub transaction: Option<usize>,
    pub action: Action,
    /// Whether it is given up before its answer's end: the component drops it, or the client leaves.
    pub cancelled: bool,
    /// Virtual time before anything is answered.
    pub after: Duration,
}

/// What is asked, and what is answered.
#[derive(Clone, Debug)]
pub enum Action {
    Query { statement: String, parameters: Vec<Expected>, answer: RowsAnswer },
    Execute { statement: String, parameters: Vec<Expected>, answer: CallAnswer<u64> },
    Begin { outcome: Outcome, answer: CallAnswer<()> },
    Commit { answer: CallAnswer<()> },
    Rollback { answer: CallAnswer<()> },
    Http { exchange: Exchange, answer: HttpAnswer },
    Function { call: FunctionCall, answer: FunctionAnswer },
}

/// What becomes of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Committed,
    /// By a call, by being dropped, or by its client's leaving.
    RolledBack,
}

/// The answer to a call that has one value.
#[derive(Clone, Debug)]
pub enum CallAnswer<T> {
    Value(T),
    Error(SqlFailure),
    /// No answer ever comes.
    Stall,
}

/// The answer to a query.
#[derive(Clone, Debug)]
pub enum RowsAnswer {
    /// The server does not accept the statement.
    Refused(SqlFailure),
    /// No answer ever comes.
    Silent,
    Rows {
        columns: Vec<Column>,
        rows: Vec<RowItem>,
        end: RowsEnd,
    },
}

#[derive(Clone, Debug)]
pub enum RowItem {
    Row(Row),
    /// Virtual time in which no row comes.
    Pause(Duration),
}

/// What follows the last row.
#[derive(Clone, Debug)]
pub enum RowsEnd {
    Whole,
    Error(SqlFailure),
    Stall,
}

/// What a function gives.
#[derive(Clone, Debug)]
pub enum FunctionAnswer {
    /// Nothing answers it. Says why.
    Unreachable(String),
    Value(serde_json::Value),
    Error(serde_json::Value),
    /// No answer ever comes.
    Stall,
}

/// A request to the granted Ollama or to a service.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub to: Target,
    pub method: String,
    /// Path and query; for a service with `http://NAME` in front.
    pub target: String,
    /// Some of its headers.
    pub headers: Vec<(String, String)>,
    /// All of its body. None: it has none.
    pub body: Option<Body>,
    /// Its body does not matter.
    pub any_body: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Ollama,
    Service,
}

/// The answer to an HTTP request.
#[derive(Clone, Debug)]
pub enum HttpAnswer {
    /// No server is there. Says why.
    Unreachable(String),
    /// The connection breaks before the head. Says how.
    Lost(String),
    /// No answer ever comes.
    Silent,
    Response {
        status: u16,
        headers: Vec<(String, String)>,
        content: Content,
        end: StreamEnd,
    },
}

/// What the component must answer.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// None: it must not begin to answer.
    pub status: Option<u16>,
    /// Some of its headers; None for one that must be absent.
    pub headers: Vec<(String, Option<String>)>,
    /// All of its body. None: anything.
    pub body: Option<Body>,
    /// Its body by the times at which it comes. None: anything.
    pub chunks: Option<Vec<Chunk>>,
    pub end: ResponseEnd,
    /// A text in the message of the trap or error.
    pub reason: Option<String>,
}

/// All of a body that comes at one moment of virtual time.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "forms::ChunkForm", into = "forms::ChunkForm")]
pub struct Chunk {
    /// Since the request.
    pub at: Duration,
    pub body: Body,
}

/// How a response ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResponseEnd {
    /// All of it came.
    #[default]
    Whole,
    /// The component reported an error, instead of a response or in the middle of its body.
    Error,
    /// The component trapped.
    Trap,
    /// The client hung up first.
    Left,
}

impl Outcome {
    /// The word of a case file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::RolledBack => "rolled-back",
        }
    }
}

impl ResponseEnd {
    /// The word of a case file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Error => "error",
            Self::Trap => "trap",
            Self::Left => "left",
        }
    }
}

#[cfg(test)]
mod tests;
