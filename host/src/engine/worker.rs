//! The policy of wasmtime's worker loop: when an instance is made, how many requests it takes, and
//! when it ends.
//!
//! The loop itself is [`ProxyHandler`]'s. It gives a request to whichever instance that waits for I/O asks
//! first, and makes one when none does. What it cannot do is end a request whose client has left, because
//! the guest's task cannot be cancelled from outside. So every request has a [`Slot`] that both
//! its body and its instance see: once all requests of an instance that still run are abandoned, the instance ends
//! within [`limits::ABANDONED_GRACE`], whatever the guest is doing. Requests that are alive are
//! never cut short by a neighbour's client; but while one hangs that nobody waits for, new ones go elsewhere.
//!
//! Nor does the loop turn while guest code computes. The engine's ticks, which make such code give way to
//! other instances, are counted: an instance that computes for too long without a pause is ended.

mod expiration;
mod shared;
mod slots;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout};
use wasmtime::component::GuestTaskId;
use wasmtime::{Store, StoreContextMut, UpdateDeadline};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, ProxyHandler, ProxyPre, ShouldAccept, WorkerState,
};

pub use self::expiration::Expiration;
pub use self::shared::{AllInstancesBusy, Retirement, Shared};
use self::slots::SlotStatus;
pub use self::slots::{InstanceSlots, Slot};
use crate::capability::context::calling_request;
use crate::engine::memory::OverBudget;
use crate::engine::state::{Grants, State};
use crate::engine::turns;
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
    /// How long a guest computes without waiting for anything.
    pub cpu: Duration,
    /// How long the body of a response stands still; zero for ever.
    pub stream_idle: Duration,
}

/// All that instances of one version share, and what makes them.
pub struct Policy {
    pre: ProxyPre<State>,
    engine: wasmtime::Engine,
    grants: Arc<Grants>,
    limits: InstanceLimits,
    reuse: usize,
    /// A guest of WASI 0.2: a waiting call of it holds its whole store.
    exclusive: bool,
    shared: Arc<Shared>,
}

/// A guest computed for too long without a pause.
#[derive(Debug, thiserror::Error)]
enum Overrun {
    #[error("it computed for {0:?} without a pause ('cpu-timeout' sets the bound)")]
    TooLong(Duration),
    #[error("it computed for a client that has left")]
    ForNobody,
}

impl Policy {
    pub fn new(
        pre: ProxyPre<State>,
        engine: wasmtime::Engine,
        grants: Arc<Grants>,
        mut limits: InstanceLimits,
    ) -> Self {
        let mut reuse = limits.reuse.unwrap_or(crate::limits::SERVICE_REUSE.default);
        let exclusive = matches!(pre, ProxyPre::P2(_));
        if exclusive {
            limits.per_instance = 1;
            reuse = limits.reuse.unwrap_or(1);
        }
        Self { pre, engine, grants, limits, reuse, exclusive, shared: Arc::default() }
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
        store.epoch_deadline_async_yield_and_update(1);
        self.pre.instantiate_async(&mut store).await.map(drop)
    }

    /// A store whose guest has still to be made to give way.
    fn store(&self) -> Store<State> {
        let state = State::new(self.grants.clone(), self.limits.memory_bytes);
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.memory);
        store.set_epoch_deadline(1);
        store
    }

    /// At each tick the guest gives way; after too many without a pause it is ended.
    fn count_ticks(&self, store: &mut Store<State>, slots: Arc<InstanceSlots>) {
        let cpu = self.limits.cpu;
        let most = ticks(cpu);
        // The time of a test is its own, and that of turns is everybody's.
        let shares = self.grants.surroundings.is_none();
        let mut abandoned: Option<Instant> = None;
        store.epoch_deadline_callback(move |mut store| {
            let ticks = slots.tick();
            if computes_for_nobody(&mut store) {
                abandoned.get_or_insert_with(Instant::now);
            } else {
                abandoned = None;
            }
            let overrun = if ticks > most {
                Overrun::TooLong(cpu)
            } else if abandoned.is_some_and(|since| since.elapsed() >= limits::ABANDONED_GRACE) {
                Overrun::ForNobody
            } else if ticks == 1 || !shares {
                // A tick that fell into a moment of work says nothing yet.
                return Ok(UpdateDeadline::Yield(1));
            } else {
                return Ok(UpdateDeadline::YieldCustom(1, Box::pin(next_turn(slots.clone()))));
            };
            // Before anybody is told that the instance has ended.
            slots.end_all(SlotStatus::Overran);
            Err(overrun.into())
        });
    }
}

