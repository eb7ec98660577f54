//! Turns for guests that compute: however many there are, they leave part of the machine to everybody else.
//!
//! To give way is not enough. A request takes some ten steps, each of which would wait behind a tick of every
//! guest that computes at that moment; eight loops on two processors made a neighbour's milliseconds half a
//! second. So whoever has computed for a whole tick goes on only when a processor is due, in the order of
//! asking. A turn is a point in time and nothing that is held, so nobody has to give it back.
//!
//! It knows nothing of guests.

use std::num::NonZero;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::time::Instant;

use crate::limits;

/// The process has one set of processors.
static TURNS: LazyLock<Turns> =
    LazyLock::new(|| Turns::new(available_parallelism().map_or(1, NonZero::get)));

/// When a guest that has computed for a tick may go on.
pub(super) fn next() -> Instant {
    TURNS.next(Instant::now())
}

struct Turns {
    /// From one turn to the next.
    gap: Duration,
    free: Mutex<Option<Instant>>,
}

impl Turns {
    /// One processor is left to everybody else; of a single one, half.
    fn new(processors: usize) -> Self {
        let computing = u32::try_from(processors.saturating_sub(1)).unwrap_or(u32::MAX);
        let gap = match computing {
            0 => limits::EPOCH_TICK * 2,
            computing => limits::EPOCH_TICK / computing,
        };
        Self { gap, free: Mutex::default() }
    }

    fn next(&self, now: Instant) -> Instant {
        // One value, whole at any time.
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = free.map_or(now, |free| free.max(now));
        *free = Some(turn + self.gap);
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_follow_each_other_and_none_are_saved_up() {
        let turns = Turns::new(3);
        let start = Instant::now();
        let gap = limits::EPOCH_TICK / 2;
        assert_eq!([0, 0, 0].map(|_| turns.next(start)), [start, start + gap, start + gap * 2]);
        let later = start + Duration::from_secs(1);
        assert_eq!([0, 0].map(|_| turns.next(later)), [later, later + gap]);
    }

    #[test]
    fn a_single_processor_is_shared_by_halves() {
        assert_eq!(Turns::new(1).gap, limits::EPOCH_TICK * 2);
        assert_eq!(Turns::new(2).gap, limits::EPOCH_TICK);
    }
}
