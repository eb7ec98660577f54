//! What is said of collectors that do not take what is sent: one line a minute, whatever happens.
//!
//! A line of the log is sent to the collector, too. Nothing else that happens while something is sent may say any, or each
//! request would be the reason for the next one: the thread that sends is [silent](silence), and what is said here goes
//! past that.

use std::fmt;
use std::time::Instant;

use parking_lot::Mutex;
use tracing::dispatcher;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Metadata, Subscriber};

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

/// Logs nothing. As the default of a thread it silences that, and all other threads are asked for each line whether they
/// log it: [`Dispatch::none`] is asked as if it spoke for all, and would silence what a library says first on this thread.
pub(super) fn silence() -> Dispatch {
    Dispatch::new(Silence)
}

struct Silence;

impl Subscriber for Silence {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::never()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }

    /// Without it, lines that are not wanted would be looked at on all threads.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::OFF)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_said() -> bool {
        tracing::enabled!(tracing::Level::WARN)
    }

    /// What is first said on a silent thread is heard on the others.
    #[test]
    fn one_thread_is_silent_and_no_other() {
        let log = tracing_subscriber::registry();
        dispatcher::with_default(&Dispatch::new(log), || {
            let silence = silence();
            assert!(!dispatcher::with_default(&silence, is_said));
            assert!(is_said());
        });
    }
}
