//! The HTTP request on whose behalf a guest calls a capability.
//!
//! One instance may serve many requests at the same time, and a guest that waits cannot be trusted to notice
//! that its client has left. So the host itself must know which request a call belongs to: it asks wasmtime for the call's
//! root task and looks that up here. When the client leaves, the request's token is cancelled, and
//! every capability call made for it ends.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use wasmtime::AsContextMut;
use wasmtime::component::GuestTaskId;

/// One request as capabilities see it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RequestContext(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: String,
    hops: u8,
    cancel: CancellationToken,
    /// What its guest has printed.
    lines: AtomicUsize,
    /// Its response has been delivered whole.
    finished: AtomicBool,
}

impl RequestContext {
    /// `hops` counts the services that the request has passed inside the host.
    pub fn new(id: String, hops: u8) -> Self {
        Self::with(id, hops, CancellationToken::new())
    }

    /// A call on behalf of a request that is known only by what ends it, and by the hops that
    /// [`with_hops`] holds.
    pub fn for_call(id: String, cancel: CancellationToken) -> Self {
        let hops = HOPS.try_with(|hops| *hops).unwrap_or_default();
        Self::with(id, hops, cancel)
    }

    fn with(id: String, hops: u8, cancel: CancellationToken) -> Self {
        let (lines, finished) = Default::default();
        Self(Arc::new(Inner { id, hops, cancel, lines, finished }))
    }

    /// The same request on its way into another service: what ends the one ends the other, not the
    /// other way round.
    pub fn next_hop(&self) -> Self {
        Self::with(self.0.id.clone(), self.0.hops.saturating_add(1), self.0.cancel.child_token())
    }

    /// Whether both are one request. Another one, on its way through a service, may have the same id.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The id that logs and problem documents name.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    pub fn hops(&self) -> u8 {
        self.0.hops
    }

    /// One more line that its guest prints. Returns how many there were before.
    pub fn count_line(&self) -> usize {
        self.0.lines.fetch_add(1, Ordering::Relaxed)
    }

    /// Cancelled when the client has left or a deadline has passed. Whatever waits on the request's behalf
    /// must also wait for this.
    pub fn cancel(&self) -> &CancellationToken {
        &self.0.cancel
    }

    /// Its response has been delivered whole. What the guest does for it from now on nobody waits for.
    pub fn finish(&self) {
        self.0.finished.store(true, Ordering::Release);
    }

    /// Whether nobody waits for it any more.
    pub fn has_ended(&self) -> bool {
        self.is_finished() || self.cancel().is_cancelled()
    }

    pub fn is_finished(&self) -> bool {
        self.0.finished.load(Ordering::Acquire)
    }
}

tokio::task_local! {
    static HOPS: u8;
}

/// Make a call whose request has passed `hops` services. For backends that are asked with a token
/// alone: a call that comes back as one to a service of this host must not begin to count anew.
pub async fn with_hops<T>(hops: u8, call: impl Future<Output = T>) -> T {
    HOPS.scope(hops, call).await
}

/// The requests that one instance is serving, by the task that serves each. A clone is the same table.
#[derive(Clone, Debug, Default)]
pub struct Requests(Arc<Mutex<HashMap<GuestTaskId, Entered>>>);

#[derive(Debug)]
struct Entered {
    request: RequestContext,
    /// When it was first seen to be finished.
    finished: Option<Instant>,
}

impl Requests {
    /// Enter a request. A task id is used again once its task is gone, so the table holds at most as many
    /// entries as the instance has had tasks at one time.
    pub fn begin(&self, task: GuestTaskId, request: RequestContext) {
        self.lock().insert(task, Entered { request, finished: None });
    }

    /// End the calls of requests that were seen to be finished at least this long ago. Costs nothing that a request
    /// would notice; whoever has finished is found here, because a task that goes on keeps its id.
    pub fn end_forgotten(&self, now: Instant, after: Duration) {
        let forgotten: Vec<RequestContext> = {
            let mut entered = self.lock();
            let finished = entered.values_mut().filter(|entered| entered.request.is_finished());
            let forgotten = finished.filter_map(|entered| {
                let since = *entered.finished.get_or_insert(now);
                let is_due = now.saturating_duration_since(since) >= after;
                is_due.then(|| entered.request.clone())
            });
            forgotten.collect()
        };
        // One that has been cancelled already does not notice.
        forgotten.iter().for_each(|request| request.cancel().cancel());
    }

    fn find(&self, task: GuestTaskId) -> Option<RequestContext> {
        self.lock().get(&task).map(|entered| entered.request.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<GuestTaskId, Entered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The request on whose behalf the guest code that is running now calls the host. None for code that
/// serves no request: a component's smoke test, or a task whose request the host never entered.
pub fn calling_request<S: AsContextMut>(
    store: &mut S,
    requests: impl FnOnce(&mut S) -> &Requests,
) -> Option<RequestContext> {
    // The last of the stack is its root task.
    let task = store.as_context_mut().async_call_stack().ok()?.last()?;
    requests(store).find(task)
}
