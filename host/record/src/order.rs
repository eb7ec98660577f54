//! What is to be recorded of one service: nothing, all that comes, or so many requests.
//!
//! It counts, and knows nothing of what is recorded.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use wasm_host_limits::record::ORDER;
use wasm_host_telemetry::clock;

/// Which requests are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// Whatever comes of them.
    All,
    /// Those that the service did not answer, or with a status of 500 or above, or not to the end. All are recorded
    /// meanwhile, as none is known to fail before it does.
    Failures,
}

/// How many requests of a service are still to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered {
    pub service: String,
    pub left: usize,
    pub only: Only,
    /// Microseconds since 1970.
    pub since: u64,
    /// When it ends, although not all were there.
    pub until: u64,
}

/// Of one service.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Whether there is any, to be looked at without the lock.
    is_watching: AtomicBool,
    /// Of `serve --record`: all that comes, until the host ends.
    takes_all: bool,
    order: Mutex<Option<Order>>,
}

#[derive(Debug)]
struct Order {
    number: u64,
    only: Only,
    /// Still to be kept.
    left: usize,
    /// Begun and not ended.
    open: usize,
    /// Ended, and being written.
    writing: usize,
    began: Instant,
    since: u64,
}

/// Why one request is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// As all are.
    All,
    /// Of the order with this number.
    Order(u64, Only),
}

impl Orders {
    /// All that comes is recorded.
    pub(crate) fn all() -> Self {
        Self { is_watching: AtomicBool::new(true), takes_all: true, ..Self::default() }
    }

    pub(crate) fn is_watching(&self) -> bool {
        self.is_watching.load(Ordering::Relaxed)
    }

    /// Keep so many from now on, instead of what was ordered before.
    pub(crate) fn start(&self, service: &str, requests: usize, only: Only) -> Ordered {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let (began, since) = (Instant::now(), clock::now());
        let order = Order { number, only, left: requests, open: 0, writing: 0, began, since };
        let ordered = order.ordered(service);
        let mut current = self.order.lock();
        *current = Some(order);
        self.is_watching.store(true, Ordering::Relaxed);
        ordered
    }

    /// Keep no more. What is being recorded is given up.
    pub(crate) fn stop(&self) {
        self.end(&mut self.order.lock());
    }

    fn end(&self, order: &mut Option<Order>) {
        *order = None;
        self.is_watching.store(self.takes_all, Ordering::Relaxed);
    }

    /// What is still to be kept.
    pub(crate) fn ordered(&self, service: &str) -> Option<Ordered> {
        let mut order = self.order.lock();
        self.expire(&mut order);
        // The last ones are still being written.
        let order = order.as_ref().filter(|order| order.left > 0);
        order.map(|order| order.ordered(service))
    }

    fn expire(&self, order: &mut Option<Order>) {
        if order.as_ref().is_some_and(|order| order.began.elapsed() >= ORDER) {
            self.end(order);
        }
    }

    /// A request has come. None: it is not to be recorded.
    pub(crate) fn begin(&self) -> Option<Cause> {
        let mut order = self.order.lock();
        self.expire(&mut order);
        let Some(order) = order.as_mut() else { return self.takes_all.then_some(Cause::All) };
        // Those that are under way may be all that is wanted.
        if order.left == 0 || (order.only == Only::All && order.open >= order.left) {
            return self.takes_all.then_some(Cause::All);
        }
        order.open += 1;
        Some(Cause::Order(order.number, order.only))
    }

    /// It has ended. Whether it is to be kept for an order: then it counts, and is [kept](Self::keep) or
    /// [given back](Self::give_back).
    pub(crate) fn claim(&self, cause: Cause, failed: bool) -> bool {
        let Cause::Order(number, only) = cause else { return false };
        let mut current = self.order.lock();
        let Some(order) = current.as_mut().filter(|order| order.number == number) else {
            return false;
        };
        order.open = order.open.saturating_sub(1);
        if order.left == 0 || (only == Only::Failures && !failed) {
            return false;
        }
        order.left -= 1;
        order.writing += 1;
        // Nothing more may begin, and it is still there for what cannot be kept.
        self.is_watching.store(order.left > 0 || self.takes_all, Ordering::Relaxed);
        true
    }

    /// What was claimed was kept.
    pub(crate) fn keep(&self, cause: Cause) {
        self.written(cause, 0);
    }

