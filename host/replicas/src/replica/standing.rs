//! Whether a replica counts as a member, and until when: what it may rely on, and its door.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Terms;
use crate::postgres::Ledger;
use crate::protocol::{Door, MemberId};
use wasm_host_limits::replicas as limits;

pub(super) struct Standing {
    fences: bool,
    lease: Duration,
    /// What `open_until` counts from.
    begun: Instant,
    /// In milliseconds; read for each request.
    open_until: AtomicU64,
    state: Mutex<StandingState>,
}

#[derive(Default)]
struct StandingState {
    id: Option<MemberId>,
    door: Door,
    /// When its lease has ended, as far as it can know: before the database says so.
    lease_until: Option<Instant>,
    is_member: bool,
    complaint: Option<String>,
    /// Why it does not serve yet what the others serve.
    behind: Option<String>,
    /// It cannot serve what the others serve, and they do.
    is_shut: bool,
}

impl Standing {
    pub(super) fn new(terms: &Terms) -> Self {
        Self {
            fences: terms.fences,
            lease: terms.lease,
            begun: Instant::now(),
            open_until: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        match self.open_until.load(Ordering::Acquire) {
            0 => false,
            u64::MAX => true,
            until => u128::from(until) > self.begun.elapsed().as_millis(),
        }
    }

    pub(super) fn id(&self) -> Option<MemberId> {
        self.state.lock().id
    }

    pub(super) fn is_member(&self) -> bool {
        self.state.lock().is_member
    }

    pub(super) fn complaint(&self) -> Option<String> {
        self.state.lock().complaint.clone()
    }

    /// Why it does not serve what the others serve, though it has tried to.
    pub(super) fn behind(&self) -> Option<String> {
        self.state.lock().behind.clone()
    }

    /// What it has serves on only where nothing else serves.
    pub(super) fn falls_behind(&self, why: Option<String>, others_serve: bool) {
        self.change(|state| {
            state.is_shut = why.is_some() && others_serve;
            state.behind = why;
        });
    }

    /// The database cannot be reached, or can again. Said once.
    pub(super) fn complain(&self, complaint: Option<String>) {
        let mut state = self.state.lock();
        if state.complaint.is_some() != complaint.is_some() {
            match &complaint {
                Some(why) => tracing::warn!("{why}; no swap is possible until it is back"),
                None => tracing::info!("the database of [replicas] is there"),
            }
        }
        state.complaint = complaint;
    }

    /// It is entered. `asked`: when it asked for that, at which its lease began at the latest.
    pub(super) fn entered(&self, id: MemberId, asked: Instant) {
        self.change(|state| {
            state.id = Some(id);
            state.lease_until = Some(asked + self.lasting());
            state.told(false);
        });
    }

    /// The database has said whether the member serves. Of another registration than it has, that says nothing.
    pub(super) fn told(&self, id: MemberId, is_serving: bool, renewed: Option<Instant>) {
        self.change(|state| {
            if state.id == Some(id) {
                state.lease_until =
                    renewed.map(|asked| asked + self.lasting()).or(state.lease_until);
                // Once it serves, it does as long as it is registered: what says otherwise is older.
                state.told(is_serving || state.is_member);
            }
        });
    }

    /// Its registration is not there any more, or of no use.
    pub(super) fn lost(&self, id: MemberId, why: &str) {
        self.change(|state| {
            if state.id == Some(id) {
                tracing::warn!("{why}; it comes in again");
                state.id = None;
                state.told(false);
            }
        });
    }

    /// Of a lease, what a replica relies on.
    fn lasting(&self) -> Duration {
        self.lease - self.lease / limits::FENCE_MARGIN
    }

    fn change(&self, change: impl FnOnce(&mut StandingState)) {
        let mut state = self.state.lock();
        change(&mut state);
        let is_open = state.door.is_open(self.fences, true) && !state.is_shut;
        let until = match (is_open, self.fences, state.lease_until) {
            (false, ..) => 0,
            (true, false, _) => u64::MAX,
            (true, true, until) => {
                let until = until.map(|until| until.saturating_duration_since(self.begun));
                until.map_or(0, |until| u64::try_from(until.as_millis()).unwrap_or(u64::MAX))
            }
        };
        self.open_until.store(until, Ordering::Release);
    }
}

impl StandingState {
    fn told(&mut self, is_serving: bool) {
        self.door.told(is_serving);
        self.is_member = is_serving;
    }
}

/// Renew the lease, again and again.
pub(super) async fn renew(
    ledger: Ledger,
    standing: Arc<Standing>,
    changed: Arc<Notify>,
    stop: CancellationToken,
) {
    let (lease, often) = (standing.lease, standing.lease / limits::RENEWALS);
    let milliseconds = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
    // One that is lost silently must leave time for others.
    let mut ledger = ledger.within_at_most(often);
    let mut wait = often;
    while stop.run_until_cancelled(sleep(wait)).await.is_some() {
        let Some(id) = standing.id() else { continue };
        let asked = Instant::now();
        let renewed = ledger.change(|shared, now| {
            let renewed = shared.renew(id, milliseconds, now);
            renewed.map(|()| shared.members.get(&id).is_some_and(|member| member.is_serving))
        });
        wait = often;
        match renewed.await {
            Ok((Ok(is_serving), _)) => standing.told(id, is_serving, Some(asked)),
            Ok((Err(_), _)) => {
                standing.lost(id, "the lease of this replica has ended");
                changed.notify_one();
            }
            // What has taken long is tried again at once.
            Err(_) => wait = often.min(limits::RETRY).saturating_sub(asked.elapsed()),
        }
    }
}
