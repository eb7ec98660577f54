//! What has to hold, judged by what the replicas really do.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;

impl Scenario {
    /// One transaction, and what is wrong with it.
    pub(super) fn change<T>(&self, world: &mut World, change: impl FnOnce(&mut Shared) -> T) -> T {
        let before = world.shared.clone();
        let result = change(&mut world.shared);
        if let Some(Broken::NamesNone) = self.broken {
            for attempt in world.shared.lines.values_mut().flat_map(|line| &mut line.decided) {
                if let Some(Decision::Committed { without, .. }) = &mut attempt.decision {
                    without.clear();
                }
            }
        }
        let (Some(old), Some(new)) = (before.lines.get(SERVICE), world.shared.lines.get(SERVICE))
        else {
            return result;
        };
        // Its votes are forgotten.
        let plain = |attempt: &Attempt| Attempt { votes: BTreeMap::new(), ..attempt.clone() };
        let kept = new.decided.iter().take(old.decided.len()).map(plain);
        if !kept.eq(old.decided.iter().map(plain)) {
            world.wrong.insert(Wrong::DecidedTwice);
        }
        if let Some(open) = &old.attempt
            && !new.attempt.iter().chain(&new.decided).any(|attempt| attempt.id == open.id)
        {
            world.wrong.insert(Wrong::AttemptForgotten);
        }
        let mut current = old.current.clone();
        for attempt in new.decided.iter().skip(old.decided.len()) {
            let Some(Decision::Committed { generation, without }) = &attempt.decision else {
                continue;
            };
            current = Generation {
                number: old.current.number + 1,
                version: attempt.version.clone(),
                attempt: Some(attempt.id),
            };
            for (number, host) in world.hosts.iter().enumerate() {
                let vote = host.mine.id.and_then(|id| attempt.votes.get(&id));
                // Seen from outside: it has said so, it has it, and it serves what is replaced.
                let is_ready = vote == Some(&Vote::Ready)
                    && host.mine.prepared == Some((attempt.id, Vote::Ready))
                    && host.mine.serves == Some(attempt.base);
                let is_named = !self.fences && without.contains(&Self::name(number, host.life));
                if self.is_open(host) && !is_ready && !is_named {
                    world.wrong.insert(Wrong::CommittedWithoutAVote);
                }
            }
            if *generation != current.number {
                world.wrong.insert(Wrong::DecidedTwice);
            }
        }
        if new.current != current {
            world.wrong.insert(Wrong::AbortChangedSomething);
        }
        result
    }

    /// What has to hold of a replica at any moment.
    pub(super) fn is_near(&self, world: &World, at: usize) -> bool {
        let host = &world.hosts[at];
        let (Some(line), Some(serves)) = (world.shared.lines.get(SERVICE), host.mine.serves) else {
            return !self.is_open(host);
        };
        // What it has said that it serves.
        let member = host.mine.id.and_then(|id| world.shared.members.get(&id));
        let said = member.and_then(|member| member.serves.get(SERVICE));
        if said.is_some_and(|said| *said > serves) {
            return false;
        }
        let mut missed = line.decided.iter().filter_map(|attempt| match &attempt.decision {
            Some(Decision::Committed { generation, without }) if *generation > serves => {
                Some((attempt, generation, without))
            }
            _ => None,
        });
        let is_excused = |(attempt, generation, without): (&Attempt, &u64, &Vec<Arc<str>>)| {
            let is_next = *generation == serves + 1;
            let is_ready = host.mine.prepared == Some((attempt.id, Vote::Ready));
            // It voted, was lost before it saw the decision, and forgot what it had when there was another one.
            let was_ready = !self.fences && *generation < line.current.number;
            let is_named = !self.fences && without.contains(&Self::name(at, host.life));
            is_next && (is_ready || was_ready) || is_named
        };
        !self.is_open(host) || missed.all(is_excused)
    }

    /// What is served was decided on.
    pub(super) fn is_committed(world: &World, host: &Host) -> bool {
        let (Some(line), Some(serves)) = (world.shared.lines.get(SERVICE), host.mine.serves) else {
            return true;
        };
        let made = line.decided.iter().find(|attempt| {
            matches!(attempt.decision, Some(Decision::Committed { generation, .. }) if generation == serves)
        });
        let digest = match made {
            Some(attempt) => Some(attempt.version.digest.clone()),
            None if serves == 1 => Some("own".into()),
            None => None,
        };
        digest.is_some() && host.version == digest
    }

    /// Nothing more has to happen: what is left are swaps that are not asked for, faults, and repairs that may never come.
    pub(super) fn is_at_rest(&self, world: &World) -> bool {
        self.all_actions(world).into_iter().all(|action| {
            let is_optional = match action {
                Action::Swap(_) | Action::Start(_) | Action::Heal(_) => true,
                Action::Crash(_) | Action::Leave(_) | Action::Cut(_) | Action::GoAway => true,
                Action::LeaseKnownToEnd(at) => Self::is_connected(world, at),
                // Of what renews it.
                Action::LeaseEnds(id) => {
                    Self::owner(world, id).is_some_and(|at| Self::is_connected(world, at))
                }
                _ => false,
            };
            is_optional || self.after(world, action).is_none()
        })
    }

    /// The attempt has ended, and what reaches the database serves what is current.
    pub(super) fn has_converged(world: &World) -> bool {
        let Some(line) = world.shared.lines.get(SERVICE) else { return false };
        let is_current = |at: usize| {
            let host = &world.hosts[at];
            host.mine.serves == Some(line.current.number)
                && host.version.as_ref() == Some(&line.current.version.digest)
                && host.door.is_open(true, host.lease_runs)
        };
        let mut connected = (0..world.hosts.len()).filter(|at| Self::is_connected(world, *at));
        match connected.clone().next() {
            Some(_) => {
                // What has gone is not waited for.
                let mut members = world.shared.members.keys();
                members.all(|id| Self::owner(world, *id).is_some())
                    && line.attempt.is_none()
                    && connected.all(is_current)
            }
            None => true,
        }
    }
}
