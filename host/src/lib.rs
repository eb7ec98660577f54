//! `wasm-host` runs an application made of small services. Each service is a WASI component that
//! reaches only what the application file grants it.
//!
//! This crate is the program: its command line, and what puts the parts together. The parts are crates beside it.

pub mod cli;
mod colour;
pub mod exit;
mod gauges;
pub mod serve;
pub mod status;
pub mod application;
pub mod components;
mod composed;
pub mod registry;
pub mod backends;
mod recordings;
mod replicas;
mod routes;
mod seen;
mod spin;
pub mod build;
pub mod scaffold;
pub mod wit;
pub mod watch;
pub mod check;
pub mod image;
pub mod import;
pub mod inspect;
pub mod test;
pub mod client;
pub mod deploy;
pub mod shutdown;
