//! The files that are there, for the thread that writes and for all that ask.
//!
//! It must not know what is in a file.

use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::watch;

use crate::segment::Segment;

#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// Oldest first.
    files: RwLock<Vec<Arc<Segment>>>,
    /// Whether what was there from before has been looked for.
    is_filled: watch::Sender<bool>,
}

impl Shelf {
    /// What was there from before is here, as far as it can be read.
    pub(super) fn fill(&self) {
        self.is_filled.send_replace(true);
    }

    /// Until that is so.
    pub(super) async fn filled(&self) {
        // It cannot fail: what tells it is here.
        let _ = self.is_filled.subscribe().wait_for(|is_filled| *is_filled).await;
    }

    /// Those that can be read, newest first.
    pub(super) fn newest_first(&self) -> Vec<Arc<Segment>> {
        self.files.read().iter().rev().filter(|segment| !segment.is_broken()).cloned().collect()
    }

    pub(super) fn all(&self) -> Vec<Arc<Segment>> {
        self.files.read().clone()
    }

    /// In the place of one with its number, if there is one.
    pub(super) fn put(&self, segment: Arc<Segment>) {
        let mut all = self.files.write();
        all.retain(|known| known.number != segment.number);
        all.push(segment);
        all.sort_by_key(|segment| segment.number);
    }

    pub(super) fn remove(&self, number: u64) {
        self.files.write().retain(|segment| segment.number != number);
    }
}
