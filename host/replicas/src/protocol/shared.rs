//! How what is shared changes. Each function is one transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    Attempt, AttemptId, Decision, Generation, Line, Member, MemberId, Shared, Time, Version, Vote,
};
use wasm_host_limits::replicas::{BEFORE, DECIDED, KNOWN, LOST_KEPT, MEMBERS};

/// A registration that is there no more: its lease has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease of this replica has ended")]
pub struct Lost;

/// There are as many replicas as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("has {MEMBERS} replicas already, and that is the most")]
pub struct Full;

/// What a replica comes with.
#[derive(Clone, Debug)]
pub struct Offer {
    pub service: Arc<str>,
    /// What it would serve if it were alone.
    pub version: Version,
    /// The digest of the component of its application file.
    pub own: Arc<str>,
    /// The generation that it has tried to load, and could not.
    pub misses: Option<u64>,
}

/// What a replica wants to put into service everywhere.
#[derive(Clone, Debug)]
pub struct Proposal {
    pub service: Arc<str>,
    /// The generation that is to be replaced: what the replica serves.
    pub base: u64,
    pub version: Version,
    pub cause: Arc<str>,
    /// See [`Attempt::takes_back`].
    pub takes_back: bool,
}

/// Why an attempt did not begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Lost(#[from] Lost),
    #[error("this replica does not serve yet what the others serve")]
    NotServing,
    #[error("another version came first")]
    OtherGeneration,
    #[error("another swap is not decided yet")]
    OtherAttempt,
    #[error("the replicas do not know the service")]
    NoService,
}

