//! Where the notices and warnings go that a database server says beside its answers.
//!
//! The driver tells of them in the task that reads the connection. So that task carries the caller whose statement it
//! runs. What is said of the host's own commands goes nowhere.

use std::future::Future;
use std::sync::Arc;

use tracing::Level;

use crate::context::RequestContext;
use crate::journal::Journal;

/// The caller that a statement runs for.
#[derive(Clone)]
pub struct Caller {
    pub journal: Arc<dyn Journal>,
    pub request: Option<RequestContext>,
}

tokio::task_local! {
    static CALLER: Caller;
}

/// Work on behalf of `caller`, or of no caller.
pub async fn on_behalf_of<T>(caller: Option<Caller>, work: impl Future<Output = T>) -> T {
    match caller {
        Some(caller) => CALLER.scope(caller, work).await,
        None => work.await,
    }
}

/// The caller that this task works for.
pub(super) fn caller() -> Option<Caller> {
    CALLER.try_with(Caller::clone).ok()
}

/// A server says something to this task.
pub fn hear(level: Level, text: &str) {
    if let Some(Caller { journal, request }) = caller() {
        journal.note(level, request.as_ref(), text);
    }
}
