//! Bounds of testing one component alone.

use std::time::Duration;

use super::MIB;
use super::service::ServiceLimits;

bounds! {

/// Virtual time in which a case must end. Longer than any wait that a component has good reason
/// for, and costs nothing: virtual time passes at once.
pub const PATIENCE: Duration = Duration::from_secs(60 * 60);

/// Real time of a case in which its component may compute. A hundred times what a slow one takes on a busy
/// machine, and short enough to wait for once.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// Memory of the instance under test: what `serve` gives by default.
pub const MEMORY_BYTES: u64 = ServiceLimits::memory_bytes().default;

/// Bytes of a body, of either side, that a case holds. What is longer is no test but a load.
pub const BODY_BYTES: usize = 64 * MIB as usize;

/// Virtual time without a piece of a component's request after which it counts as whole. Some keep its trailers open until
/// they have the answer, which comes when the request is whole.
pub const UPLOAD_PAUSE: Duration = Duration::from_secs(10);

/// Bytes that a component may print in a case. The rest is dropped.
pub const LOG_BYTES: usize = MIB as usize;

/// Calls of capabilities in a case. A component that calls in a loop without end is told that no backend is there.
pub const CALLS: usize = 10_000;

/// Bytes of all that a component asks in a case: statements, parameters, requests. Beyond this it is told as well that
/// no backend is there.
pub const ASKED_BYTES: usize = BODY_BYTES;

/// Bytes of a case file. The largest have a recorded stream in them.
pub const CASE_FILE_BYTES: u64 = 32 * MIB;

/// Virtual time after the end of a case for calls that nothing waits for any more and that come to their end, as the host
/// reads what follows the last item of a model. One that takes longer was given up.
pub const SETTLING: Duration = Duration::from_millis(250);

/// First and longest virtual wait between two looks at whether an instance has ended. It takes no real time.
pub const END_POLL_FIRST: Duration = Duration::from_millis(1);
pub const END_POLL_LAST: Duration = Duration::from_secs(1);

/// Cases that run at once unless `--jobs` says otherwise: no more than this, or the machine's processors.
pub const JOBS: usize = 8;

/// The most that `--jobs` takes. Each holds an instance and its memory.
pub const JOBS_MAX: usize = 256;

}
