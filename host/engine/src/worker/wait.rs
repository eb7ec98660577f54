//! The one wait of a request for an instance: it asks all handlers that could have one, and again when it is told that
//! there may be room.
//!
//! An instance that ends, or is free again, tells one of the requests that wait. A request that comes just then may be
//! faster; the one that was told then waits for the next.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::error::CallError;
use super::handler::{CallResult, Handler};
use super::instance_state::RequestState;
use wasm_host_capabilities::outgoing::HttpRequest;
use wasm_host_limits as limits;

/// Have a request answered by one of these handlers, in the order in which they come each time; wait for room until
/// `until`, or until it is not wanted (`wants`) any more.
///
/// # Errors
/// There was no room in that time, or the guest gave no final answer.
pub async fn call<'h, H: Iterator<Item = &'h Handler>>(
    handlers: impl Fn() -> H,
    state: &Arc<RequestState>,
    mut request: HttpRequest,
    until: Instant,
    wants: impl Fn() -> bool,
) -> CallResult {
    let mut wait = limits::INSTANCE_WAIT_FIRST;
    loop {
        let mut full = None;
        for handler in handlers() {
            match handler.call(state.clone(), request).await {
                Err(CallError::NoRoom(given_back, why)) => {
                    request = *given_back;
                    full = Some((handler, why));
                }
                answered => return answered,
            }
        }
        let Some((handler, why)) = full else { return Err(CallError::Ended) };
        if !wants() || Instant::now() >= until {
            return Err(CallError::NoRoom(Box::new(request), why));
        }
        let told = handler.freed(why.holder()).notified();
        // Told or not, it asks: what happened between asking and here may have told no request.
        let _ = timeout_at(until.min(Instant::now() + wait), told).await;
        wait = (wait * 2).min(limits::INSTANCE_WAIT_LAST);
    }
}
