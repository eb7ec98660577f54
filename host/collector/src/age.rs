//! How old something is, for a host whose clock is set meanwhile. Pure, but for the clocks.

use std::time::{Duration, SystemTime};

/// The time as it was at the start, and what has passed since. A clock that is set forward makes nothing old.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steady {
    wall: SystemTime,
    since: Duration,
}

impl Steady {
    /// The clock on the wall is right now.
    pub(super) fn new() -> Self {
        Self::at(SystemTime::now())
    }

    /// It is that time now.
    pub(super) fn at(wall: SystemTime) -> Self {
        Self { wall, since: since_boot() }
    }

    pub(super) fn elapsed(&self) -> Duration {
        since_boot().saturating_sub(self.since)
    }

    /// How long ago that was, by both clocks: what one of them says alone may be wrong.
    pub(super) fn age(&self, written: SystemTime) -> Duration {
        let now = (self.wall + self.elapsed()).min(SystemTime::now());
        now.duration_since(written).unwrap_or_default()
    }
}

/// The time that a machine sleeps counts, where the system tells it.
fn since_boot() -> Duration {
    #[cfg(target_os = "linux")]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = rustix::time::ClockId::Monotonic;
    rustix::time::clock_gettime(clock).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn only_what_both_clocks_find_old_is_old() {
        let now = SystemTime::now();
        // It was set forward by an hour since the start.
        let forward = Steady::at(now - HOUR);
        assert!(forward.age(now - HOUR) < HOUR / 2);
        assert!(forward.age(now - 3 * HOUR) >= 2 * HOUR);
        // And back.
        let back = Steady::at(now + HOUR);
        assert!(back.age(now - HOUR) < HOUR + HOUR / 2);
        assert_eq!(back.age(now + HOUR), Duration::ZERO);
        assert!(Steady::new().age(now - HOUR) >= HOUR);
    }
}
