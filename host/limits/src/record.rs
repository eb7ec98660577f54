//! Bounds of recording real traffic as cases.

use std::time::Duration;

use super::{KIB, MIB};

bounds! {

/// Bytes of one case: bodies, rows and statements together. More is no case that a person reads; a
/// request over it is left out.
pub const CASE_BYTES: u64 = 4 * MIB;

/// Cases that one run writes. A forgotten `--record` does not fill a disk.
pub const CASES: usize = 1000;

/// Requests that are recorded at the same time, of all services together. Each may hold [`CASE_BYTES`]; more are served and
/// left out.
pub const REQUESTS: usize = 32;

/// Time in which an instance that does nothing makes room for a request that is recorded; beyond it, the request is answered
/// as any other. It ends as soon as its thread has a moment.
pub const ROOM: Duration = Duration::from_secs(1);

/// Requests that one order may ask for.
pub const ORDERED: usize = 1000;

/// Time after which an order to record ends, although not all of its requests were there: one that waits for failures
/// takes an instance for each request until then.
pub const ORDER: Duration = Duration::from_secs(3600);

/// Recordings that are kept in the state folder. The oldest make room for new ones.
pub const KEPT: usize = 200;

/// Bytes of all their cases.
pub const KEPT_BYTES: u64 = 64 * MIB;

/// Bytes of what a list says of one.
pub const KEPT_ITEM_BYTES: u64 = 32 * KIB;

/// Finished recordings that wait to be written, each of up to [`CASE_BYTES`]. A slow disk costs recordings and never requests.
pub const UNWRITTEN: usize = 64;

/// Time that a finished request's calls get to tell how they ended.
pub const SETTLE: Duration = Duration::from_secs(2);

/// Time that a guest's clock may lag behind before it catches up. In a test no time passes while a
/// guest computes, so it must see none while it is recorded; one that waits on a timer must.
pub const CLOCK_LAG: Duration = Duration::from_millis(50);

/// Time that the last recordings get to be written when the host stops.
pub const CLOSE: Duration = Duration::from_secs(5);

/// How often is looked meanwhile whether the last one has ended.
pub const CLOSE_POLL: Duration = Duration::from_millis(10);

/// Bytes of the shortest known secret that is looked for. Shorter ones are in any text by chance.
pub const SECRET_BYTES: usize = 4;

/// Bytes of the shortest secret of one recording that is looked for, known by the name in front of it. It may be a
/// word of people's, such as `admin`; what is shorter is left out only where it is all of a value.
pub const NAMED_BYTES: usize = 8;

}
