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

    /// How long its first answer may take.
    fn first_byte(&self) -> Wait;

    /// How long it may be silent between the parts of an answer. `None`: it is never silent for long.
    fn pause(&self) -> Option<Wait> {
        None
    }

    /// The service that answers where nothing does at its url. `None`: none.
    fn stand_in(&self) -> Option<&str> {
        None
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
