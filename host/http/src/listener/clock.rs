//! A timer for deadlines that move with every request and are almost never reached.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// Moving the deadline away costs nothing: the timer fires at the earlier one and is then set again.
#[derive(Default)]
pub struct LazyTimer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl LazyTimer {
    /// Ready when `deadline` has passed; until then the task is woken for it, or now and then before.
    pub fn poll(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_moves_is_met_where_it_is_at_last() {
        let start = Instant::now();
        let mut timer = LazyTimer::default();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(poll_fn(|cx| Poll::Ready(timer.poll(at(1), cx))).await.is_pending());
        // Later, so that it fires in between; earlier than what it is set for; passed.
        for (deadline, reached) in [(5, 5), (8, 8), (3, 8)] {
            poll_fn(|cx| timer.poll(at(deadline), cx)).await;
            assert_eq!(start.elapsed().as_secs(), reached);
        }
        assert!(poll_fn(|cx| Poll::Ready(timer.poll(at(60), cx))).await.is_pending());
        poll_fn(|cx| timer.poll(at(10), cx)).await;
        assert_eq!(start.elapsed().as_secs(), 10);
    }
}
