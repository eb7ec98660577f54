//! The HTTP request on whose behalf a guest calls a capability.
//!
//! One instance may serve many requests at the same time, and a guest that waits cannot be trusted to notice
//! that its client has left. So the host itself must know which request a call belongs to: it asks wasmtime for the call's
//! root task and looks that up here. When the client leaves, the request's token is cancelled, and
//! every capability call made for it ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
}

impl Inner {
    fn new(id: String, hops: u8, cancel: CancellationToken) -> Arc<Self> {
        Arc::new(Self { id, hops, cancel, lines: AtomicUsize::new(0) })
    }
}

impl RequestContext {
    /// `hops` counts the services that the request has passed inside the host.
    pub fn new(id: String, hops: u8) -> Self {
        Self(Inner::new(id, hops, CancellationToken::new()))
    }

    /// A call on behalf of a request that is known only by what ends it, and by the hops that
    /// [`with_hops`] holds.
    pub fn for_call(id: String, cancel: CancellationToken) -> Self {
        let hops = HOPS.try_with(|hops| *hops).unwrap_or_default();
        Self(Inner::new(id, hops, cancel))
    }

    /// The same request on its way into another service: what ends the one ends the other, not the
    /// other way round.
    pub fn next_hop(&self) -> Self {
        let hops = self.0.hops.saturating_add(1);
        Self(Inner::new(self.0.id.clone(), hops, self.0.cancel.child_token()))
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
}

tokio::task_local! {
    static HOPS: u8;
}

/// Make a call whose request has passed `hops` services. For backends that are asked with a token
/// alone: a call that comes back as one to a service of this host must not begin to count anew.
pub async fn with_hops<T>(hops: u8, call: impl Future<Output = T>) -> T {
    HOPS.scope(hops, call).await
}

/// The requests that one instance is serving, by the task that serves each.
#[derive(Debug, Default)]
pub struct Requests(HashMap<GuestTaskId, RequestContext>);

impl Requests {
    /// Enter a request. A task id is used again once its task is gone, so the table holds at most as many
    /// entries as the instance has had tasks at one time.
    pub fn begin(&mut self, task: GuestTaskId, request: RequestContext) {
        self.0.insert(task, request);
    }

    fn find(&self, task: GuestTaskId) -> Option<&RequestContext> {
        self.0.get(&task)
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
    requests(store).find(task).cloned()
}

/// What ends a call that the running guest code makes. Never, if it serves no request.
pub fn calling_token<S: AsContextMut>(
    store: &mut S,
    requests: impl FnOnce(&mut S) -> &Requests,
) -> CancellationToken {
    calling_request(store, requests).map(|request| request.cancel().clone()).unwrap_or_default()
}
