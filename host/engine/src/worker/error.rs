//! Why a request has no answer: what callers have to tell apart, and no more.

use std::sync::Arc;

use http::StatusCode;
use wasmtime::PoolConcurrencyLimitError;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;

use super::shared::AllInstancesBusy;
use crate::NoPlace;
use crate::memory::OverBudget;
use wasm_host_capabilities::outgoing::HttpRequest;

/// Why a request has no answer. In words it is what a guest did wrong, without the addresses of where it did.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No instance has room for it, and none can be made now. The request is given back: no guest has seen it.
    #[error("{1}")]
    NoRoom(Box<HttpRequest>, NoRoom),
    /// The instance that was made for it did not start.
    #[error("{}", .0.root_cause())]
    NotStarted(Arc<wasmtime::Error>),
    /// Its instance ended before it answered; why, the instance has told.
    #[error("its instance ended")]
    Ended,
    /// The guest trapped in this very call.
    #[error("{}", .0.root_cause())]
    Trapped(wasmtime::Error),
    /// The guest has no answer, and says so.
    #[error("{0}")]
    Refused(ErrorCode),
    /// The guest's answer is not one: nothing but a final answer ends a request.
    #[error("it answered {0}")]
    Informational(StatusCode),
}

/// Why no instance can be made now, although one may be soon.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoRoom(Arc<wasmtime::Error>);

/// What has to give something back before an instance can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// Another instance of the same version.
    Version,
    /// An instance of any service.
    Anyone,
}

impl NoRoom {
    /// None if that is no matter of room.
    pub(super) fn of(error: &Arc<wasmtime::Error>) -> Option<Self> {
        let is_full = error.is::<AllInstancesBusy>()
            || error.is::<OverBudget>()
            || error.is::<NoPlace>()
            || error.is::<PoolConcurrencyLimitError>();
        is_full.then(|| Self(error.clone()))
    }

    pub(super) fn holder(&self) -> Holder {
        match self.0.is::<AllInstancesBusy>() {
            true => Holder::Version,
            false => Holder::Anyone,
        }
    }
}

impl CallError {
    /// What a guest's call ended with.
    pub(super) fn of_guest(error: wasmtime::Error) -> Self {
        match error.downcast::<ErrorCode>() {
            Ok(code) => Self::Refused(code),
            Err(error) => Self::Trapped(error),
        }
    }
}
