//! What a replica does next, and when it takes requests.

use super::shared::{Registered, ServiceView};
use super::{AttemptId, MemberId, Vote};

/// What a replica knows of itself and one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mine {
    pub id: Option<MemberId>,
    /// The generation that it serves, or would serve.
    pub serves: Option<u64>,
    /// The attempt whose version it has prepared, or could not.
    pub prepared: Option<(AttemptId, Vote)>,
    /// The generation that it loads, to catch up.
    pub loads: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Enter itself.
    Join,
    /// Put the version that it has prepared into service.
    Flip(u64),
    /// Fetch and load the current generation, and put it into service.
    CatchUp(u64),
    /// Say what it serves.
    Report,
    Prepare(AttemptId),
    Vote(AttemptId),
    Rest,
}

/// What a replica does next about a service. What it has seen may be old: the database takes nothing that does not fit.
pub fn next(mine: &Mine, seen: &ServiceView) -> Step {
    let Some(Registered { is_serving, serves }) = seen.registered else { return Step::Join };
    let current = &seen.current;
    // What it has seen may be older than what it has done.
    if mine.serves < Some(current.number) {
        return match &mine.prepared {
            Some((attempt, Vote::Ready)) if Some(*attempt) == current.attempt => {
                Step::Flip(current.number)
            }
            // One after the other: what comes in later may be the older one.
            _ if mine.loads.is_some() => Step::Rest,
            _ => Step::CatchUp(current.number),
        };
    }
    if serves != mine.serves || !is_serving {
        return Step::Report;
    }
    match &seen.attempt {
        Some(open) if Some(open.base) == mine.serves && !open.has_my_vote => match &mine.prepared {
            Some((attempt, _)) if *attempt == open.id => Step::Vote(open.id),
            _ => Step::Prepare(open.id),
        },
        _ => Step::Rest,
    }
}

impl Mine {
    /// Take note of what the database says: whether the registration is there, and whether what was prepared is of use.
    pub fn saw(&mut self, seen: &ServiceView) {
        if seen.registered.is_none() {
            self.id = None;
        }
        let is_of_use = |attempt: AttemptId| {
            let is_open = seen.attempt.as_ref().is_some_and(|open| open.id == attempt);
            let is_current = seen.current.attempt == Some(attempt);
            is_open || is_current && self.serves != Some(seen.current.number)
        };
        if self.prepared.as_ref().is_some_and(|(attempt, _)| !is_of_use(*attempt)) {
            self.prepared = None;
        }
    }
}

/// Whether a replica takes requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Door {
    /// It has served since it came.
    has_served: bool,
    /// The database has said that it is a member that serves, and has not said otherwise since.
    is_member: bool,
}

impl Door {
    /// The database has said whether the replica is a member that serves.
    pub fn told(&mut self, is_serving: bool) {
        self.has_served |= is_serving;
        self.is_member = is_serving;
    }

    /// `lease_runs`: as far as the replica itself can know, which must end before the others may count on it. With
    /// `lost = "serve"`, what has served once goes on.
    pub fn is_open(self, fences: bool, lease_runs: bool) -> bool {
        if fences { self.is_member && lease_runs } else { self.has_served }
    }
}
