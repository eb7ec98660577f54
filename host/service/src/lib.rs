//! Services: a name, the version that serves it now, and the way of a request through it.
//!
//! A request is answered by exactly one version of a component, body included: it takes the current version
//! with one atomic load and holds it until its body ends. Nothing here knows routes or sockets.

pub mod active;
pub mod admission;
pub mod dispatch;
pub mod failure;
pub mod history;
pub mod loader;
pub mod observer;
pub mod registry;
pub mod store;
pub mod swap;
pub mod traffic;
pub mod version;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::active::ActiveVersions;
use crate::admission::Admission;
use crate::failure::Failure;
use crate::observer::Observer;
use crate::traffic::Traffic;
use crate::version::Version;
use wasm_host_capabilities::context::About;
use wasm_host_limits::service::ServiceLimits;

/// One component service.
pub struct Service {
    pub name: Arc<str>,
    /// None: reached by other services only.
    pub route: Option<Arc<str>>,
    pub limits: ServiceLimits,
    deadlines: Deadlines,
    active: ArcSwap<ActiveVersions>,
    /// Versions that were replaced and may still have requests.
    replaced: Mutex<Vec<Weak<Version>>>,
    traffic: Traffic,
    /// The host ends: no request reaches a component any more.
    is_stopped: AtomicBool,
    /// Sees what goes in and out.
    observer: Option<Arc<dyn Observer>>,
}

/// How long a component may take.
#[derive(Clone, Copy, Debug)]
struct Deadlines {
    /// To begin its answer.
    first_byte: Duration,
    /// To end it.
    total: Option<Duration>,
    /// Between two pieces of it.
    stream_idle: Duration,
}

impl Service {
    pub fn new(
        name: Arc<str>,
        route: Option<Arc<str>>,
        limits: ServiceLimits,
        admission: Arc<Admission>,
        version: Arc<Version>,
        observer: Option<Arc<dyn Observer>>,
    ) -> Self {
        Self {
            name,
            route,
            deadlines: Deadlines {
                first_byte: limits.first_byte_timeout,
                total: Some(limits.timeout).filter(|timeout| !timeout.is_zero()),
                stream_idle: limits.stream_idle_timeout,
            },
            limits,
            active: ArcSwap::new(ActiveVersions::only(version)),
            replaced: Mutex::default(),
            traffic: Traffic::new(admission),
            is_stopped: AtomicBool::new(false),
            observer,
        }
    }

    /// Log a request that failed.
    pub fn log(&self, about: About<'_>, failure: &Failure) {
        failure.log(Some(&self.name), about);
    }

    /// What takes the next request.
    pub fn active(&self) -> Arc<ActiveVersions> {
        self.active.load_full()
    }

    /// From now on `active` takes the requests. Those that run stay where they are.
    pub fn publish(&self, active: Arc<ActiveVersions>) {
        self.active.store(active);
    }

    /// A version that takes no requests any more comes to its end.
    pub fn let_go(&self, version: &Arc<Version>) {
        let mut replaced = self.replaced.lock();
        replaced.retain(|version| version.strong_count() > 0);
        replaced.push(Arc::downgrade(version));
    }

    /// All versions that may have requests: those that take them, and those that were replaced.
    pub fn versions(&self) -> Vec<Arc<Version>> {
        let mut versions = self.active().versions();
        let replaced = self.replaced.lock();
        // One that was put back into service is in both.
        for version in replaced.iter().filter_map(Weak::upgrade) {
            if !versions.iter().any(|other| Arc::ptr_eq(other, &version)) {
                versions.push(version);
            }
        }
        versions
    }

    /// Instances that are alive, of whatever version.
    pub fn live_instances(&self) -> usize {
        self.versions().iter().map(|version| version.live_instances()).sum()
    }

    /// Let no request reach the component any more, also none that waits.
    pub fn stop(&self) {
        // One order with the count of the version's requests: what cuts those that run sees a request, or the
        // request sees this.
        self.is_stopped.store(true, Ordering::SeqCst);
        self.traffic.close();
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }

    /// Its requests: how many there are, and what became of them.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }
}
