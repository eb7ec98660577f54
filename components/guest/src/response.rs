//! An outgoing response: complete, streamed while the service produces it, or passed on untouched.

use std::future::Future;
use std::pin::Pin;

use wit_bindgen::StreamWriter;

use crate::bindings::wasi::http::types::{self, ErrorCode, Headers};
use crate::bindings::{wit_future, wit_stream};

/// One HTTP response.
pub struct Response {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Body,
}

type Producer = Box<dyn FnOnce(BodyWriter) -> Pin<Box<dyn Future<Output = Result<(), String>>>>>;

enum Body {
    Full(Vec<u8>),
    Stream(Producer),
    Passed(types::Response),
}

/// The reader of a streamed body has gone: stop producing.
#[derive(Debug, PartialEq, Eq)]
pub struct Disconnected;

/// Writes a streamed body, at the pace at which the client reads.
pub struct BodyWriter(StreamWriter<u8>);

impl BodyWriter {
    /// Write all of `bytes`; returns once the host has taken them.
    pub async fn write(&mut self, bytes: Vec<u8>) -> Result<(), Disconnected> {
        if self.0.write_all(bytes).await.is_empty() { Ok(()) } else { Err(Disconnected) }
    }
}

impl Response {
    /// A response with a body of known length.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("content-type", content_type.to_string())],
            body: Body::Full(body.into()),
        }
    }

    /// A response without body or content type.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Full(Vec::new()) }
    }

    /// `text/plain; charset=utf-8`
    pub fn text(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body)
    }

    /// `application/json`; `body` is JSON text.
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "application/json", body)
    }

    /// A problem document (RFC 9457).
    pub fn problem(status: u16, title: &str, detail: &str) -> Self {
        // Strings always have a JSON form.
        let [title, detail] =
            [title, detail].map(|text| serde_json::to_string(text).unwrap_or_default());
        let body = format!(
            "{{\"type\":\"about:blank\",\"title\":{title},\"status\":{status},\"detail\":{detail}}}"
        );
        Self::new(status, "application/problem+json", body)
    }

    /// A response whose body `produce` writes while the client reads. An error of `produce` ends the
    /// body as broken, so that a client never takes it for whole.
    pub fn stream<F>(
        status: u16,
        content_type: &str,
        produce: impl FnOnce(BodyWriter) -> F + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), String>> + 'static,
    {
        Self {
            status,
            headers: vec![("content-type", content_type.to_string())],
            body: Body::Stream(Box::new(move |writer| Box::pin(produce(writer)))),
        }
    }

    /// Another service's response, passed on as it is; its body never enters the component.
    pub fn passed(response: types::Response) -> Self {
        Self { status: 0, headers: Vec::new(), body: Body::Passed(response) }
    }

    /// Add a header. `name` is lower case.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Hand the response to the host. Called by [`crate::service!`].
    pub fn into_wasi(self) -> Result<types::Response, ErrorCode> {
        let length = match &self.body {
            Body::Full(bytes) => Some(bytes.len()),
            Body::Stream(_) | Body::Passed(_) => None,
        };
        let produce: Producer = match self.body {
            Body::Passed(response) => return Ok(response),
            Body::Stream(produce) => produce,
            Body::Full(bytes) => Box::new(move |mut writer| {
                Box::pin(async move {
                    // The client having left is no fault of the body.
                    let _ = writer.write(bytes).await;
                    Ok(())
                })
            }),
        };

        let mut entries: Vec<(String, Vec<u8>)> = self
            .headers
            .into_iter()
            .map(|(name, value)| (name.to_string(), value.into_bytes()))
            .collect();
        if let Some(length) = length {
            entries.push(("content-length".to_string(), length.to_string().into_bytes()));
        }
        let headers = Headers::from_list(&entries).map_err(internal)?;

        let (end, trailers) = wit_future::new(|| Ok(None));
        let contents = if length == Some(0) {
            None
        } else {
            let (writer, reader) = wit_stream::new();
            wit_bindgen::spawn_local(async move {
                if let Err(error) = produce(BodyWriter(writer)).await {
                    // The host having stopped listening is no news here.
                    let _ = end.write(Err(ErrorCode::InternalError(Some(error)))).await;
                }
            });
            Some(reader)
        };
        let (response, _sent) = types::Response::new(headers, contents, trailers);
        response
            .set_status_code(self.status)
            .map_err(|()| internal(format_args!("{} is no HTTP status", self.status)))?;
        Ok(response)
    }
}

fn internal(error: impl std::fmt::Display) -> ErrorCode {
    ErrorCode::InternalError(Some(error.to_string()))
}
