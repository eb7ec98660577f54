//! When an instance, or what the host does for one, goes to the threads for what computes, and comes back.

use std::time::Duration;

bounds! {

/// Processor time of an instance after which its service's figure has it. What all threads count at each turn would cost
/// each of them more than counting is worth.
pub const WORK_TOLD: Duration = Duration::from_millis(1);

/// Time of one turn of an instance, for each of its requests, from which on it is long. Small requests take some ten
/// microseconds.
pub const LONG_TURN: Duration = Duration::from_micros(250);

/// Bytes of rows that a turn of a statement brings to a component, below which it is not long, whatever processor time it
/// took: then that was the machine's, which brings others' packets to their connections in its midst. So many take about a
/// [`LONG_TURN`].
pub const LONG_TURN_BYTES: usize = 128 * 1024;

/// One part in this many of a processor may go into long turns for ever. A component that takes less delays others by a single turn
/// now and then, however long its turns are on a machine that is short of processors or of caches.
pub const LONG_TURNS_SHARE: u32 = 10;

/// Processor time of long turns beyond that share that moves a component's instances to the threads for guests that
/// compute, and as much as is held against it: what took a quarter of a second in one turn is there for two and a half.
pub const HEAVY: Duration = Duration::from_millis(4);
pub const HEAVY_MOST: Duration = Duration::from_secs(1);

/// What a turn counts that was long by the clock, and may have been others': while this is not made up for, turns are
/// measured by the processor time that they take.
pub const SUSPECTED: Duration = Duration::from_millis(1);

/// How much less urgent guests that compute are than threads that serve, in the steps of `nice`: they get about a
/// tenth of a processor that both want.
pub const NICENESS: i32 = 10;

}
