//! Tasks that take much of a processor leave the thread that serves, and come back when they take little.
//!
//! To give way at each tick is not enough: a request takes some ten steps, and each would wait behind a tick of
//! every guest on its thread that computes at the moment. So a task that computes from tick to tick, or
//! whose turns are long and many without that (it touches much new memory, say), goes on in a thread of lower
//! priority, and the operating system sees to it that the threads that serve come first. What it is judged by is the
//! processor time that it takes: by the clock, every task of a busy machine computes.
//!
//! It knows a task as a future and a few facts: whether it computes, and how many requests share its turns.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::threads;
use wasm_host_limits as limits;
use wasm_host_limits::computing as bounds;

/// What is done in turns.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is known of a task beside how long its turns take.
pub trait Facts: Send + Sync + 'static {
    /// Whether it would have gone on computing in its last turn, and has merely given way.
    fn is_computing(&self) -> bool {
        false
    }

    /// Requests that share its turns.
    fn requests(&self) -> usize {
        1
    }

    /// Whether its turns are long only where they handle much, as [`handled`] is told.
    fn is_judged_by_bytes(&self) -> bool {
        false
    }

    /// A turn took so long.
    fn took(&self, _turn: Duration) {}
}

/// Nothing is known but what is told meanwhile.
impl Facts for () {
    fn is_judged_by_bytes(&self) -> bool {
        true
    }
}

/// It is going to have long turns, whenever they come.
struct Large;

impl Facts for Large {
    fn is_computing(&self) -> bool {
        true
    }
}

thread_local! {
    /// Bytes that the turn under way has handled.
    static HANDLED: Cell<usize> = const { Cell::new(0) };
}

/// The turn under way has handled so many bytes more.
pub fn handled(bytes: usize) {
    HANDLED.set(HANDLED.get().saturating_add(bytes));
}

/// Whether a turn that ends now may be long. To be asked once for each.
fn may_be_long(facts: &dyn Facts) -> bool {
    let handled = HANDLED.take();
    !facts.is_judged_by_bytes() || handled >= bounds::LONG_TURN_BYTES
}

/// The process has one set of processors. None: there are to be no threads, or none could be started; tasks then
/// compute where they are.
static COMPUTING: LazyLock<Option<Runtime>> = LazyLock::new(|| {
    let threads = MOST.load(Ordering::Relaxed).min(threads::count(0));
    if threads == 0 {
        return None;
    }
    start(threads)
        .inspect_err(|error| {
            tracing::warn!("what computes shares the threads that serve: {error}");
        })
        .ok()
});

static MOST: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Have at most so many threads for what computes. To be called before the first task is shared.
pub fn most_threads(most: usize) {
    MOST.store(most, Ordering::Relaxed);
}

fn start(threads: usize) -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("compute")
        .on_thread_start(be_less_urgent)
        .enable_time()
        .build()
}

/// Have the calling thread, and nothing else, be less urgent than those that serve, for good.
pub fn be_less_urgent() {
    thread_local! {
        static IS: Cell<bool> = const { Cell::new(false) };
    }
    if !IS.replace(true) {
        // That needs no privilege. Without it, they merely share.
        let _ =
            rustix::process::setpriority_process(Some(rustix::thread::gettid()), bounds::NICENESS);
    }
}

/// Give up what computes there, for good. To be called before the threads stop that tasks are at home on:
/// what a task waits for is looked after there, and asking for it later is a panic.
pub fn stop() {
    STOP.stop();
}

static STOP: Stop = Stop::new();

/// Whether the host has come so far that tasks have no home any more.
struct Stop(RwLock<bool>);

impl Stop {
    const fn new() -> Self {
        Self(RwLock::new(false))
    }

    /// Returns when nothing is done any more with which the stop must not fall together.
    fn stop(&self) {
        *self.0.write() = true;
    }

    /// Do a turn, which `stop` waits for. None: it has been.
    fn unless_stopped<T>(&self, turn: impl FnOnce() -> T) -> Option<T> {
        let stopped = self.0.read();
        (!*stopped).then(turn)
    }
}

