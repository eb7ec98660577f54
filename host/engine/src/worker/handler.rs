//! Requests on their way to instances.
//!
//! A request is put into a queue, and something is made to take it: an instance that has room, or a new one.
//! An instance has room while it waits for I/O; one that computes offers itself again when it waits. So a request
//! waits behind no other one that computes, as long as another instance may be made.
//!
//! A handler belongs to one thread, and an instance to the thread whose request had it made. That is for speed
//! alone: what holds the lock may be on any thread.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use super::error::{CallError, Holder, NoRoom};
use super::instance_state::{InstanceState, RequestState};
use super::shared::AllInstancesBusy;
use super::warm::Warm;
use super::{Policy, instance};
use wasm_host_capabilities::outgoing::{HttpRequest, HttpResponse};
use wasm_host_system::computing::Weight;

/// What a request comes to.
pub type CallResult = Result<HttpResponse, CallError>;

/// Takes the requests for one version of a component, on one thread.
pub struct Handler(Arc<HandlerQueue>);

/// One request that no instance has taken.
pub(super) struct PendingRequest {
    pub(super) state: Arc<RequestState>,
    pub(super) request: HttpRequest,
    pub(super) answer: oneshot::Sender<CallResult>,
}

/// The queue of one handler, and what else its instances share with it.
pub(super) struct HandlerQueue {
    pub(super) policy: Policy,
    pub(super) weight: Arc<Weight>,
    pub(super) warm: Warm,
    /// How many wait, to be looked at without the lock.
    waiting: AtomicUsize,
    state: Mutex<QueueState>,
}

#[derive(Default)]
struct QueueState {
    /// As long as admission lets it be, and those whose clients have left since the last was taken.
    pending: VecDeque<PendingRequest>,
    /// Instances with room. The one that came last is asked first: what it needs is in the processor's cache, and those
    /// that are not needed come to their end.
    free: Vec<Arc<InstanceState>>,
    /// Instances that are being made.
    starting: usize,
}

// === impl Handler ===

impl Handler {
    pub fn new(policy: Policy) -> Self {
        Self::with(policy, Warm::default())
    }

    /// One that keeps so many instances, which it makes where it is at home.
    pub fn keeping(policy: Policy, instances: usize, home: Handle) -> Self {
        let handler = Self::with(policy, Warm::new(instances, home));
        if instances > 0 {
            handler.0.policy.shared().add_keeper(&handler.0);
        }
        handler
    }

    fn with(policy: Policy, warm: Warm) -> Self {
        let (weight, waiting, state) = Default::default();
        Self(Arc::new(HandlerQueue { policy, weight, warm, waiting, state }))
    }

    /// Make the instances that it is to keep and does not have. What cannot be made is told in the log.
    pub async fn warm_up(&self) {
        self.0.warm_up().await;
    }

    /// Whether it has instances that will take requests.
    pub fn is_warm(&self) -> bool {
        self.0.warm.has_any()
    }

    /// Whether one of them would take a request now, and gladly: nothing hangs in it.
    pub fn is_free(&self) -> bool {
        self.0.state.lock().free.iter().any(|free| !free.is_quarantined())
    }

    /// End what no instance has taken, as an instance's requests are ended when the time of its version is over.
    /// Returns how many there were.
    pub fn cut(&self) -> usize {
        let mut state = self.0.state.lock();
        let pending = std::mem::take(&mut state.pending);
        self.0.waiting.store(0, Ordering::Release);
        drop(state);
        // They are told as each is dropped.
        pending.into_iter().filter(|request| request.state.cut()).count()
    }

    /// Where it is told that this holder may have given something back.
    pub(super) fn freed(&self, holder: Holder) -> &Notify {
        let policy = &self.0.policy;
        match holder {
            Holder::Version => &policy.shared.freed,
            Holder::Anyone => &policy.engine.freed,
        }
    }

    /// Have a request answered.
    ///
    /// # Errors
    /// There is no room for it, or the guest gave no final answer.
    pub async fn call(&self, state: Arc<RequestState>, request: HttpRequest) -> CallResult {
        let (answer, answered) = oneshot::channel();
        self.0.push(PendingRequest { state, request, answer });
        let response = answered.await.unwrap_or(Err(CallError::Ended))?;
        let status = response.status();
        if status.is_informational() {
            // No answer yet, or a switch of protocols that was not asked for: with it, the rest of the client's
            // connection would mean something else.
            return Err(CallError::Informational(status));
        }
        Ok(response)
    }
}

// === impl QueueState ===

impl QueueState {
    /// The request that has waited longest. The answers to some are not waited for: their clients have left.
    fn take(&mut self) -> Option<PendingRequest> {
        std::iter::from_fn(|| self.pending.pop_front()).find(|pending| !pending.answer.is_closed())
    }

    /// What will not be taken: no instance is free, and those that are being made have room for fewer.
    fn left_over(&mut self, per_instance: usize) -> VecDeque<PendingRequest> {
        if !self.free.is_empty() {
            return VecDeque::new();
        }
        let taken = self.starting.saturating_mul(per_instance).min(self.pending.len());
        self.pending.split_off(taken)
    }
}

// === impl HandlerQueue ===

impl HandlerQueue {
    fn push(self: &Arc<Self>, pending: PendingRequest) {
        let mut state = self.state.lock();
        state.pending.push_back(pending);
        self.see_to_it(state);
    }

