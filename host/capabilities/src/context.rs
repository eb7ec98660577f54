//! The HTTP request on whose behalf a guest calls a capability.
//!
//! One instance may serve many requests at the same time, and a guest that waits cannot be trusted to notice
//! that its client has left. So the host itself must know which request a call belongs to: it asks wasmtime for the call's
//! root task and looks that up here. When the client leaves, the request's token is cancelled, and
//! every capability call made for it ends.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::{Extensions, Method, Uri};
use parking_lot::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;
use wasmtime::AsContextMut;
use wasmtime::component::GuestTaskId;

use wasm_host_system::digest::Digest;
use wasm_host_telemetry::span::Kind;
use wasm_host_telemetry::trace::{ActiveSpan, Trace};

/// A request before a version of a service has taken it: what it brings along, and what is attached to it on its way.
#[derive(Debug)]
pub struct Inbound {
    id: String,
    hops: u8,
    cancel: CancellationToken,
    trace: Trace,
    extensions: Extensions,
}

impl Inbound {
    /// `hops` counts the services that the request has passed inside the host. Its id is that of its span.
    pub fn new(trace: Trace, hops: u8) -> Self {
        let id = String::from_utf8_lossy(&trace.span_id().digits()).into_owned();
        Self::with_id(id, trace, hops)
    }

    fn with_id(id: String, trace: Trace, hops: u8) -> Self {
        let (cancel, extensions) = Default::default();
        Self { id, hops, cancel, trace, extensions }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    pub fn hops(&self) -> u8 {
        self.hops
    }

    /// Attach something for as long as this service answers it. It does not travel on with [`RequestContext::next_hop`].
    pub fn attach<T: Clone + Send + Sync + 'static>(&mut self, extension: T) {
        self.extensions.insert(extension);
    }

    /// From here on it is this version's.
    pub fn served_by(self, served: Served) -> RequestContext {
        RequestContext::with(self, Some(served))
    }

    /// No version of a service answers it.
    pub fn unserved(self) -> RequestContext {
        RequestContext::with(self, None)
    }
}

/// What each line of the log says of the request that it is about, by these names.
#[derive(Clone, Copy, Debug, Default)]
pub struct About<'r> {
    pub request: &'r str,
    /// Zero: nothing is seen of it.
    pub trace_id: u128,
    pub span_id: u64,
    /// The whole digest of what answers it, if something does.
    pub service_version: Option<&'r str>,
}

impl<'r> About<'r> {
    /// Of a request that no version has taken yet. `request` is its id as the log names it.
    pub fn new(request: &'r str, trace: &Trace) -> Self {
        let (trace_id, span_id) = (trace.id().0, trace.span_id().0);
        Self { request, trace_id, span_id, service_version: None }
    }
}

/// What answers a request, and until when.
#[derive(Clone, Debug)]
pub struct Served {
    pub service: Arc<str>,
    pub version: Digest,
    /// When its answer must be whole. None: whenever.
    pub deadline: Option<tokio::time::Instant>,
}

/// One request as all that works for it sees it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RequestContext(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    inbound: Inbound,
    served: Option<Served>,
    /// What its guest has printed.
    lines: AtomicUsize,
    /// Its response has been delivered whole.
    finished: AtomicBool,
}

impl RequestContext {
    /// What the host itself asks, for no client and no version: `what` stands where a request's id would.
    pub fn of_host(what: &str) -> Self {
        Inbound::with_id(what.to_owned(), Trace::off(), 0).unserved()
    }

    /// For a call that a guest makes while it serves none: nothing but its instance ends it.
    pub fn of_no_request() -> Self {
        Self::of_host("none")
    }

    fn with(inbound: Inbound, served: Option<Served>) -> Self {
        let (lines, finished) = Default::default();
        Self(Arc::new(Inner { inbound, served, lines, finished }))
    }

    /// The same request on its way into another service: what ends the one ends the other, not the
    /// other way round. `span` is what asks it.
    pub fn next_hop(&self, span: &ActiveSpan, method: &Method, uri: &Uri) -> Inbound {
        let trace = self.trace().next_hop(span, method, uri);
        let hop = Inbound::with_id(self.id().to_owned(), trace, self.hops().saturating_add(1));
        Inbound { cancel: self.cancel().child_token(), ..hop }
    }

    /// What is seen of it.
    pub fn trace(&self) -> &Trace {
        &self.0.inbound.trace
    }

    /// Something is done for it from now on, until that is dropped.
    pub fn span(&self, name: impl Into<Cow<'static, str>>, kind: Kind) -> ActiveSpan {
        match self.served() {
            Some(served) => self.trace().span(name, kind, &served.service),
            None => ActiveSpan::default(),
        }
    }

    /// Whether both are one request. Another one, on its way through a service, may have the same id.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The id that logs and problem documents name.
    pub fn id(&self) -> &str {
        &self.0.inbound.id
    }

    /// What lines of the log say of it.
    pub fn about(&self) -> About<'_> {
        let service_version = self.served().map(|served| served.version.full());
        About { service_version, ..About::new(self.id(), self.trace()) }
    }

    pub fn hops(&self) -> u8 {
        self.0.inbound.hops
    }

    /// What answers it. None for what the host itself asks.
    pub fn served(&self) -> Option<&Served> {
        self.0.served.as_ref()
    }

    /// What was attached to it before it was served.
    pub fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<&T> {
        self.0.inbound.extensions.get()
    }

    /// One more line that its guest prints. Returns how many there were before.
    pub fn count_line(&self) -> usize {
        self.0.lines.fetch_add(1, Ordering::Relaxed)
    }

    /// Cancelled when the client has left or a deadline has passed. All code that waits on the request's behalf must
    /// also wait for this.
    pub fn cancel(&self) -> &CancellationToken {
        &self.0.inbound.cancel
    }

    /// Its response has been delivered whole. No client waits for what the guest does for it from now on.
    pub fn finish(&self) {
        self.0.finished.store(true, Ordering::Release);
    }

    /// Whether no client waits for it any more.
    pub fn has_ended(&self) -> bool {
        self.is_finished() || self.cancel().is_cancelled()
    }

    pub fn is_finished(&self) -> bool {
        self.0.finished.load(Ordering::Acquire)
    }
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
    /// would notice; a request that has finished is found here, because a task that goes on keeps its id.
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
        self.0.lock()
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
