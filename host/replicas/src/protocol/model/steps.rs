//! What a replica does, answer by answer, and what becomes of leases.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;

impl Scenario {
    pub(super) fn step(&self, host: &Host) -> Step {
        let mut mine = host.mine.clone();
        if self.broken == Some(Broken::CatchesUpTwice) {
            mine.loads = mine.loads.filter(|loads| {
                host.seen.as_ref().is_some_and(|seen| seen.current.number == *loads)
            });
        }
        host.seen.as_ref().map_or(Step::Join, |seen| next(&mine, seen))
    }

    pub(super) fn act(&self, world: &mut World, at: usize, goes_well: bool) {
        let host = &world.hosts[at];
        let (mine, seen) = (host.mine.clone(), host.seen.clone());
        let step = self.step(host);
        let id = mine.id.unwrap_or_default();
        let name = Self::name(at, host.life);
        let (what, seen_as) = match step {
            Step::Join => {
                // What comes later was built since.
                let own: Arc<str> =
                    if self.builds && host.life > 0 { "own2".into() } else { "own".into() };
                // What it would serve if it were alone, which is what it has.
                world.hosts[at].version.get_or_insert_with(|| own.clone());
                let version = Version { digest: own.clone(), source: own.clone() };
                let offered = [Offer { service: SERVICE.into(), version, own, misses: None }];
                let is_alone = self.broken == Some(Broken::BeginsBesideOthers);
                let joined = self.change(world, |it| {
                    let members = it.members.clone();
                    if is_alone {
                        it.members.values_mut().for_each(|member| member.is_serving = false);
                    }
                    let joined = it.join(&name, &offered, LATER, NOW);
                    for (id, member) in it.members.iter_mut().filter(|_| is_alone) {
                        member.is_serving = members.get(id).is_some_and(|it| it.is_serving);
                    }
                    joined
                });
                let id = joined.expect("room");
                if self.broken == Some(Broken::ServesWhatItHas) {
                    let serves = BTreeMap::from([(Arc::from(SERVICE), 1)]);
                    let member = world.shared.members.get_mut(&id).expect("it was entered");
                    (member.is_serving, member.serves) = (true, serves);
                    let host = &mut world.hosts[at];
                    if host.mine.serves.is_none() {
                        host.mine.serves = Some(1);
                        host.version = Some("own".into());
                    }
                    host.mine.id = Some(id);
                    host.lease_runs = true;
                    host.door.told(true);
                }
                (What::Joined(id), Some(id))
            }
            Step::Flip(number) => {
                let host = &mut world.hosts[at];
                host.mine.serves = Some(number);
                host.version = host.beside.take();
                host.mine.prepared = None;
                return;
            }
            Step::CatchUp(number) => {
                let host = &mut world.hosts[at];
                let digest = seen.map(|seen| seen.current.version.digest);
                if host.version == digest {
                    host.mine.serves = Some(number);
                } else {
                    host.mine.loads = Some(number);
                    host.loading = digest;
                }
                return;
            }
            Step::Prepare(attempt) => {
                if !goes_well {
                    world.left.refusals -= 1;
                }
                let vote =
                    if goes_well { Vote::Ready } else { Vote::Refused("it is broken".into()) };
                let open = world.shared.lines[SERVICE].attempt.iter();
                let known = open.chain(&world.shared.lines[SERVICE].decided);
                let version = known.clone().find(|it| it.id == attempt);
                let digest = version.map(|it| it.version.digest.clone());
                let host = &mut world.hosts[at];
                host.mine.prepared = Some((attempt, vote));
                host.beside = digest;
                return;
            }
            Step::Report => {
                let number = mine.serves.expect("it serves something");
                let serves = BTreeMap::from([(Arc::from(SERVICE), number)]);
                let reported = self.change(world, |it| it.report(id, &serves, NOW));
                (What::Reported(reported == Ok(true)), mine.id)
            }
            Step::Vote(attempt) => {
                let (_, mut vote) = mine.prepared.clone().expect("it has prepared");
                if self.broken == Some(Broken::RefusalIsAVote) {
                    vote = Vote::Ready;
                }
                let one_is_enough = self.broken == Some(Broken::OneVoteIsEnough);
                self.change(world, |it| {
                    if one_is_enough {
                        let ids: Vec<MemberId> = it.members.keys().copied().collect();
                        for id in ids {
                            let _ = it.vote(id, attempt, vote.clone(), NOW);
                        }
                    }
                    let _ = it.vote(id, attempt, vote, NOW);
                });
                if self.broken == Some(Broken::FlipsBeforeTheDecision) && goes_well {
                    let host = &mut world.hosts[at];
                    host.mine.serves = host.mine.serves.map(|number| number + 1);
                    host.version.clone_from(&host.beside);
                }
                (What::Other, mine.id)
            }
            Step::Rest => return,
        };
        let seen = world.shared.seen_by(seen_as, SERVICE);
        world.hosts[at].answer = Some(ModelReply { what, seen });
    }

