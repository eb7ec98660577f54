//! When a collector that did not take something is asked again.

use std::time::Duration;

use tokio::time::Instant;

use wasm_host_limits::telemetry as limits;

/// Those of the limits, but in tests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// How long what waits is held back.
    pub interval: Duration,
    /// The first pause.
    pub pause: Duration,
    /// How long one request is tried.
    pub retry: Duration,
    /// How long what is left at the end may take.
    pub end: Duration,
}

impl Default for Times {
    fn default() -> Self {
        let (interval, pause) = (limits::EXPORT_INTERVAL, limits::EXPORT_PAUSE);
        Self { interval, pause, retry: limits::EXPORT_RETRY, end: limits::EXPORT_END }
    }
}

/// It goes on from one request to the next: a collector that is away is away for both.
#[derive(Debug)]
pub(super) struct Pace {
    times: Times,
    failures: u32,
    not_before: Option<Instant>,
}

impl Pace {
    pub(super) fn new(times: Times) -> Self {
        Self { times, failures: 0, not_before: None }
    }

    pub(super) fn went_well(&mut self) {
        (self.failures, self.not_before) = (0, None);
    }

    /// `asked` is what the collector asked for.
    pub(super) fn failed(&mut self, asked: Option<Duration>) {
        let doubled = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        let pause = self.times.pause.saturating_mul(doubled).min(limits::EXPORT_PAUSE_MAX);
        self.failures = self.failures.saturating_add(1);
        let pause = match asked {
            Some(asked) => asked.min(limits::EXPORT_PAUSE_ASKED).max(self.times.pause),
            None => pause.mul_f64(0.5 + fastrand::f64() / 2.0),
        };
        self.not_before = Some(Instant::now() + pause);
    }

    /// Until then nothing is sent.
    pub(super) fn pause(&self) -> Option<Instant> {
        self.not_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pause is between these two, however long this thread was held up.
    fn failed(pace: &mut Pace, asked: Option<Duration>) -> (Duration, Duration) {
        let before = Instant::now();
        pace.failed(asked);
        let (until, after) = (pace.pause().unwrap(), Instant::now());
        (until.saturating_duration_since(after), until - before)
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut pace = Pace::new(Times::default());
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            let ((low, high), most) = (failed(&mut pace, None), Duration::from_secs(seconds));
            assert!(low <= most && high >= most / 2, "{low:?} to {high:?} of {most:?}");
        }
        (0..100).for_each(|_| pace.failed(None));
        assert!(failed(&mut pace, None).0 <= limits::EXPORT_PAUSE_MAX);
        pace.went_well();
        assert_eq!(pace.pause(), None);
    }

    #[test]
    fn what_a_collector_asks_for_is_done_within_reason() {
        let mut pace = Pace::new(Times::default());
        let asked = Duration::from_secs(100);
        let (low, high) = failed(&mut pace, Some(asked));
        assert!(low <= asked && high >= asked, "{low:?} to {high:?}");
        assert!(failed(&mut pace, Some(Duration::MAX)).0 <= limits::EXPORT_PAUSE_ASKED);
        assert!(failed(&mut pace, Some(Duration::ZERO)).1 >= limits::EXPORT_PAUSE);
    }
}
