//! The WebAssembly engine: one per process, shared by all services.
//!
//! It turns bytes into a checked, linked component ([`compose`], [`compile`], [`link`]) and runs instances of it
//! ([`worker`]). It knows capabilities, but nothing of services, routes or HTTP listeners.

pub mod compile;
pub mod compose;
pub mod link;
pub mod memory;
pub mod output;
pub mod state;
pub mod worker;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use wasm_host_limits as limits;

/// The engine, with the thread that makes guests give way. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    wasmtime: wasmtime::Engine,
    /// Guests have run since the last tick.
    active: Arc<AtomicBool>,
    /// Places for instances of all services together. The pool has as many, but there may be none.
    places: Arc<Semaphore>,
    /// An instance of any service has ended: told to one of the requests that wait for its place or its memory.
    freed: Arc<Notify>,
}

/// All services together have all instances that the host may have.
#[derive(Debug, thiserror::Error)]
#[error("the host has all instances that it may have ('instances' in [limits] sets the bound)")]
pub struct NoPlace;

impl Engine {
    /// With room for so many instances of all services together.
    pub fn new(instances: usize) -> Result<Self> {
        let places = Arc::new(Semaphore::new(instances));
        let instances = u32::try_from(instances).unwrap_or(u32::MAX);
        let wasmtime = match wasmtime::Engine::new(&config(Some(instances))) {
            Ok(engine) => engine,
            Err(error) => {
                // The pool reserves address space, not memory; small virtual machines and `ulimit -v` forbid it.
                tracing::warn!(
                    "instances are allocated one by one, which is slower: the pool could not be reserved ({error})"
                );
                wasmtime::Engine::new(&config(None))
                    .map_err(anyhow::Error::from)
                    .context("the WebAssembly engine does not start on this machine")?
            }
        };
        let active = Arc::<AtomicBool>::default();
        start_epochs(&wasmtime, active.clone())?;
        Ok(Self { wasmtime, active, places, freed: Arc::default() })
    }

    /// A guest runs. Told before it does, each time.
    pub fn note_activity(&self) {
        // Read first: all threads that serve share it.
        if !self.active.load(Ordering::Relaxed) {
            self.active.store(true, Ordering::Relaxed);
        }
    }

    /// A place for one more instance, to be kept for longer than its store: until then the pool has no room for another.
    pub fn enter(&self) -> Result<OwnedSemaphorePermit, NoPlace> {
        self.places.clone().try_acquire_owned().map_err(|_| NoPlace)
    }

    /// The same for whoever can wait for a while.
    pub async fn enter_soon(&self) -> Result<OwnedSemaphorePermit, NoPlace> {
        let entering = timeout(limits::PLACE_WAIT, self.places.clone().acquire_owned()).await;
        entering.ok().and_then(Result::ok).ok_or(NoPlace)
    }

    pub fn wasmtime(&self) -> &wasmtime::Engine {
        &self.wasmtime
    }

    fn hash(&self) -> u64 {
        hash(&self.wasmtime)
    }
}

/// An engine that compiles and runs nothing. The pool makes no difference to what it makes.
fn for_compiling() -> Result<wasmtime::Engine> {
    wasmtime::Engine::new(&config(None)).map_err(anyhow::Error::from)
}

/// What names an engine's code: another version, other settings or another processor have another.
fn hash(engine: &wasmtime::Engine) -> u64 {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

/// `pooled`: the instances that memory is reserved for.
fn config(pooled: Option<u32>) -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.wasm_component_model_async(true);
    // Every guest gives way at each tick, so that a loop costs its own request and nobody's thread.
    config.epoch_interruption(true);
    config.max_wasm_stack(limits::GUEST_STACK_BYTES);
    config.async_stack_size(limits::GUEST_FIBER_BYTES);
    if let Some(instances) = pooled {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(instances)));
    }
    config
}

fn pool(instances: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::default();
    let all = |each: usize| instances.saturating_mul(count(each));
    // One module may have as many as its whole instance: the pool alone would allow one of each.
    pool.max_tables_per_module(count(limits::GUEST_TABLES))
        .max_memories_per_module(count(limits::GUEST_MEMORIES));
    pool.total_component_instances(instances)
        .total_memories(all(limits::GUEST_MEMORIES))
        .total_stacks(instances)
        .table_elements(limits::TABLE_ELEMENTS)
        .total_core_instances(all(limits::GUEST_MODULES))
        .total_tables(all(limits::GUEST_TABLES));
    pool
}

fn count(bound: usize) -> u32 {
    u32::try_from(bound).unwrap_or(u32::MAX)
}

/// Count the engine's epoch up for as long as the engine lives.
fn start_epochs(engine: &wasmtime::Engine, active: Arc<AtomicBool>) -> Result<()> {
    let engine = engine.weak();
    let tick = move || {
        let mut resting = 0_u32;
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            resting =
                if active.swap(false, Ordering::Relaxed) { 0 } else { resting.saturating_add(1) };
            thread::sleep(if resting < limits::EPOCH_REST_AFTER {
                limits::EPOCH_TICK
            } else {
                limits::EPOCH_TICK_AT_REST
            });
        }
    };
    thread::Builder::new()
        .name("epochs".to_string())
        .spawn(tick)
        .context("the thread that makes guests give way does not start")?;
    Ok(())
}
