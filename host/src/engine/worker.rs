//! The policy of wasmtime's worker loop: when an instance is made, how many requests it takes, and
//! when it ends.
//!
//! The loop itself is [`ProxyHandler`]'s. What it cannot do is end a request whose client has left, because
//! the guest's task cannot be cancelled from outside. So every request has a [`Slot`] that both
//! its body and its instance see: once all requests of an instance that still run are abandoned, the instance ends
//! within [`limits::ABANDONED_GRACE`], whatever the guest is doing. Requests that are alive are
//! never cut short by a neighbour's client.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::{Instant, Sleep, timeout};
use wasmtime::component::GuestTaskId;
use wasmtime::{Store, StoreContextMut};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, ProxyHandler, ProxyPre, ShouldAccept, WorkerExpiration, WorkerState,
    WorkerStatus,
};

use crate::capability::context::RequestContext;
use crate::engine::state::{Grants, State};
use crate::limits;

/// One version of a component, ready to be called.
pub type Handler = ProxyHandler<Policy>;

/// How a service's instances are used.
#[derive(Clone, Debug)]
pub struct InstanceLimits {
    /// Instances alive at the same time.
    pub instances: usize,
    /// Requests that one instance serves at the same time. `wasi:http@0.2` guests serve one.
    pub per_instance: usize,
    /// Requests that one instance serves before it is replaced. `wasi:http@0.2` guests are written
    /// for one each; they serve more only where this is set.
    pub reuse: Option<usize>,
    /// Linear memory of one instance, all its memories together.
    pub memory_bytes: usize,
    /// How long an instance without requests is kept.
    pub idle: Duration,
}

/// All that instances of one version share.
pub struct Policy {
    pre: ProxyPre<State>,
    engine: wasmtime::Engine,
    grants: Arc<Grants>,
    limits: InstanceLimits,
    reuse: usize,
    shared: Arc<Shared>,
}

/// What the owner of a version watches and steers.
#[derive(Default)]
pub struct Shared {
    /// Counts up when it is retired and when that is taken back.
    turn: AtomicU64,
    retired: AtomicBool,
    /// Counts up with every renewal: instances of an earlier count are to end.
    renewed: AtomicU64,
    live: AtomicUsize,
    instances: Mutex<Vec<Weak<InstanceSlots>>>,
}

/// One retirement of a version. A later one, or its end, makes it void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retirement(u64);

impl Shared {
    /// Instances that are alive.
    pub fn live_instances(&self) -> usize {
        self.live.load(Ordering::Acquire)
    }

    /// End idle instances now and the others as soon as they are idle, until the retirement is taken back.
    pub fn retire(&self) -> Retirement {
        let turn = self.turn.fetch_add(1, Ordering::AcqRel) + 1;
        self.retired.store(true, Ordering::SeqCst);
        self.wake();
        Retirement(turn)
    }

    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    /// Take a retirement back: instances are kept again, and who waits for the end of them stops waiting.
    pub fn resume(&self) {
        self.turn.fetch_add(1, Ordering::AcqRel);
        self.retired.store(false, Ordering::Release);
    }

    /// Whether this retirement is the last word.
    pub fn stands(&self, retirement: Retirement) -> bool {
        self.turn.load(Ordering::Acquire) == retirement.0
    }

    /// End the instances of now, the idle ones at once; requests that come from now on get new ones.
    pub fn renew(&self) {
        // Not part of the turn: a renewal neither begins nor ends a retirement.
        self.renewed.fetch_add(1, Ordering::AcqRel);
        self.wake();
    }

    fn wake(&self) {
        for instance in lock(&self.instances).iter().filter_map(Weak::upgrade) {
            instance.waker.wake();
        }
    }

    /// End every request that still runs. Its client sees an error, never a clean end. Returns how
    /// many there were.
    pub fn cut(&self) -> usize {
        let mut cut = 0;
        for instance in lock(&self.instances).iter().filter_map(Weak::upgrade) {
            for slot in lock(&instance.slots).iter() {
                if slot.status() == SlotStatus::Live {
                    slot.status.store(SlotStatus::Broken as u8, Ordering::Release);
                    slot.context.cancel().cancel();
                    cut += 1;
                }
            }
            instance.waker.wake();
        }
        cut
    }
}

/// The instances of a version are all in use.
#[derive(Debug, thiserror::Error)]
#[error("all {0} instances are in use")]
pub struct AllInstancesBusy(usize);

