//! The time of one recorded request, which is the time that its test will have.
//!
//! In a test, time passes only while everything waits. So the clock of a recorded instance stands
//! still while its guest computes, and moves on by what a wait really took: what the guest reads
//! from it now is what it will read when the recording is replayed.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use wasm_host_limits::record::CLOCK_LAG;

pub(super) struct Time {
    /// When it began, since 1970.
    pub(super) began: Duration,
    state: Mutex<ClockState>,
}

struct ClockState {
    /// What it shows, since it began.
    shown: Duration,
    /// When it last moved.
    moved: Instant,
}

impl Time {
    pub(super) fn new() -> Self {
        let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let state = ClockState { shown: Duration::ZERO, moved: Instant::now() };
        Self { began: milliseconds(began), state: Mutex::new(state) }
    }

    pub(super) fn now(&self) -> Duration {
        self.state.lock().shown
    }

    /// The request begins. What the instance took to start is no wait of it.
    pub(super) fn begin(&self) {
        self.state.lock().moved = Instant::now();
    }

    /// A wait has ended at this time.
    pub(super) fn reach(&self, time: Duration) {
        let mut state = self.state.lock();
        state.shown = state.shown.max(time);
        state.moved = Instant::now();
    }

    /// The guest looks. A clock that stood still for ever would stop a guest that waits for it.
    pub(super) fn read(&self) -> Duration {
        let mut state = self.state.lock();
        let lag = state.moved.elapsed();
        if lag > CLOCK_LAG {
            state.shown += milliseconds(lag);
            state.moved = Instant::now();
        }
        state.shown
    }
}

/// How long something was waited for, in the time of a request.
pub(super) struct Wait {
    shown: Duration,
    since: Instant,
}

impl Wait {
    pub(super) fn begin(time: &Time) -> Self {
        Self { shown: time.now(), since: Instant::now() }
    }

    /// Ends the wait, and says how long it was.
    pub(super) fn end(self, time: &Time) -> Duration {
        let waited = milliseconds(self.since.elapsed());
        time.reach(self.shown + waited);
        waited
    }
}

/// Whole milliseconds, the finest that a case knows.
pub(super) fn milliseconds(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_while_something_is_waited_for_and_not_while_a_guest_computes() {
        let time = Time::new();
        let wait = Wait::begin(&time);
        std::thread::sleep(Duration::from_millis(3));
        let waited = wait.end(&time);
        assert!(waited >= Duration::from_millis(3), "{waited:?}");
        assert_eq!(time.now(), waited);
        // Unless the machine pauses right here, for as long as the clock may lag.
        let began = Instant::now();
        let read = time.read();
        assert!(read == waited || began.elapsed() > CLOCK_LAG, "{read:?}");
    }

    #[test]
    fn two_waits_at_once_pass_one_time() {
        let time = Time::new();
        let (one, other) = (Wait::begin(&time), Wait::begin(&time));
        std::thread::sleep(Duration::from_millis(3));
        let (one, other) = (one.end(&time), other.end(&time));
        assert_eq!(time.now(), one.max(other));
    }

    #[test]
    fn the_start_of_an_instance_is_no_wait_of_its_request() {
        let time = Time::new();
        std::thread::sleep(CLOCK_LAG + Duration::from_millis(5));
        // Unless the machine pauses right here, for as long.
        let began = Instant::now();
        time.begin();
        let read = time.read();
        assert!(read == Duration::ZERO || began.elapsed() > CLOCK_LAG, "{read:?}");
    }

    #[test]
    fn a_guest_that_waits_for_the_clock_sees_it_move() {
        let time = Time::new();
        std::thread::sleep(CLOCK_LAG + Duration::from_millis(5));
        assert!(time.read() > CLOCK_LAG);
    }
}
