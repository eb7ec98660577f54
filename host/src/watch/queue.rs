//! When a build begins: after a moment of quiet, one at a time, one waiting.
//!
//! Pure: it gets the time from its caller. What changed while a build ran, or while it waited,
//! leads to one more build that remembers all of its causes.

use std::collections::BTreeSet;

use tokio::task::JoinError;
use tokio::time::Instant;

use super::builds::BuildOutcomes;
use crate::build::command::Failure;
use wasm_host_limits as limits;

/// Changes that come in bursts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Burst {
    first: Instant,
    last: Instant,
}

/// What one build is for.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    /// The files, in the order in which they changed; none for the build at the start.
    pub(super) causes: Vec<String>,
    /// The crates that they belong to.
    pub(super) crates: BTreeSet<String>,
    /// When the first of them was saved.
    pub(super) saved: Option<Instant>,
    burst: Burst,
    echo: Echo,
}

/// Whether builds are their own cause: a build that writes among its sources what differs each time would never end.
#[derive(Clone, Debug, Default)]
struct Echo {
    /// All causes came while a build ran, by which they may have been written.
    is_possible: bool,
    /// How many builds in a row this was so of.
    builds: u32,
    /// What changed while each of them ran.
    always: BTreeSet<String>,
    /// When it is built all the same.
    until: Option<Instant>,
}

/// One build that runs, and one that waits.
#[derive(Debug, Default)]
pub(super) struct Queue {
    running: Option<Batch>,
    waiting: Option<Batch>,
    /// Crates of builds that failed: they are still to be built.
    owed: BTreeSet<String>,
}

// === impl Burst ===

impl Burst {
    pub(super) fn new(now: Instant) -> Self {
        Self { first: now, last: now }
    }

    pub(super) fn again(&mut self, now: Instant) {
        self.last = now;
    }

    /// When it is over if nothing more comes.
    pub(super) fn quiet(&self) -> Instant {
        self.last + limits::WATCH_QUIET
    }

    /// When it is over, or has lasted long enough.
    fn due(&self) -> Instant {
        self.quiet().min(self.first + limits::WATCH_QUIET_MAX)
    }
}

// === impl Batch ===

impl Batch {
    /// What the user reads and the history keeps.
    pub(super) fn cause(&self) -> String {
        match self.causes.as_slice() {
            [] => "the start".to_string(),
            [one] => one.clone(),
            [first, rest @ ..] => format!("{first} and {} more", rest.len()),
        }
    }
}

// === impl Queue ===

impl Queue {
    /// The build at the start: sources may have changed while nothing watched them.
    pub(super) fn begin(&mut self, now: Instant, crates: BTreeSet<String>) {
        let burst = Burst::new(now);
        let echo = Echo::default();
        self.waiting = Some(Batch { causes: Vec::new(), crates, saved: None, burst, echo });
    }

    /// A source of `crates` changed.
    pub(super) fn changed(
        &mut self,
        now: Instant,
        saved: Instant,
        path: String,
        crates: &[String],
    ) {
        let is_building = self.is_building();
        let batch = self.waiting.get_or_insert_with(|| Batch {
            causes: Vec::new(),
            crates: BTreeSet::new(),
            saved: None,
            burst: Burst::new(now),
            echo: Echo { is_possible: is_building, ..Echo::default() },
        });
        if !is_building {
            batch.echo = Echo::default();
        }
        batch.burst.again(now);
        batch.saved = Some(batch.saved.map_or(saved, |earlier| earlier.min(saved)));
        batch.crates.extend(crates.iter().cloned());
        if !batch.causes.contains(&path) {
            batch.causes.push(path);
        }
    }

    /// The build to start now, if there is one.
    pub(super) fn start(&mut self, now: Instant) -> Option<Batch> {
        if self.due()? > now {
            return None;
        }
        let mut batch = self.waiting.take()?;
        batch.crates.append(&mut self.owed);
        self.running = Some(batch.clone());
        Some(batch)
    }

    /// The build that runs has ended, and did not succeed for these. Returns what it was for.
    pub(super) fn finish(&mut self, now: Instant, failed: &BTreeSet<String>) -> Option<Batch> {
        let batch = self.running.take()?;
        self.owed.extend(batch.crates.intersection(failed).cloned());
        if let Some(next) = self.waiting.as_mut().filter(|next| next.echo.is_possible) {
            let causes: BTreeSet<String> = next.causes.iter().cloned().collect();
            let echo = &mut next.echo;
            echo.builds = batch.echo.builds + 1;
            echo.always = match batch.echo.builds {
                0 => causes.clone(),
                _ => batch.echo.always.intersection(&causes).cloned().collect(),
            };
            if echo.builds >= limits::WATCH_ECHOES && echo.always == causes {
                echo.until = Some(now + limits::WATCH_ECHO_PAUSE);
            }
        }
        Some(batch)
    }

    /// What is not built for now, as the builds seem to write it themselves.
    pub(super) fn held(&self) -> Option<&Batch> {
        self.waiting.as_ref().filter(|batch| batch.echo.until.is_some())
    }

    /// What the builds that run come to if the host itself failed while they did.
    pub(super) fn crashed(&self, error: &JoinError) -> BuildOutcomes {
        let reason = format!("the host failed while it ran: {error}");
        let crates = self.running.as_ref().map(|batch| batch.crates.clone()).unwrap_or_default();
        BuildOutcomes { failures: vec![(crates, Failure { reason, output: Vec::new() })] }
    }

