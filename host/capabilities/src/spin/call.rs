//! One call of a guest through an interface of Spin: the request that it serves, what it was granted, and what is held
//! for it.

use std::future::Future;

use wasmtime::StoreContextMut;

use crate::budget::{Exhausted, Holdings, on_account_of};
use crate::caught::Panicked;
use crate::context::{RequestContext, calling_request};
use crate::granted::Granted;
use crate::instance::{HasInstance, InstanceView};
use crate::postgres::notices::{Caller, on_behalf_of};

/// A call that has begun.
pub(super) struct Call {
    pub(super) granted: Granted,
    caller: Caller,
    holdings: Holdings,
    /// Its function is no `async func`: the whole instance waits for it, and nothing that it has begun goes on.
    pub(super) is_alone: bool,
}

/// Why a call has no answer of its backend.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("{0}")]
    Busy(Exhausted),
    #[error("the call was cancelled: its client has left")]
    Cancelled,
    #[error("{0}")]
    Panicked(Panicked),
}

/// How a call ended, if not well.
enum Ended<E> {
    OfBackend(E),
    Panicked(Panicked),
}

impl<E> From<Panicked> for Ended<E> {
    fn from(panicked: Panicked) -> Self {
        Self::Panicked(panicked)
    }
}

impl Call {
    /// While its guest is on the stack: an `async func` has not waited for anything yet.
    pub(super) fn of_store<T: HasInstance>(store: &mut StoreContextMut<'_, T>) -> Self {
        let request = calling_request(store, |store| store.data_mut().instance().requests);
        let InstanceView { granted, journal, holdings, .. } = store.data_mut().instance();
        let caller = Caller { journal: journal.clone(), request };
        Self { granted: granted.clone(), caller, holdings: holdings.clone(), is_alone: false }
    }

    /// The same for a function that is no `async func`.
    pub(super) fn alone(self) -> Self {
        Self { is_alone: true, ..self }
    }

    /// Do it, with `arguments` bytes held meanwhile. `waits`: it may have to wait for others of its instance; one of a
    /// transaction may not, because those could be waiting for the connection that the transaction has. Nor may one for
    /// which they all wait.
    pub(super) async fn run<V, E, F>(
        self,
        arguments: usize,
        waits: bool,
        work: impl FnOnce(RequestContext) -> F,
    ) -> Result<V, E>
    where
        F: Future<Output = Result<V, E>>,
        E: From<Refused>,
    {
        let Self { caller, holdings, is_alone, .. } = self;
        let held = holdings.hold_call(arguments).map_err(Refused::Busy)?;
        let request = caller.request.clone().unwrap_or_else(RequestContext::of_no_request);
        let _place = match waits && !is_alone {
            true => Some(holdings.place(request.cancel()).await.ok_or(Refused::Cancelled)?),
            false => None,
        };
        let call = async { work(request).await.map_err(Ended::OfBackend) };
        on_account_of(held, on_behalf_of(Some(caller), call)).await.map_err(|ended| match ended {
            Ended::OfBackend(error) => error,
            Ended::Panicked(panicked) => Refused::Panicked(panicked).into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;

    use super::*;
    use crate::budget::Budget;
    use crate::journal::Journal;

    struct Quiet;

    impl Journal for Quiet {
        fn note(self: Arc<Self>, _: tracing::Level, _: Option<&RequestContext>, _: &str) {}
    }

    #[tokio::test]
    async fn a_call_that_panics_is_an_error_of_it() {
        let holdings = Holdings::new(100_000, &Budget::new(100_000).share(100_000));
        let caller = Caller { journal: Arc::new(Quiet), request: None };
        let call = Call { granted: Granted::default(), caller, holdings, is_alone: false };
        let ended: Result<(), Refused> =
            call.run(0, true, |_| poll_fn(|_| panic!("on purpose"))).await;
        assert!(matches!(ended, Err(Refused::Panicked(_))), "{ended:?}");
    }
}
