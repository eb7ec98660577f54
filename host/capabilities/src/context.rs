//! The HTTP request on whose behalf a guest calls a capability.
//!
//! One instance may serve many requests at the same time, and a guest that waits cannot be trusted to notice
//! that its client has left. So the host itself must know which request a call belongs to: it asks wasmtime for the call's
//! root task and looks that up here. When the client leaves, the request's token is cancelled, and
//! every capability call made for it ends.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::Hash;
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
    /// What it was asked for by, which its end depends on.
    _asked_by: Option<RequestContext>,
}

impl Inbound {
    /// `hops` counts the services that the request has passed inside the host. Its id is that of its span.
    pub fn new(trace: Trace, hops: u8) -> Self {
        let id = String::from_utf8_lossy(&trace.span_id().digits()).into_owned();
        Self::with_id(id, trace, hops)
    }

    fn with_id(id: String, trace: Trace, hops: u8) -> Self {
        let (cancel, extensions) = Default::default();
        Self { id, hops, cancel, trace, extensions, _asked_by: None }
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
        Inbound { cancel: self.cancel().child_token(), _asked_by: Some(self.clone()), ..hop }
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
    /// also wait for this, and hold the request as long as it does ([`Requests`] forgets one that nothing holds).
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
pub struct Requests(Arc<Mutex<Table<GuestTaskId>>>);

#[derive(Debug)]
struct Table<K> {
    entered: HashMap<K, Entered>,
    /// Those whose task is gone, and its id another request's, for which something is still there: what a guest keeps
    /// in a global outlives the task that began it.
    kept: Vec<Entered>,
}

#[derive(Debug)]
struct Entered {
    request: RequestContext,
    /// When it was first seen to be finished.
    finished: Option<Instant>,
}

impl Requests {
    /// Enter a request. A task id is used again once its task is gone.
    pub fn begin(&self, task: GuestTaskId, request: RequestContext) {
        self.lock().begin(task, request);
    }

    /// End the calls of requests that were seen to be finished at least this long ago, and all else that was begun for
    /// them. Costs nothing that a request would notice. Whether something is kept for others, which are not due yet.
    pub fn end_forgotten(&self, now: Instant, after: Duration) -> bool {
        let (forgotten, are_more) = self.lock().forgotten(now, after);
        // One that has been cancelled already does not notice.
        forgotten.iter().for_each(|request| request.cancel().cancel());
        are_more
    }

    fn find(&self, task: GuestTaskId) -> Option<RequestContext> {
        self.lock().entered.get(&task).map(|entered| entered.request.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Table<GuestTaskId>> {
        self.0.lock()
    }
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self { entered: HashMap::new(), kept: Vec::new() }
    }
}

impl<K: Eq + Hash> Table<K> {
    /// It holds at most as many requests as the instance has had tasks at one time, beside those that something is kept
    /// of, which the instance's bounds on that bound as well.
    fn begin(&mut self, task: K, request: RequestContext) {
        let before = self.entered.insert(task, Entered { request, finished: None });
        let Some(before) = before.filter(Entered::is_kept) else { return };
        if self.kept.len() == self.kept.capacity() {
            self.kept.retain(Entered::is_kept);
        }
        self.kept.push(before);
    }

    /// Those that are due, and whether others will be.
    fn forgotten(&mut self, now: Instant, after: Duration) -> (Vec<RequestContext>, bool) {
        self.kept.retain(Entered::is_kept);
        let (mut forgotten, mut are_more) = (Vec::new(), false);
        // One whose task goes on is found by that, also while it calls nothing: it may again.
        for entered in self.entered.values_mut().chain(&mut self.kept) {
            if !entered.request.is_finished() {
                continue;
            }
            let since = *entered.finished.get_or_insert(now);
            if now.saturating_duration_since(since) >= after {
                forgotten.push(entered.request.clone());
            } else {
                are_more |= entered.is_kept();
            }
        }
        (forgotten, are_more)
    }
}

impl Entered {
    /// Whether something may still be there that its end would end. All that waits for its token holds the request, too.
    fn is_kept(&self) -> bool {
        Arc::strong_count(&self.request.0) > 1 && !self.request.cancel().is_cancelled()
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

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(30);

    /// A request that has its answer, and what may be kept of it.
    fn finished() -> (RequestContext, CancellationToken) {
        let request = RequestContext::of_host("finished");
        request.finish();
        let token = request.cancel().clone();
        (request, token)
    }

    fn end_forgotten(table: &mut Table<u8>, now: Instant) -> bool {
        let (forgotten, are_more) = table.forgotten(now, AFTER);
        forgotten.iter().for_each(|request| request.cancel().cancel());
        are_more
    }

    #[test]
    fn what_is_kept_of_a_request_ends_after_its_time_also_when_another_one_has_its_task() {
        let (mut table, begin) = (Table::default(), Instant::now());
        let (first, token) = finished();
        // As a transaction in a global of the guest does.
        let kept = first.clone();
        table.begin(1, first);
        table.begin(1, finished().0);
        assert!(end_forgotten(&mut table, begin));
        assert!(!token.is_cancelled());
        assert!(!end_forgotten(&mut table, begin + AFTER));
        assert!(token.is_cancelled());
        drop(kept);
        assert!(!end_forgotten(&mut table, begin + AFTER));
        assert!(table.kept.is_empty());
    }

    #[test]
    fn what_is_kept_of_a_request_that_is_not_finished_stays() {
        let (mut table, begin) = (Table::default(), Instant::now());
        let first = RequestContext::of_host("a body behind its task");
        let body = first.clone();
        table.begin(1, first);
        table.begin(1, finished().0);
        end_forgotten(&mut table, begin);
        end_forgotten(&mut table, begin + AFTER);
        assert!(!body.cancel().is_cancelled());
        body.finish();
        assert!(end_forgotten(&mut table, begin + AFTER));
        end_forgotten(&mut table, begin + AFTER * 2);
        assert!(body.cancel().is_cancelled());
    }

    #[test]
    fn a_task_that_goes_on_is_found_also_while_it_calls_nothing() {
        let (mut table, begin) = (Table::default(), Instant::now());
        let (request, token) = finished();
        table.begin(1, request);
        assert!(!end_forgotten(&mut table, begin));
        end_forgotten(&mut table, begin + AFTER);
        assert!(token.is_cancelled());
    }

    #[test]
    fn requests_that_nothing_is_kept_of_leave_nothing() {
        let mut table = Table::default();
        for _ in 0..1000 {
            table.begin(1, finished().0);
        }
        assert!(table.kept.is_empty());
        // What is let go of later goes with those that come then.
        let held: Vec<_> = (0..64).map(|_| finished().0).collect();
        held.iter().for_each(|request| table.begin(1, request.clone()));
        drop(held);
        for _ in 0..1000 {
            let (request, _) = finished();
            let held = request.clone();
            table.begin(1, request);
            drop(held);
        }
        assert!(table.kept.len() <= 128, "{}", table.kept.len());
    }

    #[test]
    fn what_another_service_does_for_a_request_is_kept_of_it() {
        let mut table = Table::default();
        let (first, token) = finished();
        let hop = first.next_hop(&ActiveSpan::default(), &Method::GET, &Uri::from_static("/"));
        let there = hop.unserved();
        table.begin(1, first);
        table.begin(1, finished().0);
        end_forgotten(&mut table, Instant::now());
        end_forgotten(&mut table, Instant::now() + AFTER);
        assert!(token.is_cancelled() && there.cancel().is_cancelled());
    }
}
