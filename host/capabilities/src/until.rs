//! Work that goes on for no longer than its request.

use std::future::Future;

use crate::context::RequestContext;

/// What `work` gives, or `ended` if its request ends before. That wins where both are so: nothing is begun, or told, for
/// a request that is over. (`CancellationToken::run_until_cancelled` would let the work win.)
pub async fn until_ended<T, E>(
    request: &RequestContext,
    ended: E,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    tokio::select! {
        biased;
        () = request.cancel().cancelled() => Err(ended),
        result = work => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_that_is_over_wins_against_work_that_is_done() {
        let request = RequestContext::of_host("test");
        let (tell, told) = tokio::sync::oneshot::channel();
        let work = async { told.await.map_err(|_| "lost") };
        let end = async {
            request.cancel().cancel();
            tell.send(()).unwrap();
        };
        let (result, ()) = tokio::join!(until_ended(&request, "ended", work), end);
        assert_eq!(result, Err("ended"));
    }

    #[tokio::test]
    async fn work_gives_what_it_gives_while_its_request_lasts() {
        let request = RequestContext::of_host("test");
        assert_eq!(until_ended(&request, "ended", async { Ok(1) }).await, Ok(1));
        assert_eq!(until_ended(&request, "ended", async { Err::<(), _>("own") }).await, Err("own"));
    }
}
