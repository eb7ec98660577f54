//! What may happen in a world, and what comes of it.

use super::*;

impl Scenario {
    pub(super) fn actions_of(&self, world: &World, at: usize, actions: &mut Vec<Action>) {
        let host = &world.hosts[at];
        let connected = Self::is_connected(world, at);
        if !host.runs {
            actions.push(Action::Start(at));
            return;
        }
        if world.left.crashes > 0 {
            actions.push(Action::Crash(at));
        }
        if world.left.leaves > 0 && host.mine.id.is_some() && connected {
            actions.push(Action::Leave(at));
        }
        match host.is_cut {
            true => actions.push(Action::Heal(at)),
            false if world.left.cuts > 0 => actions.push(Action::Cut(at)),
            false => {}
        }
        let may_lapse = !connected || world.left.stops > 0;
        if self.fences && host.lease_runs && may_lapse {
            actions.push(Action::LeaseKnownToEnd(at));
        }
        if connected {
            // To renew a lease is to look, too.
            if self.broken != Some(Broken::NoTimer) {
                actions.push(Action::Renew(at));
                if world.shared.is_due(NOW) {
                    actions.push(Action::Tick(at));
                }
            }
        }
        if host.mine.loads.is_some() {
            actions.push(Action::Loaded(at, true));
            if world.left.failures > 0 {
                actions.push(Action::Loaded(at, false));
            }
        }
        if host.answer.is_some() {
            if connected {
                actions.push(Action::Hear(at));
            }
            if !connected || world.left.unheard > 0 {
                actions.push(Action::NeverHear(at));
            }
            return;
        }
        if connected {
            actions.push(Action::Look(at));
            let is_current = host.seen.as_ref().map(|seen| seen.current.number);
            if world.left.swaps > 0 && self.is_open(host) && host.mine.serves == is_current {
                actions.push(Action::Swap(at));
            }
        }
        let step = self.step(host);
        match step {
            Step::Rest => {}
            Step::Flip(_) => actions.push(Action::Do(at, true)),
            Step::Prepare(_) => {
                actions.push(Action::Do(at, true));
                if world.left.refusals > 0 {
                    actions.push(Action::Do(at, false));
                }
            }
            _ if connected => actions.push(Action::Do(at, true)),
            _ => {}
        }
    }

    pub(super) fn all_actions(&self, world: &World) -> Vec<Action> {
        let mut actions = Vec::new();
        // What is wrong already is not looked at further.
        if !world.wrong.is_empty() {
            return actions;
        }
        for host in 0..self.hosts {
            self.actions_of(world, host, &mut actions);
        }
        for (id, member) in &world.shared.members {
            if member.lease_until != OVER && self.may_end(world, *id) {
                actions.push(Action::LeaseEnds(*id));
            }
        }
        let open = world.shared.lines.get(SERVICE).and_then(|line| line.attempt.as_ref());
        if open.is_some_and(|open| open.deadline != OVER) {
            actions.push(Action::DeadlinePasses);
        }
        match world.is_away {
            true => actions.push(Action::ComeBack),
            false if world.left.outages > 0 => actions.push(Action::GoAway),
            false => {}
        }
        actions
    }

    /// The world after an action; none if nothing came of it.
    pub(super) fn after(&self, world: &World, action: Action) -> Option<World> {
        let mut after = world.clone();
        match action {
            Action::Look(at) => {
                let seen = Self::see(&after, at);
                Self::saw(&mut after, at, seen);
            }
            Action::Do(at, goes_well) => self.act(&mut after, at, goes_well),
            Action::Loaded(at, goes_well) => self.loaded(&mut after, at, goes_well),
            Action::Hear(at) => Self::hear(&mut after, at),
            Action::NeverHear(at) => {
                if Self::is_connected(&after, at) {
                    after.left.unheard -= 1;
                }
                after.hosts[at].answer = None;
                // It looks before it does anything else.
                let host = &mut after.hosts[at];
                host.seen = host.seen.take().filter(|_| host.mine.id.is_some());
            }
            Action::Renew(at) => {
                let id = after.hosts[at].mine.id?;
                let renewed = self.change(&mut after, |it| it.renew(id, LATER, NOW));
                let is_serving = after.shared.members.get(&id).is_some_and(|it| it.is_serving);
                let host = &mut after.hosts[at];
                host.lease_runs = renewed.is_ok();
                host.door.told(is_serving);
            }
            Action::Tick(_) => self.change(&mut after, |it| it.tick(NOW)),
            Action::Swap(at) => self.swap(&mut after, at),
            Action::LeaseKnownToEnd(at) => {
                if Self::is_connected(&after, at) {
                    after.left.stops -= 1;
                }
                after.hosts[at].lease_runs = false;
            }
            Action::LeaseEnds(id) => self.end_lease(&mut after, id),
            Action::DeadlinePasses => {
                let open = after.shared.lines.get_mut(SERVICE)?.attempt.as_mut()?;
                open.deadline = OVER;
            }
            Action::Crash(at) => {
                after.left.crashes -= 1;
                let Host { life, is_cut, .. } = after.hosts[at];
                after.hosts[at] = Host { life, is_cut, ..Host::default() };
            }
            Action::Leave(at) => {
                after.left.leaves -= 1;
                self.leave(&mut after, at);
            }
            Action::Start(at) => {
                after.hosts[at].runs = true;
                after.hosts[at].life += 1;
            }
            Action::Cut(at) => {
                after.left.cuts -= 1;
                after.hosts[at].is_cut = true;
            }
            Action::Heal(at) => after.hosts[at].is_cut = false,
            Action::GoAway => {
                after.left.outages -= 1;
                after.is_away = true;
            }
            Action::ComeBack => after.is_away = false,
        }
        if let Some(Broken::DecidesTwice) = self.broken
            && let Some(line) = after.shared.lines.get_mut(SERVICE)
            && let Some(Attempt { decision: Some(Decision::Aborted(_)), .. }) = line.decided.back()
        {
            let line = line.clone();
            self.change(&mut after, |it| {
                let mut last = line.decided.back().expect("it was there").clone();
                last.decision = Some(Decision::Committed {
                    generation: line.current.number + 1,
                    without: Vec::new(),
                });
                let line = it.lines.get_mut(SERVICE).expect("it was there");
                line.decided.pop_back();
                line.decided.push_back(last);
            });
        }
        (after != *world).then_some(after)
    }
}
