//! The bytes of a file as the body of an answer: of an open one, or of one that is in memory.
//!
//! Of an open file it asks the threads that may wait for a disk for one piece after the other, and knows how much it has promised: a
//! file that became shorter meanwhile is a body that breaks, never a shorter one.

use std::fs::File;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use rustix::buffer::spare_capacity;
use tokio::task::JoinHandle;

use super::InFlightRequest;
use wasm_host_capabilities::outgoing::HttpError as Error;
use wasm_host_limits::http as limits;
use wasm_host_service::traffic::Ending;

pub(super) struct Content {
    /// For the log.
    service: Arc<str>,
    file: Arc<File>,
    /// Where the next piece begins.
    at: u64,
    left: u64,
    reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
    /// The request, until its end.
    in_flight: Option<InFlightRequest>,
}

impl Content {
    /// `bytes` bytes of it, from the byte `at` on.
    pub(super) fn new(
        service: Arc<str>,
        file: File,
        at: u64,
        bytes: u64,
        in_flight: Option<InFlightRequest>,
    ) -> Self {
        let mut content =
            Self { service, file: Arc::new(file), at, left: bytes, reading: None, in_flight };
        if bytes == 0 {
            content.ends(Ending::Whole);
        }
        content
    }

    fn ends(&mut self, how: Ending) {
        end(&mut self.in_flight, how);
    }

    fn read(&self) -> JoinHandle<io::Result<Vec<u8>>> {
        let (file, at) = (self.file.clone(), self.at);
        let piece = usize::try_from(self.left).unwrap_or(usize::MAX).min(limits::FILE_CHUNK_BYTES);
        tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::with_capacity(piece);
            rustix::io::retry_on_intr(|| rustix::io::pread(&file, spare_capacity(&mut bytes), at))?;
            // It may have been given more room than it was asked for.
            bytes.truncate(piece);
            Ok(bytes)
        })
    }
}

/// The same for bytes that are there already.
pub(super) struct Ready {
    bytes: Option<Bytes>,
    /// The request, until its end.
    in_flight: Option<InFlightRequest>,
}

impl Ready {
    pub(super) fn new(bytes: Bytes, mut in_flight: Option<InFlightRequest>) -> Self {
        let bytes = Some(bytes).filter(|bytes| !bytes.is_empty());
        if bytes.is_none() {
            end(&mut in_flight, Ending::Whole);
        }
        Self { bytes, in_flight }
    }
}

impl Body for Ready {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let bytes = self.bytes.take();
        if bytes.is_some() {
            end(&mut self.in_flight, Ending::Whole);
        }
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, Bytes::len) as u64)
    }
}

fn end(in_flight: &mut Option<InFlightRequest>, how: Ending) {
    if let Some(in_flight) = in_flight {
        in_flight.ending = Some(how);
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let mut reading = self.reading.take().unwrap_or_else(|| self.read());
        let Poll::Ready(read) = Pin::new(&mut reading).poll(cx) else {
            self.reading = Some(reading);
            return Poll::Pending;
        };
        let bytes = match read.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(bytes) if bytes.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            read => read,
        };
        Poll::Ready(Some(match bytes {
            Ok(bytes) => {
                let count = bytes.len() as u64;
                self.at += count;
                self.left -= count;
                if self.left == 0 {
                    self.ends(Ending::Whole);
                }
                Ok(Frame::data(bytes.into()))
            }
            Err(error) => {
                self.left = 0;
                self.ends(Ending::Cut);
                tracing::warn!(service = %self.service, "a file broke off while it was sent: {error}");
                Err(Error::InternalError(Some(error.to_string())))
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
