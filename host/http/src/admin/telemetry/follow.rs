//! A list that goes on, as lines of JSON, for as long as its reader takes them.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _};
use http::{HeaderValue, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::failure;
use wasm_host_capabilities::body::Body;
use wasm_host_collector::{Follow, List, LogQuery, ReadError, Reader, TraceQuery};
use wasm_host_limits as limits;
use wasm_host_service::failure::Failure;

pub(super) async fn logs(
    reader: &Reader,
    query: LogQuery,
    stopping: &CancellationToken,
) -> Result<Response<Body>, Failure> {
    let (items, follow) = reader.follow_logs(query).await.map_err(failure)?;
    Ok(response(items, follow, stopping))
}

pub(super) async fn traces(
    reader: &Reader,
    query: TraceQuery,
    stopping: &CancellationToken,
) -> Result<Response<Body>, Failure> {
    let (items, follow) = reader.follow_traces(query).await.map_err(failure)?;
    Ok(response(items, follow, stopping))
}

/// A list is read as fast as its reader takes it: what it is too slow for, it is told the number of.
fn response<L>(
    items: Vec<L::Item>,
    follow: Follow<L>,
    stopping: &CancellationToken,
) -> Response<Body>
where
    L: List + Send + Sync + 'static,
    L::Item: Serialize + Send + 'static,
{
    let first = lines(&items);
    let rest = stream::unfold((Some(first), follow), async |(first, mut follow)| {
        if let Some(first) = first {
            return Some((first, (None, follow)));
        }
        let text = match follow.next(limits::FOLLOW_SIGN_OF_LIFE).await {
            Ok(followed) if followed.items.is_empty() && followed.missed == 0 => b"\n".to_vec(),
            Ok(followed) => {
                let mut text = lines(&followed.items);
                if followed.missed > 0 {
                    let missed = serde_json::json!({ "missed": followed.missed });
                    text.splice(0..0, format!("{missed}\n").into_bytes());
                }
                text
            }
            // It has not come to its end, but there is no one to say that to: the reader asks again.
            Err(ReadError::Late) => b"\n".to_vec(),
            Err(_) => return None,
        };
        Some((text, (None, follow)))
    });
    answer(rest, stopping.clone())
}

/// Pieces of lines as an answer, which ends with the host at the latest.
pub(crate) fn answer(
    pieces: impl Stream<Item = Vec<u8>> + Send + 'static,
    stopping: CancellationToken,
) -> Response<Body> {
    let body = StreamBody::new(
        pieces
            .take_until(stopping.cancelled_owned())
            .map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::from(piece)))),
    );
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A proxy in front passes it on as it comes.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn lines(items: &[impl Serialize]) -> Vec<u8> {
    let mut text = Vec::new();
    for item in items {
        // Plain data always has a JSON form.
        text.extend(serde_json::to_vec(item).unwrap_or_default());
        text.push(b'\n');
    }
    // The head goes out with the first piece, so that a reader knows that it is followed.
    if text.is_empty() {
        text.push(b'\n');
    }
    text
}
