//! A generation that a replica could not load, and when it tries again.

use std::time::{Duration, Instant};

use wasm_host_limits::replicas::{RETRY, RETRY_AT_MOST};

pub(super) struct Missed {
    pub(super) number: u64,
    /// How often before.
    count: u32,
    /// Not before this is it tried again.
    retry: Instant,
    pub(super) why: String,
}

impl Missed {
    /// It has failed now, and may have before.
    pub(super) fn again(before: Option<Self>, number: u64, why: String) -> Self {
        let before = before.filter(|before| before.number == number);
        let count = before.map_or(0, |before| before.count.saturating_add(1));
        Self { number, count, retry: Instant::now() + pause(count), why }
    }

    /// Whether it is too early to try this one. Another one is tried at once.
    pub(super) fn waits(&self, number: u64) -> bool {
        self.number == number && self.retry > Instant::now()
    }
}

fn pause(count: u32) -> Duration {
    RETRY.saturating_mul(2_u32.saturating_pow(count)).min(RETRY_AT_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_loaded_is_tried_less_and_less_often_and_another_one_at_once() {
        let pauses = [0, 1, 3, 40].map(pause).map(|pause| pause.as_secs());
        assert_eq!(pauses, [1, 2, 8, 60]);
        let missed = Missed::again(None, 2, "its bytes are gone".to_owned());
        let missed = Missed::again(Some(missed), 2, "its bytes are gone".to_owned());
        assert!(missed.count == 1 && missed.waits(2) && !missed.waits(3));
        assert_eq!(Missed::again(Some(missed), 3, String::new()).count, 0);
    }
}