/// Do something there that takes long, and that nothing waits for: give much memory back to the system, say.
pub fn do_there(work: impl FnOnce() + Send + 'static) {
    match &*COMPUTING {
        Some(computing) => drop(computing.spawn(async move { work() })),
        None => work(),
    }
}

/// Have a task done wherever it belongs at the moment. The caller's thread is its home.
pub async fn shared(task: Task, facts: Arc<dyn Facts>, weight: Arc<Weight>) {
    // Its start, which may have come before, is part of what it does.
    let suspected = facts.is_computing();
    Home(Some(Shared { task, facts, weight, suspected })).await;
}

/// The same as a task of its own, of which nothing is known. One that `is_large`, so that some of its turns are long for
/// certain, is done elsewhere from its begin to its end.
pub fn spawn(work: impl Future<Output = ()> + Send + 'static, is_large: bool, weight: Arc<Weight>) {
    let task = Box::pin(work);
    // Asked for last, because it starts the threads.
    if is_large && let Some(computing) = &*COMPUTING {
        let shared = Shared { task, facts: Arc::new(Large), weight, suspected: false };
        drop(computing.spawn(Away::from_here(shared)));
        return;
    }
    let shared = Shared { task, facts: Arc::new(()), weight, suspected: false };
    drop(tokio::spawn(Home(Some(shared))));
}

struct Shared {
    task: Task,
    facts: Arc<dyn Facts>,
    weight: Arc<Weight>,
    /// A tick has passed in its last turn, which may have been the doing of others.
    suspected: bool,
}

/// Whether the turns of a task are long, and many: the processor time of long ones, less a share of the time that
/// passes. Tasks that are alike share it, such as the instances of one component or the statements of one service, so that
/// one that was just made begins where those before it were.
///
/// A share, because length alone says little where much computes: with cold caches and others in between, a turn of a
/// small request takes many times what it takes in calm, and to wait behind those that compute makes that no shorter.
#[derive(Debug, Default)]
pub struct Weight {
    /// Of two turns at the same time one may be lost, which changes little.
    microseconds: AtomicU32,
    /// Up to when the share has been taken off, in milliseconds since [`START`].
    settled: AtomicU64,
}

/// When the process first asked. All times here are counted from it.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

fn milliseconds(at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(*START).as_millis()).unwrap_or(u64::MAX)
}

