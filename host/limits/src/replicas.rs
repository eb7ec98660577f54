//! The bounds of what the replicas of an application decide together.

use std::time::Duration;

use super::{HOUR, MIB, MINUTE, secs};

settings! {

/// Of `[replicas]`.
pub struct ReplicaLimits {
    /// How long the others count on a replica that they do not hear of. A swap waits so long for one that was cut off.
    // Longer than a database takes to fail over within its machine, shorter than a person waits for a swap.
    pub lease: Duration = "lease", secs(10), secs(2)..=secs(10 * MINUTE);

    /// How long all replicas together may take to fetch, compile and try a version, until the swap is rejected.
    // As long as the largest component takes to compile on a machine that is busy.
    pub attempt_timeout: Duration = "attempt-timeout", secs(2 * MINUTE), secs(2)..=secs(HOUR);
}

}

bounds! {

/// Replicas of one application that have a lease, and such that were lost and are named still. Each change of what they share writes a line for each.
pub const MEMBERS: usize = 200;

/// Decided swaps of one service that the replicas remember together. One that has not looked for longer is not told why.
pub const DECIDED: usize = 8;

/// Components of application files with which replicas came, of one service. What is forgotten of them may begin again.
pub const KNOWN: usize = 32;

/// Versions of one service before the one that serves, for rollbacks.
pub const BEFORE: usize = 3;

/// How long a replica that was lost is named by swaps, and counts as one that may serve. One that was killed comes back
/// under another name.
pub const LOST_KEPT: Duration = Duration::from_secs(10 * MINUTE);

/// Bytes of a component that replicas hand to each other in the database. A larger one belongs into a registry.
pub const COMPONENT_BYTES: u64 = 64 * MIB;

/// How often a replica looks, though nothing has told it that anything changed: what tells may be lost.
pub const POLL: Duration = Duration::from_secs(1);

/// Of a lease, how many renewals there are: two of them may fail. Each may take as long as there is between them, and no
/// longer than [`TRANSACTION`].
pub const RENEWALS: u32 = 4;

/// With `lost = "fence"`, how long before the end of its lease a replica takes no requests any more: one part of so many
/// of the lease. Clocks do not run faster than each other by that much.
pub const FENCE_MARGIN: u32 = 10;

/// How long one transaction about replicas may take. The database is away if it takes longer.
pub const TRANSACTION: Duration = Duration::from_secs(5);

/// How long a host that stops waits until the others know.
pub const LEAVE: Duration = Duration::from_secs(5);

/// How long it may take to write a component to the database or to read it.
pub const COMPONENT_MOVE: Duration = Duration::from_secs(MINUTE);

/// How long a component stays in the database for a swap that has not begun yet, or ended.
pub const COMPONENT_KEPT: Duration = Duration::from_secs(HOUR);

/// How many of those stay there, of one application: the newest ones.
pub const COMPONENTS_WAITING: u32 = 8;

/// How often a replica looks for components in the database that are of no use any more, and after each that it puts there.
pub const TIDY: Duration = Duration::from_secs(10 * MINUTE);

/// How long a replica hears of changes by one connection. One that is cut silently is noticed by then.
pub const LISTEN: Duration = Duration::from_secs(MINUTE);

/// Between two attempts to reach a database that is away, and before the second one to load a version.
pub const RETRY: Duration = Duration::from_secs(1);

/// Between two attempts to load the same version, at most: each one that fails doubles the time.
pub const RETRY_AT_MOST: Duration = Duration::from_secs(MINUTE);

/// Between two attempts to take a version back that does worse, at most: each one that fails doubles the time.
pub const TAKE_BACK_AT_MOST: Duration = Duration::from_secs(8);

/// Components that a replica writes to the database or reads from it at once, each by a connection of its own.
pub const MOVES: usize = 2;

/// Versions that were loaded, until this replica takes note of them.
pub const LOADED: usize = 16;

/// Swaps that wait until this replica begins them. People and watched files ask for them.
pub const ORDERS: usize = 16;

/// Bytes of what a replica says of why it refused a version.
pub const REASON_BYTES: usize = 2048;

}
