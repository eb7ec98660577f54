//! `wasm-host` runs an application made of small services. Each service is a WASI component that
//! reaches only what the application file grants it.
//!
//! The modules below stand in reading order; each may use those after it, never those before it:
//! `http -> service -> engine -> capability`.

pub mod capability;
pub mod embedded_postgres;