    /// What was claimed could not be kept: another one may be.
    pub(crate) fn give_back(&self, cause: Cause) {
        self.written(cause, 1);
    }

    /// An order of which nothing is left ends.
    fn written(&self, cause: Cause, given_back: usize) {
        let Cause::Order(number, _) = cause else { return };
        let mut current = self.order.lock();
        let Some(order) = current.as_mut().filter(|order| order.number == number) else { return };
        order.writing = order.writing.saturating_sub(1);
        order.left += given_back;
        if order.left == 0 && order.writing == 0 {
            self.end(&mut current);
        } else if order.left > 0 {
            self.is_watching.store(true, Ordering::Relaxed);
        }
    }
}

impl Order {
    fn ordered(&self, service: &str) -> Ordered {
        let lasts = u64::try_from(ORDER.as_micros()).unwrap_or(u64::MAX);
        Ordered {
            service: service.to_owned(),
            left: self.left,
            only: self.only,
            since: self.since,
            until: self.since.saturating_add(lasts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(orders: &Orders) -> Option<usize> {
        orders.ordered("a").map(|ordered| ordered.left)
    }

    #[test]
    fn no_more_begin_than_are_wanted() {
        let orders = Orders::default();
        assert!(!orders.is_watching() && orders.begin().is_none());
        orders.start("a", 2, Only::All);
        let (one, other) = (orders.begin().unwrap(), orders.begin().unwrap());
        assert_eq!(orders.begin(), None);
        assert!(orders.claim(one, false));
        orders.keep(one);
        assert_eq!(left(&orders), Some(1));
        assert!(orders.claim(other, true));
        orders.keep(other);
        assert_eq!(left(&orders), None);
        assert!(!orders.is_watching());
    }

    #[test]
    fn what_does_not_fail_is_recorded_and_not_kept_where_failures_are_wanted() {
        let orders = Orders::default();
        orders.start("a", 1, Only::Failures);
        let begun: Vec<Cause> = (0..5).map(|_| orders.begin().unwrap()).collect();
        assert!(!orders.claim(begun[0], false));
        assert!(orders.claim(begun[1], true));
        // As many as were wanted.
        assert!(!orders.claim(begun[2], true));
        orders.keep(begun[1]);
        assert_eq!(left(&orders), None);
        assert!(!orders.claim(begun[3], true));
    }

    #[test]
    fn what_cannot_be_kept_does_not_count() {
        let orders = Orders::default();
        orders.start("a", 1, Only::All);
        let one = orders.begin().unwrap();
        assert!(orders.claim(one, false));
        assert!(!orders.is_watching());
        orders.give_back(one);
        assert!(orders.is_watching());
        assert_eq!(left(&orders), Some(1));
    }

    #[test]
    fn what_cannot_be_kept_does_not_count_either_when_another_one_was_kept_first() {
        let orders = Orders::default();
        orders.start("a", 2, Only::All);
        let (one, other) = (orders.begin().unwrap(), orders.begin().unwrap());
        assert!(orders.claim(one, false) && orders.claim(other, false));
        // Nothing is to be told of what is being written.
        assert_eq!(left(&orders), None);
        orders.keep(one);
        orders.give_back(other);
        assert_eq!(left(&orders), Some(1));
        let next = orders.begin().unwrap();
        assert!(orders.claim(next, false));
        orders.keep(next);
        assert!(!orders.is_watching() && orders.begin().is_none());
    }

    #[test]
    fn what_was_begun_for_an_order_counts_for_no_other() {
        let orders = Orders::default();
        orders.start("a", 1, Only::All);
        let one = orders.begin().unwrap();
        orders.start("a", 1, Only::All);
        assert!(!orders.claim(one, false));
        assert_eq!(left(&orders), Some(1));
        orders.stop();
        assert!(orders.begin().is_none() && !orders.is_watching());
    }

    #[test]
    fn with_serve_record_all_is_recorded_beside_what_is_ordered() {
        let orders = Orders::all();
        assert_eq!(orders.begin(), Some(Cause::All));
        orders.start("a", 1, Only::All);
        let one = orders.begin().unwrap();
        assert_ne!(one, Cause::All);
        assert_eq!(orders.begin(), Some(Cause::All));
        assert!(orders.claim(one, false));
        orders.keep(one);
        assert!(orders.is_watching());
        assert_eq!(orders.begin(), Some(Cause::All));
    }
}