    pub(super) fn is_building(&self) -> bool {
        self.running.is_some()
    }

    /// When the next build may start; `None` while one runs or none waits.
    pub(super) fn due(&self) -> Option<Instant> {
        let batch = self.waiting.as_ref().filter(|_| !self.is_building())?;
        Some(batch.echo.until.unwrap_or_else(|| batch.burst.due()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    fn change(queue: &mut Queue, now: Instant, path: &str, name: &str) {
        queue.changed(now, now, path.to_string(), &[name.to_string()]);
    }

    fn names(crates: &BTreeSet<String>) -> Vec<&str> {
        crates.iter().map(String::as_str).collect()
    }

    #[test]
    fn a_burst_is_one_build_after_a_moment_of_quiet() {
        let (start, mut queue) = (Instant::now(), Queue::default());
        assert!(queue.start(start).is_none());
        change(&mut queue, start, "a.rs", "one");
        change(&mut queue, at(start, 100), "b.rs", "two");
        change(&mut queue, at(start, 120), "a.rs", "one");
        assert_eq!(queue.due(), Some(at(start, 270)));
        assert!(queue.start(at(start, 269)).is_none());
        let batch = queue.start(at(start, 270)).unwrap();
        assert_eq!(batch.cause(), "a.rs and 1 more");
        assert_eq!(names(&batch.crates), ["one", "two"]);
        assert_eq!(batch.saved, Some(start));
        assert!(queue.start(at(start, 9000)).is_none());
    }

    #[test]
    fn what_never_rests_is_built_all_the_same() {
        let (start, mut queue) = (Instant::now(), Queue::default());
        for step in 0..20 {
            change(&mut queue, at(start, step * 100), "a.rs", "one");
            assert!(queue.start(at(start, step * 100)).is_none());
        }
        change(&mut queue, at(start, 2000), "a.rs", "one");
        assert!(queue.start(at(start, 2000)).is_some());
    }

    #[test]
    fn changes_during_a_build_are_one_more_build() {
        let (start, mut queue) = (Instant::now(), Queue::default());
        change(&mut queue, start, "a.rs", "one");
        assert!(queue.start(at(start, 200)).is_some());
        for step in 3..30 {
            change(&mut queue, at(start, step * 100), &format!("{step}.rs"), "two");
            assert!(queue.start(at(start, step * 100 + 99)).is_none(), "two at once");
        }
        assert_eq!(queue.due(), None);
        assert_eq!(queue.finish(start, &BTreeSet::new()).unwrap().cause(), "a.rs");
        let batch = queue.start(at(start, 3100)).unwrap();
        assert_eq!(batch.cause(), "3.rs and 26 more");
        assert_eq!(names(&batch.crates), ["two"]);
        queue.finish(start, &BTreeSet::new());
        assert!(queue.start(at(start, 9000)).is_none());
    }

    #[test]
    fn what_a_failed_build_owes_is_in_the_next() {
        let (start, mut queue) = (Instant::now(), Queue::default());
        queue.begin(start, BTreeSet::from(["one".to_string()]));
        assert_eq!(queue.start(at(start, 150)).unwrap().cause(), "the start");
        queue.finish(start, &BTreeSet::from(["one".to_string()]));
        change(&mut queue, at(start, 500), "b.rs", "two");
        let batch = queue.start(at(start, 700)).unwrap();
        assert_eq!(names(&batch.crates), ["one", "two"]);
        assert_eq!(batch.cause(), "b.rs");
        queue.finish(start, &BTreeSet::new());
        change(&mut queue, at(start, 1000), "b.rs", "two");
        assert_eq!(names(&queue.start(at(start, 2000)).unwrap().crates), ["two"]);
    }

    #[test]
    fn a_build_that_is_its_own_cause_is_not_built_for_ever() {
        let (start, mut queue) = (Instant::now(), Queue::default());
        change(&mut queue, start, "a.rs", "one");
        let mut now = start;
        let mut builds = 0;
        while queue.held().is_none() {
            now = queue.due().unwrap();
            assert!(queue.start(now).is_some());
            builds += 1;
            assert!(builds < 10, "built for ever");
            change(&mut queue, now, "date.rs", "one");
            queue.finish(now, &BTreeSet::new());
        }
        assert_eq!(builds, limits::WATCH_ECHOES);
        assert_eq!(queue.held().unwrap().cause(), "date.rs");
        assert_eq!(queue.due(), Some(now + limits::WATCH_ECHO_PAUSE));
        // A save outside of a build is one, and nothing of what waited is lost.
        change(&mut queue, now, "b.rs", "one");
        assert!(queue.held().is_none());
        let batch = queue.start(queue.due().unwrap()).unwrap();
        assert_eq!(batch.causes, ["date.rs", "b.rs"]);
    }

    #[test]
    fn whoever_saves_other_files_while_each_build_runs_waits_for_nothing() {
        let (start, mut queue) = (Instant::now(), Queue::default());
        change(&mut queue, start, "a.rs", "one");
        let mut now = start;
        for build in 0..6 {
            now = queue.due().unwrap();
            assert!(queue.start(now).is_some());
            change(&mut queue, now, &format!("{}.rs", build % 2), "one");
            queue.finish(now, &BTreeSet::new());
            assert!(queue.held().is_none(), "{build}");
        }
        assert!(queue.due().unwrap() < at(now, 1000));
    }
}
