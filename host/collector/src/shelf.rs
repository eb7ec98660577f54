//! The files that are there, for the thread that writes and for all that ask.
//!
//! It must not know what is in a file.

use std::sync::Arc;

use parking_lot::RwLock;

use crate::segment::Segment;

/// Oldest first.
#[derive(Debug, Default)]
pub(super) struct Shelf(RwLock<Vec<Arc<Segment>>>);

impl Shelf {
    /// Those that can be read, newest first.
    pub(super) fn newest_first(&self) -> Vec<Arc<Segment>> {
        self.0.read().iter().rev().filter(|segment| !segment.is_broken()).cloned().collect()
    }

    pub(super) fn all(&self) -> Vec<Arc<Segment>> {
        self.0.read().clone()
    }

    /// In the place of one with its number, if there is one.
    pub(super) fn put(&self, segment: Arc<Segment>) {
        let mut all = self.0.write();
        all.retain(|known| known.number != segment.number);
        all.push(segment);
        all.sort_by_key(|segment| segment.number);
    }

    pub(super) fn remove(&self, number: u64) {
        self.0.write().retain(|segment| segment.number != number);
    }
}
