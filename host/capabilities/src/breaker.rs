//! Circuit breakers: a backend that cannot be reached is not waited for by every call.
//!
//! After some connections that failed in a row, calls fail at once; after a wait, one of them tries
//! again, and how that goes decides for all. Only failures to connect count: a backend that answers
//! is there, whatever the answer. It must not know what it protects.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use wasm_host_limits::backends::BreakerConfig;
use wasm_host_limits::backends::JITTER_PARTS;
use wasm_host_system::counted::counted;

/// The breaker of one backend.
#[derive(Debug)]
pub struct Breaker {
    /// As logs name the backend.
    what: String,
    config: BreakerConfig,
    state: Mutex<BreakerState>,
    openings: AtomicU64,
}

/// How a breaker is, for figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    pub is_open: bool,
    /// How often it opened since it was made. Trials that fail are not counted again.
    pub openings: u64,
}

#[derive(Debug)]
enum BreakerState {
    /// Calls pass; this many failed in a row.
    Closed { failures: usize },
    /// Calls fail until then.
    Open { until: Instant, wait: Duration },
    /// One call tries; the others fail.
    Trying { wait: Duration },
}

/// The right to try. If it is dropped without an outcome, nothing has been learned.
#[must_use]
#[derive(Debug)]
pub struct Pass {
    breaker: Arc<Breaker>,
    is_trial: bool,
    told: bool,
}

/// The call is not worth trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open;

impl Breaker {
    pub fn new(what: String, config: BreakerConfig) -> Arc<Self> {
        let (state, openings) =
            (Mutex::new(BreakerState::Closed { failures: 0 }), AtomicU64::new(0));
        Arc::new(Self { what, config, state, openings })
    }

    /// Ask before a connection is opened.
    pub fn admit(self: &Arc<Self>) -> Result<Pass, Open> {
        let mut state = self.lock();
        let is_trial = match *state {
            BreakerState::Closed { .. } => false,
            BreakerState::Open { until, wait } if Instant::now() >= until => {
                *state = BreakerState::Trying { wait };
                true
            }
            BreakerState::Open { .. } | BreakerState::Trying { .. } => return Err(Open),
        };
        drop(state);
        Ok(Pass { breaker: self.clone(), is_trial, told: false })
    }

    /// Whether calls fail without being tried.
    pub fn is_open(&self) -> bool {
        !matches!(*self.lock(), BreakerState::Closed { .. })
    }

    /// How it is.
    pub fn read(&self) -> Reading {
        Reading { is_open: self.is_open(), openings: self.openings.load(Ordering::Relaxed) }
    }

    /// It was reached, by any call.
    pub fn reached(&self) {
        let was = std::mem::replace(&mut *self.lock(), BreakerState::Closed { failures: 0 });
        if !matches!(was, BreakerState::Closed { .. }) {
            tracing::info!("{} can be reached again", self.what);
        }
    }

    fn failed(&self, is_trial: bool) {
        let mut state = self.lock();
        let (wait, is_news) = match *state {
            BreakerState::Closed { failures }
                if failures.saturating_add(1) < self.config.failures =>
            {
                *state = BreakerState::Closed { failures: failures.saturating_add(1) };
                return;
            }
            BreakerState::Closed { .. } => (self.config.wait, true),
            BreakerState::Trying { wait } if is_trial => {
                ((wait * 2).min(self.config.wait_max), false)
            }
            // Begun before it opened: known already.
            BreakerState::Trying { .. } | BreakerState::Open { .. } => return,
        };
        *state = BreakerState::Open { until: Instant::now() + longer(wait), wait };
        drop(state);
        if is_news {
            self.openings.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                "{} could not be reached {} in a row: calls fail at once until it can, tried \
                 again every {wait:?} to {:?}",
                self.what,
                counted(self.config.failures, "time"),
                self.config.wait_max.max(wait)
            );
        }
    }

    fn given_up(&self) {
        let mut state = self.lock();
        if let BreakerState::Trying { wait } = *state {
            *state = BreakerState::Open { until: Instant::now(), wait };
        }
    }

    fn lock(&self) -> MutexGuard<'_, BreakerState> {
        self.state.lock()
    }
}

impl Pass {
    pub fn reached(mut self) {
        self.told = true;
        self.breaker.reached();
    }

    pub fn failed(mut self) {
        self.told = true;
        self.breaker.failed(self.is_trial);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        // A caller that left in the middle must not leave all others waiting for its verdict.
        if self.is_trial && !self.told {
            self.breaker.given_up();
        }
    }
}

/// `wait` and a little more, by chance.
fn longer(wait: Duration) -> Duration {
    // The keys of a hasher are random, and that is all the randomness that is needed.
    let chance = RandomState::new().hash_one(0_u8) >> 32;
    let chance = u32::try_from(chance).unwrap_or_default();
    wait + wait.mul_f64(f64::from(chance) / f64::from(u32::MAX)) / JITTER_PARTS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker(failures: usize) -> Arc<Breaker> {
        let (wait, wait_max) = (Duration::from_secs(1), Duration::from_secs(4));
        Breaker::new("it".to_string(), BreakerConfig { failures, wait, wait_max })
    }

    fn fail(breaker: &Arc<Breaker>) {
        breaker.admit().unwrap().failed();
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_and_not_before() {
        let breaker = breaker(3);
        for _ in 0..2 {
            fail(&breaker);
            fail(&breaker);
            breaker.admit().unwrap().reached();
        }
        fail(&breaker);
        fail(&breaker);
        assert!(!breaker.is_open());
        fail(&breaker);
        assert!(breaker.is_open());
        assert_eq!(breaker.admit().err(), Some(Open));
    }

    #[tokio::test(start_paused = true)]
    async fn one_call_tries_again_and_decides_for_all() {
        let breaker = breaker(1);
        fail(&breaker);
        tokio::time::advance(Duration::from_secs(2)).await;
        let trial = breaker.admit().unwrap();
        assert_eq!(breaker.admit().err(), Some(Open));
        assert_eq!(breaker.read(), Reading { is_open: true, openings: 1 });
        trial.reached();
        assert_eq!(breaker.read(), Reading { is_open: false, openings: 1 });
        let (first, second) = (breaker.admit().unwrap(), breaker.admit().unwrap());
        first.reached();
        second.reached();
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_to_their_bound() {
        let breaker = breaker(1);
        fail(&breaker);
        for seconds in [1, 2, 4, 4] {
            tokio::time::advance(Duration::from_millis(seconds * 1000 - 10)).await;
            assert!(breaker.admit().is_err(), "{seconds}");
            // The rest, and the most that chance adds.
            tokio::time::advance(Duration::from_millis(10 + seconds * 251)).await;
            fail(&breaker);
        }
        assert_eq!(breaker.read().openings, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_is_given_up_lets_the_next_one_try() {
        let breaker = breaker(1);
        fail(&breaker);
        tokio::time::advance(Duration::from_secs(2)).await;
        drop(breaker.admit().unwrap());
        breaker.admit().unwrap().reached();
        assert!(!breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn failures_that_began_before_it_opened_do_not_prolong_it() {
        let breaker = breaker(1);
        let (early, late) = (breaker.admit().unwrap(), breaker.admit().unwrap());
        early.failed();
        tokio::time::advance(Duration::from_secs(2)).await;
        let trial = breaker.admit().unwrap();
        late.failed();
        trial.reached();
        assert!(!breaker.is_open());
    }
}
