//! How requests are served by instances: when one is made, how many requests it takes, and when it ends.
//!
//! The [`Handler`] of a version queues requests, [`instance`] runs one instance, [`Expiration`] says when it ends.
//! A guest's task cannot be cancelled from outside. So every request has a [`RequestState`] that both
//! its body and its instance see: once all requests of an instance that still run are abandoned, the instance ends
//! within [`limits::ABANDONED_GRACE`], whatever the guest is doing. Requests that are alive are
//! never cut short by a neighbour's client; but while one hangs that is not waited for, new ones go elsewhere, if
//! another instance can take them.
//!
//! While guest code computes nothing else of its instance moves. The engine's ticks make such code give way to
//! other instances, and are counted: an instance that computes for too long without a pause is ended.

mod body;
mod call;
mod error;
mod expiration;
mod handler;
mod instance;
mod instance_state;
mod shared;
mod wait;
mod warm;
mod work;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};
use wasmtime::component::GuestTaskId;
use wasmtime::{Store, StoreContextMut, UpdateDeadline};
use wasmtime_wasi_http::handler::{Proxy, ProxyPre};

pub use self::body::{AnswerBody, has_no_body};
pub use self::error::{CallError, NoRoom};
use self::expiration::Expiration;
pub use self::handler::{CallResult, Handler};
use self::instance_state::RequestStatus;
pub use self::instance_state::{InstanceState, RequestState};
use self::shared::AllInstancesBusy;
pub use self::shared::{Retirement, Shared};
pub use self::wait::call;
pub use self::work::ProcessorTime;
use crate::Engine;
use crate::link;
use crate::memory::OverBudget;
use crate::state::{Grants, StoreData};
use wasm_host_capabilities::budget::Whose;
use wasm_host_capabilities::context::{About, RequestContext, calling_request};
use wasm_host_limits as limits;
use wasm_host_limits::service::ServiceLimits;
use wasm_host_system::digest::Digest;

/// Ticks after which a guest is first made to give way: it has computed for one of them whole.
const FIRST_TICKS: u64 = 2;

/// All that instances of one version share, and what makes them. Cheap to clone.
#[derive(Clone)]
pub struct Policy {
    pre: Arc<ProxyPre<StoreData>>,
    engine: Engine,
    grants: Arc<Grants>,
    limits: ServiceLimits,
    reuse: usize,
    per_instance: usize,
    /// Its imports that hold an instance as a whole while they wait.
    blocking: Arc<[String]>,
    /// A guest of WASI 0.2: a waiting call of it holds its whole store.
    exclusive: bool,
    /// For requests that are observed.
    observed: bool,
    /// Put together of parts, with one request at a time: what one part does when the outermost is done with a request is
    /// known to be done for that only until the next one begins.
    alone: bool,
    /// Which version of its service it is.
    version: Option<Digest>,
    shared: Arc<Shared>,
}

/// A guest computed for too long without a pause.
#[derive(Debug, thiserror::Error)]
enum Overrun {
    #[error("it computed for {0:?} without a pause ('cpu-timeout' sets the bound)")]
    TooLong(Duration),
    #[error("it computed for a request that has ended")]
    ForNobody,
}

impl Policy {
    pub fn new(
        pre: Arc<ProxyPre<StoreData>>,
        engine: Engine,
        grants: Arc<Grants>,
        limits: ServiceLimits,
    ) -> Self {
        let mut per_instance = limits.per_instance.unwrap_or(ServiceLimits::per_instance().default);
        let mut reuse = limits.reuse.unwrap_or(ServiceLimits::reuse().default);
        let exclusive = matches!(*pre, ProxyPre::P2(_));
        if exclusive {
            per_instance = 1;
            reuse = limits.reuse.unwrap_or(1);
        }
        let blocking: Arc<[String]> = blocking(&pre, &engine).into();
        if !blocking.is_empty() {
            // A neighbour would wait whenever one of them does, and the file cannot change that.
            per_instance = 1;
        }
        let shared = Arc::new(Shared::of(grants.processor_time.clone()));
        Self {
            pre,
            engine,
            grants,
            limits,
            reuse,
            per_instance,
            blocking,
            exclusive,
            observed: false,
            alone: false,
            version: None,
            shared,
        }
    }

