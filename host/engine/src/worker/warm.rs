//! Instances that are there before the first request, and that outlast their idle time.
//!
//! Counted are those of one handler that will take requests. One that serves its last one counts no more: the
//! next is made meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::handler::HandlerQueue;
use super::instance;
use super::instance_state::InstanceState;
use super::shared::AllInstancesBusy;
use wasm_host_limits as limits;

/// What a handler keeps.
#[derive(Default)]
pub(super) struct Warm {
    /// So many are to be there.
    wanted: usize,
    /// Where they are made. None: none are wanted.
    home: Option<Handle>,
    /// So many are.
    there: AtomicUsize,
    /// The log has been told that there are fewer.
    told: AtomicBool,
    /// It will be tried again.
    is_to_be_tried: AtomicBool,
    /// A start has come to its end.
    pub(super) started: Notify,
}

impl Warm {
    pub(super) fn new(wanted: usize, home: Handle) -> Self {
        Self { wanted, home: Some(home), ..Self::default() }
    }

    /// Whether there are instances that will take requests.
    pub(super) fn has_any(&self) -> bool {
        self.there() > 0
    }

    fn there(&self) -> usize {
        self.there.load(Ordering::Acquire)
    }

    fn lacks(&self, starting: usize) -> bool {
        self.there().saturating_add(starting) < self.wanted
    }

    /// Tell once that an instance could not be made. That the service has all that it may have is no news.
    pub(super) fn failed(&self, service: &str, error: &wasmtime::Error) {
        if self.lacks(0)
            && !error.is::<AllInstancesBusy>()
            && !self.told.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(service, "fewer instances are warm than 'warm' says: {error:#}");
        }
    }
}

impl HandlerQueue {
    /// An instance was made.
    pub(super) fn enter(&self, instance: &InstanceState) {
        instance.set_available(true);
        self.warm.there.fetch_add(1, Ordering::AcqRel);
    }

    /// It takes no more requests.
    pub(super) fn leave(self: &Arc<Self>, instance: &InstanceState) {
        if instance.set_available(false) {
            self.warm.there.fetch_sub(1, Ordering::AcqRel);
            self.keep_warm();
        }
    }

    /// Whether one that was idle for its time stays; if not, it counts no more. Of several that ask at once as many
    /// stay as are wanted.
    pub(super) fn keeps(&self, instance: &InstanceState) -> bool {
        if !instance.is_available() {
            return false;
        }
        let wanted = self.warm.wanted;
        let left = self.warm.there.fetch_update(Ordering::AcqRel, Ordering::Acquire, |there| {
            (there > wanted).then(|| there - 1)
        });
        if left.is_ok() {
            instance.set_available(false);
        }
        left.is_err()
    }

    /// Make what is lacking. Where the service has all that it may have, one that comes to its end asks again.
    pub(super) fn keep_warm(self: &Arc<Self>) {
        let Some(home) = &self.warm.home else { return };
        // Not for as long as something is lacking: a runtime that goes down drops each start at once.
        for _ in 0..self.warm.wanted {
            if self.policy.shared.is_retired() {
                return;
            }
            let Some(starting) = self.start_if(|starting| self.warm.lacks(starting)) else {
                return;
            };
            home.spawn(instance::run(starting));
        }
    }

    /// Try again after a while, if something is lacking that could not be made. What was missing, memory for one,
    /// may be others', of whose end nothing here is told.
    pub(super) fn keep_warm_later(self: &Arc<Self>) {
        let Some(home) = &self.warm.home else { return };
        if !self.warm.lacks(0) || self.warm.is_to_be_tried.swap(true, Ordering::AcqRel) {
            return;
        }
        let queue = Arc::downgrade(self);
        home.spawn(async move {
            sleep(limits::INSTANCE_RETRY).await;
            let Some(queue) = queue.upgrade() else { return };
            queue.warm.is_to_be_tried.store(false, Ordering::Release);
            queue.keep_warm();
        });
    }

    /// Make what is lacking, and wait until nothing is being made.
    pub(super) async fn warm_up(self: &Arc<Self>) {
        if self.warm.wanted == 0 {
            return;
        }
        self.keep_warm();
        loop {
            let started = self.warm.started.notified();
            if !self.is_starting() {
                return;
            }
            started.await;
        }
    }
}
