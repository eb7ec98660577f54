//! The configuration of the service, from `[service.NAME.config]` of the application file.
//!
//! ```no_run
//! use wasm_host_guest::config;
//!
//! let greeting = config::get("greeting").unwrap_or_else(|| "Hello".to_owned());
//! ```
//!
//! It is there from the start and stays as it is while the service runs. A value may be a secret: it comes from the
//! environment of the host or from a file, and no log, recording or page shows it.

use crate::bindings::wasi::config::store;

/// The value of a key. None: it is not declared.
pub fn get(key: &str) -> Option<String> {
    // The host has all values from the start, so that nothing fails.
    store::get(key).ok().flatten()
}

/// All keys with their values, ordered by key.
pub fn all() -> Vec<(String, String)> {
    store::get_all().unwrap_or_default()
}