    pub(super) fn hear(world: &mut World, at: usize) {
        let Some(answer) = world.hosts[at].answer.take() else { return };
        match answer.what {
            What::Joined(id) => {
                // Its own lease began when it asked, and so is over if that of the database is.
                let runs = world.shared.members.contains_key(&id);
                let host = &mut world.hosts[at];
                host.mine.id = Some(id);
                host.lease_runs = runs;
            }
            What::Reported(is_serving) => world.hosts[at].door.told(is_serving),
            What::Other => {}
        }
        Self::saw(world, at, answer.seen);
    }

    pub(super) fn swap(&self, world: &mut World, at: usize) {
        world.left.swaps -= 1;
        let host = &world.hosts[at];
        let (id, base) = (host.mine.id.unwrap_or_default(), host.mine.serves.unwrap_or_default());
        let version: Arc<str> = match world.left.swaps {
            0 if self.goes_back => "own".into(),
            left => format!("v{left}").into(),
        };
        let proposal = Proposal {
            service: SERVICE.into(),
            base,
            version: Version { digest: version.clone(), source: version },
            cause: "swap".into(),
            takes_back: false,
        };
        let _ = self.change(world, |it| it.propose(id, &proposal, LATER, NOW));
        let seen = Self::see(world, at);
        world.hosts[at].answer = Some(ModelReply { what: What::Other, seen });
    }

    /// What comes of catching up. That another generation is current by then, it may not have heard of.
    pub(super) fn loaded(&self, world: &mut World, at: usize, goes_well: bool) {
        if !goes_well {
            world.left.failures -= 1;
        }
        let host = &mut world.hosts[at];
        let (number, version) = (host.mine.loads.take(), host.loading.take());
        if goes_well {
            host.mine.serves = number;
            host.version = version;
        }
    }

    /// It says that it stops, and says what came of the swaps that it was asked for.
    pub(super) fn leave(&self, world: &mut World, at: usize) {
        let Host { life, is_cut, .. } = world.hosts[at];
        // It takes no requests any more, and then says so.
        world.hosts[at] = Host { life, is_cut, ..Host::default() };
        let (name, leaves) = (Self::name(at, life), self.broken != Some(Broken::LeavesAttempts));
        self.change(world, |it| match leaves {
            true => it.leave(&name, NOW),
            false => it.members.retain(|_, member| member.name != name),
        });
        let mut open = world.shared.lines.values().filter_map(|line| line.attempt.as_ref());
        if open.any(|open| open.by == name) {
            world.wrong.insert(Wrong::GoesOnWithoutTheOneThatWasAsked);
        }
    }

    /// What becomes of the lease of a member on its own.
    pub(super) fn may_end(&self, world: &World, id: MemberId) -> bool {
        let Some(owner) = Self::owner(world, id) else { return true };
        let host = &world.hosts[owner];
        let knows = !host.lease_runs && host.mine.id == Some(id);
        if self.fences && self.broken != Some(Broken::NoMargin) && host.mine.id == Some(id) {
            return knows;
        }
        !Self::is_connected(world, owner) || world.left.stops > 0
    }

    pub(super) fn end_lease(&self, world: &mut World, id: MemberId) {
        if let Some(owner) = Self::owner(world, id)
            && Self::is_connected(world, owner)
            && world.hosts[owner].lease_runs
        {
            world.left.stops = world.left.stops.saturating_sub(1);
        } else if let Some(owner) = Self::owner(world, id)
            && Self::is_connected(world, owner)
            && world.hosts[owner].mine.id != Some(id)
        {
            world.left.stops = world.left.stops.saturating_sub(1);
        }
        if let Some(member) = world.shared.members.get_mut(&id) {
            member.lease_until = OVER;
        }
    }
}
