//! A body that a service writes, at the pace at which its client reads.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use wit_bindgen::StreamWriter;

use super::BoxError;

/// The reader of a produced body has gone: stop producing.
#[derive(Debug, PartialEq, Eq)]
pub struct Disconnected;

impl std::fmt::Display for Disconnected {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the reader of the body has gone")
    }
}

impl std::error::Error for Disconnected {}

/// Writes a body that [`super::Body::produce`] began.
pub struct BodyWriter(Sink);

enum Sink {
    /// The body is a response's: straight to the host.
    Host(StreamWriter<u8>),
    /// Something in the component reads the body: a piece waits there until it is taken.
    Slot(Slot),
}

type Slot = Arc<Mutex<Option<Bytes>>>;

fn take(slot: &Slot) -> Option<Bytes> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl BodyWriter {
    pub(super) fn to_host(writer: StreamWriter<u8>) -> Self {
        Self(Sink::Host(writer))
    }

    /// Write all of `bytes`; returns once they are taken.
    ///
    /// # Errors
    /// [`Disconnected`] when no one will read them.
    pub async fn write(&mut self, bytes: impl Into<Bytes>) -> Result<(), Disconnected> {
        let bytes = bytes.into();
        match &mut self.0 {
            // Not a copy, where no one else has a hold of them.
            Sink::Host(writer) => match writer.write_all(bytes.into()).await.is_empty() {
                true => Ok(()),
                false => Err(Disconnected),
            },
            Sink::Slot(slot) => {
                if bytes.is_empty() {
                    return Ok(());
                }
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes);
                // The reader polls this future, and only when it has taken the piece: a waker would find it awake.
                std::future::poll_fn(|_| {
                    let is_taken = slot.lock().unwrap_or_else(PoisonError::into_inner).is_none();
                    if is_taken { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
                Ok(())
            }
        }
    }
}

type Producing = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;
type Produce = Box<dyn FnOnce(BodyWriter) -> Producing + Send>;

/// What produces a body.
pub(super) enum Producer {
    New(Produce),
    Running(Producing, Slot),
    Ended,
}

impl Producer {
    pub(super) fn new<P, F>(produce: P) -> Self
    where
        P: FnOnce(BodyWriter) -> F + Send + 'static,
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        Self::New(Box::new(move |writer| Box::pin(produce(writer))))
    }

    /// Start, or go on.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            match std::mem::replace(self, Self::Ended) {
                Self::New(produce) => {
                    let slot = Slot::default();
                    *self = Self::Running(produce(BodyWriter(Sink::Slot(slot.clone()))), slot);
                }
                Self::Running(mut producing, slot) => {
                    let polled = producing.as_mut().poll(context);
                    if let Some(bytes) = take(&slot) {
                        // What is written last stands in the slot of a future that has ended as well as in another's.
                        if polled.is_pending() {
                            *self = Self::Running(producing, slot);
                        }
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                    return match polled {
                        Poll::Pending => {
                            *self = Self::Running(producing, slot);
                            Poll::Pending
                        }
                        Poll::Ready(Ok(())) => Poll::Ready(None),
                        Poll::Ready(Err(error)) => Poll::Ready(Some(Err(error))),
                    };
                }
                Self::Ended => return Poll::Ready(None),
            }
        }
    }

    /// Run to its end with what it writes going to the host.
    pub(super) async fn run(self, writer: StreamWriter<u8>) -> Result<(), BoxError> {
        let Self::New(produce) = self else {
            return Err("a body that was read in part cannot be sent".into());
        };
        produce(BodyWriter::to_host(writer)).await
    }

    pub(super) fn is_new(&self) -> bool {
        matches!(self, Self::New(_))
    }
}
