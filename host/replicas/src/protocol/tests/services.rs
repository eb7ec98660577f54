//! Replicas of two services, each with generations of its own. Nothing fails here: what fails is walked through with one
//! service.

use std::collections::BTreeMap;
use std::sync::Arc;

use stateright::{Checker as _, Model, Property};

use crate::protocol::*;

const SERVICES: [&str; 2] = ["a", "b"];
const NOW: Time = 1;
const LATER: Time = 10;

/// Two replicas, of which the second comes later.
#[derive(Clone, Debug)]
struct Pair;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    shared: Shared,
    hosts: [Host; 2],
    swaps: u8,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Host {
    id: Option<MemberId>,
    door: Door,
    services: [Mine; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// A replica looks at a service, and does what is next.
    Step(usize, usize),
    Loaded(usize, usize),
    Swap(usize, usize),
}

impl World {
    fn step(&mut self, at: usize, service: usize) {
        let host = &mut self.hosts[at];
        let seen = self.shared.seen_by(host.id, SERVICES[service]);
        let mine = &mut host.services[service];
        mine.id = host.id;
        if let Some(seen) = &seen {
            mine.saw(seen);
        }
        let id = host.id.unwrap_or_default();
        match seen.map_or(Step::Join, |seen| next(mine, &seen)) {
            Step::Join => {
                let offer = |service: &&str| Offer {
                    service: Arc::from(*service),
                    version: version("own"),
                    own: "own".into(),
                    misses: None,
                };
                let offered = SERVICES.iter().map(offer).collect::<Vec<_>>();
                let name = format!("{at}").into();
                host.id = Some(self.shared.join(&name, &offered, LATER, NOW).expect("room"));
            }
            Step::Flip(number) => (mine.serves, mine.prepared) = (Some(number), None),
            Step::CatchUp(number) => mine.loads = Some(number),
            Step::Prepare(attempt) => mine.prepared = Some((attempt, Vote::Ready)),
            Step::Vote(attempt) => {
                let _ = self.shared.vote(id, attempt, Vote::Ready, NOW);
            }
            Step::Report => {
                let served = SERVICES.iter().zip(&host.services);
                let served = served.filter_map(|(service, mine)| Some((*service, mine.serves?)));
                let serves: BTreeMap<Arc<str>, u64> =
                    served.map(|(service, number)| (service.into(), number)).collect();
                host.door.told(self.shared.report(id, &serves, NOW) == Ok(true));
            }
            Step::Rest => {}
        }
    }

    fn after(&self, action: Action) -> Option<World> {
        let mut after = self.clone();
        match action {
            Action::Step(at, service) => after.step(at, service),
            Action::Loaded(at, service) => {
                let mine = &mut after.hosts[at].services[service];
                mine.serves = mine.loads.take();
            }
            Action::Swap(at, service) => {
                after.swaps -= 1;
                let host = &after.hosts[at];
                let (id, base) = (host.id?, host.services[service].serves?);
                let proposal = Proposal {
                    service: SERVICES[service].into(),
                    base,
                    version: version(&format!("v{}", self.swaps)),
                    cause: "swap".into(),
                    takes_back: false,
                };
                let _ = after.shared.propose(id, &proposal, LATER, NOW);
            }
        }
        (after != *self).then_some(after)
    }

    fn is_open(&self, at: usize) -> bool {
        self.hosts[at].door.is_open(false, true)
    }

    /// Nothing is lost here: what takes requests serves what is current, or has it ready.
    fn is_near(&self, at: usize, service: usize) -> bool {
        let mine = &self.hosts[at].services[service];
        let Some(line) = self.shared.lines.get(SERVICES[service]) else { return false };
        let (current, serves) = (&line.current, mine.serves);
        let is_ready = || mine.prepared == current.attempt.map(|attempt| (attempt, Vote::Ready));
        serves == Some(current.number) || serves == Some(current.number - 1) && is_ready()
    }

    fn is_current(&self, at: usize, service: usize) -> bool {
        let line = self.shared.lines.get(SERVICES[service]);
        let current = line.map(|line| line.current.number);
        self.hosts[at].services[service].serves == current
    }
}

fn version(digest: &str) -> Version {
    Version { digest: digest.into(), source: digest.into() }
}

fn each() -> impl Iterator<Item = (usize, usize)> {
    (0..2).flat_map(|at| (0..2).map(move |service| (at, service)))
}

impl Model for Pair {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let mut world = World {
            shared: Shared::default(),
            hosts: [Host::default(), Host::default()],
            swaps: 2,
        };
        while !world.is_open(0) {
            for service in 0..2 {
                world.step(0, service);
                let mine = &mut world.hosts[0].services[service];
                mine.serves = mine.loads.take().or(mine.serves);
            }
        }
        vec![world]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for (at, service) in each() {
            actions.push(Action::Step(at, service));
            if world.hosts[at].services[service].loads.is_some() {
                actions.push(Action::Loaded(at, service));
            }
            if world.swaps > 0 && world.is_open(at) {
                actions.push(Action::Swap(at, service));
            }
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        world.after(action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "what takes requests is near with all services",
                |_, world: &World| {
                    each().all(|(at, service)| !world.is_open(at) || world.is_near(at, service))
                },
            ),
            Property::always("it ends", |it: &Self, world: &World| {
                let mut actions = Vec::new();
                it.actions(world, &mut actions);
                actions.retain(|action| !matches!(action, Action::Swap(..)));
                let is_at_rest = actions.into_iter().all(|action| world.after(action).is_none());
                let is_done = |(at, service)| world.is_open(at) && world.is_current(at, service);
                !is_at_rest || each().all(is_done)
            }),
            Property::sometimes("both have another version", |_, world: &World| {
                world.shared.lines.values().all(|line| line.current.number == 2)
            }),
        ]
    }
}

#[test]
fn a_replica_of_two_services_that_comes_later_takes_requests_when_both_are_current() {
    let checker = Pair.checker().spawn_bfs().join();
    eprintln!("{} different states", checker.unique_state_count());
    checker.assert_properties();
}
