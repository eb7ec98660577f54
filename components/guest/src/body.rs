//! Bodies of requests and responses: whole, streamed by the service, or the host's, read only when asked for.

mod incoming;
mod outgoing;
mod writer;

use std::any::Any;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};

pub(crate) use incoming::Incoming;
pub(crate) use outgoing::Outgoing;
use writer::Producer;
pub use writer::{BodyWriter, Disconnected};

/// What a body of any kind may fail with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request or a response. Like all bodies of this ecosystem it is read as an [`http_body::Body`].
///
/// One that came from the host and was not read is passed on, as the body of a response or of an outgoing request,
/// without entering the component.
#[derive(Default)]
pub struct Body(Inner);

enum Inner {
    Full(Bytes),
    Incoming(Incoming),
    Produced(Producer),
    Other(UnsyncBoxBody<Bytes, BoxError>),
}

impl Default for Inner {
    fn default() -> Self {
        Self::Full(Bytes::new())
    }
}

/// Why a body could not be read.
#[derive(Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Larger than the service allows.
    TooLarge {
        /// The size it allows, in bytes.
        limit: usize,
    },
    /// Its sender went away, or broke the framing, before the body's end.
    Incomplete,
    /// It is no JSON, or not of the shape that was asked for: what is wrong, and where.
    Json(String),
    /// A body that the service made itself failed.
    Other(String),
}

impl std::fmt::Display for BodyError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLarge { limit } => write!(formatter, "the body is larger than {limit} bytes"),
            Self::Incomplete => formatter.write_str("the body ended before its end"),
            Self::Json(reason) => {
                write!(formatter, "the body is not the JSON that is wanted: {reason}")
            }
            Self::Other(reason) => formatter.write_str(reason),
        }
    }
}

impl std::error::Error for BodyError {}

impl Body {
    /// A body without a byte.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Any body of this ecosystem.
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let mut body = Some(body);
        // A body of this kind is not put into a box, which would take its way past the component from it.
        if let Some(body) = (&mut body as &mut dyn Any).downcast_mut::<Option<Self>>() {
            return body.take().unwrap_or_default();
        }
        match body {
            Some(body) => Self(Inner::Other(body.map_err(Into::into).boxed_unsync())),
            None => Self::empty(),
        }
    }

    /// A body whose pieces are the items of a stream. An error ends it as broken, so that a client never takes it for
    /// whole.
    pub fn from_stream<S, T, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<T, E>> + Send + 'static,
        T: Into<Bytes> + 'static,
        E: Into<BoxError> + 'static,
    {
        use futures_util::TryStreamExt;

        Self::new(StreamBody::new(
            stream.map_ok(|piece| Frame::data(piece.into())).map_err(Into::into),
        ))
    }

    /// A body that `produce` writes while the client reads. An error of `produce` ends it as broken, as in
    /// [`Body::from_stream`]. What it writes goes to the host as it is, without a poll for each piece.
    pub fn produce<P, F>(produce: P) -> Self
    where
        P: FnOnce(BodyWriter) -> F + Send + 'static,
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        Self(Inner::Produced(Producer::new(produce)))
    }

    /// The next piece; `None` behind the last. Trailers are passed over.
    ///
    /// # Errors
    /// [`BodyError::Incomplete`] if the body breaks off, [`BodyError::Other`] if the service made it and it failed.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        while let Some(frame) = self.frame().await {
            let frame = frame.map_err(|error| match error.downcast::<BodyError>() {
                Ok(error) => *error,
                Err(error) => BodyError::Other(error.to_string()),
            })?;
            if let Ok(piece) = frame.into_data() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }

    /// The whole body, read to its end.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] as soon as it is known to have more than `limit` bytes, [`BodyError::Incomplete`] if it
    /// breaks off.
    pub async fn bytes(self, limit: usize) -> Result<Bytes, BodyError> {
        match self.0 {
            Inner::Full(bytes) if bytes.len() > limit => Err(BodyError::TooLarge { limit }),
            Inner::Full(bytes) => Ok(bytes),
            Inner::Incoming(incoming) => incoming.bytes(limit).await,
            inner => collect(Self(inner), limit).await,
        }
    }

    /// The whole body as JSON.
    ///
    /// # Errors
    /// As [`Body::bytes`], and [`BodyError::Json`].
    pub async fn json<T: serde::de::DeserializeOwned>(self, limit: usize) -> Result<T, BodyError> {
        let bytes = self.bytes(limit).await?;
        serde_json::from_slice(&bytes).map_err(|error| BodyError::Json(error.to_string()))
    }
}

async fn collect(mut body: Body, limit: usize) -> Result<Bytes, BodyError> {
    let mut whole = Vec::new();
    while let Some(piece) = body.chunk().await? {
        if whole.len() + piece.len() > limit {
            return Err(BodyError::TooLarge { limit });
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.into())
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Inner::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Inner::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Inner::Incoming(incoming) => incoming.poll(context).map_err(Into::into),
            Inner::Produced(producer) => producer.poll(context),
            Inner::Other(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Full(bytes) => bytes.is_empty(),
            Inner::Incoming(incoming) => incoming.has_ended(),
            Inner::Produced(_) => false,
            Inner::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Inner::Incoming(incoming) => incoming.size_hint(),
            Inner::Produced(_) => SizeHint::default(),
            Inner::Other(body) => body.size_hint(),
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match &self.0 {
            Inner::Full(bytes) => return write!(formatter, "Body({} bytes)", bytes.len()),
            Inner::Incoming(_) => "incoming",
            Inner::Produced(_) => "produced",
            Inner::Other(_) => "other",
        };
        write!(formatter, "Body({kind})")
    }
}

impl From<Incoming> for Body {
    fn from(incoming: Incoming) -> Self {
        Self(Inner::Incoming(incoming))
    }
}

macro_rules! from_whole {
    ($($whole:ty),*) => {$(
        impl From<$whole> for Body {
            fn from(whole: $whole) -> Self {
                Self(Inner::Full(whole.into()))
            }
        }
    )*};
}

from_whole!(Bytes, Vec<u8>, String, &'static str, &'static [u8]);

impl From<()> for Body {
    fn from((): ()) -> Self {
        Self::empty()
    }
}

#[cfg(test)]
mod tests;
