//! A list that goes on: what is new in it, as it is written.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::{Range, ReadError};
use crate::reader::Reader;
use crate::segment::Segment;
use wasm_host_limits::telemetry as limits;

/// What is new.
#[derive(Clone, Debug)]
pub struct Followed<T> {
    /// Oldest first.
    pub items: Vec<T>,
    /// Rows of the whole list between the items before and these that were not looked at, as the follower was too far
    /// behind.
    pub missed: u64,
}

/// A list that can be followed.
pub trait List {
    type Item;

    /// The id after the last row that a file has of it.
    fn end(segment: &Segment) -> u64;

    /// Some of it, and whether that is all.
    fn items(
        &self,
        reader: &Reader,
        range: Range,
        limit: usize,
    ) -> impl Future<Output = Result<(Vec<Self::Item>, bool), ReadError>> + Send;

    fn id(item: &Self::Item) -> u64;

    /// The rows of a file of which more came after so many had grown, and how many have now.
    fn grown(_segment: &Segment, _after: u64) -> (Vec<u64>, u64) {
        (Vec::new(), 0)
    }
}

/// A place in a list, from which it goes on.
#[derive(Debug)]
pub struct Follow<L> {
    reader: Reader,
    list: L,
    written: watch::Receiver<()>,
    /// The id after the last row that was told, or looked at.
    next: u64,
    /// Rows that were left out since something was told.
    missed: u64,
    /// How many rows of each file had grown.
    grown: HashMap<u64, u64>,
    /// Rows that have grown and are still to be told again.
    again: BTreeSet<u64>,
}

impl<L: List> Follow<L> {
    /// What comes after the items that a page begins with.
    pub(crate) fn new(reader: Reader, list: L, written: watch::Receiver<()>, next: u64) -> Self {
        let (grown, again) = Default::default();
        let mut follow = Self { reader, list, written, next, missed: 0, grown, again };
        // What grew until now is in the page that is told first.
        follow.look();
        follow.again.clear();
        follow
    }

    /// What is new: at once, when there is something, and after that time with nothing in it.
    pub async fn next(&mut self, patience: Duration) -> Result<Followed<L::Item>, ReadError> {
        let deadline = Instant::now() + patience;
        loop {
            self.written.mark_unchanged();
            let end = self.reader.end::<L>();
            self.skip(end);
            if self.next < end {
                let range = Range::After(self.next.saturating_sub(1));
                let asked = self.list.items(&self.reader, range, limits::PAGE_MAX);
                let (items, is_all) = asked.await?;
                let told = items.last().map_or(0, |item| L::id(item) + 1);
                self.next = if is_all { end.max(told) } else { told };
                if !items.is_empty() || self.missed > 0 {
                    return Ok(self.told(items));
                }
            }
            let again = self.again().await?;
            if !again.is_empty() {
                return Ok(self.told(again));
            }
            match timeout_at(deadline, self.written.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(ReadError::Ended),
                Err(_) => return Ok(self.told(Vec::new())),
            }
        }
    }

    /// What was told, or looked at, and has grown: as it is now, where it is of the list now.
    async fn again(&mut self) -> Result<Vec<L::Item>, ReadError> {
        self.look();
        let mut all = Vec::new();
        for id in &self.again {
            let range = Range::After(id.saturating_sub(1));
            let (found, _) = self.list.items(&self.reader, range, 1).await?;
            all.extend(found.into_iter().filter(|item| L::id(item) == *id));
        }
        // Only now: a question that comes too late is asked again.
        self.again.clear();
        Ok(all)
    }

    /// Which rows before the next one have grown since this was asked, in the file that is written and in those that
    /// were written until then.
    fn look(&mut self) {
        let files = self.reader.segments();
        self.grown.retain(|number, _| files.iter().any(|file| file.number == *number));
        for file in files {
            let known = self.grown.entry(file.number).or_default();
            let (ids, count) = L::grown(&file, *known);
            *known = count;
            self.again.extend(ids.into_iter().filter(|id| *id < self.next));
        }
        // The last ones, as of each file.
        while self.again.len() > limits::FOLLOW_GROWN {
            self.again.pop_first();
        }
    }

    fn told(&mut self, items: Vec<L::Item>) -> Followed<L::Item> {
        Followed { items, missed: std::mem::take(&mut self.missed) }
    }

    /// Go on near the end, if that is too far away. What is left out is told with the next items, also when it is not
    /// this question that has them.
    fn skip(&mut self, end: u64) {
        let behind = self.reader.rows::<L>(self.next, end);
        if behind <= limits::FOLLOW_BEHIND {
            return;
        }
        self.next = end.saturating_sub(limits::PAGE as u64).max(self.next);
        let left_out = behind.saturating_sub(self.reader.rows::<L>(self.next, end));
        self.missed = self.missed.saturating_add(left_out);
    }
}
