//! Bounds of testing one component alone.

use std::time::Duration;

/// Virtual time in which the response of a case must end. Longer than any wait that a component has good reason
/// for, and costs nothing: virtual time passes at once.
pub const PATIENCE: Duration = Duration::from_secs(60 * 60);
