//! `wasm-host` runs an application made of small services. Each service is a WASI component that
//! reaches only what the application file grants it.

pub mod capability;
pub mod config;
pub mod limits;
