//! What the owner of a version watches and steers: how many instances are alive, and that they end.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::handler::HandlerQueue;
use super::instance_state::InstanceState;
use super::work::ProcessorTime;
use wasm_host_limits as limits;

/// All that instances of one version share.
#[derive(Default)]
pub struct Shared {
    /// Counts up when it is retired and when that is taken back.
    turn: AtomicU64,
    retired: AtomicBool,
    /// Counts up with every renewal: instances of an earlier count are to end.
    renewed: AtomicU64,
    live: AtomicUsize,
    /// When an attempt failed last, although there was room for one more.
    failed: Mutex<Option<Instant>>,
    /// Instances in which an abandoned request hangs: others come first.
    quarantined: AtomicUsize,
    instances: Mutex<Vec<Weak<InstanceState>>>,
    /// What they took of the processors, with those of the service's other versions.
    pub(super) processor_time: Arc<ProcessorTime>,
    /// The handlers that keep some of them warm.
    keepers: Mutex<Vec<Weak<HandlerQueue>>>,
    /// An instance has ended, or is free again: told to one of the requests that wait for one.
    pub(super) freed: Notify,
}

/// One retirement of a version. A later one, or its end, makes it void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retirement(u64);

/// The instances of a version are all in use.
#[derive(Debug, thiserror::Error)]
#[error("all {0} instances are in use")]
pub(super) struct AllInstancesBusy(usize);

impl Shared {
    /// For a service that has had so much of the processors.
    pub(super) fn of(processor_time: Arc<ProcessorTime>) -> Self {
        Self { processor_time, ..Self::default() }
    }

    /// Instances that are alive.
    pub fn live_instances(&self) -> usize {
        self.live.load(Ordering::Acquire)
    }

    /// End idle instances now and the others as soon as they are idle, until the retirement is taken back.
    pub fn retire(&self) -> Retirement {
        let turn = self.turn.fetch_add(1, Ordering::AcqRel) + 1;
        self.retired.store(true, Ordering::SeqCst);
        self.wake();
        Retirement(turn)
    }

    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    /// Take a retirement back: instances are kept again, and their end is not waited for any more.
    pub fn resume(&self) {
        self.turn.fetch_add(1, Ordering::AcqRel);
        self.retired.store(false, Ordering::Release);
    }

    /// The retirement that stands, if there is one.
    pub fn retirement(&self) -> Option<Retirement> {
        let turn = self.turn.load(Ordering::Acquire);
        self.is_retired().then_some(Retirement(turn))
    }

    /// Whether this retirement is the last word.
    pub fn stands(&self, retirement: Retirement) -> bool {
        self.turn.load(Ordering::Acquire) == retirement.0
    }

    /// End the instances of now, the idle ones at once; requests that come from now on get new ones.
    pub fn renew(&self) {
        // Not part of the turn: a renewal neither begins nor ends a retirement.
        self.renewed.fetch_add(1, Ordering::AcqRel);
        self.wake();
    }

    /// End every request that still runs. Its client sees an error, never a clean end. Returns how
    /// many there were.
    pub fn cut(&self) -> usize {
        self.instances().iter().map(|instance| instance.cut()).sum()
    }

    /// Enter one more instance, unless that is one too many.
    pub(super) fn enter(
        self: &Arc<Self>,
        limit: usize,
    ) -> Result<Arc<InstanceState>, AllInstancesBusy> {
        // Held from before it counts: a request that finds no room for another one then finds that one is coming.
        let mut instances = self.instances.lock();
        let entered = self.live.fetch_update(Ordering::AcqRel, Ordering::Acquire, |live| {
            (live < limit).then_some(live + 1)
        });
        if entered.is_err() {
            drop(instances);
            self.wake_quarantined();
            return Err(AllInstancesBusy(limit));
        }
        let instance = Arc::new(InstanceState::new(self.clone()));
        instances.retain(|instance| instance.strong_count() > 0);
        instances.push(Arc::downgrade(&instance));
        Ok(instance)
    }

