//! Guests that take much of a processor leave the thread that serves, and come back when they take little.
//!
//! To give way at each tick is not enough: a request takes some ten steps, and each would wait behind a tick of
//! every guest on its thread that computes at the moment. So an instance that computes from tick to tick, or
//! whose turns are long and many without that (it touches much new memory, say), goes on in a thread of lower
//! priority, and the operating system sees to it that the threads that serve come first. What it is judged by is the
//! processor time that it takes: by the clock, every guest of a busy machine computes.
//!
//! It knows an instance as a future and a few facts: whether it computes, and how many requests it has.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use tokio::runtime::{Builder, Handle, Runtime};

use super::instance_state::InstanceState;
use wasm_host_limits as limits;
use wasm_host_limits::computing as bounds;
use wasm_host_system::threads;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The process has one set of processors. None: there are to be no threads, or none could be started; guests then
/// compute where they are.
static COMPUTING: LazyLock<Option<Runtime>> = LazyLock::new(|| {
    let threads = MOST.load(Ordering::Relaxed).min(threads::count(0));
    if threads == 0 {
        return None;
    }
    start(threads)
        .inspect_err(|error| {
            tracing::warn!("guests that compute share the threads that serve: {error}");
        })
        .ok()
});

static MOST: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Have at most so many threads for guests that compute. To be called before the first instance is made.
pub fn most_threads(most: usize) {
    MOST.store(most, Ordering::Relaxed);
}

fn start(threads: usize) -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("compute")
        .on_thread_start(|| {
            // To be less urgent needs no privilege. Without it, they merely share.
            let _ = rustix::process::setpriority_process(
                Some(rustix::thread::gettid()),
                bounds::NICENESS,
            );
        })
        .enable_time()
        .build()
}

/// Give up what computes there, for good. To be called before the threads stop that instances are at home on:
/// what a guest waits for is looked after there, and asking for it later is a panic.
pub fn stop() {
    STOP.stop();
}

static STOP: Stop = Stop::new();

/// Whether the host has come so far that instances have no home any more.
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

/// End an instance there that is large: giving its memory back to the system takes the longer, the more it is.
pub(super) fn do_there(end: impl FnOnce() + Send + 'static) {
    match &*COMPUTING {
        Some(computing) => drop(computing.spawn(async move { end() })),
        None => end(),
    }
}

/// Have an instance's task done wherever it belongs at the moment. The caller's thread is its home.
pub(super) async fn shared(task: Task, state: Arc<InstanceState>, weight: Arc<Weight>) {
    // Its start, which may have come before, is part of what it does.
    let suspected = state.is_computing();
    Home(Some(Instance { task, state, weight, suspected })).await;
}

struct Instance {
    task: Task,
    state: Arc<InstanceState>,
    weight: Arc<Weight>,
    /// A tick has passed in its last turn, which may have been the doing of others.
    suspected: bool,
}

/// Whether the turns of an instance are long, and many: the processor time of long ones, less a share of the time that
/// passes. Instances of one component share it, so that one that was just made begins where those before it were.
///
/// A share, because length alone says little where much computes: with cold caches and others in between, a turn of a
/// small request takes many times what it takes in calm, and to wait behind those that compute makes that no shorter.
#[derive(Debug, Default)]
pub(super) struct Weight {
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
    fn begin(instance: &Instance, now: Instant) -> Self {
        match instance.suspected || instance.weight.is_suspected(now) {
            true => Self::ByProcessor(processor_time()),
            false => Self::ByClock,
        }
    }

    /// Add it to what is known. Whether the instance itself has computed for a good part of a tick, or is heavy by now.
    fn end(self, instance: &mut Instance, began: Instant) -> bool {
        let Instance { weight, state, suspected, .. } = instance;
        let now = Instant::now();
        *suspected = state.is_computing();
        match self {
            Self::ByClock => {
                state.work().add(now - began);
                if now - began >= bounds::LONG_TURN {
                    weight.suspect(now);
                }
                weight.is_heavy(now)
            }
            Self::ByProcessor(before) => {
                let turn = processor_time().saturating_sub(before);
                state.work().add(turn);
                weight.add(turn, state.running(), now);
                state.is_computing() && turn >= limits::EPOCH_TICK / 2 || weight.is_heavy(now)
            }
        }
    }
}

