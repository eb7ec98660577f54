//! Times as telemetry writes them: microseconds since 1970.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Now.
pub fn now() -> u64 {
    micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// What the clock on the wall says of an earlier moment: it is read now, so a clock that was set changes no duration.
pub fn unix(moment: Instant) -> u64 {
    now().saturating_sub(micros(moment.elapsed()))
}

pub fn micros(duration: Duration) -> u64 {
    duration.as_micros().try_into().unwrap_or(u64::MAX)
}
