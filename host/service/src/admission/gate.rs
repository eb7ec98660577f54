//! A bounded number at once, and a bounded number that wait.
//!
//! First come, first served: a place that comes free is given to the request that has waited longest, before one that
//! has just come can take it. Otherwise some would wait for as long as they may while others pass them. Without waiters
//! it is one atomic operation each way; tokio's semaphore takes a lock whenever a permit comes back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// A bound on what runs at once, with a bounded line in front of it.
pub struct Gate {
    limit: usize,
    running: AtomicUsize,
    queue: usize,
    /// The number of requests in line, which can be read without its lock.
    waiting: AtomicUsize,
    line: Mutex<Line>,
}

/// The requests that wait, longest first.
#[derive(Default)]
struct Line {
    waiting: VecDeque<(u64, oneshot::Sender<()>)>,
    is_closed: bool,
    /// The number of the next to come.
    next: u64,
}

/// Why a request may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Full,
    Late,
    Closed,
}

impl Gate {
    /// `limit` at once, `queue` in line.
    pub fn new(limit: usize, queue: usize) -> Arc<Self> {
        let (running, waiting, line) = Default::default();
        Arc::new(Self { limit, running, queue, waiting, line })
    }

    pub(super) fn queue(&self) -> usize {
        self.queue
    }

    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Pass if there is a place and no request waits for one.
    pub(super) fn try_pass(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) == 0 && self.take()
    }

    /// Pass now or wait for it.
    pub(super) async fn pass(&self, until: Instant) -> Result<(), Refused> {
        let Some(mut waiting) = self.get_in_line()? else {
            return Ok(());
        };
        match timeout_at(until, &mut waiting.place).await {
            Ok(Ok(())) => {
                waiting.passed = true;
                Ok(())
            }
            Ok(Err(_)) => Err(Refused::Closed),
            Err(_) => Err(Refused::Late),
        }
    }

    /// As `try_pass`, for as long as the place is held.
    pub(super) fn try_enter(&self) -> Option<Place<'_>> {
        self.try_pass().then(|| Place(self))
    }

    /// As `pass`, for as long as the place is held.
    pub(super) async fn enter(&self, until: Instant) -> Result<Place<'_>, Refused> {
        self.pass(until).await.map(|()| Place(self))
    }

    /// No request waits any more: one that does now, and one that would from now on, is refused.
    pub(super) fn close(&self) {
        let mut line = self.line();
        line.is_closed = true;
        line.waiting.clear();
        self.waiting.store(0, Ordering::SeqCst);
    }

    /// Give a place back.
    pub(super) fn leave(&self) {
        self.running.fetch_sub(1, Ordering::SeqCst);
        // A request that comes into line counts there first and then looks for a place: one of the two sees the other.
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.hand_on(&mut self.line());
        }
    }

    fn take(&self) -> bool {
        self.running
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |running| {
                (running < self.limit).then_some(running + 1)
            })
            .is_ok()
    }

    /// Get into line. None: there was a place after all.
    fn get_in_line(&self) -> Result<Option<Waiting<'_>>, Refused> {
        let mut line = self.line();
        if line.waiting.is_empty() && self.take() {
            return Ok(None);
        }
        if line.is_closed {
            return Err(Refused::Closed);
        }
        if line.waiting.len() >= self.queue {
            return Err(Refused::Full);
        }
        let (given, place) = oneshot::channel();
        let number = line.next;
        line.next += 1;
        line.waiting.push_back((number, given));
        self.waiting.store(line.waiting.len(), Ordering::SeqCst);
        self.hand_on(&mut line);
        Ok(Some(Waiting { gate: self, number, place, passed: false }))
    }

    /// Give the places that are free to the requests that have waited longest.
    fn hand_on(&self, line: &mut Line) {
        while !line.waiting.is_empty() && self.take() {
            let first = line.waiting.pop_front();
            if first.is_none_or(|(_, place)| place.send(()).is_err()) {
                // It has just given up.
                self.running.fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.waiting.store(line.waiting.len(), Ordering::SeqCst);
    }

    fn give_up(&self, number: u64) {
        let mut line = self.line();
        if let Ok(at) = line.waiting.binary_search_by_key(&number, |(number, _)| *number) {
            line.waiting.remove(at);
        }
        self.waiting.store(line.waiting.len(), Ordering::SeqCst);
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock()
    }
}

/// A place that is given back when it is dropped.
pub(super) struct Place<'a>(&'a Gate);

impl Place<'_> {
    /// Other code gives it back.
    pub(super) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// A request in line. Leaves it when dropped, so that a client that leaves gives up its place.