/// The time that the calling thread has had of a processor.
fn processor_time() -> Duration {
    rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

/// An instance on the thread that it belongs to.
struct Home(Option<Instance>);

/// An instance that computes.
struct Away {
    instance: Option<Instance>,
    home: Handle,
    thread: Option<usize>,
    stop: &'static Stop,
}

impl Future for Home {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(instance) = &mut self.0 else { return Poll::Ready(()) };
        let now = Instant::now();
        let has_turn = !instance.weight.is_heavy(now);
        let leaves = if has_turn {
            let turn = Turn::begin(instance, now);
            if instance.task.as_mut().poll(cx).is_ready() {
                instance.state.work().add(now.elapsed());
                return Poll::Ready(());
            }
            turn.end(instance, now)
        } else {
            true
        };
        if leaves && let Some(computing) = &*COMPUTING {
            let (home, thread) = (Handle::current(), threads::current());
            computing.spawn(Away { instance: self.0.take(), home, thread, stop: &STOP });
            return Poll::Ready(());
        }
        // What was woken must take its turn somewhere, and there is nowhere to go.
        if has_turn { Poll::Pending } else { instance.task.as_mut().poll(cx) }
    }
}

impl Future for Away {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Some(turn) = this.stop.unless_stopped(|| this.turn(cx)) else {
            // Its end asks its home for things, too, which then come to nothing.
            threads::on_behalf_of(this.thread, &this.home, || drop(this.instance.take()));
            return Poll::Ready(());
        };
        turn
    }
}

impl Away {
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(instance) = &mut self.instance else { return Poll::Ready(()) };
        // Threads that serve come first, so the clock would tell of others.
        let began = processor_time();
        // What the guest asks the host for meanwhile is done where it belongs.
        let task = instance.task.as_mut();
        let ended = threads::on_behalf_of(self.thread, &self.home, || task.poll(cx)).is_ready();
        let (turn, now) = (processor_time().saturating_sub(began), Instant::now());
        instance.state.work().add(turn);
        if ended {
            return Poll::Ready(());
        }
        instance.weight.add(turn, instance.state.running(), now);
        if instance.state.is_computing() || !instance.weight.is_light(now) {
            return Poll::Pending;
        }
        self.home.spawn(Home(self.instance.take()));
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns of so many microseconds and requests, each after a wait of so many microseconds; what is known then, and
    /// when that is.
    fn weight(turns: impl IntoIterator<Item = (u64, usize, u64)>) -> (Weight, Instant) {
        let (weight, mut now) = (Weight::default(), *START);
        for (turn, requests, wait) in turns {
            let turn = Duration::from_micros(turn);
            now += Duration::from_micros(wait) + turn;
            weight.add(turn, requests, now);
        }
        (weight, now)
    }

    #[test]
    fn what_takes_much_in_long_turns_is_heavy() {
        let (leak, now) = weight([(700, 1, 0), (10, 1, 0), (10, 1, 0), (10, 1, 0)].repeat(10));
        assert!(leak.is_heavy(now));
        let (several, now) = weight([(700, 1, 1000); 20]);
        assert!(several.is_heavy(now));
    }

    #[test]
    fn long_turns_now_and_then_many_short_ones_and_many_requests_in_one_are_not() {
        for turns in [[(900, 1, 10_000); 200], [(200, 1, 0); 200], [(700, 16, 0); 200]] {
            let (weight, now) = weight(turns);
            assert!(!weight.is_heavy(now), "{turns:?}");
        }
    }

    #[test]
    fn what_was_heavy_is_light_after_some_rest() {
        let (weight, now) = weight([(700, 1, 0); 2000]);
        let share = bounds::LONG_TURNS_SHARE;
        let rest = (bounds::HEAVY_MOST - bounds::SUSPECTED) * share;
        let almost = now + rest - Duration::from_millis(20);
        assert!(!weight.is_light(almost) && !weight.is_heavy(almost));
        assert!(weight.is_light(now + rest + Duration::from_millis(1)));
        // Not even a look from before changes that.
        assert!(weight.is_suspected(now));
        assert!(!weight.is_suspected(now + bounds::HEAVY_MOST * share + Duration::from_millis(1)));
    }

