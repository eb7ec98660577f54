//! The requests of one instance, seen from both their ends: the client's body and the guest's instance.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use super::instance::Status;
use super::shared::Shared;
use super::work::{Share, Work};
use wasm_host_capabilities::context::RequestContext;

/// The requests of one instance, and whether it takes more.
pub struct InstanceState {
    entries: Mutex<Vec<Entry>>,
    /// Requests that are waited for. Only the instance's own task counts here.
    running: AtomicUsize,
    waker: AtomicWaker,
    /// Set when the host itself ends the instance.
    ended: AtomicBool,
    /// Ticks of the engine that guest code ran through since it last waited for something.
    ticks: AtomicU32,
    /// Those that have no answer yet.
    unanswered: AtomicUsize,
    /// Nothing of the guest is left to be done.
    idle: AtomicBool,
    /// It is being made.
    starting: AtomicBool,
    /// It takes requests.
    free: AtomicBool,
    /// Nothing has happened in it since its task was woken.
    fresh: AtomicBool,
    /// A request hangs in it that is not waited for any more: new ones go elsewhere, if another instance can take them.
    quarantined: AtomicBool,
    /// It takes no more: it failed to answer, or another one is to have its place.
    closed: AtomicBool,
    /// It counts among those that will take requests.
    available: AtomicBool,
    /// It counts no more among those that are alive.
    left: AtomicBool,
    /// The count of renewals when it was made.
    made: u64,
    /// Its requests so far, and what they took of a processor.
    work: Arc<Work>,
    shared: Arc<Shared>,
}

struct Entry {
    request: Arc<RequestState>,
    /// Which piece of its body a reader was found waiting for, and when that was found.
    waiting: Option<(u32, Instant)>,
}

/// What runs in an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Survey {
    /// Requests that are waited for, now and when it was last looked.
    pub(super) live: usize,
    pub(super) was_live: usize,
    /// Requests that are not waited for any more, of which it is not known whether the guest has ended them.
    pub(super) abandoned: usize,
}

impl Drop for InstanceState {
    fn drop(&mut self) {
        self.leave_silently();
    }
}

