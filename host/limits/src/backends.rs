//! The bounds that all backends share: when one that cannot be reached is no longer tried for every
//! call, and how long `/ready` asks them.

use std::time::Duration;

use super::{HOUR, MINUTE, millis, secs};

settings! {

/// When a backend that cannot be reached is no longer tried for every call.
pub struct BreakerConfig {
    /// Connections that fail in a row until calls fail at once.
    // One or two are a restart or a lost packet.
    pub failures: usize = "breaker-failures", 5, 1..=1000;

    /// First wait until one call tries again. It doubles up to the longest.
    // It is what `Retry-After` tells clients.
    pub wait: Duration = "breaker-wait", secs(1), millis(1)..=secs(5 * MINUTE);

    /// Longest wait until one call tries again.
    // It is how long the return of a backend can go unnoticed.
    pub wait_max: Duration = "breaker-wait-max", secs(15), millis(1)..=secs(HOUR);
}

}

bounds! {

/// A wait is longer by up to one part in this many, by chance, so that hosts that lost a backend
/// together do not come back to it together.
pub const JITTER_PARTS: u32 = 4;

/// Time for all backends together to answer `/ready`, which asks them at the same time. Longer than
/// each is given by itself, shorter than its clients usually wait.
pub const READY_TIMEOUT: Duration = Duration::from_secs(3);

}
