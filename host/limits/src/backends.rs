//! The bounds that all backends share: when one that cannot be reached is no longer tried for every
//! call, and how long `/ready` asks them.

use std::time::Duration;

use super::{HOUR, MINUTE, Setting};

bounds! {

/// Connections that fail in a row before calls fail without trying. One or two are a restart or a
/// lost packet.
pub const FAILURES: Setting<usize> = Setting { default: 5, min: 1, max: 1000 };

/// First and longest wait before one call tries again. It doubles in between. The first is what
/// `Retry-After` tells clients; the last is how long the return of a backend can go unnoticed.
pub const WAIT: Setting<Duration> = Setting {
    default: Duration::from_secs(1),
    min: Duration::from_millis(1),
    max: Duration::from_secs(5 * MINUTE),
};
pub const WAIT_MAX: Setting<Duration> = Setting {
    default: Duration::from_secs(15),
    min: Duration::from_millis(1),
    max: Duration::from_secs(HOUR),
};

/// A wait is longer by up to one part in this many, by chance, so that hosts that lost a backend
/// together do not come back to it together.
pub const JITTER_PARTS: u32 = 4;

/// Time for all backends together to answer `/ready`, which asks them at the same time. Longer than
/// each is given by itself, shorter than its clients usually wait.
pub const READY_TIMEOUT: Duration = Duration::from_secs(3);

}