    /// One that does nothing is to end, as there is room for no other one. Whether one does.
    pub(super) fn make_room(&self) -> bool {
        self.instances().iter().any(|instance| instance.make_way())
    }

    /// One could not be made although there was room: the memory, say, or the host's places are used up.
    pub(super) fn could_not_make(&self) {
        *self.failed.lock() = Some(Instant::now());
        self.wake_quarantined();
    }

    /// Whether another instance takes a request, now or soon, than this one, in which one hangs: another one that
    /// is free, one that is being made, or one that may be, of so many as the `limit` allows.
    pub(super) fn has_better(&self, quarantined: &InstanceState, limit: usize) -> bool {
        let failed = self.failed.lock().is_some_and(|at| at.elapsed() < limits::INSTANCE_RETRY);
        let may_be_made = self.live_instances() < limit && !failed;
        may_be_made
            || self.instances().iter().any(|other| {
                let takes = other.is_starting() || other.is_free() && !other.is_quarantined();
                takes && !std::ptr::eq(&**other, quarantined)
            })
    }

    /// One less is alive.
    pub(super) fn leave(&self) {
        self.live.fetch_sub(1, Ordering::AcqRel);
        self.freed.notify_one();
    }

    /// A handler that lacks a warm instance may make it.
    pub(super) fn tell_keepers(&self) {
        let keepers: Vec<_> = self.keepers.lock().iter().filter_map(Weak::upgrade).collect();
        keepers.iter().for_each(HandlerQueue::keep_warm);
    }

    /// This handler keeps some of them warm.
    pub(super) fn add_keeper(&self, keeper: &Arc<HandlerQueue>) {
        self.keepers.lock().push(Arc::downgrade(keeper));
    }

    pub(super) fn quarantine(&self, quarantined: bool) {
        if quarantined {
            self.quarantined.fetch_add(1, Ordering::AcqRel);
        } else {
            self.quarantined.fetch_sub(1, Ordering::AcqRel);
        }
    }

    pub(super) fn renewals(&self) -> u64 {
        self.renewed.load(Ordering::Acquire)
    }

    /// No other instance takes what waits: these serve again.
    fn wake_quarantined(&self) {
        if self.quarantined.load(Ordering::Acquire) > 0 {
            let instances = self.instances();
            instances
                .iter()
                .filter(|instance| instance.is_quarantined())
                .for_each(|one| one.wake());
        }
    }

    fn wake(&self) {
        for instance in self.instances() {
            instance.wake();
        }
    }

    fn instances(&self) -> Vec<Arc<InstanceState>> {
        self.instances.lock().iter().filter_map(Weak::upgrade).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn an_instance_that_ends_tells_one_of_the_requests_that_wait() {
        let shared = Arc::new(Shared::default());
        let instance = shared.enter(1).unwrap();
        let (mut first, mut second) =
            (pin!(shared.freed.notified()), pin!(shared.freed.notified()));
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        instance.leave();
        assert!(poll!(&mut first).is_ready() && poll!(&mut second).is_pending());
    }

    #[test]
    fn an_instance_with_a_hung_request_comes_after_those_that_are_free_are_made_or_may_be() {
        let shared = Arc::new(Shared::default());
        let hung = shared.enter(2).unwrap();
        hung.set_started();
        assert!(shared.has_better(&hung, 2), "one may be made");
        assert!(shared.enter(1).is_err());
        assert!(!shared.has_better(&hung, 1), "no more may be made");
        shared.could_not_make();
        assert!(!shared.has_better(&hung, 2), "none can be made");
        let other = shared.enter(2).unwrap();
        assert!(shared.has_better(&hung, 2), "one is being made");
        other.set_started();
        assert!(!shared.has_better(&hung, 2), "it has been made and is busy");
        other.set_free(true);
        assert!(shared.has_better(&hung, 2), "it is free");
        other.set_quarantined(true);
        assert!(!shared.has_better(&hung, 2), "it is no better");
        drop(other);
        let other = shared.enter(2).unwrap();
        other.leave_silently();
        assert!(
            !shared.has_better(&hung, 2),
            "it was not made after all, though something holds it"
        );
    }
}
