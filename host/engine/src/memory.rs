//! The memory of guests: of one store, of one service, of all.
//!
//! wasmtime's own limiter bounds each memory by itself, so that a component of several modules could take
//! several times its limit, and knows nothing of other stores. Here growth beyond any of three bounds is
//! refused to the guest that asks for it, which is its own trap and never a neighbour's. The bound of a
//! service keeps one that leaks from taking what the others need. The same bounds hold for what the host has for a
//! guest beside its memory.

use std::sync::Arc;

use wasmtime::ResourceLimiter;

pub use wasm_host_capabilities::budget::Budget;
use wasm_host_capabilities::budget::{Holdings, Whose};
use wasm_host_limits as limits;

/// There is no memory for another instance now.
#[derive(Debug, thiserror::Error)]
#[error("the memory that instances may have together is in use")]
pub struct OverBudget;

/// The bounds on what one store holds. What it took goes back when it is dropped.
pub struct StoreLimit {
    used: usize,
    /// What the host holds beside it for the same instance has the same bounds.
    holdings: Holdings,
    /// What was granted last, in case the machine does not have it.
    last: usize,
    over_budget: bool,
    refused: Option<Whose>,
    table_elements: usize,
}

impl StoreLimit {
    pub fn new(limit: usize, service: &Arc<Budget>) -> Self {
        let holdings = Holdings::new(limit, service);
        Self { used: 0, holdings, last: 0, over_budget: false, refused: None, table_elements: 0 }
    }

    /// All that is held for the instance.
    pub fn holdings(&self) -> &Holdings {
        &self.holdings
    }

    /// Bytes of memory that the guest has.
    pub fn used(&self) -> usize {
        self.used
    }

    /// The bound that it met last, if it met one.
    pub fn refused(&self) -> Option<Whose> {
        self.refused
    }

    /// Whether memory was refused that the store alone could have had.
    pub fn is_over_budget(&self) -> bool {
        self.over_budget
    }
}

impl Drop for StoreLimit {
    fn drop(&mut self) {
        self.holdings.give_back(self.used);
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
        if let Err(exhausted) = self.holdings.take(more) {
            self.refused = Some(exhausted.whose);
            self.over_budget |= exhausted.whose != Whose::Instance;
            return Ok(false);
        }
        self.used += more;
        self.last = more;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        let last = std::mem::take(&mut self.last);
        self.used -= last;
        self.holdings.give_back(last);
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
        let mut limit = StoreLimit::new(100, &Budget::new(1000));
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
        let mut stores: Vec<_> = (0..4).map(|_| StoreLimit::new(100, &leaking)).collect();
        let granted: Vec<bool> =
            stores.iter_mut().map(|store| store.memory_growing(0, 100, None).unwrap()).collect();
        assert_eq!(granted, [true, true, false, false]);
        assert!(stores[2].is_over_budget());
        let mut good = StoreLimit::new(100, &other);
        assert!(good.memory_growing(0, 100, None).unwrap());
        // Of all of them together there is no more now, and what was tried in vain counts nowhere.
        let mut late = StoreLimit::new(100, &other);
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
        let mut limit = StoreLimit::new(100, &budget);
        assert!(limit.memory_growing(0, 40, None).unwrap());
        assert!(limit.memory_growing(40, 100, None).unwrap());
        limit.memory_grow_failed(wasmtime::format_err!("none left")).unwrap();
        assert_eq!(budget.used(), 40);
    }

    #[test]
    fn tables_are_bounded_over_all_tables_of_a_store() {
        let mut limit = StoreLimit::new(0, &Budget::new(0));
        assert!(limit.table_growing(0, limits::TABLE_ELEMENTS - 1, None).unwrap());
        assert!(!limit.table_growing(0, 2, None).unwrap());
        assert!(limit.table_growing(0, 1, None).unwrap());
    }
}
