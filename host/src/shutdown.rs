//! When to stop: SIGTERM or SIGINT. The second one does not wait.

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use crate::limits;

/// Exit code of a host that was told twice to stop.
const IMPATIENT: i32 = 130;

/// The signals that stop the host.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listen from now on: a signal that comes while the host starts stops it as well.
    pub fn listen() -> Result<Self> {
        let terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
        Ok(Self { terminate, interrupt })
    }

    /// Wait for one; returns its name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// From now on a signal ends the process at once, after `last`: what is cut is told, and what would outlive the
    /// process is stopped.
    pub fn exit_on_next(mut self, last: impl FnOnce() + Send + 'static) {
        let first = Instant::now();
        tokio::spawn(async move {
            // Supervisors that signal a process and its group send the first one twice.
            let name = loop {
                let name = self.next().await;
                if first.elapsed() >= limits::SIGNAL_ECHO {
                    break name;
                }
            };
            tracing::warn!("{name} again: exiting without waiting for what still runs");
            last();
            crate::telemetry::flush();
            std::process::exit(IMPATIENT);
        });
    }
}
