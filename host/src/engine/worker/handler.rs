//! Requests on their way to instances.
//!
//! A request is put into a queue, and somebody is made to take it: an instance that has room, or a new one.
//! An instance has room while it waits for I/O; one that computes offers itself again when it waits. So a request
//! waits behind no other one that computes, as long as another instance may be made.
//!
//! A handler belongs to one thread, and an instance to the thread whose request had it made. That is for speed
//! alone: whoever holds the lock may be on any thread.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::handler::{InstantiationError, TrapOrPanicError};

use super::computing::Weight;
use super::slots::{InstanceSlots, Slot};
use super::warm::Warm;
use super::{Policy, instance, lock};

pub(super) type Answer = Result<http::Response<WasiBody>, wasmtime::Error>;

/// Takes the requests for one version of a component, on one thread.
pub struct Handler(Arc<Desk>);

/// One request that no instance has taken.
pub(super) struct Job {
    pub(super) slot: Arc<Slot>,
    pub(super) request: http::Request<WasiBody>,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// What a handler shares with its instances.
pub(super) struct Desk {
    pub(super) policy: Policy,
    pub(super) weight: Arc<Weight>,
    pub(super) warm: Warm,
    /// How many wait, to be looked at without the lock.
    waiting: AtomicUsize,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// As long as admission lets it be, and those whose clients have left since the last was taken.
    jobs: VecDeque<Job>,
    /// Instances with room. Who came last is asked first: what it needs is in the processor's cache, and those
    /// that nobody needs come to their end.
    free: Vec<Arc<InstanceSlots>>,
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
        Self::with(policy, Warm::new(instances, home))
    }

    fn with(policy: Policy, warm: Warm) -> Self {
        let (weight, waiting, queue) = Default::default();
        Self(Arc::new(Desk { policy, weight, warm, waiting, queue }))
    }

    /// Make the instances that it is to keep and does not have. What cannot be made is told in the log.
    pub async fn warm_up(&self) {
        self.0.warm_up().await;
    }

    /// Whether it has instances that will take requests.
    pub fn is_warm(&self) -> bool {
        self.0.warm.has_any()
    }

    /// Whether one of them would take a request now.
    pub fn is_free(&self) -> bool {
        !lock(&self.0.queue).free.is_empty()
    }

    /// Have a request answered.
    ///
    /// Fails with [`InstantiationError`], which gives the request back, if there is no instance for it; with
    /// [`TrapOrPanicError`] if its instance ended before it answered; else with the guest's own error.
    pub async fn handle(&self, slot: Arc<Slot>, request: http::Request<WasiBody>) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.0.push(Job { slot, request, answer });
        answered.await.map_err(|_| TrapOrPanicError)?
    }
}

// === impl Desk ===

impl Desk {
    fn push(self: &Arc<Self>, job: Job) {
        let mut queue = lock(&self.queue);
        queue.jobs.push_back(job);
        self.see_to_it(queue);
    }

    /// See that somebody takes what waits.
    fn see_to_it(self: &Arc<Self>, mut queue: MutexGuard<'_, Queue>) {
        self.waiting.store(queue.jobs.len(), Ordering::Release);
        if queue.jobs.is_empty() {
            return;
        }
        if let Some(free) = queue.free.last() {
            return free.wake();
        }
        if queue.starting.saturating_mul(self.policy.per_instance()) >= queue.jobs.len() {
            return;
        }
        queue.starting += 1;
        // A runtime that goes down drops the task at once, which takes the lock.
        drop(queue);
        tokio::spawn(instance::run(Starting(self.clone())));
    }

    /// Count one more start, if that is wanted when there are so many.
    pub(super) fn start_if(
        self: &Arc<Self>,
        wanted: impl FnOnce(usize) -> bool,
    ) -> Option<Starting> {
        let mut queue = lock(&self.queue);
        wanted(queue.starting).then(|| {
            queue.starting += 1;
            Starting(self.clone())
        })
    }

    /// Whether instances are being made.
    pub(super) fn is_starting(&self) -> bool {
        lock(&self.queue).starting > 0
    }

    /// Whether requests wait.
    pub(super) fn has_jobs(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// The request that has waited longest.
    pub(super) fn take(&self) -> Option<Job> {
        if !self.has_jobs() {
            return None;
        }
        let mut queue = lock(&self.queue);
        // Nobody waits for the answer to some: their clients have left.
        let job = std::iter::from_fn(|| queue.jobs.pop_front()).find(|job| !job.answer.is_closed());
        self.waiting.store(queue.jobs.len(), Ordering::Release);
        job
    }

    /// The instance takes requests.
    pub(super) fn offer(&self, instance: &Arc<InstanceSlots>) {
        if instance.set_free(true) {
            lock(&self.queue).free.push(instance.clone());
        }
    }

    /// It takes none now. What waits is for others.
    pub(super) fn withdraw(self: &Arc<Self>, instance: &Arc<InstanceSlots>) {
        if instance.set_free(false) {
            let mut queue = lock(&self.queue);
            queue.free.retain(|free| !Arc::ptr_eq(free, instance));
            self.see_to_it(queue);
        }
    }
}

/// An instance that is being made.
pub(super) struct Starting(Arc<Desk>);

impl Starting {
    pub(super) fn desk(&self) -> &Arc<Desk> {
        &self.0
    }

    /// It could not be made: what waits, and neither a free instance nor another start will take, is given back.
    pub(super) fn failed(self, error: wasmtime::Error) {
        let desk = self.0.clone();
        desk.warm.failed(desk.policy.service(), &error);
        let error = Arc::new(error);
        // From here on it counts no more: who comes now gets a start of its own.
        drop(self);
        let mut queue = lock(&desk.queue);
        let kept = queue.starting.saturating_mul(desk.policy.per_instance()).min(queue.jobs.len());
        let jobs = if queue.free.is_empty() { queue.jobs.split_off(kept) } else { VecDeque::new() };
        desk.see_to_it(queue);
        for Job { slot, request, answer } in jobs {
            let request = Mutex::new(request);
            let given_back =
                InstantiationError { request_data: slot, request, error: error.clone() };
            // Its client may have left meanwhile.
            let _ = answer.send(Err(given_back.into()));
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        lock(&self.0.queue).starting -= 1;
        self.0.warm.started.notify_waiters();
    }
}
