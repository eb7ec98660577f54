//! How many requests run: so many at once, so many waiting, so long a wait; of one service, and of all.
//!
//! Busy is never an error of the service: a request beyond the bounds is told to come back.

mod gate;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

pub use self::gate::Gate;
use self::gate::Refused;
use crate::failure::{Failure, Kind};

/// The bounds of one service, within those of the host.
pub struct Admission {
    own: Arc<Gate>,
    host: Arc<Gate>,
    /// Requests that have a place of the service and wait for one of the host.
    at_host: AtomicUsize,
    timeout: Duration,
}

/// The right to be served. Held until the end of the response's body.
pub struct Permit {
    admission: Arc<Admission>,
    of_host: bool,
    /// When its time to wait is over. None: it has not waited yet.
    until: Option<Instant>,
}

impl Permit {
    /// When a request that still waits, for an instance, is told to come back. What it waited for this counts.
    pub fn until(&self) -> Instant {
        self.until.unwrap_or_else(|| Instant::now() + self.admission.timeout)
    }
}

impl Admission {
    pub fn new(concurrent: usize, queue: usize, timeout: Duration, host: Arc<Gate>) -> Arc<Self> {
        let (own, at_host) = (Gate::new(concurrent, queue), AtomicUsize::new(0));
        Arc::new(Self { own, host, at_host, timeout })
    }

    /// Requests that hold a permit.
    pub fn running(&self) -> usize {
        self.own.running().saturating_sub(self.at_host.load(Ordering::Relaxed))
    }

    /// Requests that wait for one, for want of a place of the service or of the host.
    pub fn waiting(&self) -> usize {
        self.own.waiting() + self.at_host.load(Ordering::Relaxed)
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
        let mut permit = Permit { admission: self.clone(), of_host: false, until };
        if inside {
            return Ok(permit);
        }
        if !self.host.try_pass() {
            let until = permit.until();
            permit.until = Some(until);
            let busy = || Failure::new(Kind::Busy, "The host is busy; try again in a moment.");
            let passed = {
                let _waiting = AtHost::enter(&self.at_host);
                self.host.pass(until).await
            };
            passed.map_err(|refused| self.refused(refused, busy(), &self.host))?;
        }
        permit.of_host = true;
        Ok(permit)
    }

    fn refused(&self, refused: Refused, failure: Failure, gate: &Gate) -> Failure {
        match refused {
            Refused::Full => failure.because(format_args!("the queue of {} is full", gate.queue())),
            Refused::Late => failure.because(format_args!("no place within {:?}", self.timeout)),
        }
    }
}

/// Somebody who waits for a place of the host.
struct AtHost<'a>(&'a AtomicUsize);

impl<'a> AtHost<'a> {
    fn enter(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for AtHost<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
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

    #[tokio::test(start_paused = true)]
    async fn all_waits_together_take_no_longer_than_one() {
        let host = Gate::new(1, 9);
        let (one, other) = (admission(1, 9, &host), admission(1, 9, &host));
        let held = (one.admit("one", false).await.unwrap(), other.admit("other", true).await);
        let begun = Instant::now();
        let waiting = tokio::spawn({
            let other = other.clone();
            async move { other.admit("other", false).await.map(|permit| permit.until()) }
        });
        tokio::time::sleep(Duration::from_secs(6)).await;
        drop(held.1);
        tokio::time::sleep(Duration::from_secs(3)).await;
        drop(held.0);
        // For its service, then for the host; what is left is for an instance.
        assert_eq!(waiting.await.unwrap().unwrap() - begun, Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_the_host_waits_and_does_not_run() {
        let host = Gate::new(1, 9);
        let (one, other) = (admission(5, 5, &host), admission(5, 5, &host));
        let held = one.admit("one", false).await.unwrap();
        let waiting = tokio::time::timeout(Duration::from_secs(1), other.admit("other", false));
        let mut waiting = Box::pin(waiting);
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        assert_eq!((other.running(), other.waiting()), (0, 1));
        assert!(waiting.await.is_err());
        assert_eq!((other.running(), other.waiting()), (0, 0));
        drop(held);
        let passed = other.admit("other", false).await.unwrap();
        assert_eq!((other.running(), other.waiting()), (1, 0));
        drop(passed);
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
}
