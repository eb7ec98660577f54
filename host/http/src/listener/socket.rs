//! The socket of one connection as hyper sees it, with a deadline for clients that do not read.
//!
//! Shared by reference with the connection's task, which watches for the client's end.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;

use super::clock::LazyTimer;
use super::connection_state::ConnectionState;
use wasm_host_limits::http as limits;

pub(super) struct Socket {
    stream: Arc<TcpStream>,
    state: Arc<ConnectionState>,
    write_idle: Duration,
    /// Since when the client has taken nothing.
    stalled_since: Option<Instant>,
    /// There was no room at all at a time after that.
    is_filled: bool,
    timer: LazyTimer,
}

/// Whether what is accepted has the options of the socket that accepted it. Everywhere else, each is prepared.
pub(super) const INHERITS: bool = cfg!(target_os = "linux");

/// Listen on the first address of `host` that is free. The options are set before a client can connect, and here
/// rather than for each connection, which would cost six calls of the system.
pub(super) async fn listen(host: &str, port: u16, write_idle: Duration) -> io::Result<TcpListener> {
    let mut failed = None;
    for address in tokio::net::lookup_host((host, port)).await? {
        let listening = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            socket.set_reuseaddr(true)?;
            tune(&socket, write_idle);
            socket.bind(address)?;
            socket.listen(limits::ACCEPT_BACKLOG)
        };
        match listening() {
            Ok(socket) => return Ok(socket),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(|| io::Error::other("the name has no address")))
}

/// Prepare a socket. An option that is not there is a loss of speed or of certainty, and no failure.
pub(super) fn tune(socket: impl AsFd + Copy, write_idle: Duration) {
    use rustix::net::sockopt;
    // Streams of small pieces would otherwise wait tens of milliseconds for each other.
    let _ = sockopt::set_tcp_nodelay(socket, true);
    let _ = sockopt::set_socket_keepalive(socket, true);
    let _ = sockopt::set_tcp_keepidle(socket, limits::TCP_KEEPALIVE_IDLE);
    let _ = sockopt::set_tcp_keepintvl(socket, limits::TCP_KEEPALIVE_INTERVAL);
    let _ = sockopt::set_tcp_keepcnt(socket, limits::TCP_KEEPALIVE_PROBES);
    #[cfg(target_os = "linux")]
    {
        let time = write_idle.saturating_mul(limits::TCP_USER_TIMEOUT_FACTOR);
        let time = u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        let _ = sockopt::set_tcp_user_timeout(socket, time);
    }
}

// === impl Socket ===

impl Socket {
    pub(super) fn new(
        stream: Arc<TcpStream>,
        state: Arc<ConnectionState>,
        write_idle: Duration,
    ) -> Self {
        let (stalled_since, is_filled, timer) = Default::default();
        Self { stream, state, write_idle, stalled_since, is_filled, timer }
    }

    /// The client has taken something.
    fn goes_on(&mut self) {
        (self.stalled_since, self.is_filled) = (None, false);
        self.state.taken();
    }

    /// `next` are bytes that `send` would send first.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        next: &[u8],
        send: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        while self.stream.poll_write_ready(cx)?.is_ready() {
            match send(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => {
                    if self.stalled_since.is_some() {
                        self.goes_on();
                    }
                    return Poll::Ready(sent);
                }
            }
        }
        let since = *self.stalled_since.get_or_insert_with(Instant::now);
        self.state.waits();
        // The system says that there is room when a third of its buffer is free, which can be more than a slow
        // reader takes in that time. It takes bytes as soon as there is any. Some is there soon after it said that
        // there is none, when the client's system has taken what was on its way; so the buffer is filled once more
        // in the middle of the time, and what there is room for after that, the client has taken.
        ready!(self.timer.poll(since + self.write_idle / 2, cx));
        let flags = rustix::net::SendFlags::DONTWAIT | rustix::net::SendFlags::NOSIGNAL;
        if let Ok(sent @ 1..) = rustix::net::send(&*self.stream, next, flags) {
            if self.is_filled {
                self.goes_on();
            }
            return Poll::Ready(Ok(sent));
        }
        self.is_filled = true;
        ready!(self.timer.poll(since + self.write_idle, cx));
        self.state.stalled.store(true, Ordering::Relaxed);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            let (space, before) = (buf.remaining(), buf.filled().len());
            let mut outcome = None;
            // A read that does not fill its buffer has emptied the socket. Telling so spares the next read,
            // which would only find nothing.
            let _ = self.stream.try_io(Interest::READABLE, || {
                let read = self.stream.try_read_buf(buf);
                let emptied = matches!(read, Ok(count) if 0 < count && count < space);
                outcome = Some(read);
                if emptied { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
            });
            match outcome {
                Some(Ok(_)) => {
                    self.state.received(buf.filled().get(before..).unwrap_or_default());
                    return Poll::Ready(Ok(()));
                }
                Some(Err(error)) if error.kind() != io::ErrorKind::WouldBlock => {
                    return Poll::Ready(Err(error));
                }
                _ => {}
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_send(cx, buf, |stream| stream.try_write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let next = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
        self.get_mut().poll_send(cx, next, |stream| stream.try_write_vectored(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match rustix::net::shutdown(&*self.stream, rustix::net::Shutdown::Write) {
            // The client was first.
            Ok(()) | Err(rustix::io::Errno::NOTCONN) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::sockopt;

    #[tokio::test]
    async fn what_is_accepted_has_the_options_of_its_listener() {
        let listener = listen("127.0.0.1", 0, Duration::from_secs(30)).await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        if !INHERITS {
            tune(&accepted, Duration::from_secs(30));
        }
        assert!(accepted.nodelay().unwrap());
        assert!(sockopt::socket_keepalive(&accepted).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&accepted).unwrap(), limits::TCP_KEEPALIVE_IDLE);
        assert_eq!(sockopt::tcp_keepintvl(&accepted).unwrap(), limits::TCP_KEEPALIVE_INTERVAL);
        assert_eq!(sockopt::tcp_keepcnt(&accepted).unwrap(), limits::TCP_KEEPALIVE_PROBES);
        #[cfg(target_os = "linux")]
        assert_eq!(sockopt::tcp_user_timeout(&accepted).unwrap(), 60_000);
    }
}
