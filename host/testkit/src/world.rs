//! Time, chance and output of a component under test.
//!
//! Time is the runtime's, which is paused: it moves on only when everything waits, and then at once to the next
//! moment at which something happens. Both of WASI's clocks follow it, and so do all waits, because those are
//! tokio's.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use tokio::time::Instant;
use wasmtime::WasmBacktrace;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtxBuilder};

use crate::case::Timestamp;
use wasm_host_engine::state::InstanceEnvironment;
use wasm_host_limits::testkit::LOG_BYTES;

/// What is around one instance under test.
pub(super) struct World {
    clock: Clock,
    seed: u64,
    output: Output,
    trap: Mutex<Option<Trap>>,
}

/// Why an instance ended.
#[derive(Clone, Debug)]
pub(super) struct Trap {
    pub reason: String,
    /// Where in the component, innermost first. Empty if the file has no names and no code offsets.
    pub backtrace: String,
}

impl World {
    /// A world in which it is `time` now.
    pub(super) fn new(time: Timestamp, seed: u64) -> Arc<Self> {
        let clock = Clock {
            epoch: Duration::try_from(time.duration_since(Timestamp::UNIX_EPOCH))
                .unwrap_or_default(),
            begun: Instant::now(),
        };
        Arc::new(Self { clock, seed, output: Output::default(), trap: Mutex::default() })
    }

    /// All that was printed.
    pub(super) fn log(&self) -> String {
        String::from_utf8_lossy(&self.output.0.lock()).into_owned()
    }

    pub(super) fn trap(&self) -> Option<Trap> {
        self.trap.lock().clone()
    }
}

impl InstanceEnvironment for World {
    fn furnish(&self, wasi: &mut WasiCtxBuilder) {
        chance(wasi, self.seed);
        wasi.wall_clock(self.clock.clone())
            .monotonic_clock(self.clock.clone())
            .stdout(self.output.clone())
            .stderr(self.output.clone());
    }

    fn trapped(&self, error: &wasmtime::Error) -> bool {
        self.trap.lock().get_or_insert_with(|| Trap::of(error));
        true
    }

    fn has_output(&self) -> bool {
        true
    }
}

/// What a monotonic clock shows after some time. It begins with a second and not with nothing, which the runtime of Go takes
/// for a clock that does not work. Recorded instances have it from here as well.
pub fn monotonic(elapsed: Duration) -> u64 {
    u64::try_from((Duration::from_secs(1) + elapsed).as_nanos()).unwrap_or(u64::MAX)
}

/// Make all randomness of an instance of a seed. Recorded instances have it from here as well, so that a recording
/// is replayed with the same numbers.
pub fn chance(wasi: &mut WasiCtxBuilder, seed: u64) {
    let mut seed = ChaCha8Rng::seed_from_u64(seed);
    let insecure = u128::from(seed.next_u64()) << 64 | u128::from(seed.next_u64());
    wasi.insecure_random_seed(insecure)
        .insecure_random(ChaCha8Rng::seed_from_u64(seed.next_u64()))
        .secure_random(ChaCha8Rng::seed_from_u64(seed.next_u64()));
}

impl Trap {
    pub(super) fn of(error: &wasmtime::Error) -> Self {
        let backtrace = error.downcast_ref::<WasmBacktrace>().map(ToString::to_string);
        Self {
            reason: error.root_cause().to_string(),
            backtrace: backtrace.unwrap_or_default().trim_end().to_string(),
        }
    }
}

/// A clock that shows virtual time.
#[derive(Clone)]
struct Clock {
    /// Time since 1970 at the beginning.
    epoch: Duration,
    begun: Instant,
}

impl HostWallClock for Clock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        self.epoch + self.begun.elapsed()
    }
}

impl HostMonotonicClock for Clock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        monotonic(self.begun.elapsed())
    }
}

/// Standard output and standard error, in the order in which they are written.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Output {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut log = self.0.lock();
        let room = LOG_BYTES.saturating_sub(log.len());
        log.extend(bytes.iter().take(room));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
