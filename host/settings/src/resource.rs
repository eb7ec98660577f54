//! Tables that declare what services can be granted, as in `[postgres.<name>]`.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use super::context::Located;
use super::secret::BackendUrl;

/// One such table, as it was read.
pub trait Resource: Any + fmt::Debug + Send + Sync {
    /// Where what it declares is. Its password is a secret of the application.
    fn url(&self) -> Option<&BackendUrl>;

    /// Where what it declares is, for a host that runs elsewhere than on the machine where the file was written.
    fn place(&self) -> ResourcePlace<'_>;

    /// How long its first answer may take.
    fn first_byte(&self) -> Wait;

    /// How long it may be silent between the parts of an answer. `None`: it is never silent for long.
    fn pause(&self) -> Option<Wait> {
        None
    }

    /// Bytes of the host's memory that it may take, beside what the host has for components.
    fn memory_bytes(&self) -> u64 {
        0
    }

    /// Where on a server its keys are. `None`: it has none there.
    fn keys(&self) -> Option<Keys> {
        None
    }

    /// The service that answers where nothing does at its url. `None`: none.
    fn stand_in(&self) -> Option<&str> {
        None
    }
}

/// Where something is that a table declares.
#[derive(Clone, Copy, Debug)]
pub enum ResourcePlace<'r> {
    /// On a server that the file names. `port`: the usual one, for a url without.
    Server { url: &'r BackendUrl, port: u16 },
    /// On a server that the file does not name, so that one has to be beside the host.
    Beside,
    /// In a file of the state folder. `instead`: what to write for something that outlasts that folder.
    StateFolder { instead: &'static str },
    /// In the memory of the host.
    Memory,
}

/// Keys on a server: all that begin with a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Which server and what part of it, for comparison alone.
    pub server: String,
    pub prefix: String,
}

impl Keys {
    /// Whether all keys of the other are among these.
    pub fn contain(&self, other: &Self) -> bool {
        self.server == other.server && other.prefix.starts_with(&self.prefix)
    }
}

/// A wait with a bound of its own.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    /// The key that bounds it.
    pub key: &'static str,
    pub bound: Duration,
    /// What may come before it.
    pub before: Duration,
}

/// What came of reading a table.
pub struct Declared<R> {
    /// `None` if it cannot be used; that has been reported.
    pub resource: Option<R>,
    /// The service that answers where nothing does.
    pub stand_in: Option<StandIn>,
}

/// A service that answers where nothing else does.
pub struct StandIn {
    pub service: Located<String>,
    /// What it has to be, for a hint where it is not: "a component that ...".
    pub what: &'static str,
}
