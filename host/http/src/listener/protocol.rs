//! Which version of HTTP a connection speaks, and how each is served.
//!
//! hyper can find out by itself, but reads the first bytes apart from the rest for that, and then holds a buffer of
//! twice the size for as long as the connection lasts. So the first bytes are looked at where they are, in the
//! socket; hyper finds out only where that does not tell.

use std::sync::Arc;

use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;

use super::connections::Ends;
use super::streams::Streams;
use wasm_host_config::HttpLimits;
use wasm_host_limits::http as limits;

/// What a client of HTTP/2 sends first.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection speaks, as far as that is known before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
    Either,
}

/// How connections are served.
pub(super) struct Protocols {
    http1: auto::Builder<Streams>,
    http2: auto::Builder<Streams>,
    either: auto::Builder<Streams>,
}

// === impl Version ===

impl Version {
    /// Wait for the first bytes and look at them. They stay where they are.
    pub(super) async fn of(stream: &TcpStream) -> Self {
        let mut first = [0; PREFACE.len()];
        match stream.peek(&mut first).await {
            Ok(count) => Self::of_first(first.get(..count).unwrap_or_default()),
            // The code that reads it meets the same error.
            Err(_) => Self::Http1,
        }
    }

    /// By what was agreed on in the handshake.
    pub(super) fn of_agreed(alpn: Option<&[u8]>) -> Self {
        match alpn {
            Some(b"h2") => Self::Http2,
            Some(_) => Self::Http1,
            None => Self::Either,
        }
    }

    fn of_first(bytes: &[u8]) -> Self {
        if bytes.is_empty() || !PREFACE.starts_with(bytes) {
            Self::Http1
        } else if bytes.len() == PREFACE.len() {
            Self::Http2
        } else {
            Self::Either
        }
    }
}

// === impl Protocols ===

impl Protocols {
    pub(super) fn new(bounds: &HttpLimits, ends: Arc<Ends>) -> Self {
        let either = protocol(bounds, ends);
        Self { http1: either.clone().http1_only(), http2: either.clone().http2_only(), either }
    }

    pub(super) fn of(&self, version: Version) -> &auto::Builder<Streams> {
        match version {
            Version::Http1 => &self.http1,
            Version::Http2 => &self.http2,
            Version::Either => &self.either,
        }
    }
}

fn protocol(bounds: &HttpLimits, ends: Arc<Ends>) -> auto::Builder<Streams> {
    let mut builder = auto::Builder::new(Streams { write_idle: bounds.write_idle, ends });
    let header_bytes = u32::try_from(bounds.header_bytes).unwrap_or(u32::MAX);
    let streams = u32::try_from(bounds.streams).unwrap_or(u32::MAX);
    builder
        .http1()
        // Whether a client that ended its sending side has left is decided by `departure`.
        .half_close(true)
        .max_buf_size(usize::try_from(bounds.header_bytes).unwrap_or(usize::MAX));
    if bounds.headers != HttpLimits::headers().default {
        builder.http1().max_headers(bounds.headers);
    }
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits::PING_INTERVAL)
        .keep_alive_timeout(limits::PING_TIMEOUT)
        .max_concurrent_streams(streams)
        .max_header_list_size(header_bytes)
        .max_pending_accept_reset_streams(limits::PENDING_RESETS)
        .max_local_error_reset_streams(limits::ERROR_RESETS)
        .max_send_buf_size(limits::STREAM_SEND_BYTES);
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_unless_there_are_too_few() {
        let of = |bytes: &str| Version::of_first(bytes.as_bytes());
        assert_eq!(of("GET / HTTP/1.1\r\nhost: a\r\n"), Version::Http1);
        assert_eq!(of("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Version::Http2);
        assert_eq!(of("P"), Version::Either);
        assert_eq!(of("POST / HTTP/1.1\r\n"), Version::Http1);
        assert_eq!(of(""), Version::Http1);
    }
}
