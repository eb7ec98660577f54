//! The protocol as a model checker sees it: replicas that crash, stop and are cut off at every step, answers that are
//! never heard, a database that goes away, leases that run out and deadlines that pass at any moment.
//!
//! It must not know how the protocol works: what is shared changes by the functions of [`Shared`] alone, and what a
//! replica does is what [`next`] says. What is judged is what the replicas really do, not what the database has of them.
//!
//! Time does not count here. A lease runs until `LeaseEnds`, a deadline is there until `DeadlinePasses`, and both may
//! happen at any moment: whatever clocks do is among the walks. Only one thing is taken for granted: with
//! `lost = "fence"`, a replica knows the end of its lease before the database does, which is what the margin is for.
//!
//! What tells of changes may be lost: none is told anything here, and each looks at any moment or later.

mod happens;
mod judge;
mod steps;

use std::collections::BTreeSet;
use std::sync::Arc;

use stateright::{Model, Property};

use super::*;

const SERVICE: &str = "s";
/// The only moment that there is. What is over ends before it.
const NOW: Time = 1;
const OVER: Time = 0;
const LATER: Time = 10;

/// What may happen, and how often.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) hosts: usize,
    /// How many of them are there from the beginning.
    pub(super) early: usize,
    pub(super) fences: bool,
    /// Whether a host that starts again has another component in its application file.
    pub(super) builds: bool,
    /// Whether the last swap is to what the replicas began with.
    pub(super) goes_back: bool,
    pub(super) faults: Faults,
    pub(super) broken: Option<Broken>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Faults {
    pub(super) swaps: u8,
    pub(super) refusals: u8,
    pub(super) crashes: u8,
    pub(super) cuts: u8,
    /// Answers of the database that are not heard though the connection is there.
    pub(super) unheard: u8,
    /// Leases that end though the connection is there: the process was stopped for so long.
    pub(super) stops: u8,
    pub(super) outages: u8,
    /// Replicas that stop in order.
    pub(super) leaves: u8,
    /// Versions that cannot be had by a replica that catches up.
    pub(super) failures: u8,
}

/// What the protocol would be without one of its rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// Votes are not counted but taken for granted.
    OneVoteIsEnough,
    /// A replica goes on behind the end of its lease.
    NoMargin,
    /// No replica looks when nothing happens.
    NoTimer,
    /// What is prepared serves before it is decided on.
    FlipsBeforeTheDecision,
    /// A replica that comes serves what it has.
    ServesWhatItHas,
    /// A refusal is heard as a vote.
    RefusalIsAVote,
    /// What was decided can be decided again.
    DecidesTwice,
    /// The verdict names none.
    NamesNone,
    /// What was built since begins a generation while others serve.
    BeginsBesideOthers,
    /// What was asked of a replica that stops is left to the others.
    LeavesAttempts,
    /// A replica that catches up goes on to the next generation while it loads one.
    CatchesUpTwice,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    shared: Shared,
    hosts: Vec<Host>,
    is_away: bool,
    left: Faults,
    wrong: BTreeSet<Wrong>,
}

/// What must not happen, as it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Wrong {
    CommittedWithoutAVote,
    AbortChangedSomething,
    DecidedTwice,
    AttemptForgotten,
    /// Whoever asked a replica that has stopped was told that nothing came of it.
    GoesOnWithoutTheOneThatWasAsked,
}

/// One process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Host {
    /// One that starts again has another name.
    life: u8,
    runs: bool,
    is_cut: bool,
    mine: Mine,
    /// The digest of what it serves, or would serve.
    version: Option<Arc<str>>,
    /// The version of `mine.prepared`.
    beside: Option<Arc<str>>,
    /// The version of `mine.loads`.
    loading: Option<Arc<str>>,
    door: Door,
    /// As far as it knows.
    lease_runs: bool,
    seen: Option<ServiceView>,
    /// What the database has answered and it has not heard yet.
    answer: Option<ModelReply>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ModelReply {
    what: What,
    seen: Option<ServiceView>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    Joined(MemberId),
    Reported(bool),
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Look(usize),
    /// What it has to do next. True: and it goes well.
    Do(usize, bool),
    /// What it loads to catch up is there. True: and it is good.
    Loaded(usize, bool),
    Hear(usize),
    NeverHear(usize),
    Renew(usize),
    Tick(usize),
    Swap(usize),
    /// It knows that its lease is about to end.
    LeaseKnownToEnd(usize),
    LeaseEnds(MemberId),
    DeadlinePasses,
    Crash(usize),
    Leave(usize),
    Start(usize),
    Cut(usize),
    Heal(usize),
    GoAway,
    ComeBack,
}

