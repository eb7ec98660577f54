//! What a replica does, step by step.

mod orders;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub(super) use self::orders::SwapOrder;
use super::missed::Missed;
use super::standing::Standing;
use super::{Boxed, OVERTAKEN, Overtaken, Prepared, Terms, UNKNOWN, Versions, View};
use crate::postgres::{Away, Ledger};
use crate::protocol::{
    Attempt, AttemptId, Decision, Generation, Line, Lost, Mine, Offer, ServiceView, Shared, Step,
    Time, Version, Vote, next,
};
use wasm_host_limits::replicas as limits;

pub(super) struct Actor {
    terms: Terms,
    ledger: Ledger,
    versions: Arc<dyn Versions>,
    standing: Arc<Standing>,
    view: Arc<Mutex<Option<View>>>,
    own: BTreeMap<Arc<str>, Own>,
    ended: mpsc::Sender<LoadOutcome>,
    ends: Option<mpsc::Receiver<LoadOutcome>>,
}

/// A version beside what serves, or why it cannot serve.
type Loaded = Result<Box<dyn Prepared>, Arc<str>>;

/// Should the actor end early, the lease is not to go on without it, and that is said.
struct Ends {
    stop: CancellationToken,
    standing: Arc<Standing>,
}

impl Drop for Ends {
    fn drop(&mut self) {
        if !self.stop.is_cancelled() {
            let why = "this replica takes part no more: what looks after it has failed";
            self.standing.complain(Some(why.to_owned()));
        }
        self.stop.cancel();
    }
}

/// One service as it is here.
struct Own {
    version: Version,
    /// The digest of the component of the application file.
    file: Arc<str>,
    serves: Option<u64>,
    prepared: Option<(AttemptId, Loaded)>,
    /// What is being loaded.
    loads: Option<Load>,
    /// What it could not catch up to.
    missed: Option<Missed>,
}

impl Own {
    fn offer(&self, service: &Arc<str>) -> Offer {
        Offer {
            service: service.clone(),
            version: self.version.clone(),
            own: self.file.clone(),
            misses: self.missed.as_ref().map(|missed| missed.number),
        }
    }

