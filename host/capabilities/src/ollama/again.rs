//! What is sent once more when a kept connection turns out to have been closed.
//!
//! A server closes a connection that nothing happened on for a while, and a request that is on its way in this moment
//! gets no answer, although the server is well. Which requests do no harm if the server has seen them after all, and
//! what has to be kept to send one again, is said here. Nothing here sends anything.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Method;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tower_layer::Layer;
use tower_service::Service;

use super::body::Body;
use wasm_host_limits::ollama::AGAIN_BYTES;

/// Asked twice, these answer twice and change nothing; a download that is asked for twice is one. Not `delete`, whose
/// second answer is that there is no such model.
const HARMLESS_POSTS: [&str; 10] = [
    "/api/chat",
    "/api/generate",
    "/api/embed",
    "/api/embeddings",
    "/api/show",
    "/api/pull",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/messages",
];

/// Whether the server may get this request twice.
pub(super) fn is_harmless(method: &Method, path: &str) -> bool {
    match *method {
        Method::GET | Method::HEAD => true,
        Method::POST => HARMLESS_POSTS.contains(&path),
        _ => false,
    }
}

/// What the system, or the layer of TLS, calls a connection that the other side has closed.
const CLOSED: [ErrorKind; 4] = [
    ErrorKind::BrokenPipe,
    ErrorKind::ConnectionAborted,
    ErrorKind::ConnectionReset,
    ErrorKind::UnexpectedEof,
];

/// Whether a request ended because its connection was closed.
pub(super) fn was_closed(error: &reqwest::Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<hyper::Error>()
            && cause.is_incomplete_message()
        {
            return true;
        }
        if let Some(cause) = cause.downcast_ref::<std::io::Error>() {
            return CLOSED.contains(&cause.kind());
        }
        source = cause.source();
    }
    false
}

// === Whether a connection is a new one ===

tokio::task_local! {
    static OPENED: Cell<bool>;
}

/// Run a request. Beside its outcome: whether a connection was opened for it.
pub(super) async fn watched<T>(request: impl Future<Output = T>) -> (T, bool) {
    let watched = async {
        let outcome = request.await;
        (outcome, OPENED.with(Cell::get))
    };
    OPENED.scope(Cell::new(false), watched).await
}

/// Around a client's connector: notes with the request that a new connection is there for it. The client starts
/// to open one whenever none is idle, and takes one that becomes idle first; the new one is then opened outside of the
/// request, for the pool.
#[derive(Clone, Copy)]
pub(super) struct Watch;

impl<S> Layer<S> for Watch {
    type Service = Watched<S>;

    fn layer(&self, connector: S) -> Watched<S> {
        Watched(connector)
    }
}

#[derive(Clone)]
pub(super) struct Watched<S>(S);

impl<R, S: Service<R, Future: Send + 'static>> Service<R> for Watched<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, target: R) -> Self::Future {
        let opening = self.0.call(target);
        Box::pin(async move {
            let connection = opening.await?;
            let _ = OPENED.try_with(|opened| opened.set(true));
            Ok(connection)
        })
    }
}

// === A body that can be sent again ===

/// What was read of a body, and the rest.
struct BufferedBody {
    pieces: VecDeque<Bytes>,
    bytes: usize,
    rest: Body,
}

/// Empty once there is more of it than is kept, or it failed.
type SharedBuffer = Arc<Mutex<Option<BufferedBody>>>;

/// The body to be sent, and what is kept of it.
pub(super) fn keep(body: Body) -> (Body, Keeper) {
    let slot =
        Arc::new(Mutex::new(Some(BufferedBody { pieces: VecDeque::new(), bytes: 0, rest: body })));
    (Keeping { slot: slot.clone(), body: None }.boxed_unsync(), Keeper(slot))
}

pub(super) struct Keeper(SharedBuffer);

impl Keeper {
    /// The whole body once more, unless it was too large to be kept.
    pub(super) fn again(self) -> Option<Body> {
        let kept = self.0.lock().take()?;
        Some(kept.boxed_unsync())
    }
}

struct Keeping {
    slot: SharedBuffer,
    /// The body itself, once nothing is kept of it any more.
    body: Option<Body>,
}

type Polled = Poll<Option<Result<Frame<Bytes>, wasmtime_wasi_http::Error>>>;

impl http_body::Body for Keeping {
    type Data = Bytes;
    type Error = wasmtime_wasi_http::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = &mut *self;
        if let Some(body) = &mut this.body {
            return Pin::new(body).poll_frame(cx);
        }
        let mut slot = this.slot.lock();
        let Some(kept) = slot.as_mut() else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(&mut kept.rest).poll_frame(cx));
        let piece = match &frame {
            None => return Poll::Ready(None),
            Some(Ok(frame)) => frame.data_ref().cloned(),
            Some(Err(_)) => None,
        };
        match piece {
            Some(piece) if kept.bytes + piece.len() <= AGAIN_BYTES => {
                kept.bytes += piece.len();
                kept.pieces.push_back(piece);
            }
            _ => this.body = slot.take().map(|kept| kept.rest),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.hint(|body| body.is_end_stream()).unwrap_or(true)
    }

    // Without it a body of known length would be sent in chunks.
    fn size_hint(&self) -> SizeHint {
        self.hint(|body| body.size_hint()).unwrap_or_default()
    }
}

impl Keeping {
    fn hint<T>(&self, ask: impl FnOnce(&Body) -> T) -> Option<T> {
        if let Some(body) = &self.body {
            return Some(ask(body));
        }
        let slot = self.slot.lock();
        slot.as_ref().map(|kept| ask(&kept.rest))
    }
}

impl http_body::Body for BufferedBody {
    type Data = Bytes;
    type Error = wasmtime_wasi_http::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        match self.pieces.pop_front() {
            Some(piece) => {
                self.bytes -= piece.len();
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, bytes) = (self.rest.size_hint(), self.bytes as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + bytes);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + bytes);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;

    use super::super::body::full;
    use super::*;

    async fn whole(body: Body) -> Bytes {
        body.collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn a_body_is_the_same_again_wherever_it_was_left() {
        for left_after in 0..=2 {
            let (mut first, keeper) = keep(full("hello"));
            assert_eq!(first.size_hint().exact(), Some(5));
            for _ in 0..left_after {
                let _ = first.frame().await;
            }
            drop(first);
            let again = keeper.again().unwrap();
            assert_eq!(again.size_hint().exact(), Some(5));
            assert_eq!(whole(again).await, "hello");
        }
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_to_be_kept_is_sent_once() {
        let large = vec![b'x'; AGAIN_BYTES + 1];
        let (body, keeper) = keep(full(large.clone()));
        assert_eq!(whole(body).await, large);
        assert!(keeper.again().is_none());
        let (body, keeper) = keep(full(vec![b'x'; AGAIN_BYTES]));
        assert_eq!(whole(body).await.len(), AGAIN_BYTES);
        assert!(keeper.again().is_some());
    }

    #[test]
    fn what_changes_something_is_not_sent_again() {
        for (method, path) in [
            (Method::DELETE, "/api/delete"),
            (Method::POST, "/api/create"),
            (Method::POST, "/api/copy"),
            (Method::POST, "/api/push"),
            (Method::POST, "/api/blobs/sha256:0"),
            (Method::POST, "/v1/responses"),
        ] {
            assert!(!is_harmless(&method, path), "{method} {path}");
        }
        for (method, path) in [(Method::GET, "/api/anything"), (Method::POST, "/api/chat")] {
            assert!(is_harmless(&method, path), "{method} {path}");
        }
    }
}