/// Give way, and wait for the turn.
async fn next_turn(slots: Arc<InstanceSlots>) {
    slots.set_queued(true);
    let latest = Instant::now() + limits::TURN_WAIT;
    sleep_until(turns::next().min(latest)).await;
    // Even if the turn was due at once.
    yield_now().await;
    slots.set_queued(false);
}

/// Whether the guest code that runs now serves a request that has been given up.
fn computes_for_nobody(store: &mut StoreContextMut<'_, State>) -> bool {
    calling_request(store, |store| &store.data().requests)
        .is_some_and(|request| request.cancel().is_cancelled())
}

fn ticks(time: Duration) -> u32 {
    u32::try_from(time.as_nanos() / limits::EPOCH_TICK.as_nanos()).unwrap_or(u32::MAX)
}

impl HandlerState for Policy {
    type StoreData = State;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<State, Expiration, Worker>> {
        let limits = &self.limits;
        let slots = self.shared.enter(limits.instances)?;
        let mut store = self.store();
        self.count_ticks(&mut store, slots.clone());
        let started = timeout(crate::limits::SMOKE_TIMEOUT, self.pre.instantiate_async(&mut store));
        let started = started.await.map_err(|_| wasmtime::format_err!("it does not start"))?;
        let proxy = match started {
            Ok(proxy) => proxy,
            Err(_) if store.data().memory.is_over_budget() => return Err(OverBudget.into()),
            Err(error) => return Err(error),
        };
        let expiration =
            Expiration::new(slots.clone(), limits.per_instance, limits.idle, limits.stream_idle);
        let state = Worker {
            slots,
            instances: limits.instances,
            per_instance: limits.per_instance,
            exclusive: self.exclusive,
            reuse: self.reuse,
        };
        Ok(Instance { store, proxy, view: State::http, expiration, state })
    }
}

/// Decides when an instance takes another request.
pub struct Worker {
    slots: Arc<InstanceSlots>,
    instances: usize,
    per_instance: usize,
    exclusive: bool,
    reuse: usize,
}

impl Worker {
    /// Whether new requests had better go elsewhere, and can.
    fn is_avoided(&self) -> bool {
        self.slots.is_tainted() && self.slots.shared().live_instances() < self.instances
    }
}

impl WorkerState for Worker {
    type StoreData = State;
    type RequestData = Arc<Slot>;

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        // Asked at each turn of the loop, so the guest has let its neighbours run.
        self.slots.pause();
        // The loop counts a request until its response begins; only a guest of WASI 0.2 is done by then.
        let running = if self.exclusive { concurrent } else { self.slots.running() };
        // A retired version must still serve what waits in its queue: a worker that refused its first
        // request would leave that one waiting for ever.
        let retired = self.slots.is_retired() && total > 0;
        if retired || total >= self.reuse {
            ShouldAccept::Never
        } else if running.max(concurrent) >= self.per_instance || self.is_avoided() {
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
        self.slots.begin(slot);
        // When this resolves, the instance takes no more requests. A guest whose calls were cancelled and
        // which then comes to its end in time has done nothing to deserve that.
        Box::pin(async move {
            context.cancel().cancelled().await;
            tokio::time::sleep(limits::ABANDONED_GRACE).await;
        })
    }

    fn drop(&self, store: Store<State>, result: Result<(), wasmtime::Error>) {
        if let Err(error) = result {
            // Before the store goes: its end closes the bodies, which then must know why.
            self.slots.end_all(SlotStatus::Broken);
            let service = store.data().service();
            if self.slots.is_ended() {
                tracing::debug!(%service, "an instance was ended: nobody waits for it");
            } else if store.data().trapped(&error) {
                // Told to a test instead.
            } else if let Some(overrun) = error.downcast_ref::<Overrun>() {
                tracing::warn!(%service, "an instance was ended: {overrun}");
            } else if error.to_string() == DROPPED && !std::thread::panicking() {
                tracing::debug!(%service, "an instance was ended with the host");
            } else {
                tracing::warn!(%service, "an instance trapped: {}", error.root_cause());
                tracing::debug!(%service, "{error:?}");
            }
        }
        drop(store);
    }
}

/// What wasmtime says of a worker whose task was dropped before its end: a panic, if one is under way,
/// else the runtime going down.
const DROPPED: &str = "worker panicked";

/// A panic while such a lock is held leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
