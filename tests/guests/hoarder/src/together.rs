//! Calls that are all under way at the same time.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// Make so many, and wait for all of them. None is made before the one before it was begun.
pub(crate) async fn together<F: Future>(
    count: usize,
    mut make: impl FnMut() -> F,
) -> Vec<F::Output> {
    let mut running: Vec<Pin<Box<F>>> = Vec::new();
    let mut ended = Vec::new();
    poll_fn(|cx| {
        while running.len() + ended.len() < count {
            let mut begun = Box::pin(make());
            match begun.as_mut().poll(cx) {
                Poll::Ready(output) => ended.push(output),
                Poll::Pending => running.push(begun),
            }
        }
        running.retain_mut(|running| match running.as_mut().poll(cx) {
            Poll::Ready(output) => {
                ended.push(output);
                false
            }
            Poll::Pending => true,
        });
        if running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    ended
}
