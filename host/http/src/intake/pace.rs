//! How many spans of pages are taken: so many in a second, and as many at once after a quiet one.

use std::time::Instant;

use parking_lot::Mutex;

pub(super) struct Pace {
    per_second: f64,
    room: Mutex<(f64, Instant)>,
}

impl Pace {
    pub(super) fn new(per_second: usize) -> Self {
        let per_second = per_second as f64;
        Self { per_second, room: Mutex::new((per_second, Instant::now())) }
    }

    /// How many of so many there is room for now.
    pub(super) fn take(&self, wanted: u64) -> u64 {
        self.take_at(wanted, Instant::now())
    }

    fn take_at(&self, wanted: u64, now: Instant) -> u64 {
        let mut held = self.room.lock();
        let (room, since) = *held;
        let passed = now.saturating_duration_since(since).as_secs_f64();
        let room = (room + passed * self.per_second).min(self.per_second);
        let taken = wanted.min(room as u64);
        *held = (room - taken as f64, now);
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_more_are_taken_than_in_a_second_and_then_more() {
        let pace = Pace::new(10);
        let start = Instant::now();
        assert_eq!(
            (pace.take_at(7, start), pace.take_at(7, start), pace.take_at(1, start)),
            (7, 3, 0)
        );
        let later = start + Duration::from_millis(500);
        assert_eq!((pace.take_at(9, later), pace.take_at(9, later)), (5, 0));
        // After a long time there are as many as in a second, and no more.
        assert_eq!(pace.take_at(100, later + Duration::from_secs(60)), 10);
    }
}