    /// Of this version of its service, which lines of the log then say.
    pub fn of_version(self, version: Digest) -> Self {
        Self { version: Some(version), ..self }
    }

    /// Of a component that was put together of parts.
    pub fn of_parts(self) -> Self {
        Self { alone: self.per_instance == 1, ..self }
    }

    /// The same for requests that are observed: each has an instance of its own, with what these grants give it. Its
    /// instances are among those of the version, in number and to their end; one that does nothing makes room for them.
    pub fn observed(&self, grants: Arc<Grants>) -> Self {
        Self { grants, reuse: 1, per_instance: 1, observed: true, ..self.clone() }
    }

    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// What the service is granted, whatever its version.
    pub fn grants(&self) -> &Arc<Grants> {
        &self.grants
    }

    pub fn per_instance(&self) -> usize {
        self.per_instance
    }

    /// The imports for which an instance serves one request at a time, whatever the file says.
    pub fn blocking(&self) -> &Arc<[String]> {
        &self.blocking
    }

    /// Instances that may be alive at the same time.
    pub fn instances(&self) -> usize {
        self.limits.instances
    }

    /// Instances that are kept without requests.
    pub fn warm(&self) -> usize {
        self.limits.warm
    }

    fn service(&self) -> &str {
        &self.grants.service
    }

    /// Make one instance and drop it: finds what only shows when a component starts.
    ///
    /// # Errors
    /// What it did wrong, without the addresses of where it did.
    pub async fn smoke(&self) -> anyhow::Result<()> {
        self.instantiate_once().await.map_err(|error| {
            tracing::debug!("{error:?}");
            anyhow::anyhow!("{}", error.root_cause())
        })
    }

    async fn instantiate_once(&self) -> wasmtime::Result<()> {
        let _place = self.engine.enter_soon().await?;
        let mut store = self.store();
        store.epoch_deadline_async_yield_and_update(1);
        let within = limits::SMOKE_TIMEOUT;
        let tried = timeout(within, self.pre.instantiate_async(&mut store)).await;
        tried.map_err(|_| wasmtime::format_err!("it did not start within {within:?}"))?.map(drop)
    }

    /// A store whose guest has still to be made to give way.
    fn store(&self) -> Store<StoreData> {
        let memory_bytes = usize::try_from(self.limits.memory_bytes).unwrap_or(usize::MAX);
        let state = StoreData::new(self.grants.clone(), self.version.clone(), memory_bytes);
        let mut store = Store::new(self.engine.wasmtime(), state);
        store.limiter(|state| &mut state.memory);
        store.set_epoch_deadline(1);
        // Besides those that the host's own tables hold: streams, futures and what else the engine makes by itself.
        store.set_max_component_handles(limits::GUEST_RESOURCES);
        // More than the instance may have at all would be refused after it was copied.
        store.set_hostcall_fuel(limits::GUEST_CALL_BYTES.min(memory_bytes));
        store
    }

    /// At each tick the guest gives way; after too many without a pause it is ended.
    fn count_ticks(&self, store: &mut Store<StoreData>, instance: Arc<InstanceState>) {
        let cpu = self.limits.cpu_timeout;
        let most = ticks(cpu);
        let mut abandoned: Option<Instant> = None;
        store.epoch_deadline_callback(move |mut store| {
            let ticks = instance.tick();
            if ticks.is_power_of_two() {
                // Handles of any kind: to make so many that they count takes longer than a tick.
                store.data_mut().count()?;
            }
            if ticks == 1 {
                // It has paused: a guest that lets its neighbours run is not ended for computing.
                abandoned = None;
            }
            if computes_for_nobody(&mut store) {
                abandoned.get_or_insert_with(Instant::now);
            } else {
                abandoned = None;
            }
            let overrun = if ticks > most {
                Overrun::TooLong(cpu)
            } else if abandoned.is_some_and(|since| since.elapsed() >= limits::ABANDONED_GRACE) {
                Overrun::ForNobody
            } else {
                return Ok(UpdateDeadline::Yield(1));
            };
            // Before it is told that the instance has ended.
            instance.end_all(RequestStatus::Overran, Some(&overrun.to_string().into()));
            Err(overrun.into())
        });
    }

