//! Ports that are known before somebody listens on them, or while nobody does.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Where they are taken from: below those that systems give to whoever asks for any port, and to every connection that
/// is opened. One of those that is free now may be gone in the next moment.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port that nobody listens on, and that this process gives to nobody else.
pub fn reserve() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    for _ in 0..COUNT {
        let taken = TAKEN.fetch_add(1, Ordering::Relaxed);
        // Processes that run at the same time have numbers side by side; their ports begin far from each other.
        let offset = (u64::from(std::process::id()) * 7411 + u64::from(taken)) % u64::from(COUNT);
        let port = FIRST + offset as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("every port from {FIRST} on is taken")
}

/// The same as `ip:port`.
pub fn reserve_address() -> String {
    format!("127.0.0.1:{}", reserve())
}
