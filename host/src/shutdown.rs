//! What signals mean: to stop, to read again what may change, or nothing. A second one to stop does not wait.
//!
//! SIGHUP has two meanings. To a program that was started from a terminal the system says so that the terminal has
//! gone; to a service its keeper says so that files have changed. What is read again is not known here.

use std::fs;
use std::future::pending;

use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use wasm_host_limits as limits;

/// Exit code of a host that got two signals to stop.
const IMPATIENT: i32 = 130;

const HANGUP: &str = "SIGHUP";

/// They would end a program that does not know them.
const MEANINGLESS: [(Number, &str); 2] = [(Number::USR1, "SIGUSR1"), (Number::USR2, "SIGUSR2")];

/// The signals that the host handles.
pub struct Signals {
    stops: Stops,
    hangup: Option<Signal>,
    /// A SIGHUP came when its meaning was not known yet.
    is_owed: bool,
    terminal: Terminal,
    /// When to look for the terminal once more.
    last_look: Option<Instant>,
}

/// What a signal says.
#[derive(Debug, PartialEq, Eq)]
pub enum SignalAction {
    /// To stop; its name.
    Stop(&'static str),
    /// To read again what may change.
    Renew,
}

/// Those that stop the host, whatever else is.
struct Stops {
    terminate: Signal,
    interrupt: Signal,
    quit: Option<Signal>,
}

/// The terminal that the process was started from, if there was one.
struct Terminal {
    there_was: bool,
}

// === impl Signals ===

impl Signals {
    /// Listen from now on: a signal that comes while the host starts stops it as well.
    pub fn listen() -> Result<Self> {
        let stops = Stops {
            terminate: heeded(Number::TERM)?,
            interrupt: heeded(Number::INT)?,
            quit: unless_ignored(Number::QUIT)?,
        };
        for (number, name) in MEANINGLESS {
            if let Some(signal) = unless_ignored(number)? {
                tokio::spawn(ignore(signal, name));
            }
        }
        // A file over the system's bound is an error for the code that writes it, and no end of the host.
        unless_ignored(Number::XFSZ)?;
        let (hangup, terminal) = (unless_ignored(Number::HUP)?, Terminal::find());
        Ok(Self { stops, hangup, is_owed: false, terminal, last_look: None })
    }

    /// Wait for one that stops the host whatever else is; returns its name.
    pub async fn stopped(&mut self) -> &'static str {
        self.stops.next().await
    }

    /// Wait for one that gives up the start; returns its name.
    pub async fn while_starting(&mut self) -> &'static str {
        loop {
            tokio::select! {
                name = self.stops.next() => return name,
                () = received(&mut self.hangup) => match self.terminal.has_gone() {
                    true => return HANGUP,
                    false => self.is_owed = true,
                },
            }
        }
    }

    /// Wait for the next one. `renews` says whether there is something that can be read again; without it, a SIGHUP
    /// stops the host.
    pub async fn next(&mut self, renews: bool) -> SignalAction {
        if std::mem::take(&mut self.is_owed) {
            return self.hung_up(renews);
        }
        loop {
            tokio::select! {
                name = self.stops.next() => return SignalAction::Stop(name),
                () = received(&mut self.hangup) => return self.hung_up(renews),
                () = reached(self.last_look) => {
                    self.last_look = None;
                    if self.terminal.has_gone() {
                        return SignalAction::Stop(HANGUP);
                    }
                }
            }
        }
    }

    fn hung_up(&mut self, renews: bool) -> SignalAction {
        if !renews || self.terminal.has_gone() {
            return SignalAction::Stop(HANGUP);
        }
        self.last_look = Some(Instant::now() + limits::TERMINAL_LAST_LOOK);
        SignalAction::Renew
    }

    /// From now on a signal that stops ends the process at once, after `last`: what is cut is logged, and what would
    /// outlive the process is stopped. SIGHUP does not: where a terminal closes, it comes more than once.
    pub fn exit_on_next(mut self, last: impl FnOnce() + Send + 'static) {
        let first = Instant::now();
        tokio::spawn(async move {
            // Supervisors that signal a process and its group send the first one twice.
            let name = loop {
                let name = self.stops.next().await;
                if first.elapsed() >= limits::SIGNAL_ECHO {
                    break name;
                }
            };
            tracing::warn!("{name} again: exiting without waiting for what still runs");
            last();
            wasm_host_log::flush();
            std::process::exit(IMPATIENT);
        });
    }
}

// === impl Stops ===

impl Stops {
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            () = received(&mut self.quit) => "SIGQUIT",
        }
    }
}

// === impl Terminal ===

impl Terminal {
    fn find() -> Self {
        Self { there_was: Self::open().is_ok() }
    }

    fn has_gone(&self) -> bool {
        // A lack of descriptors, for example, says nothing about it.
        self.there_was && matches!(Self::open(), Err(Errno::NXIO | Errno::IO))
    }

    /// Open the terminal that controls the process.
    fn open() -> rustix::io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::open("/dev/tty", flags, Mode::empty()).map(drop)
    }
}

/// From now on it does not end the process.
fn heeded(number: Number) -> Result<Signal> {
    let kind = SignalKind::from_raw(number.as_raw());
    signal(kind).with_context(|| format!("cannot listen for signal {}", number.as_raw()))
}

/// None if it is ignored: the program that started the process wants that.
fn unless_ignored(number: Number) -> Result<Option<Signal>> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if ignored(&status).is_some_and(|mask| mask >> (number.as_raw() - 1) & 1 == 1) {
        return Ok(None);
    }
    heeded(number).map(Some)
}

/// The signals that a process ignores, a bit for each. Only Linux tells.
fn ignored(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

async fn ignore(mut signal: Signal, name: &'static str) {
    while signal.recv().await.is_some() {
        tracing::info!("{name} has no meaning here and is ignored");
    }
}

async fn received(signal: &mut Option<Signal>) {
    let Some(signal) = signal else { return pending().await };
    if signal.recv().await.is_none() {
        pending().await
    }
}

async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_read_from_what_the_system_tells() {
        let status = "Name:\twasm-host\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored(status), Some(0x1001));
        assert_eq!(ignored(""), None);
    }
}
