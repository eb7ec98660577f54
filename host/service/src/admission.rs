//! How many requests run at once, how many wait, and how long; of one service, and of all.
//!
//! Busy is never an error of the service: a request beyond the bounds is told to come back.

mod gate;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub use self::gate::Gate;
use self::gate::Refused;
use crate::failure::{Failure, Kind};

/// The bounds of one service, within those of the host.
pub struct Admission {
    own: Arc<Gate>,
    host: Arc<Gate>,
    /// Requests that found a place of the service and none of the host. They wait there without it: calls inside
    /// need it, and the host's places may be waiting for those calls. As many as the service may have running, so
    /// that one service does not fill the host's line.
    at_host: Arc<Gate>,
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
        let (own, at_host) = (Gate::new(concurrent, queue), Gate::new(concurrent, queue));
        Arc::new(Self { own, host, at_host, timeout })
    }

    /// Requests that hold a permit.
    pub fn running(&self) -> usize {
        self.own.running()
    }

    /// Requests that wait for one, because the service or the host has no place free.
    pub fn waiting(&self) -> usize {
        self.own.waiting() + self.at_host.running() + self.at_host.waiting()
    }

    /// Wait for a place. A request from `inside` has one of the host's already, which its caller holds: waiting
    /// for another, all callers could wait for each other.
    pub async fn admit(self: &Arc<Self>, service: &str, inside: bool) -> Result<Permit, Failure> {
        let mut wait = Wait { timeout: self.timeout, until: None };
        let of_service = |refused| self.refused(refused, busy(service), &self.own);
        let of_host = |refused| {
            let busy = Failure::new(Kind::Busy, "The host is busy; try again in a moment.");
            self.refused(refused, busy, &self.host)
        };
        loop {
            let own = match self.own.try_enter() {
                Some(own) => own,
                None => self.own.enter(wait.until()).await.map_err(of_service)?,
            };
            if inside || self.host.try_pass() {
                own.keep();
                let admission = self.clone();
                return Ok(Permit { admission, of_host: !inside, until: wait.until });
            }
            // No request holds one of the two places while it waits for the other.
            drop(own);
            let until = wait.until();
            let _bounded = self.at_host.enter(until).await.map_err(of_service)?;
            let host = self.host.enter(until).await.map_err(of_host)?;
            if let Some(own) = self.own.try_enter() {
                host.keep();
                own.keep();
                return Ok(Permit { admission: self.clone(), of_host: true, until: wait.until });
            }
        }
    }

    /// Requests that wait are told to come back. The host is about to end.
    pub fn close(&self) {
        for gate in [&self.own, &self.at_host, &self.host] {
            gate.close();
        }
    }

    fn refused(&self, refused: Refused, failure: Failure, gate: &Gate) -> Failure {
        match refused {
            Refused::Full => failure.because(format_args!(
                "the queue of {} is full; 'queue' sets the bound",
                gate.queue()
            )),
            Refused::Late => failure.because(format_args!(
                "no place within {:?}; 'queue-timeout' sets the bound",
                self.timeout
            )),
            Refused::Closed => failure.because("the host is stopping"),
        }
    }
}

/// The time that one request may wait in all.
struct Wait {
    timeout: Duration,
    /// None: it has not waited yet.
    until: Option<Instant>,
}

impl Wait {
    fn until(&mut self) -> Instant {
        *self.until.get_or_insert_with(|| Instant::now() + self.timeout)
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
    async fn who_waits_for_the_host_leaves_the_service_to_calls_inside() {
        let host = Gate::new(1, 9);
        let (caller, called) = (admission(1, 9, &host), admission(1, 9, &host));
        let calling = caller.admit("caller", false).await.unwrap();
        let mut waiting = Box::pin(called.admit("called", false));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        let inside = called.admit("called", true).await.unwrap();
        assert_eq!((called.running(), called.waiting()), (1, 1));
        // With the host's place, and without one of the service, it waits for that, and gives the other back.
        drop(calling);
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        assert_eq!(host.running(), 0);
        drop(inside);
        let permit = waiting.await.unwrap();
        assert_eq!((called.running(), called.waiting(), host.running()), (1, 0, 1));
        drop(permit);
        assert_eq!((called.running(), host.running()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn one_service_fills_no_more_of_the_hosts_line_than_it_may_run() {
        let host = Gate::new(1, 9);
        let (one, other) = (admission(5, 5, &host), admission(2, 1, &host));
        let held = one.admit("one", false).await.unwrap();
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(other.admit("other", false))).collect();
        for waiting in &mut waiting {
            assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        }
        assert_eq!((host.waiting(), other.waiting()), (2, 3));
        // Its own line is full as well.
        let refused = other.admit("other", false).await.map(drop).unwrap_err();
        assert_eq!(refused.public, busy("other").public);
        drop(held);
        for waiting in waiting {
            drop(waiting.await.unwrap());
        }
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
