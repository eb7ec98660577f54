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

use crate::signal::Signal;
use wasm_host_limits::telemetry as limits;

#[derive(Debug)]
pub(super) struct Trouble {
    log: Dispatch,
    told: Mutex<Option<Instant>>,
    /// What could not be sent when that was said, until it is again.
    away: Mutex<Option<Signal>>,
}

impl Trouble {
    /// It is said where the log of this thread goes.
    pub(super) fn new() -> Self {
        let (told, away) = Default::default();
        Self { log: dispatcher::get_default(Dispatch::clone), told, away }
    }

    /// `away`: what is tried again, if anything is.
    pub(super) fn tell(&self, away: Option<Signal>, what: fmt::Arguments<'_>) {
        let mut told = self.told.lock();
        if told.is_some_and(|told| told.elapsed() < limits::EXPORT_TROUBLE) {
            return;
        }
        *told = Some(Instant::now());
        if away.is_some() {
            *self.away.lock() = away;
        }
        dispatcher::with_default(&self.log, || tracing::warn!("{what}"));
    }

    /// Something was sent. It is said if the last that was said is that this cannot be sent.
    pub(super) fn is_over(&self, signal: Signal, what: fmt::Arguments<'_>) {
        let mut away = self.away.lock();
        if *away == Some(signal) {
            *away = None;
            drop(away);
            dispatcher::with_default(&self.log, || tracing::info!("{what}"));
        }
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