impl Policy {
    pub fn new(
        pre: ProxyPre<State>,
        engine: wasmtime::Engine,
        grants: Arc<Grants>,
        mut limits: InstanceLimits,
    ) -> Self {
        let mut reuse = limits.reuse.unwrap_or(crate::limits::SERVICE_REUSE.default);
        if matches!(pre, ProxyPre::P2(_)) {
            // A waiting call of a 0.2 guest holds its whole store.
            limits.per_instance = 1;
            reuse = limits.reuse.unwrap_or(1);
        }
        Self { pre, engine, grants, limits, reuse, shared: Arc::default() }
    }

    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub fn per_instance(&self) -> usize {
        self.limits.per_instance
    }

    /// Make one instance and drop it: finds what only shows when a component starts.
    pub async fn smoke(&self) -> wasmtime::Result<()> {
        let mut store = self.store();
        self.pre.instantiate_async(&mut store).await.map(drop)
    }

    fn store(&self) -> Store<State> {
        let state = State::new(self.grants.clone(), self.limits.memory_bytes);
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.memory);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        store
    }

    /// Enter one more instance, unless that is one too many.
    fn enter(&self) -> Result<Arc<InstanceSlots>, AllInstancesBusy> {
        let limit = self.limits.instances;
        let entered = self.shared.live.fetch_update(Ordering::AcqRel, Ordering::Acquire, |live| {
            (live < limit).then_some(live + 1)
        });
        entered.map_err(|_| AllInstancesBusy(limit))?;
        let slots = Arc::new(InstanceSlots::new(self.shared.clone()));
        let mut instances = lock(&self.shared.instances);
        instances.retain(|instance| instance.strong_count() > 0);
        instances.push(Arc::downgrade(&slots));
        Ok(slots)
    }
}

impl HandlerState for Policy {
    type StoreData = State;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<State, Expiration, Worker>> {
        let slots = self.enter()?;
        let mut store = self.store();
        let started = timeout(crate::limits::SMOKE_TIMEOUT, self.pre.instantiate_async(&mut store));
        let proxy = started.await.map_err(|_| wasmtime::format_err!("it does not start"))??;
        Ok(Instance {
            store,
            proxy,
            view: State::http,
            expiration: Expiration {
                slots: slots.clone(),
                idle: self.limits.idle,
                timer: None,
                changed: None,
                abandoned_since: None,
            },
            state: Worker { slots, per_instance: self.limits.per_instance, reuse: self.reuse },
        })
    }
}

/// The requests of one instance.
pub struct InstanceSlots {
    slots: Mutex<Vec<Arc<Slot>>>,
    waker: AtomicWaker,
    /// Set when the host itself ends the instance.
    expired: AtomicBool,
    /// The count of renewals when it was made.
    made: u64,
    shared: Arc<Shared>,
}

impl Drop for InstanceSlots {
    fn drop(&mut self) {
        self.shared.live.fetch_sub(1, Ordering::AcqRel);
    }
}