impl InstanceState {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            entries: Mutex::default(),
            running: AtomicUsize::new(0),
            waker: AtomicWaker::new(),
            ended: AtomicBool::new(false),
            ticks: AtomicU32::new(0),
            unanswered: AtomicUsize::new(0),
            idle: AtomicBool::new(true),
            starting: AtomicBool::new(true),
            free: AtomicBool::new(false),
            fresh: AtomicBool::new(false),
            quarantined: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            available: AtomicBool::new(false),
            left: AtomicBool::new(false),
            made: shared.renewals(),
            work: Work::new(shared.processor_time.clone()),
            shared,
        }
    }

    /// It has come to its end: another one may take its place. One that was never made does so silently: what could
    /// not be made now is not to be tried anew at once, again and again.
    pub(super) fn leave(&self) {
        if self.leave_silently() {
            self.shared.tell_keepers();
        }
    }

    pub(super) fn leave_silently(&self) -> bool {
        let leaves = !self.left.swap(true, Ordering::AcqRel);
        if leaves {
            self.set_quarantined(false);
            // The task that made it in vain may hold it a moment longer.
            self.starting.store(false, Ordering::Release);
            self.shared.leave();
        }
        leaves
    }

    pub(super) fn is_available(&self) -> bool {
        self.available.load(Ordering::Acquire)
    }

    /// Whether it will take requests. Returns whether that was otherwise before.
    pub(super) fn set_available(&self, available: bool) -> bool {
        self.available.swap(available, Ordering::AcqRel) != available
    }

    /// Whether it takes no requests any more and ends when it has none.
    pub(super) fn is_retired(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
            || self.shared.is_retired()
            || self.made != self.shared.renewals()
    }

    /// It has failed to answer, and may be in any state: another one is to take what comes.
    pub(super) fn fail(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Another one is to have its place, if nothing is done in it. Whether it goes.
    pub(super) fn make_way(&self) -> bool {
        let is_unused = self.is_free() && self.running() == 0;
        if is_unused {
            self.closed.store(true, Ordering::Relaxed);
            self.wake();
        }
        is_unused
    }

    /// Enter a request that begins.
    pub(super) fn begin(self: &Arc<Self>, request: Arc<RequestState>) {
        // Only another instance could have set it before, and a request has one.
        let _ = request.instance.set(Arc::downgrade(self));
        let is_alone = self.running.fetch_add(1, Ordering::Relaxed) == 0;
        if let Some(share) = self.work.begin(is_alone) {
            let _ = request.share.set(share);
        }
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        self.entries.lock().push(Entry { request, waiting: None });
    }

    /// Requests that are waited for, as far as the instance has looked.
    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// A request has its answer, if not all of its body.
    pub(super) fn answered(&self) {
        self.unanswered.fetch_sub(1, Ordering::Relaxed);
    }

    /// Requests so far.
    pub(super) fn begun(&self) -> usize {
        self.work.begun()
    }

    pub(super) fn work(&self) -> &Work {
        &self.work
    }

    pub(super) fn unanswered(&self) -> usize {
        self.unanswered.load(Ordering::Relaxed)
    }

    /// Whether the guest, without requests, is done with everything.
    pub(super) fn set_idle(&self, idle: bool) {
        self.idle.store(idle, Ordering::Relaxed);
    }

    pub(super) fn status(&self) -> Status {
        if self.unanswered() > 0 {
            Status::Requests
        } else if self.idle.load(Ordering::Relaxed) {
            Status::Idle
        } else {
            Status::PostReturn
        }
    }

    /// It has been made, and has been offered to requests: what finds it started finds it free, if it still is.
    pub(super) fn set_started(&self) {
        self.starting.store(false, Ordering::Release);
    }

    pub(super) fn is_starting(&self) -> bool {
        self.starting.load(Ordering::Acquire)
    }

    /// Whether it takes requests. Returns whether that was otherwise before.
    pub(super) fn set_free(&self, free: bool) -> bool {
        self.is_free() != free && self.free.swap(free, Ordering::AcqRel) != free
    }

    pub(super) fn is_free(&self) -> bool {
        self.free.load(Ordering::Acquire)
    }

    /// Its task was woken.
    pub(super) fn wake_up(&self) {
        self.fresh.store(true, Ordering::Relaxed);
    }

    /// Whether this is asked for the first time since its task was woken.
    pub(super) fn is_fresh(&self) -> bool {
        self.fresh.swap(false, Ordering::Relaxed)
    }

    /// Whether its task was woken, and its events did not turn: the guest waits in a call that is synchronous
    /// for it, and nothing else of it moves.
    pub(super) fn is_held_up(&self) -> bool {
        self.fresh.load(Ordering::Relaxed)
    }

    pub(super) fn survey(&self, status: Status) -> Survey {
        let mut entries = self.entries.lock();
        entries.retain(|entry| match entry.request.status() {
            RequestStatus::Live => true,
            RequestStatus::Finished => false,
            // With no task left in the guest, an abandoned request has come to its end as well.
            _ => status != Status::Idle,
        });
        let live = entries.iter().filter(|entry| entry.request.is_live()).count();
        let was_live = self.running.swap(live, Ordering::Relaxed);
        Survey { live, was_live, abandoned: entries.len() - live }
    }

    /// End the bodies whose reader has been waiting for one piece for at least `idle`.
    pub(super) fn end_stalled(&self, now: Instant, idle: Duration) {
        for entry in self.entries.lock().iter_mut() {
            let waiting = entry.request.waiting.load(Ordering::Relaxed);
            entry.waiting = match entry.waiting {
                _ if waiting == 0 => None,
                Some((piece, since)) if piece == waiting => {
                    if now.saturating_duration_since(since) >= idle {
                        entry.request.stall();
                    }
                    Some((piece, since))
                }
                _ => Some((waiting, now)),
            };
        }
    }

    /// End every request that is still waited for, in a way that shows. Returns how many there were.
    pub(super) fn cut(&self) -> usize {
        let cut = self.end_all(RequestStatus::Cut, None);
        self.wake();
        cut
    }

    /// End all requests in a way that shows, as the instance ends, and have them know why.
    pub(super) fn end_all(&self, status: RequestStatus, cause: Option<&Arc<str>>) -> usize {
        let entries = self.entries.lock();
        for entry in entries.iter().filter(|entry| entry.request.is_live()) {
            // The first is what ended it.
            let _ = cause.map(|cause| entry.request.cause.set(cause.clone()));
        }
        entries.iter().filter(|entry| entry.request.end_as(status)).count()
    }

    /// The request of an instance that has one, and how many it has that are not finished.
    pub(super) fn only_request(&self) -> (Option<RequestContext>, usize) {
        let entries = self.entries.lock();
        let there = entries.iter().map(|entry| &entry.request.context);
        let there: Vec<_> = there.filter(|request| !request.is_finished()).collect();
        (there.first().filter(|_| there.len() == 1).map(|only| (*only).clone()), there.len())
    }

    pub(super) fn wake(&self) {
        self.waker.wake();
    }

    pub(super) fn wake_by(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// The host ends the instance; otherwise it ends by itself or by a trap.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// One more tick in which guest code ran. Returns how many it has been without a pause.
    pub(super) fn tick(&self) -> u32 {
        self.ticks.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn ticks(&self) -> u32 {
        self.ticks.load(Ordering::Relaxed)
    }

    /// Whether the guest would go on computing, and has merely given way.
    pub(super) fn is_computing(&self) -> bool {
        self.ticks() > 0
    }

    /// The guest waits, or has let its neighbours run.
    pub(super) fn pause(&self) {
        self.ticks.store(0, Ordering::Relaxed);
    }

    /// Whether a request hangs here that is not waited for any more.
    pub(super) fn is_quarantined(&self) -> bool {
        self.quarantined.load(Ordering::Relaxed)
    }

    pub(super) fn set_quarantined(&self, quarantined: bool) {
        if self.is_quarantined() != quarantined {
            self.quarantined.store(quarantined, Ordering::Relaxed);
            self.shared.quarantine(quarantined);
        }
    }
}

/// One request, seen from both its ends: the client's body and the guest's instance.
pub struct RequestState {
    pub context: RequestContext,
    status: AtomicU8,
    instance: OnceLock<Weak<InstanceState>>,
    /// Of its instance's work, if that began with nothing else.
    share: OnceLock<Share>,
    /// Why its instance ended before it did.
    cause: OnceLock<Arc<str>>,
    /// The piece of the body that its reader waits for, counted from 1; 0 while it does not wait.
    waiting: AtomicU32,
    reader: AtomicWaker,
    /// The guest's call has returned, and with it ended what writes the body.
    returned: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum RequestStatus {
    Live,
    /// The response has been delivered whole.
    Finished,
    /// The response is not wanted any more.
    Abandoned,
    /// The instance ended in the middle of it.
    Broken,
    /// The same, because its guest computed without a pause.
    Overran,
    /// Its body stood still.
    Stalled,
    /// The host ended it: the time that its version had left was over.
    Cut,
}

impl RequestState {
    pub fn new(context: RequestContext) -> Arc<Self> {
        Arc::new(Self {
            context,
            status: AtomicU8::new(RequestStatus::Live as u8),
            instance: OnceLock::new(),
            share: OnceLock::new(),
            cause: OnceLock::new(),
            waiting: AtomicU32::new(0),
            reader: AtomicWaker::new(),
            returned: AtomicBool::new(false),
        })
    }

    /// The response has been delivered whole.
    pub fn finish(&self) {
        self.context.finish();
        self.end(RequestStatus::Finished);
    }

    /// The response is not wanted any more. Ends the request's capability calls now and its guest soon.
    pub fn abandon(&self) {
        self.end(RequestStatus::Abandoned);
        self.context.cancel().cancel();
    }

    /// What its guest took of a processor so far. None: it was not alone in its instance, or nothing is known of it.
    pub fn processor_time(&self) -> Option<Duration> {
        self.share.get()?.taken()
    }

    /// Whether the instance ended before the response did. A body whose instance trapped looks
    /// as if it had simply come to its end.
    pub fn is_broken(&self) -> bool {
        matches!(self.status(), RequestStatus::Broken | RequestStatus::Overran | RequestStatus::Cut)
    }

    /// The time that its version had left is over. Whether it had not ended before.
    pub(super) fn cut(&self) -> bool {
        self.end_as(RequestStatus::Cut)
    }

    /// Why its instance ended before it did, if that is known.
    pub fn cause(&self) -> Option<&str> {
        self.cause.get().map(|cause| &**cause)
    }

    /// Whether it was ended because the time that its version had left was over.
    pub fn was_cut(&self) -> bool {
        self.status() == RequestStatus::Cut
    }

    /// Whether the instance was ended because its guest computed without a pause.
    pub fn overran(&self) -> bool {
        self.status() == RequestStatus::Overran
    }

    /// Whether it ended, and not because it is not wanted.
    pub fn is_ended_by_host(&self) -> bool {
        self.is_broken() || self.has_stalled()
    }

    /// Whether it was ended because nothing came of its body.
    pub fn has_stalled(&self) -> bool {
        self.status() == RequestStatus::Stalled
    }

    /// A guest of WASI 0.2 has come back: nothing of the body will come that has not come.
    pub(super) fn set_returned(&self) {
        self.returned.store(true, Ordering::Release);
        self.reader.wake();
    }

    pub(super) fn has_returned(&self) -> bool {
        self.returned.load(Ordering::Acquire)
    }

    /// The body's reader waits for this piece, counted from 1, and is woken if the body is given up.
    pub(super) fn wait_for(&self, piece: u32, reader: &Waker) {
        self.reader.register(reader);
        self.waiting.store(piece, Ordering::Relaxed);
    }

    /// The piece has come.
    pub(super) fn stop_waiting(&self) {
        self.waiting.store(0, Ordering::Relaxed);
    }

    /// Nothing comes of the body.
    fn stall(&self) {
        if self.end_as(RequestStatus::Stalled) {
            self.reader.wake();
        }
    }

    /// End it as no client would, if it has not ended. Whether that was so.
    fn end_as(&self, status: RequestStatus) -> bool {
        let live = RequestStatus::Live as u8;
        let ended = self
            .status
            .compare_exchange(live, status as u8, Ordering::AcqRel, Ordering::Acquire)
            .is_ok();
        if ended {
            self.context.cancel().cancel();
        }
        ended
    }

    fn end(&self, status: RequestStatus) {
        self.status.store(status as u8, Ordering::Release);
        if let Some(instance) = self.instance.get().and_then(Weak::upgrade) {
            instance.wake();
        }
    }

    fn is_live(&self) -> bool {
        self.status() == RequestStatus::Live
    }

    fn status(&self) -> RequestStatus {
        match self.status.load(Ordering::Acquire) {
            0 => RequestStatus::Live,
            1 => RequestStatus::Finished,
            2 => RequestStatus::Abandoned,
            4 => RequestStatus::Overran,
            5 => RequestStatus::Stalled,
            6 => RequestStatus::Cut,
            _ => RequestStatus::Broken,
        }
    }
}
