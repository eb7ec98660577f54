//! Clock and randomness of a recorded instance: real, and written down.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtxBuilder};

use super::session;
use super::session::RecordingSession;
use super::time::Time;
use wasm_host_capabilities::context::RequestContext;
use wasm_host_engine::state::InstanceEnvironment;
use wasm_host_testkit::{chance, monotonic};

/// For all instances of a service.
pub(super) struct Recorded;

/// For one, which serves one request.
struct Instance {
    seed: u64,
    time: Arc<Time>,
    session: OnceLock<Arc<RecordingSession>>,
}

#[derive(Clone)]
struct Clock(Arc<Time>);

impl InstanceEnvironment for Recorded {
    fn furnish(&self, _: &mut WasiCtxBuilder) {}

    fn trapped(&self, _: &wasmtime::Error) -> bool {
        false
    }

    fn stays_on_its_thread(&self) -> bool {
        false
    }

    fn of_instance(&self) -> Option<Arc<dyn InstanceEnvironment>> {
        // By the standard library's chance; 48 bits, because a case file's numbers are signed.
        let seed = RandomState::new().hash_one(0) >> 16;
        Some(Arc::new(Instance { seed, time: Arc::new(Time::new()), session: OnceLock::new() }))
    }
}

impl InstanceEnvironment for Instance {
    fn furnish(&self, wasi: &mut WasiCtxBuilder) {
        chance(wasi, self.seed);
        wasi.wall_clock(Clock(self.time.clone())).monotonic_clock(Clock(self.time.clone()));
    }

    fn trapped(&self, _: &wasmtime::Error) -> bool {
        if let Some(session) = self.session.get() {
            session.traps();
        }
        false
    }

    fn stays_on_its_thread(&self) -> bool {
        false
    }

    fn serves(&self, request: &RequestContext) {
        self.time.begin();
        if let Some(session) = session(request) {
            session.is_served(self.seed, self.time.clone());
            let _ = self.session.set(session.clone());
        }
    }
}

impl HostWallClock for Clock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        self.0.began + self.0.read()
    }
}

impl HostMonotonicClock for Clock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        monotonic(self.0.read())
    }
}
