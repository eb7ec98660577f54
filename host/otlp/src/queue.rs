//! What waits to be sent: bounded in bytes, and whoever puts something in never waits.
//!
//! What is being sent takes room, too, until it is sent or given up.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

use wasm_host_limits::telemetry as limits;

#[derive(Debug)]
pub(super) struct Queue<T> {
    held: Mutex<QueueState<T>>,
    /// There is something, which can wait for more.
    pub has_some: Notify,
    /// There is enough for a request.
    pub is_much: Notify,
}

#[derive(Debug)]
struct QueueState<T> {
    items: VecDeque<(T, usize)>,
    bytes: usize,
    /// Bytes that were taken and are not sent yet.
    taken: usize,
}

/// What goes into one request.
#[derive(Debug)]
pub(super) struct Taken<T> {
    pub items: Vec<T>,
    pub bytes: usize,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        let held = QueueState { items: VecDeque::new(), bytes: 0, taken: 0 };
        Self { held: Mutex::new(held), has_some: Notify::new(), is_much: Notify::new() }
    }
}

impl<T> Queue<T> {
    /// False: there is no room for it, and it is not made.
    pub(super) fn add(&self, bytes: usize, item: impl FnOnce() -> T) -> bool {
        let mut held = self.held.lock();
        if held.bytes.saturating_add(held.taken).saturating_add(bytes) > limits::EXPORT_BYTES {
            return false;
        }
        held.items.push_back((item(), bytes));
        held.bytes += bytes;
        self.tell(&held);
        true
    }

    /// In place of all that waits, which is returned.
    pub(super) fn replace(&self, items: impl IntoIterator<Item = (T, usize)>) -> Vec<T> {
        let mut held = self.held.lock();
        let items: VecDeque<_> = items.into_iter().collect();
        held.bytes = items.iter().map(|(_, bytes)| bytes).sum();
        let before = std::mem::replace(&mut held.items, items);
        self.tell(&held);
        before.into_iter().map(|(item, _)| item).collect()
    }

    /// Enough for one request, or all that there is.
    pub(super) fn take(&self) -> Option<Taken<T>> {
        let mut held = self.held.lock();
        let mut taken = Taken { items: Vec::new(), bytes: 0 };
        while let Some((_, bytes)) = held.items.front() {
            let has_room = taken.bytes.saturating_add(*bytes) <= limits::EXPORT_REQUEST_BYTES;
            if !taken.items.is_empty() && !has_room {
                break;
            }
            let Some((item, bytes)) = held.items.pop_front() else { break };
            taken.bytes += bytes;
            taken.items.push(item);
        }
        held.bytes = held.bytes.saturating_sub(taken.bytes);
        held.taken += taken.bytes;
        self.tell(&held);
        (!taken.items.is_empty()).then_some(taken)
    }

    /// So many bytes were sent, or given up.
    pub(super) fn done(&self, bytes: usize) {
        let mut held = self.held.lock();
        held.taken = held.taken.saturating_sub(bytes);
    }

    fn tell(&self, held: &QueueState<T>) {
        if !held.items.is_empty() {
            self.has_some.notify_one();
        }
        if held.bytes >= limits::EXPORT_REQUEST_BYTES {
            self.is_much.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_no_room_for_is_not_taken_and_what_is_sent_takes_room() {
        let queue = Queue::default();
        let half = limits::EXPORT_BYTES / 2;
        assert!(queue.add(half, || "a") && queue.add(half, || "b") && !queue.add(1, || "c"));
        // One that is more than a request may have goes alone.
        let taken = queue.take().unwrap();
        assert_eq!((taken.items, taken.bytes), (vec!["a"], half));
        assert!(!queue.add(1, || "c"));
        queue.done(taken.bytes);
        assert!(queue.add(1, || "c"));
    }

    #[test]
    fn a_request_has_no_more_than_it_may() {
        let queue = Queue::default();
        let third = limits::EXPORT_REQUEST_BYTES / 3;
        (0..7).for_each(|number| assert!(queue.add(third, || number)));
        let mut sizes = Vec::new();
        while let Some(taken) = queue.take() {
            sizes.push(taken.items.len());
        }
        assert_eq!(sizes, [3, 3, 1]);
    }

    #[test]
    fn what_is_newer_takes_the_place_of_what_waits() {
        let queue = Queue::default();
        assert_eq!(queue.replace([(1, 10), (2, 10)]), Vec::<i32>::new());
        assert_eq!(queue.replace([(3, 10)]), [1, 2]);
        assert_eq!(queue.take().unwrap().items, [3]);
    }
}
