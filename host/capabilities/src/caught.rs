//! A panic in a call is an error of that call.
//!
//! Without this it would end the instance that makes the call, and with it requests of others. It knows nothing of
//! capabilities: [`on_account_of`](crate::budget::on_account_of), which the calls of interfaces pass, and what sends
//! HTTP for a component, ask it. The body of an answer that is on its way is none of its business. What a driver leaves behind is the business of what owns the driver.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_panics_is_an_error_and_what_does_not_is_as_it_was() {
        let late = async {
            tokio::task::yield_now().await;
            panic!("on purpose");
        };
        assert_eq!(caught::<()>(late).await, Err(Panicked));
        assert_eq!(caught(async { 7 }).await, Ok(7));
    }
}
