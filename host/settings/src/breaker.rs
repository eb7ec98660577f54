//! The keys that all backends have for their circuit breakers.

use std::time::Duration;

use super::context::Context;
use super::file::Table;
use wasm_host_limits::backends::{FAILURES, WAIT, WAIT_MAX};

/// When a backend that cannot be reached is no longer tried for every call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerConfig {
    /// Connections that fail in a row before calls fail without trying.
    pub failures: usize,
    /// First and longest wait before one call tries again.
    pub wait: Duration,
    pub wait_max: Duration,
}

impl BreakerConfig {
    /// Read them from a table that has them among its keys.
    pub fn read(cx: &Context<'_>, table: &Table<'_>) -> Self {
        Self {
            failures: table.count(cx, "breaker-failures", FAILURES),
            wait: table.duration(cx, "breaker-wait", WAIT),
            wait_max: table.duration(cx, "breaker-wait-max", WAIT_MAX),
        }
    }
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { failures: FAILURES.default, wait: WAIT.default, wait_max: WAIT_MAX.default }
    }
}
