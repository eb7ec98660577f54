//! How many requests run: so many at once, so many waiting, so long a wait; of one service, and of all.
//!
//! Busy is never an error of the service: a request beyond the bounds is told to come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::failure::{Failure, Kind};

/// So many at once, so many waiting, first come, first served. Without waiters it is one atomic operation
/// each way; tokio's semaphore takes a lock whenever a permit comes back.
pub struct Gate {
    limit: usize,
    running: AtomicUsize,
    queue: usize,
    waiting: AtomicUsize,
    left: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    Full,
    Late,
}

impl Gate {
    pub fn new(limit: usize, queue: usize) -> Arc<Self> {
        let (running, waiting) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { limit, running, queue, waiting, left: Notify::new() })
    }

    fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// Pass if there is a place and nobody waits for one.
    fn try_pass(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) == 0 && self.take()
    }

    /// Pass now or wait for it.
    async fn pass(&self, until: Instant) -> Result<(), Refused> {
        let _waiting = Waiting::enter(&self.waiting, self.queue).ok_or(Refused::Full)?;
        loop {
            let mut left = std::pin::pin!(self.left.notified());
            // Whoever leaves from here on sees that somebody waits, and wakes this.
            left.as_mut().enable();
            if self.take() {
                return Ok(());
            }
            timeout_at(until, left).await.map_err(|_| Refused::Late)?;
        }
    }

    fn take(&self) -> bool {
        self.running
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |running| {
                (running < self.limit).then_some(running + 1)
            })
            .is_ok()
    }

    fn leave(&self) {
        self.running.fetch_sub(1, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.left.notify_one();
        }
    }
}

/// The bounds of one service, within those of the host.
pub struct Admission {
    own: Arc<Gate>,
    host: Arc<Gate>,
    timeout: Duration,
}

/// The right to be served. Held until the end of the response's body.
pub struct Permit {
    admission: Arc<Admission>,
    of_host: bool,
}

impl Admission {
    pub fn new(concurrent: usize, queue: usize, timeout: Duration, host: Arc<Gate>) -> Arc<Self> {
        Arc::new(Self { own: Gate::new(concurrent, queue), host, timeout })
    }

    /// Requests that hold a permit.
    pub fn running(&self) -> usize {
        self.own.running()
    }

    /// Requests that wait for a permit of the service.
    pub fn waiting(&self) -> usize {
        self.own.waiting.load(Ordering::Relaxed)
    }

    /// How long a request may wait for anything before it is told to come back.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Wait for a place. A request from `inside` has one of the host's already, which its caller holds: waiting
    /// for another, all callers could wait for each other.
    pub async fn admit(self: &Arc<Self>, service: &str, inside: bool) -> Result<Permit, Failure> {
        let mut until = None;
        if !self.own.try_pass() {
            let until = *until.insert(Instant::now() + self.timeout);
            let passed = self.own.pass(until).await;
            passed.map_err(|refused| self.refused(refused, busy(service), &self.own))?;
        }
        // From here on it is given back, whatever happens.
        let mut permit = Permit { admission: self.clone(), of_host: false };
        if inside {
            return Ok(permit);
        }
        if !self.host.try_pass() {
            let until = until.unwrap_or_else(|| Instant::now() + self.timeout);
            let busy = || Failure::new(Kind::Busy, "The host is busy; try again in a moment.");
            let passed = self.host.pass(until).await;
            passed.map_err(|refused| self.refused(refused, busy(), &self.host))?;
        }
        permit.of_host = true;
        Ok(permit)
    }

    fn refused(&self, refused: Refused, failure: Failure, gate: &Gate) -> Failure {
        match refused {
            Refused::Full => failure.because(format_args!("the queue of {} is full", gate.queue)),
            Refused::Late => failure.because(format_args!("no place within {:?}", self.timeout)),
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.of_host {
            self.admission.host.leave();
        }
        self.admission.own.leave();
    }
}

/// The failure of a service that has no place left.
pub fn busy(service: &str) -> Failure {
    Failure::new(Kind::Busy, format!("The service {service} is busy; try again in a moment."))
}

/// One waiting request. Leaves when it is dropped, so that a client that leaves gives up its place.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicUsize, limit: usize) -> Option<Self> {
        waiting
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| {
                (count < limit).then_some(count + 1)
            })
            .ok()
            .map(|_| Self(waiting))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(concurrent: usize, queue: usize, host: &Arc<Gate>) -> Arc<Admission> {
        Admission::new(concurrent, queue, Duration::from_secs(10), host.clone())
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_and_a_long_wait_are_busy() {
        let admission = admission(1, 1, &Gate::new(9, 9));
        let held = admission.admit("s", false).await.unwrap();
        let waiting = tokio::spawn({
            let admission = admission.clone();
            async move { admission.admit("s", false).await.map(drop) }
        });
        tokio::task::yield_now().await;
        assert_eq!(admission.admit("s", false).await.map(drop).unwrap_err().kind, Kind::Busy);
        // Time is virtual: this wait takes none.
        assert_eq!(waiting.await.unwrap().unwrap_err().kind, Kind::Busy);
        drop(held);
        assert!(admission.admit("s", false).await.is_ok());
        assert_eq!((admission.running(), admission.host.running()), (0, 0));
    }

    #[tokio::test]
    async fn who_gives_up_waiting_frees_the_place_in_the_queue() {
        let admission = admission(1, 1, &Gate::new(9, 9));
        let _held = admission.admit("s", false).await.unwrap();
        let waiting = tokio::time::timeout(Duration::from_millis(5), admission.admit("s", false));
        assert!(waiting.await.is_err());
        assert_eq!(admission.own.waiting.load(Ordering::Acquire), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn all_services_together_have_a_bound_which_calls_inside_do_not_use() {
        let host = Gate::new(1, 0);
        let (one, other) = (admission(5, 5, &host), admission(5, 5, &host));
        let held = one.admit("one", false).await.unwrap();
        let refused = other.admit("other", false).await.map(drop).unwrap_err();
        assert_eq!(refused.public, "The host is busy; try again in a moment.");
        assert_eq!(other.running(), 0, "it keeps no place of its service");
        let inside = other.admit("other", true).await.unwrap();
        drop((held, inside));
        assert!(other.admit("other", false).await.is_ok());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn nobody_who_waits_is_forgotten() {
        let gate = Gate::new(2, 1000);
        let most = Arc::new(AtomicUsize::new(0));
        let until = Instant::now() + Duration::from_secs(60);
        let passing: Vec<_> = (0..200)
            .map(|_| {
                let (gate, most) = (gate.clone(), most.clone());
                tokio::spawn(async move {
                    for _ in 0..20 {
                        if !gate.try_pass() {
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
