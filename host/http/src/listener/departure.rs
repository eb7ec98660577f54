//! Whether a client has left, also while nothing reads from it.
//!
//! hyper notices an end only where it reads, and it does not read while a request body that is not wanted waits in its
//! buffer. The operating system tells of both ends of a connection regardless of what is left to be read: as events
//! that `tokio` passes on.
//!
//! A reset (RST) is an end. An end of the client's sending side (FIN) may be a `close` or a `shutdown`;
//! from here they look the same until something is written. It is taken as leaving, as hyper and nginx do, with
//! a moment in which a client that only stopped sending still gets a quick answer.
//!
//! What TCP does not tell is not noticed: a client that leaves while more of its body than the buffers hold is
//! unread ends for us when that is read, or with the deadline of its request.

use tokio::io::Interest;
use tokio::net::TcpStream;

use wasm_host_limits::http as limits;

/// Resolves when the client has left.
pub(super) async fn left(stream: &TcpStream) {
    // Priority data is never asked for, so this is ready at the end of the other side only.
    match stream.ready(Interest::PRIORITY | Interest::ERROR).await {
        Ok(ready) if !ready.is_error() => tokio::time::sleep(limits::LEFT_GRACE).await,
        _ => {}
    }
}