    #[test]
    fn a_suspicion_lasts_and_counts_little() {
        let weight = Weight::default();
        for _ in 0..100 {
            weight.suspect(*START);
        }
        assert!(weight.is_suspected(*START) && weight.is_light(*START));
        let over = *START + bounds::SUSPECTED * bounds::LONG_TURNS_SHARE;
        assert!(!weight.is_suspected(over));
    }

    /// Turns at home after which an instance is elsewhere, of which each passes a tick in this way, so long after the one
    /// before. None: it stays. And the processor time of the longest.
    fn turns_at_home(pass: fn(), pause: Duration) -> (Option<usize>, Duration) {
        let home = Builder::new_current_thread().enable_all().build().unwrap();
        let _entered = home.enter();
        let state = Arc::new(super::super::Shared::default()).enter(1).unwrap();
        let (here, ticking) = (std::thread::current().id(), state.clone());
        let task: Task = Box::pin(std::future::poll_fn(move |_| {
            if std::thread::current().id() != here {
                return Poll::Ready(());
            }
            pass();
            ticking.tick();
            Poll::Pending
        }));
        let instance = Instance { task, state, weight: Arc::default(), suspected: false };
        let mut home = Home(Some(instance));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut longest = Duration::ZERO;
        let left = (1..=20).find(|_| {
            let before = processor_time();
            let _ = Pin::new(&mut home).poll(&mut cx);
            longest = longest.max(processor_time().saturating_sub(before));
            std::thread::sleep(pause);
            home.0.is_none()
        });
        (left, longest)
    }

    #[test]
    fn what_computes_from_tick_to_tick_leaves_after_two_however_long_others_have_their_turns_in_between()
     {
        let compute = || {
            let begun = processor_time();
            while processor_time() - begun < limits::EPOCH_TICK {}
        };
        assert_eq!(turns_at_home(compute, Duration::ZERO).0, Some(2));
        // Longer than its component stays suspected.
        let long = bounds::SUSPECTED * bounds::LONG_TURNS_SHARE * 3;
        assert_eq!(turns_at_home(compute, long).0, Some(2));
    }

    #[test]
    fn what_others_kept_from_the_processor_for_a_tick_stays() {
        let wait = || std::thread::sleep(limits::EPOCH_TICK);
        // A machine that is virtual may count what others had as this thread's: such a round says nothing.
        let mut rounds = std::iter::repeat_with(|| turns_at_home(wait, Duration::ZERO)).take(200);
        let counted = rounds.find(|(_, longest)| *longest < bounds::LONG_TURN);
        assert_eq!(counted.map(|(left, _)| left), Some(None), "no thread has time of its own here");
    }

    /// An instance away from home that waits for a timer there. Its `dropped` tells that it was given up.
    fn away(home: &Runtime, stop: &'static Stop) -> (Away, std::sync::Weak<()>) {
        let held = Arc::new(());
        let dropped = Arc::downgrade(&held);
        let task: Task = Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            drop(held);
        });
        let state = Arc::new(super::super::Shared::default()).enter(1).unwrap();
        let instance = Some(Instance { task, state, weight: Arc::default(), suspected: false });
        (Away { instance, home: home.handle().clone(), thread: None, stop }, dropped)
    }

    #[test]
    fn an_instance_that_computes_is_given_up_before_its_home_is_gone() {
        static STOP: Stop = Stop::new();
        let home = Builder::new_current_thread().enable_all().build().unwrap();
        let (mut away, dropped) = away(&home, &STOP);
        // Heavy, so that it stays where it is.
        let weight = &away.instance.as_ref().unwrap().weight;
        for _ in 0..100 {
            weight.add(bounds::HEAVY_MOST, 1, Instant::now());
        }
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut away).poll(&mut cx).is_pending());
        STOP.stop();
        home.shutdown_timeout(Duration::ZERO);
        assert!(Pin::new(&mut away).poll(&mut cx).is_ready());
        assert!(dropped.upgrade().is_none(), "it is still there");
    }
}