struct Waiting<'a> {
    gate: &'a Gate,
    number: u64,
    place: oneshot::Receiver<()>,
    passed: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.passed {
            return;
        }
        self.place.close();
        if self.place.try_recv().is_ok() {
            // It was given a place in this very moment.
            self.gate.leave();
        } else {
            self.gate.give_up(self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn a_newcomer_does_not_pass_those_who_wait() {
        let gate = Gate::new(1, 10);
        assert!(gate.try_pass());
        let (mut first, mut second) = (pin!(gate.pass(soon())), pin!(gate.pass(soon())));
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        gate.leave();
        // The first was given the place, and has not run yet.
        let mut newcomer = pin!(gate.pass(soon()));
        assert!(!gate.try_pass());
        assert!(poll(newcomer.as_mut()).is_pending());
        assert!(poll(second.as_mut()).is_pending());
        assert_eq!(poll(first.as_mut()), Poll::Ready(Ok(())));
        gate.leave();
        assert!(poll(newcomer.as_mut()).is_pending());
        assert_eq!(poll(second.as_mut()), Poll::Ready(Ok(())));
        gate.leave();
        assert_eq!(poll(newcomer.as_mut()), Poll::Ready(Ok(())));
        gate.leave();
        assert!(gate.try_pass());
    }

    #[tokio::test]
    async fn nobody_takes_a_place_that_is_about_to_be_handed_on() {
        let gate = Gate::new(1, 10);
        assert!(gate.try_pass());
        let mut first = pin!(gate.pass(soon()));
        assert!(poll(first.as_mut()).is_pending());
        // A request that leaves does this, and a moment later the rest.
        gate.running.fetch_sub(1, Ordering::SeqCst);
        assert!(!gate.try_pass());
        let mut newcomer = pin!(gate.pass(soon()));
        assert!(poll(newcomer.as_mut()).is_pending());
        assert_eq!(poll(first.as_mut()), Poll::Ready(Ok(())));
    }

    #[tokio::test]
    async fn who_gives_up_with_a_place_in_hand_hands_it_on() {
        let gate = Gate::new(1, 10);
        assert!(gate.try_pass());
        let mut second = {
            let mut first = Box::pin(gate.pass(soon()));
            assert!(poll(first.as_mut()).is_pending());
            let mut second = Box::pin(gate.pass(soon()));
            assert!(poll(second.as_mut()).is_pending());
            gate.leave();
            second
        };
        assert_eq!(poll(second.as_mut()), Poll::Ready(Ok(())));
        assert_eq!((gate.running(), gate.waiting.load(Ordering::Relaxed)), (1, 0));
    }

    #[tokio::test]
    async fn who_gives_up_waiting_frees_the_place_in_the_queue() {
        let gate = Gate::new(1, 1);
        assert!(gate.try_pass());
        assert_eq!(gate.pass(Instant::now()).await, Err(Refused::Late));
        let mut next = pin!(gate.pass(soon()));
        assert!(poll(next.as_mut()).is_pending());
        assert_eq!(gate.pass(soon()).await, Err(Refused::Full));
    }

    #[tokio::test]
    async fn who_waits_at_a_gate_that_is_closed_is_told() {
        let gate = Gate::new(1, 10);
        assert!(gate.try_pass());
        let mut waiting = Box::pin(gate.pass(soon()));
        assert!(poll(waiting.as_mut()).is_pending());
        gate.close();
        assert_eq!(poll(waiting.as_mut()), Poll::Ready(Err(Refused::Closed)));
        assert_eq!(gate.pass(soon()).await, Err(Refused::Closed));
        // Places are given back as before, and taken where no request has to wait.
        gate.leave();
        assert!(gate.try_pass());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn nobody_who_waits_is_forgotten() {
        let gate = Gate::new(2, 1000);
        let most = Arc::new(AtomicUsize::new(0));
        let until = soon();
        let passing: Vec<_> = (0..200)
            .map(|task| {
                let (gate, most) = (gate.clone(), most.clone());
                tokio::spawn(async move {
                    for turn in 0..20 {
                        if (task + turn) % 7 == 0 {
                            // Gives up at some moment, also in that in which it is given a place.
                            let patience = Instant::now() + Duration::from_micros(50);
                            if gate.pass(patience).await.is_err() {
                                continue;
                            }
                        } else if !gate.try_pass() {
                            gate.pass(until).await.expect("a place");
                        }
                        most.fetch_max(gate.running(), Ordering::Relaxed);
                        tokio::task::yield_now().await;
                        gate.leave();
                    }
                })
            })
            .collect();
        for passed in passing {
            passed.await.unwrap();
        }
        assert_eq!(most.load(Ordering::Relaxed), 2);
        assert_eq!((gate.running(), gate.waiting.load(Ordering::Relaxed)), (0, 0));
    }
}
