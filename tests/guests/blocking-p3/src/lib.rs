//! A component of WASI 0.3, which could serve several requests at once if it did not wait for its database by calls
//! that hold all of it.

mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit/postgres",
        world: "wasm-host:postgres/blocking-imports",
    });
}

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};

use bindings::wasm_host::postgres::blocking::{self, Transaction};
use replies::{stream, text};
use wasm_host_guest::bindings::wasi::clocks::monotonic_clock;
use wasm_host_guest::{Request, Response, service};

/// Requests that this instance serves.
static LIVE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// What outlives the request that it was begun for.
    static KEPT: RefCell<Vec<Transaction>> = const { RefCell::new(Vec::new()) };
}

/// In nanoseconds.
const HOUR: u64 = 3600 * 1_000_000_000;

async fn serve(request: Request) -> Response {
    LIVE.fetch_add(1, Ordering::Relaxed);
    match request.uri().path() {
        // Begins to answer, and waits without a call that would hold its instance.
        "/hold" => stream(200, "text/plain", |mut body| async move {
            let _ = body.write(b"held".to_vec()).await;
            monotonic_clock::wait_for(HOUR).await;
            Ok(())
        }),
        "/keep" => {
            LIVE.fetch_sub(1, Ordering::Relaxed);
            let begun = blocking::begin();
            let told = format!("{:?}\n", begun.as_ref().map(drop));
            KEPT.with_borrow_mut(|kept| kept.extend(begun));
            text(200, told)
        }
        _ => {
            let live = LIVE.fetch_sub(1, Ordering::Relaxed);
            let asked = blocking::execute("select 1", &[]);
            text(200, format!("{live} live, {asked:?}\n"))
        }
    }
}

service!(serve);
