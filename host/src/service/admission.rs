//! How many requests a service takes: so many at once, so many waiting, so long a wait.
//!
//! Busy is never an error of the service: a request beyond the bounds is told to come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::failure::{Failure, Kind};

/// The bounds of one service and what is in use of them.
pub struct Admission {
    concurrent: usize,
    permits: Arc<Semaphore>,
    queue: usize,
    waiting: AtomicUsize,
    timeout: Duration,
}

/// The right to be served. Held until the end of the response's body.
#[derive(Debug)]
pub struct Permit(#[expect(dead_code, reason = "its drop is its purpose")] OwnedSemaphorePermit);

impl Admission {
    pub fn new(concurrent: usize, queue: usize, timeout: Duration) -> Self {
        Self {
            concurrent,
            permits: Arc::new(Semaphore::new(concurrent)),
            queue,
            waiting: AtomicUsize::new(0),
            timeout,
        }
    }

    /// Requests that hold a permit.
    pub fn running(&self) -> usize {
        self.concurrent.saturating_sub(self.permits.available_permits())
    }

    /// How long a request may wait for anything before it is told to come back.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Wait for a place.
    pub async fn admit(&self, service: &str) -> Result<Permit, Failure> {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Ok(Permit(permit));
        }
        let _waiting = Waiting::enter(&self.waiting, self.queue).ok_or_else(|| {
            busy(service).because(format_args!("its queue of {} is full", self.queue))
        })?;
        match tokio::time::timeout(self.timeout, self.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Permit(permit)),
            Ok(Err(_)) | Err(_) => {
                Err(busy(service).because(format_args!("no place within {:?}", self.timeout)))
            }
        }
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
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
                (count < limit).then_some(count + 1)
            })
            .ok()
            .map(|_| Self(waiting))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_and_a_long_wait_are_busy() {
        let admission = Arc::new(Admission::new(1, 1, Duration::from_secs(10)));
        let held = admission.admit("s").await.unwrap();
        let waiting = tokio::spawn({
            let admission = admission.clone();
            async move { admission.admit("s").await.map(drop) }
        });
        tokio::task::yield_now().await;
        assert_eq!(admission.admit("s").await.unwrap_err().kind, Kind::Busy);
        // Time is virtual: this wait takes none.
        assert_eq!(waiting.await.unwrap().unwrap_err().kind, Kind::Busy);
        drop(held);
        assert!(admission.admit("s").await.is_ok());
    }

    #[tokio::test]
    async fn who_gives_up_waiting_frees_the_place_in_the_queue() {
        let admission = Admission::new(1, 1, Duration::from_secs(10));
        let _held = admission.admit("s").await.unwrap();
        let waiting = tokio::time::timeout(Duration::from_millis(5), admission.admit("s")).await;
        assert!(waiting.is_err());
        assert_eq!(admission.waiting.load(Ordering::Acquire), 0);
    }
}
