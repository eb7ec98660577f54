//! A body on its way to the host.

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use wit_bindgen::{FutureReader, FutureWriter, StreamReader, StreamWriter};

use super::{Body, BoxError, Inner};
use crate::bindings::wasi::http::types::{ErrorCode, Trailers};
use crate::bindings::{wit_future, wit_stream};
use crate::headers;

type End = FutureWriter<Result<Option<Trailers>, ErrorCode>>;

/// What the host takes for a body.
pub(crate) struct Outgoing {
    /// In bytes, where it is known.
    pub(crate) length: Option<u64>,
    pub(crate) contents: Option<StreamReader<u8>>,
    pub(crate) trailers: FutureReader<Result<Option<Trailers>, ErrorCode>>,
}

impl Body {
    /// Hand it to the host. What has to be written is written in a task of its own.
    pub(crate) fn into_outgoing(self) -> Outgoing {
        match self.0 {
            Inner::Full(bytes) => whole(bytes),
            // What cannot be passed on as it is was read in part, and the rest is read.
            Inner::Incoming(incoming) => match incoming.into_parts() {
                Ok((contents, trailers, length)) => {
                    Outgoing { length, contents: Some(contents), trailers }
                }
                Err(incoming) => read(Self(Inner::Incoming(incoming))),
            },
            Inner::Produced(producer) if producer.is_new() => {
                let (writer, end, outgoing) = streamed(None);
                wit_bindgen::spawn_local(async move {
                    if let Err(error) = producer.run(writer).await {
                        broken(end, &error).await;
                    }
                });
                outgoing
            }
            inner => read(Self(inner)),
        }
    }
}

fn whole(bytes: Bytes) -> Outgoing {
    let (end, trailers) = wit_future::new(|| Ok(None));
    if bytes.is_empty() {
        return Outgoing { length: Some(0), contents: None, trailers };
    }
    let length = Some(bytes.len() as u64);
    let (mut writer, reader) = wit_stream::new();
    wit_bindgen::spawn_local(async move {
        // The client having left is no fault of the body.
        let _ = writer.write_all(bytes.into()).await;
        // Behind the body, which is when the host asks for it.
        drop(end);
    });
    Outgoing { length, contents: Some(reader), trailers }
}

fn read(body: Body) -> Outgoing {
    let (writer, end, outgoing) = streamed(http_body::Body::size_hint(&body).exact());
    if outgoing.length == Some(0) && http_body::Body::is_end_stream(&body) {
        return Outgoing { contents: None, ..outgoing };
    }
    wit_bindgen::spawn_local(async move {
        match write(body, writer).await {
            Ok(None) => {}
            Ok(Some(trailers)) => match headers::to_wasi(&trailers) {
                // The host having stopped listening is no news here.
                Ok(trailers) => drop(end.write(Ok(Some(trailers))).await),
                Err(error) => broken(end, &error.into()).await,
            },
            Err(error) => broken(end, &error).await,
        }
    });
    outgoing
}

async fn write(
    mut body: Body,
    mut writer: StreamWriter<u8>,
) -> Result<Option<HeaderMap>, BoxError> {
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(bytes) => {
                // The client has left. Dropping the body stops what makes it.
                if !writer.write_all(bytes.into()).await.is_empty() {
                    return Ok(None);
                }
            }
            Err(frame) => return Ok(frame.into_trailers().ok()),
        }
    }
    Ok(None)
}

fn streamed(length: Option<u64>) -> (StreamWriter<u8>, End, Outgoing) {
    let (end, trailers) = wit_future::new(|| Ok(None));
    let (writer, reader) = wit_stream::new();
    (writer, end, Outgoing { length, contents: Some(reader), trailers })
}

async fn broken(end: End, error: &BoxError) {
    let _ = end.write(Err(ErrorCode::InternalError(Some(error.to_string())))).await;
}
