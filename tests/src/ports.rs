//! Ports that are known before somebody listens on them, or while nobody does.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::net::TcpSocket;

/// Where they are taken from: below those that systems give to whoever asks for any port, and to every connection that
/// is opened. One of those that is free now may be gone in the next moment.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 128;

/// A port that is free, and that this process gives out once: for a program that has to be told one.
/// Another process may come first, so that whoever starts the program must be ready to start it once more.
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

/// A port that refuses connections until something listens on it. It is held meanwhile: no other program and no other
/// test is given the same one.
pub struct Closed {
    /// `ip:port`
    pub address: String,
    socket: TcpSocket,
}

impl Closed {
    pub fn take() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        Self { address: socket.local_addr().expect("an address").to_string(), socket }
    }

    pub fn listen(self) -> tokio::net::TcpListener {
        self.socket.listen(BACKLOG).expect("the port is held")
    }
}
