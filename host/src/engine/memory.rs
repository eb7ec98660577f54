//! The memory of guests: of one store, of one service, of all.
//!
//! wasmtime's own limiter bounds each memory by itself, so that a component of several modules could take
//! several times its limit, and knows nothing of other stores. Here growth beyond any of three bounds is
//! refused to the guest that asks for it, which is its own trap and never a neighbour's. The bound of a
//! service keeps one that leaks from taking what the others need.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wasmtime::ResourceLimiter;

use crate::limits;

/// Bytes that may be in use together.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    limit: usize,
    /// The budget that this one is a share of.
    whole: Option<Arc<Budget>>,
}

/// There is no memory for another instance now.
#[derive(Debug, thiserror::Error)]
#[error("the memory that instances may have together is in use")]
pub struct OverBudget;

impl Budget {
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), limit, whole: None })
    }

    /// A part that may take at most `limit`.
    pub fn share(self: &Arc<Self>, limit: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), limit, whole: Some(self.clone()) })
    }

    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|used| *used <= self.limit)
        });
        if taken.is_err() {
            return false;
        }
        let granted = self.whole.as_ref().is_none_or(|whole| whole.take(bytes));
        if !granted {
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

/// The bounds on what one store holds. What it took goes back when it is dropped.
pub struct StoreLimit {
    used: usize,
    limit: usize,
    budget: Arc<Budget>,
    /// What was granted last, in case the machine does not have it.
    last: usize,
    over_budget: bool,
    table_elements: usize,
}

impl StoreLimit {
    pub fn new(limit: usize, budget: Arc<Budget>) -> Self {
        Self { used: 0, limit, budget, last: 0, over_budget: false, table_elements: 0 }
    }

    /// Bytes that the store has.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Whether memory was refused that the store alone could have had.
    pub fn is_over_budget(&self) -> bool {
        self.over_budget
    }
}

impl Drop for StoreLimit {
    fn drop(&mut self) {
        self.budget.give_back(self.used);
    }
}

impl ResourceLimiter for StoreLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        if self.used.saturating_add(more) > self.limit {
            return Ok(false);
        }
        if !self.budget.take(more) {
            self.over_budget = true;
            return Ok(false);
        }
        self.used += more;
        self.last = more;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        let last = std::mem::take(&mut self.last);
        self.used -= last;
        self.budget.give_back(last);
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let elements = self.table_elements.saturating_add(desired.saturating_sub(current));
        if elements > limits::TABLE_ELEMENTS {
            return Ok(false);
        }
        // What is granted and then not had stays counted: a failure is told, too, of what was never asked for here.
        self.table_elements = elements;
        Ok(true)
    }

    fn instances(&self) -> usize {
        limits::GUEST_MODULES
    }

    fn tables(&self) -> usize {
        limits::GUEST_TABLES
    }

    fn memories(&self) -> usize {
        limits::GUEST_MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_over_all_memories_of_a_store() {
        let mut limit = StoreLimit::new(100, Budget::new(1000));
        assert!(limit.memory_growing(0, 60, None).unwrap());
        assert!(!limit.memory_growing(0, 60, None).unwrap());
        assert!(limit.memory_growing(0, 40, None).unwrap());
        assert!(!limit.memory_growing(60, 61, None).unwrap());
        assert!(!limit.is_over_budget(), "that was the store's own bound");
    }

    #[test]
    fn a_service_that_leaks_leaves_the_others_their_memory() {
        let all = Budget::new(300);
        let (leaking, other) = (all.share(200), all.share(200));
        let mut stores: Vec<_> = (0..4).map(|_| StoreLimit::new(100, leaking.clone())).collect();
        let granted: Vec<bool> =
            stores.iter_mut().map(|store| store.memory_growing(0, 100, None).unwrap()).collect();
        assert_eq!(granted, [true, true, false, false]);
        assert!(stores[2].is_over_budget());
        let mut good = StoreLimit::new(100, other.clone());
        assert!(good.memory_growing(0, 100, None).unwrap());
        // Of all of them together there is no more now, and what was tried in vain counts nowhere.
        let mut late = StoreLimit::new(100, other.clone());
        assert!(!late.memory_growing(0, 1, None).unwrap());
        assert_eq!((all.used(), leaking.used(), other.used()), (300, 200, 100));
        drop(stores);
        assert!(late.memory_growing(0, 100, None).unwrap());
        drop((good, late));
        assert_eq!((all.used(), leaking.used(), other.used()), (0, 0, 0));
    }

    #[test]
    fn memory_that_the_machine_does_not_have_is_not_counted() {
        let budget = Budget::new(100);
        let mut limit = StoreLimit::new(100, budget.clone());
        assert!(limit.memory_growing(0, 40, None).unwrap());
        assert!(limit.memory_growing(40, 100, None).unwrap());
        limit.memory_grow_failed(wasmtime::format_err!("none left")).unwrap();
        assert_eq!(budget.used(), 40);
    }

    #[test]
    fn tables_are_bounded_over_all_tables_of_a_store() {
        let mut limit = StoreLimit::new(0, Budget::new(0));
        assert!(limit.table_growing(0, limits::TABLE_ELEMENTS - 1, None).unwrap());
        assert!(!limit.table_growing(0, 2, None).unwrap());
        assert!(limit.table_growing(0, 1, None).unwrap());
    }
}
