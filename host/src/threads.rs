//! The threads that serve: one for each processor, each with a runtime of its own.
//!
//! A connection stays on one of them, and so does all that is done for it: the instance that answers, the calls
//! that the instance makes, the answer's body. Nothing on a request's way is handed from one processor to
//! another, which costs more than a small request itself. What they have to share is shared by being
//! counted ([`Threads::spawn`]), and where somebody else may have room, by asking there.
//!
//! It knows nothing of what runs on them. Whatever is not a request (loading, swaps, the control plane) runs on
//! the runtime of the program.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, available_parallelism};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

use crate::limits;

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

/// One value for each serving thread, and one for everybody else.
pub struct PerThread<T>(Box<[T]>);

/// The serving threads.
pub struct Threads {
    threads: Vec<Thread>,
    running: Mutex<Vec<JoinHandle<()>>>,
    stop: CancellationToken,
}

struct Thread {
    runtime: Handle,
    /// What was spawned on it and has not ended.
    tasks: Arc<AtomicUsize>,
}

// === impl PerThread ===

impl<T> PerThread<T> {
    pub fn new(threads: usize, make: impl FnMut() -> T) -> Self {
        Self(std::iter::repeat_with(make).take(threads + 1).collect())
    }

    /// The one of the calling thread.
    pub fn get(&self) -> Option<&T> {
        // The last is everybody else's.
        let last = self.0.len().checked_sub(1)?;
        self.0.get(current().unwrap_or(last).min(last))
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
    /// Start so many threads.
    pub fn start(count: usize) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let started = (0..count.max(1)).map(|number| Thread::start(number, stop.clone()));
        let (threads, running): (_, Vec<_>) =
            started.collect::<io::Result<Vec<_>>>()?.into_iter().unzip();
        Ok(Self { threads, running: running.into(), stop })
    }

    /// The runtime of the caller, for what needs no threads of its own.
    pub fn none() -> Self {
        let thread = Thread { runtime: Handle::current(), tasks: Arc::default() };
        Self { threads: vec![thread], running: Mutex::default(), stop: CancellationToken::new() }
    }

    /// Run a task on the thread that has the fewest of them. It is made there, so that what it holds belongs to
    /// that thread's runtime.
    pub fn spawn<F>(&self, make: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let fewest = |thread: &&Thread| thread.tasks.load(Ordering::Relaxed);
        let Some(thread) = self.threads.iter().min_by_key(fewest) else { return };
        let counted = Counted::new(thread.tasks.clone());
        thread.runtime.spawn(async move {
            let _counted = counted;
            make().await;
        });
    }

    /// End whatever still runs on them.
    pub fn stop(&self) {
        self.stop.cancel();
        let running =
            std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in running {
            // One that panicked has told so already.
            let _ = thread.join();
        }
    }
}

impl Thread {
    fn start(number: usize, stop: CancellationToken) -> io::Result<(Self, JoinHandle<()>)> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(limits::BLOCKING_THREADS)
            .build()?;
        let handle = runtime.handle().clone();
        let thread = std::thread::Builder::new().name(format!("serve-{number}"));
        let running = thread.spawn(move || {
            CURRENT.set(Some(number));
            runtime.block_on(stop.cancelled());
            runtime.shutdown_timeout(Duration::ZERO);
        })?;
        Ok((Self { runtime: handle, tasks: Arc::default() }, running))
    }
}

/// One task in a thread's count.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(tasks: Arc<AtomicUsize>) -> Self {
        tasks.fetch_add(1, Ordering::Relaxed);
        Self(tasks)
    }
}

impl Drop for Counted {
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
            threads.spawn(move || async move {
                sender.send(current()).unwrap();
                held.cancelled().await;
            });
            numbers.recv().unwrap()
        };
        let first = held.child_token();
        let mut two = [hold(&first), hold(&held)];
        // The first one's thread has none again.
        first.cancel();
        while threads.threads.iter().all(|thread| thread.tasks.load(Ordering::Relaxed) > 0) {
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
        let values = Arc::new(PerThread::new(2, || {
            next += 1;
            next
        }));
        assert_eq!(values.get(), Some(&3));
        let threads = Threads::start(2).unwrap();
        let (sender, seen) = mpsc::channel();
        for _ in 0..2 {
            let (sender, values) = (sender.clone(), values.clone());
            threads.spawn(move || async move {
                sender.send(*values.get().unwrap()).unwrap();
                std::future::pending().await
            });
        }
        let mut seen: Vec<i32> = seen.iter().take(2).collect();
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
        threads.stop();
    }
}
