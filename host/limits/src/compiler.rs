//! The bounds of the compiler, which runs in processes of its own.

use std::time::Duration;

bounds! {

/// How many times its processor time a compiler may take by the clock: where all processors are busy, it waits.
pub const DEADLINE_FACTOR: u32 = 2;

/// The same for what puts components together, which takes seconds at most: where all processors are busy, it waits for
/// them longer than it works.
pub const COMPOSITION_DEADLINE_FACTOR: u32 = 10;

/// Processor time between the signal that ends a compiler and the one that does so without fail.
pub const CPU_GRACE: Duration = Duration::from_secs(1);

/// Components that are compiled at once. Each may take all the memory of one; those that wait for a place wait for no
/// longer than one may take.
pub const PLACES: usize = 4;

/// How much less urgent compiling a version to be swapped in is than threads that serve, in the steps of `nice`: as
/// much as guests that compute. At a start no request is served yet, and it is as urgent as the host.
pub const NICENESS: i32 = 10;

/// Bytes of compiled code that a compiler hands over. The interpreter of 20 MB compiles to a fifth of it.
pub const CODE_BYTES: usize = 512 * 1024 * 1024;

/// Bytes of what is said of parts that were put together: what each imports, or what is wrong with them.
pub const PUT_TOGETHER_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of what a compiler says about why it failed.
pub const LAST_WORDS_BYTES: usize = 8 * 1024;

}