fn microseconds(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

impl Weight {
    /// What it is at `now`.
    fn at(&self, now: Instant) -> u32 {
        let weight = self.microseconds.load(Ordering::Relaxed);
        if weight == 0 {
            return 0;
        }
        let now = milliseconds(now);
        // Another thread may have been here with a later time.
        let passed = now.saturating_sub(self.settled.load(Ordering::Relaxed));
        if passed == 0 {
            return weight;
        }
        let share = passed.saturating_mul(1000) / u64::from(bounds::LONG_TURNS_SHARE);
        let left = weight.saturating_sub(u32::try_from(share).unwrap_or(u32::MAX));
        self.settled.store(now, Ordering::Relaxed);
        self.microseconds.store(left, Ordering::Relaxed);
        left
    }

    /// A turn took so much processor time, with so many requests.
    fn add(&self, turn: Duration, requests: usize, now: Instant) {
        let requests = u32::try_from(requests.max(1)).unwrap_or(u32::MAX);
        if turn / requests >= bounds::LONG_TURN {
            let most = microseconds(bounds::HEAVY_MOST);
            self.raise(|weight| weight.saturating_add(microseconds(turn)).min(most), now);
        }
    }

    /// Have the turns that come measured by the thread's time.
    fn suspect(&self, now: Instant) {
        self.raise(|weight| weight.max(microseconds(bounds::SUSPECTED)), now);
    }

    fn raise(&self, raised: impl FnOnce(u32) -> u32, now: Instant) {
        let weight = self.at(now);
        if weight == 0 {
            self.settled.store(milliseconds(now), Ordering::Relaxed);
        }
        self.microseconds.store(raised(weight), Ordering::Relaxed);
    }

    fn is_heavy(&self, now: Instant) -> bool {
        self.at(now) >= microseconds(bounds::HEAVY)
    }

    /// So that it comes home: well below what sent it away.
    fn is_light(&self, now: Instant) -> bool {
        self.at(now) <= microseconds(bounds::SUSPECTED)
    }

    fn is_suspected(&self, now: Instant) -> bool {
        self.at(now) > 0
    }
}

/// How long a turn takes at home.
///
/// By the clock, which costs less than the thread's time, as long as nothing is suspected. By the clock a turn looks
/// long, too, in which others had the processor, and where processors are short that is one in a few: so it says
/// no more than that the next ones are to be measured.
enum Turn {
    ByClock,
    ByProcessor(Duration),
}

impl Turn {
    fn begin(shared: &Shared, now: Instant) -> Self {
        match shared.suspected || shared.weight.is_suspected(now) {
            true => Self::ByProcessor(processor_time()),
            false => Self::ByClock,
        }
    }

    /// Add it to what is known. Whether the task itself has computed for a good part of a tick, or is heavy by now.
    fn end(self, shared: &mut Shared, began: Instant) -> bool {
        let Shared { weight, facts, suspected, .. } = shared;
        let (now, may_be_long) = (Instant::now(), may_be_long(&**facts));
        *suspected = facts.is_computing();
        match self {
            Self::ByClock => {
                facts.took(now - began);
                if may_be_long && now - began >= bounds::LONG_TURN {
                    weight.suspect(now);
                }
                weight.is_heavy(now)
            }
            Self::ByProcessor(before) => {
                let turn = processor_time().saturating_sub(before);
                facts.took(turn);
                if may_be_long {
                    weight.add(turn, facts.requests(), now);
                }
                facts.is_computing() && turn >= limits::EPOCH_TICK / 2 || weight.is_heavy(now)
            }
        }
    }
}

/// The time that the calling thread has had of a processor.
fn processor_time() -> Duration {
    rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

/// A task on the thread that it belongs to.
struct Home(Option<Shared>);

/// A task that computes.
struct Away {
    shared: Option<Shared>,
    home: Handle,
    thread: Option<usize>,
    stop: &'static Stop,
}

impl Future for Home {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(shared) = &mut self.0 else { return Poll::Ready(()) };
        let now = Instant::now();
        let has_turn = !shared.weight.is_heavy(now);
        let leaves = if has_turn {
            let turn = Turn::begin(shared, now);
            let ended = shared.task.as_mut().poll(cx).is_ready();
            let leaves = turn.end(shared, now);
            if ended {
                return Poll::Ready(());
            }
            leaves
        } else {
            true
        };
        if leaves && let Some(computing) = &*COMPUTING {
            if let Some(shared) = self.0.take() {
                computing.spawn(Away::from_here(shared));
            }
            return Poll::Ready(());
        }
        // What was woken must take its turn somewhere, and there is nowhere to go.
        if has_turn { Poll::Pending } else { shared.task.as_mut().poll(cx) }
    }
}

impl Future for Away {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Some(turn) = this.stop.unless_stopped(|| this.turn(cx)) else {
            // Its end asks its home for things, too, which then come to nothing.
            threads::on_behalf_of(this.thread, &this.home, || drop(this.shared.take()));
            return Poll::Ready(());
        };
        turn
    }
}

impl Away {
    /// Of the thread that this is called on.
    fn from_here(shared: Shared) -> Self {
        let (home, thread) = (Handle::current(), threads::current());
        Self { shared: Some(shared), home, thread, stop: &STOP }
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(shared) = &mut self.shared else { return Poll::Ready(()) };
        // Threads that serve come first, so the clock would tell of others.
        let began = processor_time();
        // What it asks the host for meanwhile is done where it belongs.
        let task = shared.task.as_mut();
        let ended = threads::on_behalf_of(self.thread, &self.home, || task.poll(cx)).is_ready();
        let (turn, now) = (processor_time().saturating_sub(began), Instant::now());
        shared.facts.took(turn);
        if may_be_long(&*shared.facts) {
            shared.weight.add(turn, shared.facts.requests(), now);
        }
        if ended {
            return Poll::Ready(());
        }
        if shared.facts.is_computing() || !shared.weight.is_light(now) {
            return Poll::Pending;
        }
        self.home.spawn(Home(self.shared.take()));
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests;
