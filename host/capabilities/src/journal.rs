//! Where what a backend says beside its answers is written down.

use std::sync::Arc;

use tracing::Level;

use super::context::RequestContext;

/// Writes down what a backend says, as far as it is bounded.
pub trait Journal: Send + Sync {
    /// `request` is the one whose call made the backend say it, if it is known.
    fn note(self: Arc<Self>, level: Level, request: Option<&RequestContext>, text: &str);
}