impl InstanceSlots {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            slots: Mutex::default(),
            waker: AtomicWaker::new(),
            expired: AtomicBool::new(false),
            made: shared.renewed.load(Ordering::Acquire),
            shared,
        }
    }

    /// Whether it takes no requests any more and ends when it has none.
    fn is_retired(&self) -> bool {
        self.shared.retired.load(Ordering::Acquire)
            || self.made != self.shared.renewed.load(Ordering::Acquire)
    }

    /// Whether requests run here, and whether any of them still has someone who wants it.
    fn survey(&self, status: WorkerStatus) -> Survey {
        let mut slots = lock(&self.slots);
        if status == WorkerStatus::Idle {
            // The guest has no task left, so an abandoned request has come to its end as well.
            slots.retain(|slot| slot.status() == SlotStatus::Live);
        }
        slots.retain(|slot| slot.status() != SlotStatus::Finished);
        if slots.is_empty() {
            Survey::Empty
        } else if slots.iter().any(|slot| slot.status() == SlotStatus::Live) {
            Survey::Live
        } else {
            Survey::Abandoned
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Survey {
    Empty,
    Live,
    Abandoned,
}

/// One request, seen from both its ends: the client's body and the guest's instance.
pub struct Slot {
    pub context: RequestContext,
    status: AtomicU8,
    instance: OnceLock<Weak<InstanceSlots>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum SlotStatus {
    Live,
    /// The response has been delivered whole.
    Finished,
    /// Nobody wants the response any more.
    Abandoned,
    /// The instance ended in the middle of it.
    Broken,
}

impl Slot {
    pub fn new(context: RequestContext) -> Arc<Self> {
        Arc::new(Self {
            context,
            status: AtomicU8::new(SlotStatus::Live as u8),
            instance: OnceLock::new(),
        })
    }

    /// The response has been delivered whole.
    pub fn finish(&self) {
        self.end(SlotStatus::Finished);
    }

    /// Nobody wants the response any more. Ends the request's capability calls now and its guest soon.
    pub fn abandon(&self) {
        self.end(SlotStatus::Abandoned);
        self.context.cancel().cancel();
    }

    /// Whether the instance ended before the response did. A body whose instance trapped looks
    /// as if it had simply come to its end.
    pub fn is_broken(&self) -> bool {
        self.status() == SlotStatus::Broken
    }

    fn end(&self, status: SlotStatus) {
        self.status.store(status as u8, Ordering::Release);
        if let Some(instance) = self.instance.get().and_then(Weak::upgrade) {
            instance.waker.wake();
        }
    }

    fn status(&self) -> SlotStatus {
        match self.status.load(Ordering::Acquire) {
            0 => SlotStatus::Live,
            1 => SlotStatus::Finished,
            2 => SlotStatus::Abandoned,
            _ => SlotStatus::Broken,
        }
    }
}

/// Decides when an instance takes another request.
pub struct Worker {
    slots: Arc<InstanceSlots>,
    per_instance: usize,
    reuse: usize,
}

impl WorkerState for Worker {
    type StoreData = State;
    type RequestData = Arc<Slot>;

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        // A retired version must still serve what waits in its queue: a worker that refused its first
        // request would leave that one waiting for ever.
        let retired = self.slots.is_retired() && total > 0;
        if retired || total >= self.reuse {
            ShouldAccept::Never
        } else if concurrent >= self.per_instance {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        mut store: StoreContextMut<'_, State>,
        slot: Arc<Slot>,
        task: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        let context = slot.context.clone();
        let state = store.data_mut();
        state.begin(task, context.clone());
        if self.per_instance == 1 {
            state.set_only_request(context.clone());
        }
        // Whoever set it before would have been another instance, and a request has one.
        let _ = slot.instance.set(Arc::downgrade(&self.slots));
        lock(&self.slots.slots).push(slot);
        // When this resolves, the instance takes no more requests. A guest whose calls were cancelled and
        // which then comes to its end in time has done nothing to deserve that.
        Box::pin(async move {
            context.cancel().cancelled().await;
            tokio::time::sleep(crate::limits::ABANDONED_GRACE).await;
        })
    }

    fn drop(&self, store: Store<State>, result: Result<(), wasmtime::Error>) {
        if let Err(error) = result {
            // Before the store goes: its end closes the bodies, which then must know why.
            for slot in lock(&self.slots.slots).drain(..) {
                slot.status.store(SlotStatus::Broken as u8, Ordering::Release);
                slot.context.cancel().cancel();
            }
            let service = store.data().service();
            if self.slots.expired.load(Ordering::Acquire) {
                tracing::debug!(%service, "an instance was ended: its clients have left");
            } else if error.to_string() == DROPPED && !std::thread::panicking() {
                tracing::debug!(%service, "an instance was ended with the host");
            } else if !store.data().trapped(&error) {
                tracing::warn!(%service, "an instance trapped: {}", error.root_cause());
                tracing::debug!(%service, "{error:?}");
            }
        }
        drop(store);
    }
}

/// Decides when an instance ends.
pub struct Expiration {
    slots: Arc<InstanceSlots>,
    idle: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    /// The last change of status: when it was for wasmtime, and when it was noticed here. wasmtime counts
    /// real time; deadlines are tokio's, whose time may be virtual.
    changed: Option<(std::time::Instant, Instant)>,
    abandoned_since: Option<Instant>,
}

impl WorkerExpiration for Expiration {
    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        status: WorkerStatus,
        since: std::time::Instant,
    ) -> Poll<()> {
        let this = self.get_mut();
        let since = match this.changed {
            Some((of, noticed)) if of == since => noticed,
            _ => this.changed.insert((since, Instant::now())).1,
        };
        // Registered before looking, so that what changes in between wakes us.
        this.slots.waker.register(cx.waker());
        let survey = this.slots.survey(status);
        if survey != Survey::Abandoned {
            this.abandoned_since = None;
        }
        let deadline = match survey {
            Survey::Live => return Poll::Pending,
            Survey::Abandoned => {
                *this.abandoned_since.get_or_insert_with(Instant::now) + limits::ABANDONED_GRACE
            }
            Survey::Empty if status == WorkerStatus::Idle => {
                if this.slots.is_retired() {
                    return Poll::Ready(());
                }
                since + this.idle
            }
            // The guest goes on after its last response.
            Survey::Empty => since + limits::POST_RETURN,
        };
        this.wait_until(deadline, cx)
    }
}

impl Expiration {
    fn wait_until(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        let expired = timer.as_mut().poll(cx);
        self.slots.expired.store(expired.is_ready(), Ordering::Release);
        expired
    }
}

/// What wasmtime says of a worker whose task was dropped before its end: a panic, if one is under way,
/// else the runtime going down.
const DROPPED: &str = "worker panicked";

/// A panic while such a lock is held leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