    /// Whether what it serves is the current generation, or may have come before it.
    fn fits(&self, current: &Generation) -> bool {
        let is_same = self.version.digest == current.version.digest;
        self.serves
            .is_none_or(|serves| serves < current.number || serves == current.number && is_same)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Load {
    Attempt(AttemptId),
    Generation(u64),
}

/// What came of loading.
enum LoadOutcome {
    Prepared(Arc<str>, AttemptId, Result<Box<dyn Prepared>, String>),
    /// None: another generation is current by now.
    CaughtUp(Arc<str>, Generation, Option<Result<(), String>>),
}

impl Actor {
    pub(super) fn new(
        terms: Terms,
        ledger: Ledger,
        versions: Arc<dyn Versions>,
        standing: Arc<Standing>,
        view: Arc<Mutex<Option<View>>>,
    ) -> Self {
        let own = |Offer { service, version, own: file, .. }: Offer| {
            let own =
                Own { version, file, serves: None, prepared: None, loads: None, missed: None };
            (service, own)
        };
        let own = versions.offered().into_iter().map(own).collect();
        let (ended, ends) = mpsc::channel(limits::LOADED);
        Self { terms, ledger, versions, standing, view, own, ended, ends: Some(ends) }
    }

    pub(super) async fn run(
        mut self,
        mut orders: mpsc::Receiver<SwapOrder>,
        changed: Arc<Notify>,
        stop: CancellationToken,
    ) {
        let Some(mut ends) = self.ends.take() else { return };
        let _ends_all = Ends { stop: stop.clone(), standing: self.standing.clone() };
        loop {
            let away = self.turn().await.err();
            self.standing.complain(away.map(|away| away.to_string()));
            tokio::select! {
                () = stop.cancelled() => break,
                () = changed.notified() => {}
                () = sleep(limits::POLL) => {}
                Some(ended) = ends.recv() => self.take(ended),
                Some(order) = orders.recv() => self.begin(order).await,
            }
        }
        self.leave().await;
    }

    /// The others do not wait for this replica any more, and those who asked it for swaps hear what came of them.
    async fn leave(&mut self) {
        let (name, has_seen) = (&self.terms.name, self.view.lock().is_some());
        let left = match has_seen {
            // What cannot be told now is known when the lease ends.
            true => self.ledger.change(|shared, now| shared.leave(name, now)).await.ok(),
            false => None,
        };
        for (service, own) in &mut self.own {
            let Some((id, Ok(prepared))) = own.prepared.take() else { continue };
            let line = left.as_ref().and_then(|((), shared)| shared.lines.get(service));
            match line.and_then(|line| line.decision(id)) {
                Some(Decision::Aborted(reason)) => prepared.drop_for(reason),
                Some(committed) => {
                    let _ = prepared.serve(committed.clone()).await;
                }
                None => prepared.drop_for(&format!("the host is stopping; {UNKNOWN}")),
            }
        }
    }

    /// Look, and do all that there is to do now.
    async fn turn(&mut self) -> Result<(), Away> {
        let (mut shared, now) = self.ledger.read().await?;
        if shared.is_due(now) {
            ((), shared) = self.ledger.change(|shared, now| shared.tick(now)).await?;
        }
        self.see(&shared, Some(now));
        // Each step changes what the next one is; there are at most this many for each service.
        for _ in 0..self.own.len() * 8 + 8 {
            let Some(after) = self.step(&shared).await? else { break };
            shared = after;
            self.see(&shared, None);
        }
        Ok(())
    }

    /// Do one thing. None: there is nothing to do.
    async fn step(&mut self, shared: &Shared) -> Result<Option<Shared>, Away> {
        let services: Vec<Arc<str>> = self.own.keys().cloned().collect();
        for service in services {
            let Some(own) = self.own.get(&service) else { continue };
            let step = match shared.seen_by(self.standing.id(), &service) {
                Some(seen) => next(&self.mine(own), &seen),
                None => Step::Join,
            };
            let line = shared.lines.get(&service);
            match (step, line) {
                (Step::Rest, _) => {}
                (Step::Join, _) => return self.join().await.map(Some),
                (Step::Flip(_), Some(line)) => {
                    self.flip(&service, line).await;
                    return Ok(Some(shared.clone()));
                }
                (Step::CatchUp(_), Some(_)) if shared.may_begin(&own.offer(&service)) => {
                    return self.join().await.map(Some);
                }
                (Step::CatchUp(_), Some(line)) => {
                    if self.catch_up(&service, line) {
                        return Ok(Some(shared.clone()));
                    }
                }
                (Step::Report, _) => {
                    if let Some(after) = self.report(shared).await? {
                        return Ok(Some(after));
                    }
                }
                (Step::Prepare(id), Some(line)) => {
                    self.prepare(&service, id, line.attempt.as_ref())
                }
                (Step::Vote(id), _) => return self.vote(&service, id).await.map(Some),
                (_, None) => {}
            }
        }
        Ok(None)
    }

    fn mine(&self, own: &Own) -> Mine {
        let vote = |prepared: &Loaded| match prepared {
            Ok(_) => Vote::Ready,
            Err(reason) => Vote::Refused(reason.clone()),
        };
        Mine {
            id: self.standing.id(),
            serves: own.serves,
            prepared: own.prepared.as_ref().map(|(id, prepared)| (*id, vote(prepared))),
            loads: match own.loads {
                Some(Load::Generation(number)) => Some(number),
                _ => None,
            },
        }
    }

    /// Take note of what is shared.
    fn see(&mut self, shared: &Shared, now: Option<Time>) {
        if let Some(id) = self.standing.id() {
            match shared.members.get(&id) {
                None => self.standing.lost(id, "the lease of this replica has ended"),
                // That it became one may not have been heard.
                Some(member) if member.is_serving => self.standing.told(id, true, None),
                Some(_) => {}
            }
        }
        let services: Vec<Arc<str>> = self.own.keys().cloned().collect();
        for service in services {
            self.comes_back_to(&service, shared);
            let Some(seen) = shared.seen_by(self.standing.id(), &service) else { continue };
            self.forget(&service, &seen, shared);
        }
        self.fall_behind(shared);
        let mut view = self.view.lock();
        let before = view.as_ref().map(|view| view.now + elapsed(view.seen));
        let now = now.or(before).unwrap_or_default();
        *view = Some(View { shared: shared.clone(), now, seen: Instant::now() });
    }

    /// A database that was set back, or begun anew, knows nothing of what is served here: it goes before that.
    fn comes_back_to(&mut self, service: &Arc<str>, shared: &Shared) {
        let Some(own) = self.own.get_mut(service) else { return };
        let Some(line) = shared.lines.get(service).filter(|line| !own.fits(&line.current)) else {
            return;
        };
        let number = line.current.number;
        tracing::warn!(%service, "the database of [replicas] was set back, to generation {number}");
        own.serves = None;
        if let Some(id) = self.standing.id() {
            self.standing.lost(id, "what this replica serves is not in the database");
        }
    }

    /// Take note of whether it cannot load what the others serve, and whether any of them serves that.
    fn fall_behind(&self, shared: &Shared) {
        let why = self.own.iter().find_map(|(service, own)| {
            let missed = own.missed.as_ref()?;
            Some(format!("{service}: it cannot serve what the others serve: {}", missed.why))
        });
        let mine = self.standing.id();
        let mut others = shared.members.iter().filter(|(id, _)| Some(**id) != mine);
        let others_serve = others.any(|(_, member)| member.is_serving);
        self.standing.falls_behind(why, others_serve);
    }

    /// Drop what was prepared for an attempt that has come to nothing.
    fn forget(&mut self, service: &Arc<str>, seen: &ServiceView, shared: &Shared) {
        let Some(own) = self.own.get(service) else { return };
        let mut mine = self.mine(own);
        mine.saw(seen);
        let Some(own) = self.own.get_mut(service).filter(|_| mine.prepared.is_none()) else {
            return;
        };
        let Some((id, Ok(prepared))) = own.prepared.take() else { return };
        match shared.lines.get(service).and_then(|line| line.decision(id)) {
            Some(Decision::Aborted(reason)) => prepared.drop_for(reason),
            Some(Decision::Committed { .. }) => prepared.drop_for(OVERTAKEN),
            None => prepared.drop_for(&format!("what came of it is not known here; {UNKNOWN}")),
        }
    }

    async fn join(&mut self) -> Result<Shared, Away> {
        let offered: Vec<Offer> =
            self.own.iter().map(|(service, own)| own.offer(service)).collect();
        let (name, lease) = (&self.terms.name, milliseconds(self.terms.lease));
        let asked = Instant::now();
        let (joined, shared) =
            self.ledger.change(|shared, now| shared.join(name, &offered, lease, now)).await?;
        let id = joined.map_err(Away::new)?;
        for (service, own) in &mut self.own {
            // Of a database that was set back.
            let fits = shared.lines.get(service).is_some_and(|line| own.fits(&line.current));
            own.serves = own.serves.filter(|_| fits);
        }
        self.standing.entered(id, asked);
        Ok(shared)
    }

    async fn flip(&mut self, service: &Arc<str>, line: &Line) {
        let Some(own) = self.own.get_mut(service) else { return };
        let Some((id, Ok(prepared))) = own.prepared.take() else { return };
        let (current, without) = (&line.current, Vec::new());
        let decision = line.decision(id).cloned();
        let decision =
            decision.unwrap_or(Decision::Committed { generation: current.number, without });
        match prepared.serve(decision).await {
            Ok(()) => {
                own.serves = Some(current.number);
                own.version = current.version.clone();
                own.missed = None;
            }
            // It catches up.
            Err(reason) => {
                tracing::warn!(%service, "what was decided on is loaded anew: {reason}");
            }
        }
    }

    /// True: that was all.
    fn catch_up(&mut self, service: &Arc<str>, line: &Line) -> bool {
        let current = &line.current;
        let Some(own) = self.own.get_mut(service) else { return false };
        if own.version.digest == current.version.digest {
            own.serves = Some(current.number);
            own.missed = None;
            return true;
        }
        if own.missed.as_ref().is_some_and(|missed| missed.waits(current.number)) {
            return false;
        }
        own.loads = Some(Load::Generation(current.number));
        let (view, number) = (self.view.clone(), current.number);
        let overtaken = Overtaken { view, service: service.clone(), number };
        let (service, generation) = (service.clone(), current.clone());
        let load = self.versions.catch_up(service.clone(), line.clone(), overtaken.clone());
        let ended = self.ended.clone();
        tokio::spawn(async move {
            let result = whole(load).await;
            let is_of_use = result.is_ok() || !overtaken.is_so();
            let result = is_of_use.then_some(result);
            let _ = ended.send(LoadOutcome::CaughtUp(service, generation, result)).await;
        });
        false
    }

    /// Say what is served here, if there is anything to say.
    async fn report(&mut self, shared: &Shared) -> Result<Option<Shared>, Away> {
        let Some(id) = self.standing.id() else { return Ok(None) };
        let Some(member) = shared.members.get(&id) else { return Ok(None) };
        let served =
            self.own.iter().filter_map(|(service, own)| Some((service.clone(), own.serves?)));
        let serves: BTreeMap<Arc<str>, u64> = served.collect();
        let is_current = |(service, own): (&Arc<str>, &Own)| {
            own.serves == shared.lines.get(service).map(|line| line.current.number)
        };
        let may_enter = !member.is_serving && self.own.iter().all(is_current);
        // It counts with all its services, or not at all.
        if !may_enter && (!member.is_serving || member.serves == serves) {
            return Ok(None);
        }
        let (reported, shared) =
            self.ledger.change(|shared, now| shared.report(id, &serves, now)).await?;
        match reported {
            Ok(is_serving) => self.standing.told(id, is_serving, None),
            Err(Lost) => self.standing.lost(id, "the lease of this replica has ended"),
        }
        Ok(Some(shared))
    }

    fn prepare(&mut self, service: &Arc<str>, id: AttemptId, attempt: Option<&Attempt>) {
        let Some(own) = self.own.get_mut(service) else { return };
        let Some(attempt) = attempt.filter(|attempt| attempt.id == id).cloned() else { return };
        let load = Load::Attempt(id);
        if own.loads.as_ref() == Some(&load) {
            return;
        }
        own.loads = Some(load);
        let (service, ended) = (service.clone(), self.ended.clone());
        let load = self.versions.prepare(service.clone(), attempt);
        tokio::spawn(async move {
            let result = whole(load).await;
            let _ = ended.send(LoadOutcome::Prepared(service, id, result)).await;
        });
    }

    /// Take note of what was loaded.
    fn take(&mut self, ended: LoadOutcome) {
        match ended {
            LoadOutcome::Prepared(service, id, result) => {
                let own = self.own.get_mut(&service);
                let own = own.filter(|own| own.loads == Some(Load::Attempt(id)));
                match (own, result) {
                    (Some(own), result) => {
                        own.loads = None;
                        own.prepared = Some((id, result.map_err(bounded)));
                    }
                    (None, Ok(prepared)) => prepared.drop_for("a newer swap took its place"),
                    (None, Err(_)) => {}
                }
            }
            LoadOutcome::CaughtUp(service, generation, result) => {
                let Some(own) = self.own.get_mut(&service) else { return };
                if own.loads == Some(Load::Generation(generation.number)) {
                    own.loads = None;
                }
                match result {
                    None => {}
                    Some(Ok(())) => {
                        own.serves = Some(generation.number);
                        own.version = generation.version;
                        own.missed = None;
                    }
                    Some(Err(reason)) => {
                        if own.missed.as_ref().is_none_or(|missed| missed.why != reason) {
                            tracing::warn!(%service, "it cannot serve what the other replicas serve: {reason}");
                        }
                        own.missed =
                            Some(Missed::again(own.missed.take(), generation.number, reason));
                    }
                }
            }
        }
    }

    async fn vote(&mut self, service: &Arc<str>, attempt: AttemptId) -> Result<Shared, Away> {
        let own = self.own.get(service);
        let vote = own.and_then(|own| self.mine(own).prepared).map(|(_, vote)| vote);
        let id = self.standing.id();
        let voted = self.ledger.change(|shared, now| match (id, vote) {
            (Some(id), Some(vote)) => shared.vote(id, attempt, vote, now),
            _ => Ok(()),
        });
        Ok(voted.await?.1)
    }
}

/// What comes of loading, also when that fails in the middle.
async fn whole<T: Send + 'static>(load: Boxed<Result<T, String>>) -> Result<T, String> {
    let failed = |_| Err("the host failed while it loaded the component".to_owned());
    tokio::spawn(load).await.unwrap_or_else(failed)
}

fn bounded(reason: String) -> Arc<str> {
    let end = reason.floor_char_boundary(limits::REASON_BYTES);
    reason.get(..end).unwrap_or_default().into()
}

fn elapsed(since: Instant) -> Time {
    milliseconds(since.elapsed())
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
