//! A component that is wanted several times at once is compiled once.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use anyhow::{Error, Result};
use parking_lot::Mutex;

use wasm_host_system::digest::Digest;

/// The components that are being compiled.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<Digest, Weak<Turn>>>);

/// Held while one of those that want a component has it compiled. Why nothing came of it, for those that wait.
type Turn = tokio::sync::Mutex<Option<String>>;

impl Turns {
    /// What `find` finds, or else `make` makes, which is to leave it where `find` finds it. Of several that want the same
    /// one makes it, and the others wait for that. Another one does, if that one is dropped; if it fails, so do they.
    ///
    /// # Errors
    /// Those of `find` and of `make`.
    pub(super) async fn once<T, F, M>(
        &self,
        digest: &Digest,
        find: impl Fn() -> F,
        make: impl FnOnce() -> M,
    ) -> Result<T>
    where
        F: Future<Output = Result<Option<T>>>,
        M: Future<Output = Result<T>>,
    {
        if let Some(found) = find().await? {
            return Ok(found);
        }
        let turn = self.turn(digest);
        let mut failed = turn.lock().await;
        if let Some(failure) = &*failed {
            return Err(Error::msg(failure.clone()));
        }
        if let Some(found) = find().await? {
            return Ok(found);
        }
        make().await.inspect_err(|error| *failed = Some(format!("{error:#}")))
    }

    fn turn(&self, digest: &Digest) -> Arc<Turn> {
        let mut turns = self.0.lock();
        if let Some(turn) = turns.get(digest).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(Turn::default());
        turns.insert(digest.clone(), Arc::downgrade(&turn));
        turn
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::future::{pending, poll_fn};
    use std::pin::pin;
    use std::task::Poll;

    use anyhow::bail;
    use futures_util::future::join_all;
    use tokio::task::yield_now;

    use super::*;

    /// Something that is made, and how often it was.
    #[derive(Default)]
    struct Made {
        turns: Turns,
        kept: RefCell<HashMap<Digest, usize>>,
        times: Cell<usize>,
    }

    impl Made {
        async fn get(&self, what: &[u8], fails: bool) -> Result<usize> {
            let digest = Digest::of(what);
            let find = || async { Ok(self.kept.borrow().get(&digest).copied()) };
            let make = || async {
                self.times.set(self.times.get() + 1);
                yield_now().await;
                if fails {
                    bail!("it is {}", self.times.get());
                }
                self.kept.borrow_mut().insert(digest.clone(), self.times.get());
                Ok(self.times.get())
            };
            self.turns.once(&digest, find, make).await
        }
    }

    #[tokio::test]
    async fn what_is_wanted_by_many_at_once_is_made_once() {
        let made = Made::default();
        let wanted = (0..100)
            .map(|at: usize| made.get(if at.is_multiple_of(2) { b"one" } else { b"two" }, false));
        let got: Vec<_> = join_all(wanted).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(made.times.get(), 2);
        assert!(got.iter().step_by(2).all(|it| *it == got[0]));
        assert!(got.iter().skip(1).step_by(2).all(|it| *it == got[1]));
    }

    #[tokio::test]
    async fn those_that_wait_fail_with_the_one_that_makes_it_and_later_ones_try_again() {
        let made = Made::default();
        let failed = join_all((0..10).map(|_| made.get(b"one", true))).await;
        for failed in failed {
            assert_eq!(failed.unwrap_err().to_string(), "it is 1");
        }
        assert_eq!(made.get(b"one", true).await.unwrap_err().to_string(), "it is 2");
        assert_eq!(made.get(b"one", false).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn another_one_makes_it_where_the_first_is_given_up() {
        let made = Made::default();
        let digest = Digest::of(b"one");
        let mut first = Box::pin(made.turns.once(&digest, || async { Ok(None) }, pending));
        let mut second = pin!(made.get(b"one", false));
        poll_fn(|cx| {
            let first: Poll<Result<usize>> = first.as_mut().poll(cx);
            assert!(first.is_pending() && second.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        drop(first);
        assert_eq!(second.await.unwrap(), 1);
    }
}
