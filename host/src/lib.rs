//! `wasm-host` runs an application made of small services. Each service is a WASI component that
//! reaches only what the application file grants it.
//!
//! The modules stand in reading order. Between the layers
//! `http -> service -> engine -> capability -> settings` nothing points back; [`serve`] alone knows all parts.

pub mod cli;
pub mod exit;
pub mod settings;
pub mod config;
pub mod limits;
pub mod percent;
pub mod printable;
pub mod sql;
pub mod tls;
pub mod allocations;
pub mod control;
pub mod lock;
pub mod owned;
pub mod output;
pub mod serve;
pub mod testkit;
pub mod record;
pub mod check;
pub mod inspect;
pub mod client;
pub mod application;
pub mod watch;
pub mod backends;
pub mod embedded_postgres;
pub mod http;
pub mod failure;
pub mod service;
pub mod engine;
pub mod capability;
pub mod descriptors;
pub mod digest;
pub mod shutdown;
pub mod table;
pub mod telemetry;
pub mod threads;

/// As in the program, so that tests see what it sees.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: allocations::Watched<mimalloc::MiMalloc> =
    allocations::Watched(mimalloc::MiMalloc);
