//! The threads that serve: one for each processor, each with a runtime of its own.
//!
//! A connection stays on one of them, and so does all that is done for it: the instance that answers, the calls
//! that the instance makes, the answer's body. Nothing on a request's way is handed from one processor to
//! another, which costs more than a small request itself. What they have to share is shared by being
//! counted ([`Threads::idlest`]), and where another thread may have room, by asking there.
//!
//! It knows nothing of what runs on them. Whatever is not a request (loading, swaps, the control plane) runs on
//! the runtime of the program.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, available_parallelism};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use wasm_host_limits as limits;

thread_local! {
    static CURRENT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The number of the serving thread that this is; none elsewhere.
pub fn current() -> Option<usize> {
    CURRENT.get()
}

/// Do something as if on the serving thread `number` (none: elsewhere), whose runtime is `runtime`.
pub fn on_behalf_of<T>(number: Option<usize>, runtime: &Handle, work: impl FnOnce() -> T) -> T {
    struct Restore(Option<usize>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _context = runtime.enter();
    let _restore = Restore(CURRENT.replace(number));
    work()
}

/// One value for each serving thread, and one for all other threads.
pub struct PerThread<T> {
    own: Box<[T]>,
    others: T,
}

/// The serving threads. The first of them accepts connections.
pub struct Threads {
    first: Thread,
    others: Vec<Thread>,
    running: Mutex<Vec<thread::JoinHandle<()>>>,
    stop: CancellationToken,
}

/// One of them.
pub struct Thread {
    /// None: a runtime that other code owns.
    number: Option<usize>,
    runtime: Handle,
    /// What was spawned on it and has not ended.
    tasks: Arc<AtomicUsize>,
}

// === impl PerThread ===

impl<T> PerThread<T> {
    /// Make one for each of this many threads, and one for all others.
    pub fn try_new<E>(threads: usize, mut make: impl FnMut() -> Result<T, E>) -> Result<Self, E> {
        let others = make()?;
        let own = std::iter::repeat_with(make).take(threads).collect::<Result<_, E>>()?;
        Ok(Self { own, others })
    }

    /// The one of the calling thread.
    pub fn get(&self) -> &T {
        current().and_then(|number| self.own.get(number)).unwrap_or(&self.others)
    }
}

// === impl Threads ===

/// How many threads there are to be; 0 asks for one for each processor.
pub fn count(wanted: usize) -> usize {
    match wanted {
        0 => available_parallelism().map_or(1, NonZero::get),
        wanted => wanted,
    }
}

impl Threads {
    /// Start this many threads.
    pub fn start(count: usize) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let (first, runs) = Thread::start(0, stop.clone())?;
        let (mut others, mut running) = (Vec::new(), vec![runs]);
        for number in 1..count {
            let (thread, runs) = Thread::start(number, stop.clone())?;
            others.push(thread);
            running.push(runs);
        }
        Ok(Self { first, others, running: running.into(), stop })
    }

    /// The runtime of the caller, for what needs no threads of its own.
    pub fn none() -> Self {
        let first = Thread { number: None, runtime: Handle::current(), tasks: Arc::default() };
        let (others, running, stop) = Default::default();
        Self { first, others, running, stop }
    }

    /// Their runtimes, by the threads' numbers.
    pub fn runtimes(&self) -> Arc<[Handle]> {
        std::iter::once(&self.first).chain(&self.others).map(|one| one.runtime.clone()).collect()
    }

    /// The thread that runs the fewest tasks.
    pub fn idlest(&self) -> &Thread {
        let (first, others) = (&self.first, &self.others);
        let fewest = |thread: &&Thread| thread.tasks.load(Ordering::Relaxed);
        std::iter::once(first).chain(others).min_by_key(fewest).unwrap_or(first)
    }

    /// Run a task on the first thread, as one that is always there and counts for nothing.
    pub fn spawn_on_first(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        self.first.runtime.spawn(task)
    }

    /// End whatever still runs on them.
    pub fn stop(&self) {
        self.stop.cancel();
        let running = std::mem::take(&mut *self.running.lock());
        for thread in running {
            // One that panicked has said so already.
            let _ = thread.join();
        }
    }
}

impl Thread {
    /// Whether the caller is on it.
    pub fn is_here(&self) -> bool {
        self.number == current()
    }

    /// Run a task on it. It is made there, so that what it holds belongs to that thread's runtime.
    pub fn spawn<F>(&self, make: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let counted = TaskGuard::new(self.tasks.clone());
        self.runtime.spawn(async move {
            let _counted = counted;
            // Boxed, or all of a large task would be copied when it is spawned, and again when it has ended.
            Box::pin(make()).await;
        });
    }

    fn start(number: usize, stop: CancellationToken) -> io::Result<(Self, thread::JoinHandle<()>)> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(limits::BLOCKING_THREADS)
            // Connections come from another thread: by default each would wait behind 31 turns of what runs here.
            .global_queue_interval(limits::TURNS_TO_ARRIVALS)
            .build()?;
        let handle = runtime.handle().clone();
        let thread = thread::Builder::new().name(format!("serve-{number}"));
        let running = thread.spawn(move || {
            CURRENT.set(Some(number));
            runtime.block_on(stop.cancelled());
            runtime.shutdown_timeout(Duration::ZERO);
        })?;
        Ok((Self { number: Some(number), runtime: handle, tasks: Arc::default() }, running))
    }
}

/// One task in a thread's count.
struct TaskGuard(Arc<AtomicUsize>);

impl TaskGuard {
    fn new(tasks: Arc<AtomicUsize>) -> Self {
        tasks.fetch_add(1, Ordering::Relaxed);
        Self(tasks)
    }
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn tasks_go_where_the_fewest_are() {
        let threads = Threads::start(2).unwrap();
        let (sender, numbers) = mpsc::channel();
        let held = CancellationToken::new();
        let hold = |held: &CancellationToken| {
            let (sender, held) = (sender.clone(), held.clone());
            threads.idlest().spawn(move || async move {
                sender.send(current()).unwrap();
                held.cancelled().await;
            });
            numbers.recv().unwrap()
        };
        let first = held.child_token();
        let mut two = [hold(&first), hold(&held)];
        // The first one's thread has none again.
        first.cancel();
        while threads.idlest().tasks.load(Ordering::Relaxed) > 0 {
            std::thread::yield_now();
        }
        assert_eq!(hold(&held), two[0]);
        two.sort_unstable();
        assert_eq!(two, [Some(0), Some(1)]);
        threads.stop();
    }

    #[test]
    fn each_thread_has_its_own_and_the_others_one_together() {
        let mut next = 0;
        let values = PerThread::try_new(2, || {
            next += 1;
            Ok::<i32, ()>(next)
        });
        let values = Arc::new(values.unwrap());
        assert_eq!(*values.get(), 1);
        let threads = Threads::start(2).unwrap();
        let (sender, seen) = mpsc::channel();
        for _ in 0..2 {
            let (sender, values) = (sender.clone(), values.clone());
            threads.idlest().spawn(move || async move {
                sender.send(*values.get()).unwrap();
                std::future::pending().await
            });
        }
        let mut seen: Vec<i32> = seen.iter().take(2).collect();
        seen.sort_unstable();
        assert_eq!(seen, [2, 3]);
        threads.stop();
    }
}