impl Scenario {
    fn name(host: usize, life: u8) -> Arc<str> {
        format!("{host}.{life}").into()
    }

    fn is_open(&self, host: &Host) -> bool {
        let lease_runs = host.lease_runs || self.broken == Some(Broken::NoMargin);
        host.runs && host.door.is_open(self.fences, lease_runs)
    }

    fn is_connected(world: &World, host: usize) -> bool {
        let host = &world.hosts[host];
        host.runs && !host.is_cut && !world.is_away
    }

    /// The running replica that looks after a registration.
    fn owner(world: &World, id: MemberId) -> Option<usize> {
        world.hosts.iter().position(|host| {
            let is_told = host.answer.as_ref().is_some_and(|it| it.what == What::Joined(id));
            host.runs && (host.mine.id == Some(id) || is_told)
        })
    }

    fn see(world: &World, host: usize) -> Option<ServiceView> {
        world.shared.seen_by(world.hosts[host].mine.id, SERVICE)
    }

    fn saw(world: &mut World, host: usize, seen: Option<ServiceView>) {
        let host = &mut world.hosts[host];
        if let Some(seen) = &seen {
            host.mine.saw(seen);
            match &seen.registered {
                None => host.door.told(false),
                // Whether it was heard when it became one or not.
                Some(registered) if registered.is_serving => host.door.told(true),
                Some(_) => {}
            }
        }
        if host.mine.prepared.is_none() {
            host.beside = None;
        }
        host.seen = seen;
    }
}

impl Model for Scenario {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let mut world = World {
            shared: Shared::default(),
            hosts: vec![Host::default(); self.hosts],
            is_away: false,
            left: Faults::default(),
            wrong: BTreeSet::new(),
        };
        for at in 0..self.early {
            world.hosts[at].runs = true;
            // It joins, has what is current, and reports.
            for _ in 0..3 {
                self.act(&mut world, at, true);
                Self::hear(&mut world, at);
            }
        }
        for at in 0..self.early {
            let seen = Self::see(&world, at);
            Self::saw(&mut world, at, seen);
        }
        world.left = self.faults;
        vec![world]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        actions.extend(self.all_actions(world));
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        self.after(world, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn decided(world: &World, is_it: impl Fn(&Decision) -> bool) -> bool {
            let lines = world.shared.lines.values();
            lines.flat_map(|line| &line.decided).any(|it| it.decision.as_ref().is_some_and(&is_it))
        }
        vec![
            Property::always("1: near", |it: &Self, world: &World| {
                (0..it.hosts).all(|at| it.is_near(world, at))
            }),
            Property::always("2: every vote", |_: &Self, world: &World| {
                !world.wrong.contains(&Wrong::CommittedWithoutAVote)
            }),
            Property::always("3: an abort changes nothing", |_: &Self, world: &World| {
                !world.wrong.contains(&Wrong::AbortChangedSomething)
                    && world.hosts.iter().all(|host| Self::is_committed(world, host))
            }),
            Property::always("4: a decision stands", |_: &Self, world: &World| {
                !world.wrong.contains(&Wrong::DecidedTwice)
            }),
            Property::always("4: a verdict stands", |_: &Self, world: &World| {
                !world.wrong.contains(&Wrong::GoesOnWithoutTheOneThatWasAsked)
            }),
            Property::always("5: it ends", |it: &Self, world: &World| {
                !world.wrong.contains(&Wrong::AttemptForgotten)
                    && (!it.is_at_rest(world)
                        || !world.wrong.is_empty()
                        || Self::has_converged(world))
            }),
            // That there is something to see.
            Property::sometimes("committed", |_: &Self, world: &World| {
                decided(world, |it| matches!(it, Decision::Committed { .. }))
            }),
            Property::sometimes("aborted", |_: &Self, world: &World| {
                decided(world, |it| matches!(it, Decision::Aborted(_)))
            }),
        ]
    }
}