    /// Whether its guests may go on elsewhere while they compute.
    fn shares_processors(&self) -> bool {
        let environment = self.grants.instance_environment.as_ref();
        environment.is_none_or(|environment| !environment.stays_on_its_thread())
    }

    /// Enter an instance that is then made.
    async fn enter(&self) -> Result<Arc<InstanceState>, AllInstancesBusy> {
        let entered = self.shared.enter(self.limits.instances);
        if entered.is_ok() || !self.observed || !self.shared.make_room() {
            return entered;
        }
        // It comes to its end on its own thread. If its request asked elsewhere meanwhile, it would be answered in the
        // place that becomes free, and nothing would ever be observed.
        let until = Instant::now() + wasm_host_limits::record::ROOM;
        loop {
            // Told or not, it looks: others are told in its stead.
            let next = Instant::now() + wasm_host_limits::INSTANCE_WAIT_FIRST;
            let _ = timeout_at(next.min(until), self.shared.freed.notified()).await;
            match self.shared.enter(self.limits.instances) {
                Err(_) if Instant::now() < until => {}
                entered => return entered,
            }
        }
    }

    async fn instantiate(&self, instance: Arc<InstanceState>) -> wasmtime::Result<Made> {
        let limits = &self.limits;
        let place = self.engine.enter()?;
        let mut store = self.store();
        self.count_ticks(&mut store, instance.clone());
        let within = wasm_host_limits::INSTANCE_START;
        let started = timeout(within, self.pre.instantiate_async(&mut store)).await;
        let started =
            started.map_err(|_| wasmtime::format_err!("it did not start within {within:?}"))?;
        let proxy = match started {
            Ok(proxy) => proxy,
            Err(_) if store.data().memory.is_over_budget() => return Err(OverBudget.into()),
            Err(error) => return Err(error),
        };
        let expiration = Expiration::new(instance.clone(), store.data(), self.per_instance, limits);
        Ok(Made { store: (store, place), proxy, state: instance, expiration })
    }

    /// Whether an instance takes another request.
    fn accepts(&self, instance: &InstanceState) -> Accepts {
        // Asked between its events, so the guest has let its neighbours run.
        instance.pause();
        // A request is served to the end of its body; only a guest of WASI 0.2 is done with its own part before.
        let running = if self.exclusive { instance.unanswered() } else { instance.running() };
        // A retired version must still serve what waits for it.
        let begun = instance.begun();
        let retired = instance.is_retired() && begun > 0;
        if retired || self.is_used_up(instance) {
            Accepts::NeverAgain
        } else if running >= self.per_instance || self.is_avoided(instance) {
            Accepts::NotNow
        } else {
            Accepts::Yes
        }
    }

    /// Whether it has begun as many requests as one may.
    fn is_used_up(&self, instance: &InstanceState) -> bool {
        instance.begun() >= self.reuse
    }

    /// Whether new requests had better go elsewhere, and can.
    fn is_avoided(&self, instance: &InstanceState) -> bool {
        instance.is_quarantined() && self.shared.has_better(instance, self.limits.instances)
    }

    /// Whether the service may have one more instance.
    fn has_room(&self) -> bool {
        self.shared.live_instances() < self.limits.instances
    }

    /// Tell the store of a request that begins.
    fn begin(
        &self,
        mut store: StoreContextMut<'_, StoreData>,
        request: &RequestState,
        task: GuestTaskId,
    ) {
        let state = store.data_mut();
        state.begin(task, request.context.clone());
        if self.per_instance == 1 {
            state.set_only_request(request.context.clone());
        }
    }

