//! The WebAssembly engine: one per process, shared by all services.
//!
//! It turns bytes into a checked, linked component ([`compile`], [`link`]) and runs instances of it
//! ([`worker`]). It knows capabilities, but nothing of services, routes or HTTP listeners.

pub mod compile;
pub mod link;
pub mod output;
pub mod state;
pub mod worker;

use std::thread;

use anyhow::{Context, Result};
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::limits;

/// The engine, with the thread that makes guests give way.
pub struct Engine {
    wasmtime: wasmtime::Engine,
}

impl Engine {
    pub fn new() -> Result<Self> {
        let wasmtime = match wasmtime::Engine::new(&config(true)) {
            Ok(engine) => engine,
            Err(error) => {
                // The pool reserves address space, not memory; small virtual machines and `ulimit -v` forbid it.
                tracing::warn!(
                    "instances are allocated one by one, which is slower: the pool could not be reserved ({error})"
                );
                wasmtime::Engine::new(&config(false))
                    .map_err(anyhow::Error::from)
                    .context("the WebAssembly engine does not start on this machine")?
            }
        };
        start_epochs(&wasmtime)?;
        Ok(Self { wasmtime })
    }

    pub fn wasmtime(&self) -> &wasmtime::Engine {
        &self.wasmtime
    }
}

fn config(pooling: bool) -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.wasm_component_model_async(true);
    // Every guest gives way at each tick, so that a loop costs its own request and nobody's thread.
    config.epoch_interruption(true);
    if pooling {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
    }
    config
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::default();
    // A component that was built for WASI 0.2 through an adapter is several core instances and tables.
    pool.total_component_instances(limits::POOL_INSTANCES)
        .total_memories(limits::POOL_INSTANCES)
        .total_stacks(limits::POOL_INSTANCES)
        .table_elements(limits::TABLE_ELEMENTS)
        .total_core_instances(limits::POOL_INSTANCES * 4)
        .total_tables(limits::POOL_INSTANCES * 4);
    pool
}

/// Count the engine's epoch up for as long as the engine lives.
fn start_epochs(engine: &wasmtime::Engine) -> Result<()> {
    let engine = engine.weak();
    thread::Builder::new()
        .name("epochs".to_string())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(limits::EPOCH_TICK);
            }
        })
        .context("the thread that makes guests give way does not start")?;
    Ok(())
}
