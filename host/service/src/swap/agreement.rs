//! The others who have to agree before a version takes requests: the replicas of the application.
//!
//! It must not know how they come to that.

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::sleep;

use super::SwapSlot;
use wasm_host_engine::compile::ComponentFile;
use wasm_host_limits::replicas::POLL;

/// Asked of a version that can serve and is kept, before it does.
pub trait Agreement: Send + Sync {
    /// Why they cannot be asked now. A swap is then rejected without waiting for its turn: what has the turn may wait
    /// for the same.
    fn unavailable(&self) -> Option<String> {
        None
    }

    /// Whether they are deciding on a service, or have decided on another version than this one, which serves here.
    fn is_deciding(&self, _service: &str, _serving: &str) -> bool {
        false
    }

    /// What a rollback goes to. `serving`: the digest that serves here. None: what this host remembers.
    fn before<'a>(
        &'a self,
        _service: &'a Arc<str>,
        _serving: &'a str,
    ) -> Boxed<'a, Option<Before>> {
        Box::pin(async { None })
    }

    /// Wait for the decision. Err: why the version is not to serve.
    fn agree<'a>(&'a self, proposed: Proposed<'a>) -> Boxed<'a, Result<Agreed, String>>;
}

pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The version before the one that serves, if there is one, or why it cannot be had.
pub type Before = Result<Option<ComponentFile>, String>;

/// What all are to put into service.
#[derive(Clone, Copy)]
pub struct Proposed<'a> {
    pub service: &'a Arc<str>,
    pub file: &'a ComponentFile,
    pub cause: &'a str,
    /// What serves does worse than what it replaced.
    pub takes_back: bool,
}

/// The version is to serve, whatever happens here.
#[derive(Default)]
pub struct Agreed {
    /// Replicas whose agreement there is not, because they were lost.
    pub without: Vec<String>,
    /// It has served elsewhere: its first answers here are no trial.
    pub has_served: bool,
    /// Told when the version serves. Dropped: it does not.
    pub served: Option<oneshot::Sender<()>>,
}

/// Wait for the turn of an attempt, as long as the others can be asked.
pub(super) async fn turn<'a>(
    slot: &'a SwapSlot,
    others: Option<&dyn Agreement>,
) -> Result<tokio::sync::MutexGuard<'a, ()>, String> {
    let turn = slot.turn.lock();
    let Some(others) = others else { return Ok(turn.await) };
    tokio::pin!(turn);
    loop {
        if let Some(why) = others.unavailable() {
            return Err(why);
        }
        tokio::select! {
            turn = &mut turn => return Ok(turn),
            () = sleep(POLL) => {}
        }
    }
}