    /// An instance has come to its end.
    fn ended(
        &self,
        instance: &InstanceState,
        store: &Store<StoreData>,
        ended: wasmtime::Result<()>,
    ) {
        if let Err(error) = ended {
            let (request, requests) = instance.only_request();
            let cause = cause(&error, store.data().memory.refused());
            // Before the store goes: its end closes the bodies, which then must know why.
            instance.end_all(RequestStatus::Broken, Some(&cause));
            let service = store.data().service();
            let about = request.as_ref().map(RequestContext::about);
            let request = about.map(|about| about.request);
            let About { trace_id, span_id, .. } = about.unwrap_or_default();
            let service_version = self.version.as_ref().map(Digest::full);
            // Which of several was its end is not known.
            let with = match requests {
                0 | 1 => String::new(),
                some => format!(" with {some} requests"),
            };
            if instance.is_ended() {
                tracing::debug!(%service, "an instance was ended: nobody waits for it");
            } else if store.data().trapped(&error) {
                // Told to a test instead.
            } else if let Some(Overrun::ForNobody) = error.downcast_ref::<Overrun>() {
                tracing::warn!(
                    %service, request, trace_id, span_id, service_version,
                    "an instance was ended{with}: {cause}"
                );
            } else if error.is::<Overrun>() {
                tracing::error!(
                    %service, request, trace_id, span_id, service_version,
                    "an instance was ended{with}: {cause}"
                );
            } else if error.is::<Dropped>() && !std::thread::panicking() {
                tracing::debug!(%service, "an instance was ended with the host");
            } else {
                tracing::error!(
                    %service, request, trace_id, span_id, service_version,
                    "an instance trapped{with}: {cause}"
                );
                tracing::debug!(%service, "{error:?}");
            }
        }
    }

    /// Whether its memory is so large that giving it back takes a while.
    fn is_large(&self, store: &Store<StoreData>) -> bool {
        self.shares_processors() && store.data().memory.used() > limits::LARGE_STORE_BYTES
    }
}

fn blocking(pre: &ProxyPre<StoreData>, engine: &Engine) -> Vec<String> {
    let component = match pre {
        ProxyPre::P2(pre) => pre.instance_pre().component(),
        ProxyPre::P3(pre) => pre.instance_pre().component(),
    };
    link::blocking(engine, component)
}

/// A store and its place in the host, which it gives up in this order.
type StoreAndPermit = (Store<StoreData>, OwnedSemaphorePermit);

/// An instance that was just made.
struct Made {
    store: StoreAndPermit,
    proxy: Proxy,
    state: Arc<InstanceState>,
    expiration: Expiration,
}

/// Whether an instance takes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepts {
    Yes,
    NotNow,
    NeverAgain,
}

/// Its task was dropped: by a panic, or with the host.
#[derive(Debug, thiserror::Error)]
#[error("its task was dropped")]
struct Dropped;

/// Whether the guest code that runs now serves a request that has been given up. What a guest does behind a
/// response that was delivered is its own affair, within the bounds that all have.
fn computes_for_nobody(store: &mut StoreContextMut<'_, StoreData>) -> bool {
    calling_request(store, |store| &store.data().requests)
        .is_some_and(|request| request.cancel().is_cancelled() && !request.is_finished())
}

/// Why an instance ended, bounded. `refused`: the bound that its memory met, which a guest seldom says itself.
fn cause(error: &wasmtime::Error, refused: Option<Whose>) -> Arc<str> {
    let mut cause = error.root_cause().to_string();
    cause.truncate(cause.floor_char_boundary(limits::BREAK_WORDS_BYTES));
    if let Some(whose) = refused.filter(|_| !error.is::<Overrun>()) {
        cause.push_str(&format!("; it had been refused more memory for {whose}"));
    }
    cause.into()
}

fn ticks(time: Duration) -> u32 {
    u32::try_from(time.as_nanos() / limits::EPOCH_TICK.as_nanos()).unwrap_or(u32::MAX)
}
