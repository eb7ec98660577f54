//! One immutable loaded version of a component. What belongs to it lives and dies with it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use wasmtime_wasi_http::handler::ProxyHandler;

use crate::engine::compile::Digest;
use crate::engine::worker::{Handler, Policy, Shared};

/// A component that was compiled, checked, linked and tried.
pub struct Version {
    pub digest: Digest,
    /// Where it was read.
    pub path: PathBuf,
    pub loaded_at: SystemTime,
    pub handler: Handler,
    instances: Arc<Shared>,
}

impl Version {
    pub fn new(digest: Digest, path: PathBuf, policy: Policy) -> Self {
        Self {
            digest,
            path,
            loaded_at: SystemTime::now(),
            instances: policy.shared().clone(),
            handler: ProxyHandler::new(policy),
        }
    }

    /// Requests that one instance serves at the same time.
    pub fn per_instance(&self) -> usize {
        self.handler.state().per_instance()
    }

    /// Instances that are alive.
    pub fn live_instances(&self) -> usize {
        self.instances.live_instances()
    }

    /// Let it come to its end: idle instances now, busy ones when their last body ends.
    pub fn drain(&self) {
        self.instances.drain();
    }
}
