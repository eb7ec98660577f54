//! Budgets: how many bytes the host gives for one instance, for one service, for all.
//!
//! A guest's own memory is the smaller part of what it can make the host hold: the arguments of its calls, its header
//! sets and what waits to be sent for it stand beside it. All of that is taken from the same budget, so that there is
//! one figure for what an instance may cost. A budget knows nothing of what takes from it.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::caught::{Panicked, caught};
use wasm_host_limits as limits;

/// Bytes that may be in use together.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    limit: usize,
    whose: Whose,
    /// The budget that this one is a share of.
    whole: Option<Arc<Budget>>,
}

/// What a budget is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Instance,
    Service,
    Host,
}

/// A budget has no room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("with this the host would hold more than {limit} bytes for {whose}")]
pub struct Exhausted {
    pub whose: Whose,
    limit: usize,
}

impl fmt::Display for Whose {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Instance => "one instance, its memory included ('memory' sets the bound)",
            Self::Service => {
                "all instances of the service, their memory included ('memory-total' sets the bound)"
            }
            Self::Host => {
                "all services, their memory included ('memory' of [limits] sets the bound)"
            }
        })
    }
}

impl Budget {
    /// For all services.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), limit, whose: Whose::Host, whole: None })
    }

    /// For a service, of what all have.
    pub fn share(self: &Arc<Self>, limit: usize) -> Arc<Self> {
        Arc::new(self.part(limit, Whose::Service))
    }

    fn part(self: &Arc<Self>, limit: usize, whose: Whose) -> Self {
        Self { used: AtomicUsize::new(0), limit, whose, whole: Some(self.clone()) }
    }

    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> Result<(), Exhausted> {
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|used| *used <= self.limit)
        });
        if taken.is_err() {
            return Err(Exhausted { whose: self.whose, limit: self.limit });
        }
        let granted = self.whole.as_ref().map_or(Ok(()), |whole| whole.take(bytes));
        if granted.is_err() {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
        }
        granted
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(whole) = &self.whole {
            whole.give_back(bytes);
        }
    }
}

/// What the host holds for one instance. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Holdings(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    budget: Budget,
    /// Places for calls.
    calls: Semaphore,
}

impl Holdings {
    /// For an instance of the service that `service` is for.
    pub fn new(limit: usize, service: &Arc<Budget>) -> Self {
        let budget = service.part(limit, Whose::Instance);
        Self(Arc::new(Inner { budget, calls: Semaphore::new(limits::held::GUEST_CALLS) }))
    }

    /// Bytes that are held.
    #[cfg(test)]
    pub fn used(&self) -> usize {
        self.0.budget.used()
    }

    /// Hold this many bytes until what is returned is dropped.
    pub fn hold(&self, bytes: usize) -> Result<Reservation, Exhausted> {
        self.take(bytes)?;
        Ok(Reservation { holdings: self.clone(), bytes })
    }

    /// What grows later, from nothing.
    pub fn hold_nothing(&self) -> Reservation {
        Reservation { holdings: self.clone(), bytes: 0 }
    }

    /// Hold the arguments of a call, which have this many bytes, until it ends.
    pub fn hold_call(&self, arguments: usize) -> Result<Reservation, Exhausted> {
        let copies = arguments.saturating_mul(limits::held::GUEST_ARGUMENT_COPIES);
        self.hold(copies.saturating_add(limits::held::GUEST_CALL_OWN_BYTES))
    }

    /// A place for one call, after those that came before. None when the call is cancelled before.
    pub async fn place(&self, cancel: &CancellationToken) -> Option<SemaphorePermit<'_>> {
        if let Ok(place) = self.0.calls.try_acquire() {
            return Some(place);
        }
        // It is never closed.
        cancel.run_until_cancelled(self.0.calls.acquire()).await?.ok()
    }

    pub fn take(&self, bytes: usize) -> Result<(), Exhausted> {
        self.0.budget.take(bytes)
    }

    pub fn give_back(&self, bytes: usize) {
        self.0.budget.give_back(bytes);
    }
}

tokio::task_local! {
    static CALL: RefCell<Reservation>;
}

/// Make a call for which `held` is held until it ends, and what is added meanwhile. One that panics gives an error.
pub async fn on_account_of<T, E: From<Panicked>>(
    held: Reservation,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let called = caught(CALL.scope(RefCell::new(held), call)).await;
    called.unwrap_or_else(|panicked| Err(panicked.into()))
}

/// Hold this many bytes more for the call that is being made, if it counts for an instance.
pub fn hold_for_call(bytes: usize) -> Result<(), Exhausted> {
    let more = |held: &RefCell<Reservation>| {
        let mut held = held.borrow_mut();
        let bytes = held.bytes.saturating_add(bytes);
        held.resize(bytes)
    };
    CALL.try_with(more).unwrap_or(Ok(()))
}

/// Have what is held already be given back with the call that is being made, if it counts for one.
pub fn add_to_call(held: Reservation) {
    // Outside of a call it is given back at once.
    let _ = CALL.try_with(|call| call.borrow_mut().merge(held));
}

