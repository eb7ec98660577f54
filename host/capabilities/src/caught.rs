//! A panic in a call is an error of that call, and one in an answer on its way is an error of that answer.
//!
//! Without this it would end the instance that makes the call, and with it requests of others. It knows nothing of
//! capabilities: [`on_account_of`](crate::budget::on_account_of), which the calls of interfaces pass, and what sends
//! HTTP for a component, ask it. What a driver leaves behind is the business of what owns the driver.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;

use crate::body::Body;
use crate::outgoing::{HttpError, HttpResponse};

/// A call has panicked. The panic itself is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the call failed in the host itself; the host's log says how")]
pub struct Panicked;

/// What `call` gives. Nothing of it is polled again when it has panicked.
///
/// # Errors
/// It has panicked.
pub async fn caught<T>(call: impl Future<Output = T>) -> Result<T, Panicked> {
    AssertUnwindSafe(call).catch_unwind().await.map_err(|_| Panicked)
}

/// The answer to a request that a component sends. Its body is read in the component's instance, so that it is caught,
/// too.
///
/// # Errors
/// Those of the call, and that it has panicked.
pub(crate) async fn answered<E: From<Panicked>>(
    call: impl Future<Output = Result<HttpResponse, E>>,
) -> Result<HttpResponse, E> {
    let answer = caught(call).await.unwrap_or_else(|panicked| Err(panicked.into()))?;
    Ok(answer.map(|body| CaughtBody(Some(body)).boxed_unsync()))
}

impl From<Panicked> for HttpError {
    fn from(panicked: Panicked) -> Self {
        Self::InternalError(Some(panicked.to_string()))
    }
}

/// Empty once it has panicked.
struct CaughtBody(Option<Body>);

impl http_body::Body for CaughtBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(body).poll_frame(cx)));
        polled.unwrap_or_else(|_| {
            self.0 = None;
            Poll::Ready(Some(Err(Panicked.into())))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map(|body| body.size_hint()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http::Response;
    use http_body_util::StreamBody;

    use super::*;
    use crate::testing::panics_in_its_body;

    #[tokio::test]
    async fn what_panics_is_an_error_and_what_does_not_is_as_it_was() {
        let late = async {
            tokio::task::yield_now().await;
            panic!("on purpose");
        };
        assert_eq!(caught::<()>(late).await, Err(Panicked));
        assert_eq!(caught(async { 7 }).await, Ok(7));
    }

    #[tokio::test]
    async fn a_body_that_panics_ends_as_an_error_and_only_once() {
        let call = async { Ok::<_, HttpError>(Response::new(panics_in_its_body())) };
        let mut body = answered(call).await.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "begun");
        let error = body.frame().await.unwrap().unwrap_err();
        assert!(format!("{error:?}").contains("failed in the host itself"), "{error:?}");
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_body_that_does_not_is_as_it_was() {
        let frames = ["one", "two"].map(|it| Ok::<_, HttpError>(Frame::data(it.into())));
        let body = StreamBody::new(stream::iter(frames)).boxed_unsync();
        let call = async { Ok::<_, HttpError>(Response::new(body)) };
        let body = answered(call).await.unwrap().into_body();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "onetwo");
        let call = async { Ok::<_, HttpError>(Response::new(crate::body::full("known"))) };
        let body = answered(call).await.unwrap().into_body();
        assert_eq!(http_body::Body::size_hint(&body).exact(), Some(5));
    }
}
