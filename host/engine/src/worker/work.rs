//! What instances take of the processors: of one service, of one instance, of one request.
//!
//! Turns are measured where guests that compute are told apart from others (`wasm_host_system::computing`), which costs nothing more: at
//! home by the clock as long as they are short, and else by the processor time of the thread. What the host does for
//! a guest within its turns is part of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::instance_state::InstanceState;
use wasm_host_limits::computing as bounds;
use wasm_host_system::computing::Facts;

/// What all instances of a service took, as far as they have told.
#[derive(Debug, Default)]
pub struct ProcessorTime {
    nanoseconds: AtomicU64,
}

impl ProcessorTime {
    pub fn total(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }
}

/// What one instance took. Only the thread that it is on at the moment counts here.
#[derive(Debug)]
pub(super) struct Work {
    service: Arc<ProcessorTime>,
    nanoseconds: AtomicU64,
    /// So much of it is told to the service.
    told: AtomicU64,
    /// Requests so far.
    begun: AtomicUsize,
}

impl Work {
    pub(super) fn new(service: Arc<ProcessorTime>) -> Arc<Self> {
        let (nanoseconds, told, begun) = Default::default();
        Arc::new(Self { service, nanoseconds, told, begun })
    }

    /// A turn took so long. The service, which all threads share, is told now and then.
    pub(super) fn add(&self, turn: Duration) {
        let turn = u64::try_from(turn.as_nanos()).unwrap_or(u64::MAX);
        let all = self.nanoseconds.load(Ordering::Relaxed).saturating_add(turn);
        self.nanoseconds.store(all, Ordering::Relaxed);
        if all.saturating_sub(self.told.load(Ordering::Relaxed)) >= TELL {
            self.tell();
        }
    }

    fn tell(&self) {
        let all = self.nanoseconds.load(Ordering::Relaxed);
        let more = all.saturating_sub(self.told.swap(all, Ordering::Relaxed));
        self.service.nanoseconds.fetch_add(more, Ordering::Relaxed);
    }

    /// Requests so far.
    pub(super) fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    /// One more request. What it takes of the instance's work is known if it `is_alone`.
    pub(super) fn begin(self: &Arc<Self>, is_alone: bool) -> Option<Share> {
        let begun = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let before = self.nanoseconds.load(Ordering::Relaxed);
        is_alone.then(|| Share { work: self.clone(), before, begun })
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.tell();
    }
}

/// A request that began as the only one of its instance.
#[derive(Debug)]
pub(super) struct Share {
    work: Arc<Work>,
    before: u64,
    begun: usize,
}

impl Share {
    /// What the instance took since it began. None: others were there meanwhile, or nothing is known yet.
    pub(super) fn taken(&self) -> Option<Duration> {
        let taken = self.work.nanoseconds.load(Ordering::Relaxed).saturating_sub(self.before);
        let is_known = self.work.begun() == self.begun && taken > 0;
        is_known.then(|| Duration::from_nanos(taken))
    }
}

const TELL: u64 = bounds::WORK_TOLD.as_nanos() as u64;

/// By which it is told apart from others.
impl Facts for InstanceState {
    fn is_computing(&self) -> bool {
        Self::is_computing(self)
    }

    fn requests(&self) -> usize {
        self.running()
    }

    fn took(&self, turn: Duration) {
        self.work().add(turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_has_what_its_instances_took_and_never_less_than_before() {
        let service = Arc::new(ProcessorTime::default());
        let (one, other) = (Work::new(service.clone()), Work::new(service.clone()));
        let little = bounds::WORK_TOLD / 4;
        for (instance, told) in [(&one, 0), (&one, 0), (&one, 0), (&one, 4), (&other, 4)] {
            instance.add(little);
            assert_eq!(service.total(), little * told);
        }
        drop((one, other));
        assert_eq!(service.total(), little * 5);
    }

    #[test]
    fn a_request_has_the_work_of_its_time_unless_others_were_there() {
        let work = Work::new(Arc::default());
        work.add(Duration::from_millis(5));
        let alone = work.begin(true).unwrap();
        assert_eq!(alone.taken(), None, "no turn has ended");
        work.add(Duration::from_millis(7));
        assert_eq!(alone.taken(), Some(Duration::from_millis(7)));
        assert!(work.begin(false).is_none());
        assert_eq!(alone.taken(), None);
    }
}