/// The account that the call that is being made counts for, for what is held for it later.
pub fn account() -> Option<Holdings> {
    CALL.try_with(|held| held.borrow().holdings.clone()).ok()
}

/// Bytes that are held for an instance, which may have ended meanwhile.
#[derive(Debug)]
pub struct Reservation {
    holdings: Holdings,
    bytes: usize,
}

impl Reservation {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Hold another number of bytes instead. If there is no room for them, it stays as it was.
    pub fn resize(&mut self, bytes: usize) -> Result<(), Exhausted> {
        match bytes.checked_sub(self.bytes) {
            Some(more) => self.holdings.take(more)?,
            None => self.holdings.give_back(self.bytes - bytes),
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Hold what another one of the same account does, too.
    fn merge(&mut self, mut other: Self) {
        if Arc::ptr_eq(&self.holdings.0, &other.holdings.0) {
            self.bytes = self.bytes.saturating_add(std::mem::take(&mut other.bytes));
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.holdings.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_counts_for_instance_service_and_host_until_it_is_dropped() {
        let all = Budget::new(1000);
        let service = all.share(500);
        let holdings = Holdings::new(300, &service);
        let mut held = holdings.hold(200).unwrap();
        assert_eq!((all.used(), service.used(), holdings.used()), (200, 200, 200));
        assert!(holdings.hold(101).is_err());
        held.resize(300).unwrap();
        assert!(held.resize(301).is_err());
        held.resize(50).unwrap();
        drop(holdings);
        assert_eq!((all.used(), service.used(), held.bytes()), (50, 50, 50));
        drop(held);
        assert_eq!((all.used(), service.used()), (0, 0));
    }

    #[tokio::test]
    async fn what_is_added_to_a_call_is_given_back_with_it() {
        let all = Budget::new(1000);
        let (holdings, other) = (Holdings::new(300, &all), Holdings::new(300, &all));
        let call = async {
            add_to_call(holdings.hold(50).unwrap());
            assert_eq!(holdings.used(), 150);
            add_to_call(other.hold(50).unwrap());
            assert_eq!(other.used(), 0);
            Ok::<_, Panicked>(())
        };
        on_account_of(holdings.hold(100).unwrap(), call).await.unwrap();
        add_to_call(holdings.hold(50).unwrap());
        assert_eq!(all.used(), 0);
    }

    #[test]
    fn what_is_refused_names_the_key_that_sets_the_bound() {
        let all = Budget::new(100);
        let service = all.share(80);
        let text = |limit| Holdings::new(limit, &service).hold(101).unwrap_err().to_string();
        assert!(text(60).contains("60 bytes for one instance"), "{}", text(60));
        assert!(text(60).contains("('memory' sets the bound)"), "{}", text(60));
        assert!(text(200).contains("('memory-total' sets the bound)"), "{}", text(200));
        let large = all.share(200);
        let refused = Holdings::new(200, &large).hold(101).unwrap_err();
        assert!(refused.to_string().contains("('memory' of [limits] sets the bound)"), "{refused}");
        assert_eq!((all.used(), service.used(), large.used()), (0, 0, 0));
    }

    #[tokio::test]
    async fn calls_beyond_the_bound_wait_in_order() {
        let holdings = Holdings::new(0, &Budget::new(0).share(0));
        let (stays, leaves) = (CancellationToken::new(), CancellationToken::new());
        let mut places = Vec::new();
        for _ in 0..limits::held::GUEST_CALLS {
            places.push(holdings.place(&stays).await.unwrap());
        }
        let (first, second) = (holdings.place(&stays), holdings.place(&leaves));
        let (mut first, mut second) = (std::pin::pin!(first), std::pin::pin!(second));
        assert!(futures_util::poll!(&mut first).is_pending());
        assert!(futures_util::poll!(&mut second).is_pending());
        places.pop();
        assert!(futures_util::poll!(&mut second).is_pending());
        let taken = first.await;
        assert!(taken.is_some());
        leaves.cancel();
        assert!(second.await.is_none());
    }

    #[tokio::test]
    async fn a_call_that_panics_is_an_error_of_its_capability_and_holds_nothing() {
        use crate::{keyvalue, ollama, postgres};
        let all = Budget::new(1_000_000);
        let holdings = Holdings::new(1_000_000, &all.share(1_000_000));
        async fn call<E: From<Panicked>>(holdings: &Holdings) -> E {
            let call = async {
                hold_for_call(1000).unwrap();
                tokio::task::yield_now().await;
                panic!("on purpose");
            };
            let called: Result<(), E> = on_account_of(holdings.hold(1000).unwrap(), call).await;
            called.unwrap_err()
        }
        let told = "the call failed in the host itself";
        let postgres: postgres::backend::Error = call(&holdings).await;
        assert!(format!("{postgres:?}").contains(told), "{postgres:?}");
        let ollama: ollama::backend::Error = call(&holdings).await;
        assert!(format!("{ollama:?}").contains(told), "{ollama:?}");
        let keyvalue: keyvalue::backend::Error = call(&holdings).await;
        assert!(keyvalue.to_string().contains(told), "{keyvalue}");
        assert_eq!(all.used(), 0);
    }
}