    /// See that what waits is taken.
    fn see_to_it(self: &Arc<Self>, mut state: MutexGuard<'_, QueueState>) {
        self.waiting.store(state.pending.len(), Ordering::Release);
        if state.pending.is_empty() {
            return;
        }
        if let Some(free) = state.free.last() {
            return free.wake();
        }
        if state.starting.saturating_mul(self.policy.per_instance()) >= state.pending.len() {
            return;
        }
        state.starting += 1;
        // A runtime that goes down drops the task at once, which takes the lock.
        drop(state);
        tokio::spawn(instance::run(Starting(self.clone())));
    }

    /// Count one more start, if that is wanted when there are so many.
    pub(super) fn start_if(
        self: &Arc<Self>,
        wanted: impl FnOnce(usize) -> bool,
    ) -> Option<Starting> {
        let mut state = self.state.lock();
        wanted(state.starting).then(|| {
            state.starting += 1;
            Starting(self.clone())
        })
    }

    /// Whether instances are being made.
    pub(super) fn is_starting(&self) -> bool {
        self.state.lock().starting > 0
    }

    /// Whether requests wait.
    pub(super) fn has_pending(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// The request that has waited longest.
    pub(super) fn take(&self) -> Option<PendingRequest> {
        if !self.has_pending() {
            return None;
        }
        let mut state = self.state.lock();
        let pending = state.take();
        self.waiting.store(state.pending.len(), Ordering::Release);
        pending
    }

    /// The instance takes requests.
    pub(super) fn offer(&self, instance: &Arc<InstanceState>) {
        if instance.set_free(true) {
            self.state.lock().free.push(instance.clone());
            self.policy.shared().freed.notify_one();
        }
    }

    /// It takes none now. What waits is for others.
    pub(super) fn withdraw(self: &Arc<Self>, instance: &Arc<InstanceState>) {
        if instance.set_free(false) {
            let mut state = self.state.lock();
            state.free.retain(|free| !Arc::ptr_eq(free, instance));
            self.see_to_it(state);
        }
    }
}

/// An instance that is being made.
pub(super) struct Starting(Arc<HandlerQueue>);

impl Starting {
    pub(super) fn queue(&self) -> &Arc<HandlerQueue> {
        &self.0
    }

    /// It could not be made: what waits, and neither a free instance nor another start will take, is given back.
    pub(super) fn failed(self, error: wasmtime::Error) {
        let queue = self.0.clone();
        queue.warm.failed(queue.policy.service(), &error);
        let error = Arc::new(error);
        // From here on it counts no more: a request that comes now gets a start of its own.
        drop(self);
        if !error.is::<AllInstancesBusy>() {
            queue.policy.shared().could_not_make();
        } else if queue.policy.has_room() {
            // The request that made it has looked while this still counted.
            queue.keep_warm();
        }
        queue.keep_warm_later();
        let mut state = queue.state.lock();
        let left_over = state.left_over(queue.policy.per_instance());
        queue.see_to_it(state);
        let no_room = NoRoom::of(&error);
        for PendingRequest { request, answer, .. } in left_over {
            // Its client may have left meanwhile.
            let _ = answer.send(Err(match &no_room {
                Some(why) => CallError::NoRoom(Box::new(request), why.clone()),
                None => CallError::NotStarted(error.clone()),
            }));
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.0.state.lock().starting -= 1;
        self.0.warm.started.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::Shared;
    use wasm_host_capabilities::body::full;
    use wasm_host_capabilities::context::RequestContext;

    /// So many requests that wait, named by their order, and where their answers are waited for.
    fn queue(requests: usize) -> (QueueState, Vec<oneshot::Receiver<CallResult>>) {
        let mut queue = QueueState::default();
        let clients = (0..requests).map(|number| {
            let (answer, answered) = oneshot::channel();
            let state = RequestState::new(RequestContext::of_host(&number.to_string()));
            let request = http::Request::new(full(""));
            queue.pending.push_back(PendingRequest { state, request, answer });
            answered
        });
        let clients = clients.collect();
        (queue, clients)
    }

    fn ids<'r>(pending: impl IntoIterator<Item = &'r PendingRequest>) -> Vec<&'r str> {
        pending.into_iter().map(|pending| pending.state.context.id()).collect()
    }

    #[test]
    fn a_request_whose_client_has_left_the_queue_is_not_run() {
        let (mut queue, mut clients) = queue(4);
        clients.remove(2);
        clients.remove(0);
        let taken: Vec<PendingRequest> = std::iter::from_fn(|| queue.take()).collect();
        assert_eq!(ids(&taken), ["1", "3"]);
    }

    #[test]
    fn a_start_that_fails_gives_back_only_what_no_other_instance_will_take() {
        let (mut none, _clients) = queue(3);
        assert_eq!(ids(&none.left_over(2)), ["0", "1", "2"]);
        // Another start takes two of them, and those that have waited longest.
        let (mut starting, _clients) = queue(3);
        starting.starting = 1;
        assert_eq!(ids(&starting.left_over(2)), ["2"]);
        assert_eq!(ids(&starting.pending), ["0", "1"]);
        let (mut free, _clients) = queue(3);
        free.free.push(Arc::new(Shared::default()).enter(1).unwrap());
        assert!(free.left_over(1).is_empty());
        assert_eq!(free.pending.len(), 3);
    }
}
