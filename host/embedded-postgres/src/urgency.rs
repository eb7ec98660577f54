//! Processes of the server that compute are less urgent than the host, as guests are.
//!
//! The server is on the host's own machine, so a statement that computes takes the processors from all services, those
//! that ask no database included. A process that answers many small statements takes as much and does not compute: it
//! waits for the next one again and again. So what counts is how long it runs from one wait to the next. It is urgent
//! again when it does so no more, where the host may say that; elsewhere it stays so until its connection is closed.
//!
//! It knows processes, and nothing of what they do.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use rustix::process::{Pid, setpriority_process};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::process::Running;
use wasm_host_limits::computing::NICENESS;
use wasm_host_limits::embedded_postgres as limits;

/// Watch the processes of whatever server runs.
pub(super) async fn watch(server: Running, stop: CancellationToken) {
    let mut seen = BTreeMap::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(limits::COMPUTING_LOOK) => {}
        }
        seen = server.pid().map(|server| look(server, &seen)).unwrap_or_default();
    }
}

/// A process, as it was when it was last looked at.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    ran: Duration,
    /// How often it has waited. None: it had done too little to be worth asking.
    waits: Option<u64>,
    /// It ran, or waited for a processor.
    wants_to_run: bool,
    is_less_urgent: bool,
}

/// What its last turns say of a process.
#[derive(Debug, PartialEq, Eq)]
enum Does {
    Compute,
    Little,
    /// It has done much, and it was not known how often it had waited.
    Unknown,
}

/// All processes of the server, by their numbers.
fn look(server: Pid, before: &BTreeMap<i32, Seen>) -> BTreeMap<i32, Seen> {
    let server = server.as_raw_nonzero();
    let children = fs::read_to_string(format!("/proc/{server}/task/{server}/children"));
    let children = children.unwrap_or_default();
    let numbers = children.split_whitespace().filter_map(|number| number.parse().ok());
    // One that ends meanwhile says nothing.
    numbers.filter_map(|number| Some((number, look_at(number, before.get(&number))?))).collect()
}

fn look_at(number: i32, before: Option<&Seen>) -> Option<Seen> {
    let ran = fs::read_to_string(format!("/proc/{number}/schedstat")).ok()?;
    let ran = Duration::from_nanos(ran.split_whitespace().next()?.parse().ok()?);
    let Some(&before) = before else { return Some(Seen { ran, ..Seen::default() }) };
    let is_asked = before.is_less_urgent || did_much(&before, ran);
    let status = is_asked.then(|| fs::read_to_string(format!("/proc/{number}/status")));
    let status = status.transpose().ok()?.unwrap_or_default();
    let wants_to_run = status.contains("\nState:\tR");
    let mut now = Seen { ran, waits: waits(&status), wants_to_run, ..before };
    let does = does(&before, &now);
    match does {
        Does::Compute if !now.is_less_urgent => now.is_less_urgent = set(number, NICENESS),
        Does::Little if now.is_less_urgent => now.is_less_urgent = !set(number, 0),
        _ => {}
    }
    Some(now)
}

fn did_much(before: &Seen, ran: Duration) -> bool {
    ran.saturating_sub(before.ran) >= limits::COMPUTING_LEAST
}

fn does(before: &Seen, now: &Seen) -> Does {
    // It may have run little because it is less urgent.
    if before.is_less_urgent && now.wants_to_run {
        return Does::Compute;
    }
    let ran = now.ran.saturating_sub(before.ran);
    let (Some(waits), Some(waited)) = (now.waits, before.waits) else {
        return if now.waits.is_some() { Does::Unknown } else { Does::Little };
    };
    let turns = u32::try_from(waits.saturating_sub(waited)).unwrap_or(u32::MAX).saturating_add(1);
    if ran / turns >= limits::COMPUTING_TURN { Does::Compute } else { Does::Little }
}

/// How often a process has waited for something, of what the system says of it.
fn waits(status: &str) -> Option<u64> {
    let mut lines = status.lines();
    lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?.trim().parse().ok()
}

/// Have a process be so much less urgent. False: the host may not.
fn set(number: i32, niceness: i32) -> bool {
    let Some(process) = Pid::from_raw(number) else { return false };
    // Each process of the server has a session of its own, and where the system weighs sessions and not processes, the
    // other one says nothing. Where it does not, this one does no harm.
    let _ = fs::write(format!("/proc/{number}/autogroup"), niceness.to_string());
    setpriority_process(Some(process), niceness).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(ran_ms: u64, waits: Option<u64>) -> Seen {
        let ran = Duration::from_millis(ran_ms);
        Seen { ran, waits, wants_to_run: false, is_less_urgent: false }
    }

    #[test]
    fn a_process_computes_that_runs_for_long_without_a_wait() {
        assert_eq!(does(&seen(0, Some(5)), &seen(200, Some(5))), Does::Compute);
        assert_eq!(does(&seen(0, Some(5)), &seen(200, Some(15))), Does::Compute);
        // Hundreds of small statements.
        assert_eq!(does(&seen(0, Some(5)), &seen(200, Some(505))), Does::Little);
        assert_eq!(does(&seen(0, None), &seen(1, None)), Does::Little);
        assert_eq!(does(&seen(0, Some(5)), &seen(1, None)), Does::Little);
        assert_eq!(does(&seen(0, None), &seen(200, Some(5))), Does::Unknown);
        // Starved of processors since it is less urgent, and done with what made it so.
        let less = Seen { is_less_urgent: true, ..seen(0, Some(5)) };
        let starved = Seen { wants_to_run: true, ..seen(1, Some(5)) };
        assert_eq!(does(&less, &starved), Does::Compute);
        assert_eq!(does(&less, &seen(1, Some(6))), Does::Little);
    }

    #[test]
    fn the_system_says_how_often_a_process_has_waited() {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        assert!(waits(&status).is_some(), "{status}");
        assert_eq!(
            waits("voluntary_ctxt_switches:\t17\nnonvoluntary_ctxt_switches:\t3\n"),
            Some(17)
        );
    }
}
