//! Guests that take much of a processor leave the thread that serves, and come back when they take little.
//!
//! To give way at each tick is not enough: a request takes some ten steps, and each would wait behind a tick of
//! every guest on its thread that computes at the moment. So an instance that has computed for a whole tick, or
//! whose turns are long without that (it touches much new memory, say), goes on in a thread of lower
//! priority, and the operating system sees to it that whoever serves comes first.
//!
//! It knows an instance as a future and a few facts: whether it computes, and how many requests it has.

use parking_lot::RwLock;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, Runtime};

use super::slots::InstanceSlots;
use crate::{limits, threads};

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The process has one set of processors. None: no thread could be started; guests then compute where they are.
static COMPUTING: LazyLock<Option<Runtime>> = LazyLock::new(|| match start() {
    Ok(runtime) => Some(runtime),
    Err(error) => {
        tracing::warn!("guests that compute share the threads that serve: {error}");
        None
    }
});

fn start() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(threads::count(0))
        .thread_name("compute")
        .on_thread_start(|| {
            // To be less urgent needs no privilege. Without it, they merely share.
            let _ = rustix::process::setpriority_process(
                Some(rustix::thread::gettid()),
                limits::COMPUTING_NICENESS,
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

    /// Returns when nobody does anything any more with which the stop must not fall together.
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
pub(super) async fn shared(task: Task, slots: Arc<InstanceSlots>, weight: Arc<Weight>) {
    Home(Some(Instance { task, slots, weight })).await;
}

struct Instance {
    task: Task,
    slots: Arc<InstanceSlots>,
    weight: Arc<Weight>,
}

/// Whether the turns of an instance are long: a count that rises with each long one and falls with each short one.
/// Instances of one component share it, so that one that was just made begins where those before it were.
#[derive(Debug, Default)]
pub(super) struct Weight {
    /// Of two turns at the same time one may be lost, which changes little.
    score: AtomicU32,
}

impl Weight {
    /// Of one whose turns are known to be long.
    pub(super) fn heavy() -> Self {
        Self { score: AtomicU32::new(limits::HEAVY) }
    }

    fn add(&self, turn: Duration, requests: usize) {
        let requests = u32::try_from(requests.max(1)).unwrap_or(u32::MAX);
        let score = self.score.load(Ordering::Relaxed);
        let score = if turn / requests >= limits::LONG_TURN {
            (score + limits::SHORT_TURNS).min(2 * limits::HEAVY)
        } else {
            score.saturating_sub(1)
        };
        self.score.store(score, Ordering::Relaxed);
    }

    fn is_heavy(&self) -> bool {
        self.score.load(Ordering::Relaxed) >= limits::HEAVY
    }

    fn is_light(&self) -> bool {
        self.score.load(Ordering::Relaxed) == 0
    }

    /// Have the turns that come measured by the thread's time.
    fn suspect(&self) {
        self.score.fetch_max(1, Ordering::Relaxed);
    }
}

/// How long a turn takes at home.
///
/// By the clock, which costs less than the thread's time, as long as nothing is suspected. By the clock a turn looks
/// long, too, in which others had the processor, and where processors are short, which is where guests that compute
/// are many, that is one in a few. So who looks heavy is measured by the thread's time from then on, before it is sent
/// to where it would wait behind those that are.
enum Turn {
    ByClock(Instant),
    ByProcessor(Duration),
}

impl Turn {
    fn begin(weight: &Weight) -> Self {
        if weight.is_light() {
            Self::ByClock(Instant::now())
        } else {
            Self::ByProcessor(processor_time())
        }
    }

    /// How long it took, and whether that was the instance's own doing.
    fn end(self) -> (Duration, bool) {
        match self {
            Self::ByClock(began) => (began.elapsed(), false),
            Self::ByProcessor(began) => {
                let turn = processor_time().saturating_sub(began);
                (turn, turn >= limits::LONG_TURN)
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
        // Asked once: others change it meanwhile, and whoever was woken must take its turn somewhere.
        let stays = !instance.weight.is_heavy();
        let mut computes = false;
        if stays {
            let turn = Turn::begin(&instance.weight);
            if instance.task.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let (turn, is_its_own) = turn.end();
            instance.weight.add(turn, instance.slots.running());
            if instance.slots.is_computing() {
                // A tick has passed, which others may have had. If not, the next one shows it.
                instance.weight.suspect();
                computes = is_its_own;
            }
        }
        if (computes || instance.weight.is_heavy())
            && let Some(computing) = &*COMPUTING
        {
            let (home, thread) = (Handle::current(), threads::current());
            computing.spawn(Away { instance: self.0.take(), home, thread, stop: &STOP });
            return Poll::Ready(());
        }
        // Not at home yet: heavy, and nowhere to go, or no longer heavy.
        if stays { Poll::Pending } else { instance.task.as_mut().poll(cx) }
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
        // Who serves comes first, so the clock would tell of others.
        let began = processor_time();
        // What the guest asks the host for meanwhile is done where it belongs.
        let task = instance.task.as_mut();
        if threads::on_behalf_of(self.thread, &self.home, || task.poll(cx)).is_ready() {
            return Poll::Ready(());
        }
        let turn = processor_time().saturating_sub(began);
        instance.weight.add(turn, instance.slots.running());
        if instance.slots.is_computing() || !instance.weight.is_light() {
            return Poll::Pending;
        }
        self.home.spawn(Home(self.instance.take()));
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(turns: impl IntoIterator<Item = (u64, usize)>) -> Weight {
        let weight = Weight::default();
        for (microseconds, requests) in turns {
            weight.add(Duration::from_micros(microseconds), requests);
        }
        weight
    }

    #[test]
    fn long_turns_among_short_ones_are_heavy_and_an_interruption_is_not() {
        let request = [(700, 1), (10, 1), (10, 1), (10, 1)];
        assert!(weight(request.into_iter().cycle().take(40)).is_heavy());
        let interrupted = [(20, 1); 20].into_iter().chain([(50_000, 1)]);
        assert!(!weight(interrupted.cycle().take(400)).is_heavy());
        // Many requests in one turn are no long one.
        assert!(!weight([(700, 16); 50]).is_heavy());
    }

    #[test]
    fn who_was_heavy_is_light_after_some_rest() {
        let heavy = || std::iter::repeat_n((700, 1), 100);
        let rest = usize::try_from(2 * limits::HEAVY).unwrap();
        let between = weight(heavy().chain(std::iter::repeat_n((20, 1), rest - 1)));
        assert!(!between.is_heavy() && !between.is_light());
        assert!(weight(heavy().chain(std::iter::repeat_n((20, 1), rest))).is_light());
    }

    /// An instance away from home that waits for a timer there. Its `dropped` tells that it was given up.
    fn away(home: &Runtime, stop: &'static Stop) -> (Away, std::sync::Weak<()>) {
        let held = Arc::new(());
        let dropped = Arc::downgrade(&held);
        let task: Task = Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            drop(held);
        });
        let slots = Arc::new(super::super::Shared::default()).enter(1).unwrap();
        let instance = Some(Instance { task, slots, weight: Arc::default() });
        (Away { instance, home: home.handle().clone(), thread: None, stop }, dropped)
    }

    #[test]
    fn an_instance_that_computes_is_given_up_before_its_home_is_gone() {
        static STOP: Stop = Stop::new();
        let home = Builder::new_current_thread().enable_all().build().unwrap();
        let (mut away, dropped) = away(&home, &STOP);
        // Heavy, so that it stays where it is.
        away.instance.as_ref().unwrap().weight.score.store(limits::HEAVY, Ordering::Relaxed);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut away).poll(&mut cx).is_pending());
        STOP.stop();
        home.shutdown_timeout(Duration::ZERO);
        assert!(Pin::new(&mut away).poll(&mut cx).is_ready());
        assert!(dropped.upgrade().is_none(), "it is still there");
    }
}