/// What one replica sees of one service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceView {
    pub current: Generation,
    pub attempt: Option<SeenAttempt>,
    /// None: its registration is not there.
    pub registered: Option<Registered>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SeenAttempt {
    pub id: AttemptId,
    pub base: u64,
    pub has_my_vote: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Registered {
    pub is_serving: bool,
    /// What it has said that it serves.
    pub serves: Option<u64>,
}

impl Shared {
    /// Enter a replica, which is told all of this. What it offers is the first generation of services that were unknown,
    /// and the next one of those that nothing serves, if the component of its application file is new to all, or was
    /// built since and what is current cannot be had any more.
    pub fn join(
        &mut self,
        name: &Arc<str>,
        offered: &[Offer],
        lease: Time,
        now: Time,
    ) -> Result<MemberId, Full> {
        self.settle(now);
        // It has not heard of its registration, or does without it.
        let earlier = self.members.iter().find(|(_, member)| member.name == *name);
        if let Some(id) = earlier.map(|(id, _)| *id) {
            self.lose(id, now);
        }
        if self.members.len() >= MEMBERS {
            return Err(Full);
        }
        for offer in offered {
            self.offer(name, offer, now);
        }
        let id = MemberId(self.number(now));
        let member = Member {
            name: name.clone(),
            lease_until: now.saturating_add(lease),
            is_serving: false,
            services: offered.iter().map(|offer| offer.service.clone()).collect(),
            serves: BTreeMap::new(),
        };
        self.members.insert(id, member);
        self.settle(now);
        Ok(id)
    }

    pub fn renew(&mut self, id: MemberId, lease: Time, now: Time) -> Result<(), Lost> {
        self.settle(now);
        let member = self.members.get_mut(&id).ok_or(Lost)?;
        member.lease_until = now.saturating_add(lease);
        Ok(())
    }

    /// The replica can serve these generations. True: it is a member now, or still, and may take requests. It becomes one
    /// when all its services are current.
    pub fn report(
        &mut self,
        id: MemberId,
        serves: &BTreeMap<Arc<str>, u64>,
        now: Time,
    ) -> Result<bool, Lost> {
        self.settle(now);
        let member = self.members.get_mut(&id).ok_or(Lost)?;
        let current = |service| self.lines.get(service).map(|line| line.current.number);
        let is_current =
            member.services.iter().all(|service| serves.get(service).copied() == current(service));
        member.serves.clone_from(serves);
        member.is_serving |= is_current;
        let (name, is_serving) = (member.name.clone(), member.is_serving);
        if is_serving {
            self.lost.remove(&name);
        }
        self.settle(now);
        Ok(is_serving)
    }

    /// Begin an attempt. One that is not decided makes way for it, unless it is for the same version: those are one. What
    /// takes a version back makes way itself, as what was asked for may be what mends it.
    pub fn propose(
        &mut self,
        id: MemberId,
        proposal: &Proposal,
        patience: Time,
        now: Time,
    ) -> Result<AttemptId, Refusal> {
        self.settle(now);
        let member = self.members.get(&id).ok_or(Lost)?;
        if !member.is_serving {
            return Err(Refusal::NotServing);
        }
        let by = member.name.clone();
        let attempt = AttemptId(self.number(now));
        let line = self.lines.get_mut(&proposal.service).ok_or(Refusal::NoService)?;
        if line.current.number != proposal.base {
            return Err(Refusal::OtherGeneration);
        }
        if let Some(open) = line.attempt.as_ref().filter(|open| open.base == proposal.base) {
            let is_same = open.version.digest == proposal.version.digest;
            // What others have prepared knows which of the two it is.
            if is_same && open.takes_back == proposal.takes_back {
                return Ok(open.id);
            }
            if proposal.takes_back {
                return Err(Refusal::OtherAttempt);
            }
        }
        line.end(Decision::Aborted(format!("a newer swap by {by} took its place").into()));
        line.attempt = Some(Attempt {
            id: attempt,
            base: proposal.base,
            version: proposal.version.clone(),
            cause: proposal.cause.clone(),
            by,
            takes_back: proposal.takes_back,
            deadline: now.saturating_add(patience),
            votes: BTreeMap::new(),
            decision: None,
        });
        Ok(attempt)
    }

    /// Say whether the replica can put the version of an attempt into service. A vote that comes too late, or that is
    /// not the replica's to give, changes nothing.
    pub fn vote(
        &mut self,
        id: MemberId,
        attempt: AttemptId,
        vote: Vote,
        now: Time,
    ) -> Result<(), Lost> {
        self.settle(now);
        let member = self.members.get(&id).ok_or(Lost)?;
        let lines = &mut self.lines;
        for (service, line) in lines {
            let Some(open) = line.attempt.as_mut().filter(|open| open.id == attempt) else {
                continue;
            };
            // What is behind cannot go back to what is to be replaced.
            let is_at_base = member.serves.get(service) == Some(&open.base);
            if member.is_serving && (is_at_base || vote != Vote::Ready) {
                open.votes.entry(id).or_insert(vote.clone());
            }
        }
        self.settle(now);
        Ok(())
    }

    /// The replica stops, and takes no requests any more. What it was asked for ends with it: it says so to those who
    /// asked, and can say nothing later.
    pub fn leave(&mut self, name: &Arc<str>, now: Time) {
        self.settle(now);
        self.members.retain(|_, member| member.name != *name);
        self.lost.remove(name);
        for line in self.lines.values_mut() {
            if line.attempt.as_ref().is_some_and(|open| open.by == *name) {
                let reason = format!("{name}, which was asked for it, has stopped");
                line.end(Decision::Aborted(reason.into()));
            }
        }
        self.settle(now);
    }

    /// Nothing but time has passed.
    pub fn tick(&mut self, now: Time) {
        self.settle(now);
    }

    /// Whether [`Shared::tick`] would change anything.
    pub fn is_due(&self, now: Time) -> bool {
        let lease = self.members.values().any(|member| member.lease_until <= now);
        lease || self.lines.iter().any(|(name, line)| self.decision(name, line, now).is_some())
    }

    /// What a replica sees of a service.
    pub fn seen_by(&self, id: Option<MemberId>, service: &str) -> Option<ServiceView> {
        let line = self.lines.get(service)?;
        let registered = id.and_then(|id| self.members.get(&id)).map(|member| Registered {
            is_serving: member.is_serving,
            serves: member.serves.get(service).copied(),
        });
        let attempt = line.attempt.as_ref().map(|open| SeenAttempt {
            id: open.id,
            base: open.base,
            has_my_vote: id.is_some_and(|id| open.votes.contains_key(&id)),
        });
        Some(ServiceView { current: line.current.clone(), attempt, registered })
    }

    /// The digests of what a replica may have to fetch: what is current, what was before, and what is tried.
    pub fn wanted(&self) -> impl Iterator<Item = &str> {
        self.lines.values().flat_map(|line| {
            let tried = line.attempt.iter().map(|attempt| &attempt.version);
            let versions = tried.chain(&line.before).chain([&line.current.version]);
            versions.map(|version| &*version.digest)
        })
    }

    /// All but when leases end.
    pub(crate) fn news(&self) -> Self {
        let mut news = self.clone();
        news.members.values_mut().for_each(|member| member.lease_until = 0);
        news
    }

    /// What the replicas want to hear of at once. That one of them has voted, or serves what was decided on, is nothing
    /// to the others: with many of them, each would read all that each of the others says.
    pub(crate) fn calls(&self) -> Self {
        let mut calls = self.news();
        calls.members.values_mut().for_each(|member| member.serves.clear());
        let attempts = calls.lines.values_mut().filter_map(|line| line.attempt.as_mut());
        attempts.for_each(|open| open.votes.clear());
        calls
    }

    fn number(&mut self, now: Time) -> u64 {
        self.numbered = self.next_number(now);
        self.numbered
    }

    /// Never one that was given before, also where the row was deleted or set back since: a replica that remembers its
    /// number must not find another one under it.
    fn next_number(&self, now: Time) -> u64 {
        self.numbered.saturating_add(1).max(now)
    }

    /// What is lost may serve still, and has not agreed.
    fn is_served(&self, service: &str) -> bool {
        let serves = |member: &Member| member.is_serving && member.serves.contains_key(service);
        self.members.values().any(serves) || !self.lost.is_empty()
    }

    /// Whether a replica that has tried to load what is current may begin with what it came with: nothing serves that
    /// could give it, and it was built after what is current.
    pub fn may_begin(&self, offer: &Offer) -> bool {
        let is_built_since = |line: &Line| {
            offer.misses == Some(line.current.number) && line.built.as_ref() == Some(&offer.own)
        };
        self.lines.get(&offer.service).is_some_and(is_built_since)
            && !self.is_served(&offer.service)
    }

    fn offer(&mut self, name: &Arc<str>, offer: &Offer, now: Time) {
        let Offer { service, version, own, .. } = offer;
        let (is_served, may_begin) = (self.is_served(service), self.may_begin(offer));
        let number = self.next_number(now);
        let line = self.lines.entry(service.clone()).or_insert_with(|| Line {
            current: Generation { number: 1, version: version.clone(), attempt: None },
            own: own.clone(),
            known: [].into(),
            built: None,
            before: [].into(),
            attempt: None,
            decided: [].into(),
        });
        let is_new = line.meets(own);
        if is_new && is_served {
            line.built = Some(own.clone());
        }
        if is_served || !is_new && !may_begin {
            return;
        }
        line.own = own.clone();
        if line.current.version.digest == version.digest {
            return;
        }
        line.end(Decision::Aborted("another version came first".into()));
        line.attempt = Some(Attempt {
            id: AttemptId(number),
            base: line.current.number,
            version: version.clone(),
            cause: "the application file".into(),
            by: name.clone(),
            takes_back: false,
            deadline: now,
            votes: BTreeMap::new(),
            decision: None,
        });
        // Where anything is lost, nothing begins.
        let without = Vec::new();
        line.end(Decision::Committed { generation: line.current.number + 1, without });
        self.numbered = number;
    }

    /// A replica that serves with a lease that has ended is counted on no longer.
    fn lose(&mut self, id: MemberId, now: Time) {
        let Some(member) = self.members.remove(&id) else { return };
        // It may have come back and not have caught up yet.
        if member.is_serving || self.lost.contains_key(&member.name) {
            let oldest = self.lost.iter().min_by_key(|(_, since)| **since);
            let oldest = oldest.map(|(name, _)| name.clone());
            if let Some(oldest) = oldest.filter(|_| self.lost.len() >= MEMBERS) {
                self.lost.remove(&oldest);
            }
            self.lost.insert(member.name, now);
        }
    }

    /// Do what is due: end leases, and decide attempts.
    fn settle(&mut self, now: Time) {
        let is_over =
            |(id, member): (&MemberId, &Member)| (member.lease_until <= now).then_some(*id);
        let ended: Vec<MemberId> = self.members.iter().filter_map(is_over).collect();
        for id in ended {
            self.lose(id, now);
        }
        let kept = Time::try_from(LOST_KEPT.as_millis()).unwrap_or(Time::MAX);
        let is_here = |name: &Arc<str>| self.members.values().any(|member| member.name == *name);
        self.lost.retain(|name, since| since.saturating_add(kept) > now || is_here(name));
        let decide = |(service, line): (&Arc<str>, &Line)| {
            Some((service.clone(), self.decision(service, line, now)?))
        };
        let decided: Vec<(Arc<str>, Decision)> = self.lines.iter().filter_map(decide).collect();
        for (service, decision) in decided {
            if let Some(line) = self.lines.get_mut(&service) {
                line.end(decision);
            }
        }
    }

    /// What is to become of the attempt of a service now; none while it is open.
    fn decision(&self, service: &str, line: &Line, now: Time) -> Option<Decision> {
        let open = line.attempt.as_ref()?;
        if open.base != line.current.number {
            return Some(Decision::Aborted("another version came first".into()));
        }
        for (id, vote) in &open.votes {
            if let Vote::Refused(reason) = vote {
                let name = self.members.get(id).map_or("a replica", |member| &member.name);
                return Some(Decision::Aborted(format!("{name} refused it: {reason}").into()));
            }
        }
        let has_it = |member: &Member| member.is_serving && member.serves.contains_key(service);
        let serving = || self.members.iter().filter(|(_, member)| has_it(member));
        let missing = || serving().filter(|(id, _)| !open.votes.contains_key(id));
        if open.deadline <= now {
            let names: Vec<&str> = missing().map(|(_, member)| &*member.name).collect();
            let names = if names.is_empty() { "every replica".into() } else { names.join(", ") };
            return Some(Decision::Aborted(format!("no answer in time from {names}").into()));
        }
        if serving().next().is_none() || missing().next().is_some() {
            return None;
        }
        let without = self.lost.keys().cloned().collect();
        Some(Decision::Committed { generation: line.current.number + 1, without })
    }
}

impl Line {
    /// What came of an attempt. None: it is not decided, or that is remembered no more.
    pub fn decision(&self, id: AttemptId) -> Option<&Decision> {
        self.decided.iter().find(|attempt| attempt.id == id)?.decision.as_ref()
    }

    /// A replica comes with a component. True: none has come with it before, and it has not served.
    fn meets(&mut self, own: &Arc<str>) -> bool {
        let has_served = self.before.iter().any(|version| version.digest == *own);
        if self.known.contains(own) {
            return false;
        }
        if self.known.len() >= KNOWN {
            self.known.pop_front();
        }
        self.known.push_back(own.clone());
        self.own != *own && !has_served
    }

    /// End the attempt that is open, if there is one.
    fn end(&mut self, decision: Decision) {
        let Some(mut attempt) = self.attempt.take() else { return };
        if let Decision::Committed { generation, .. } = decision {
            let next = Generation {
                number: generation,
                version: attempt.version.clone(),
                attempt: Some(attempt.id),
            };
            let replaced = std::mem::replace(&mut self.current, next).version;
            self.built = None;
            let digests = [&replaced.digest, &attempt.version.digest];
            self.before.retain(|version| !digests.contains(&&version.digest));
            if !attempt.takes_back && replaced.digest != attempt.version.digest {
                self.before.push_back(replaced);
            }
            if self.before.len() > BEFORE {
                self.before.pop_front();
            }
        }
        attempt.decision = Some(decision);
        if let Some(last) = self.decided.back_mut() {
            last.votes.clear();
        }
        if self.decided.len() >= DECIDED {
            self.decided.pop_front();
        }
        self.decided.push_back(attempt);
    }
}
