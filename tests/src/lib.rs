//! The harness of the integration tests: the real binary on free ports, a client that can be watched and hung
//! up, and an upstream that sends exactly the bytes it is told to.
//!
//! A failed expectation panics with what was seen: this is test code, and its users are tests.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: a panic is how a test fails"
)]

pub mod client;
mod compiled;
pub mod databases;
pub mod export;
pub mod guests;
pub mod handmade;
pub mod host;
pub mod hostile;
pub mod images;
pub mod kubernetes;
pub mod memory_bound;
pub mod models;
pub mod opentelemetry;
pub mod peer;
pub mod podman;
pub mod ports;
pub mod postgres;
pub mod prometheus;
pub mod proxy;
pub mod redis;
pub mod registry;
pub mod seed;
pub mod rotel;
pub mod shares;
pub mod sockets;
pub mod tls;
pub mod upstream;

use std::future::Future;
use std::time::Duration;

/// How long a test waits for anything. Generous: the machines that run tests are small and shared.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Set to anything in the environment, loads last long, and what is promised on a quiet machine is asserted, of the
/// host as it is shipped.
pub const LONG: &str = "WASM_HOST_TEST_LONG";

pub fn is_long() -> bool {
    std::env::var_os(LONG).is_some()
}

/// Wait for something that must come.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("waited {PATIENCE:?} in vain for {what}"))
}

/// Look again and again until something holds.
pub async fn eventually<F, T>(what: &str, mut look: F) -> T
where
    F: AsyncFnMut() -> Option<T>,
{
    within(what, async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

/// Let this process, and what it starts from now on, have so many files open.
pub fn descriptors(count: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < count as u64) {
        let raised = Rlimit { current: Some(count as u64), maximum: limit.maximum };
        setrlimit(Resource::Nofile, raised)
            .unwrap_or_else(|error| panic!("this test needs {count} descriptors: {error}"));
    }
}
