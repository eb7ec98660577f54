//! What a table of the application file declares, connected: what services are granted, and how it is.

use std::any::Any;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use tokio::time::timeout;

use super::breaker;
use super::granted::Granted;
use super::transport::Transport;
use wasm_host_limits::backends::READY_TIMEOUT;

/// How a backend is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    Up,
    /// It does not answer, and something else of the application's does in its place: what, in words for people.
    StandingIn(String),
    /// What is wrong, in words for people.
    Down(String),
}

/// The answer of a backend that was asked how it is.
pub type Looked<'a> = Pin<Box<dyn Future<Output = Condition> + Send + 'a>>;

/// The end of closing.
pub type Closed<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// One such table's backend. It is shared by the services that it is granted to.
pub trait Backend: Any + Send + Sync {
    /// Grant it to a service. It may have to know that service from then on, as a pool keeps a connection for each.
    fn grant(&self, service: &str, granted: Granted) -> Granted;

    /// How it is at this moment. Asks it, for no longer than [`READY_TIMEOUT`]; `name` is what it is called.
    fn condition<'a>(&'a self, name: &'a str) -> Looked<'a>;

    /// Calls that run on it at this moment, as the host itself counts them.
    fn calls(&self) -> usize;

    /// What its calls share. None: nothing that has a bound, or it has not come up.
    fn pool(&self) -> Option<Pool> {
        None
    }

    /// Its circuit breaker. None: it has none, or has not come up.
    fn breaker(&self) -> Option<breaker::Reading> {
        None
    }

    /// What its services lack while it has not come up: a service without it cannot be healthy, and its state is this.
    fn lacking(&self) -> Option<&'static str> {
        None
    }

    /// Whether something else answers in its place, as was last seen. Asks no server.
    fn is_stood_in_for(&self) -> bool {
        false
    }

    /// Close connections. Waits, for no longer than a bound of its own, where something is kept by that.
    fn close(&self) -> Closed<'_> {
        Box::pin(std::future::ready(()))
    }
}

/// What the calls of a backend share, as it is at this moment. Those that run are counted by [`Backend::calls`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Connections or calls that there may be at once.
    pub most: usize,
    /// Calls that wait until there may be one more.
    pub waiting: usize,
    /// Connections that are open and that no call uses. None: they are not counted.
    pub idle: Option<usize>,
}

/// What a backend may need of the host that it is part of.
pub trait Host {
    /// Threads that serve; each may have connections of its own.
    fn threads(&self) -> usize;

    /// The way to a service of this host.
    fn service(&self, name: &str) -> Arc<dyn Transport>;

    /// The names of all tables `[KEY.<name>]` of the application file.
    fn declared(&self, key: &str) -> Vec<String>;

    /// The folder of what it keeps.
    fn state_dir(&self) -> &Path;

    /// A way to a server, watched if calls are recorded.
    fn watched(&self, transport: Arc<dyn Transport>) -> Arc<dyn Transport>;
}

/// Ask a backend how it is. `None` without an answer in time.
pub async fn asked<T>(question: impl Future<Output = T>) -> Option<T> {
    timeout(READY_TIMEOUT, question).await.ok()
}

impl Condition {
    /// In a word, for programs and people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::StandingIn(_) => STANDING_IN,
            Self::Down(_) => "down",
        }
    }

    /// Why it is not up.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Up => None,
            Self::StandingIn(why) | Self::Down(why) => Some(why),
        }
    }
}

/// The state of a backend that something else stands in for, and of the services that are granted it.
pub const STANDING_IN: &str = "standing in";

/// What happens to calls of a backend that does not answer: words that continue a complaint.
pub fn what_calls_do(breaker_is_open: bool) -> &'static str {
    if breaker_is_open { "; calls fail at once until it does" } else { "" }
}
