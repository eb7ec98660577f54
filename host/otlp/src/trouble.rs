//! What is said of collectors that do not take what is sent: one line a minute, whatever happens.
//!
//! A line of the log is sent to the collector, too. Nothing else that happens while something is sent may say any, or each
//! request would be the reason for the next one: the thread that sends is [silent](silence), and what is said here goes
//! past that.

use std::fmt;
use std::time::Instant;

use parking_lot::Mutex;
use tracing::Dispatch;
use tracing::dispatcher::{self, DefaultGuard};

use wasm_host_limits::telemetry as limits;

#[derive(Debug)]
pub(super) struct Trouble {
    log: Dispatch,
    told: Mutex<Option<Instant>>,
}

impl Trouble {
    /// It is said where the log of this thread goes.
    pub(super) fn new() -> Self {
        Self { log: dispatcher::get_default(Dispatch::clone), told: Mutex::default() }
    }

    pub(super) fn tell(&self, what: fmt::Arguments<'_>) {
        let mut told = self.told.lock();
        if told.is_some_and(|told| told.elapsed() < limits::EXPORT_TROUBLE) {
            return;
        }
        *told = Some(Instant::now());
        dispatcher::with_default(&self.log, || tracing::warn!("{what}"));
    }
}

/// Nothing that this thread says is logged, for as long as what is returned lives.
pub(super) fn silence() -> DefaultGuard {
    dispatcher::set_default(&Dispatch::none())
}
