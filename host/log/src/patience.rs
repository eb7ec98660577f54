//! A line for the user who waits: what takes long says so while it goes on, and when it is done.

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use wasm_host_limits as limits;

/// Do this work of a thread that may wait. `what` is as in `compiling x.wasm`.
pub fn tell_if_long<T>(what: &str, work: impl FnOnce() -> T) -> T {
    watched(limits::SILENCE, &|line| tracing::info!("{line}"), what, work)
}

fn watched<T>(
    silence: Duration,
    say: &(dyn Fn(String) + Sync),
    what: &str,
    work: impl FnOnce() -> T,
) -> T {
    let began = Instant::now();
    let (done, waits) = channel::<()>();
    thread::scope(|scope| {
        let teller = move || {
            let too_long = waits.recv_timeout(silence) == Err(RecvTimeoutError::Timeout);
            if too_long {
                say(begins(what));
            }
            too_long
        };
        // A machine without a thread to spare: the work matters, the line does not.
        let teller =
            thread::Builder::new().name("patience".to_string()).spawn_scoped(scope, teller);
        let outcome = work();
        drop(done);
        if teller.is_ok_and(|teller| teller.join().unwrap_or_default()) {
            say(ends(what, began));
        }
        outcome
    })
}

/// The same for what waits without a thread.
pub async fn tell_if_long_async<T>(what: &str, work: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let mut work = pin!(work);
    if let Ok(outcome) = timeout(limits::SILENCE, &mut work).await {
        return outcome;
    }
    tracing::info!("{}", begins(what));
    let outcome = work.await;
    tracing::info!("{}", ends(what, began));
    outcome
}

fn begins(what: &str) -> String {
    format!("{what} ...")
}

fn ends(what: &str, began: Instant) -> String {
    format!("{what}: ended after {:.1} s", began.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_says_so_while_it_goes_on_and_when_it_is_done() {
        let (sender, lines) = channel();
        let say = move |line| sender.send(line).unwrap();
        let said = watched(Duration::ZERO, &say, "compiling x.wasm", || lines.recv().unwrap());
        assert_eq!(said, "compiling x.wasm ...");
        let end = lines.recv().unwrap();
        assert!(end.starts_with("compiling x.wasm: ended after "), "{end}");
    }

    #[test]
    fn what_is_done_soon_says_nothing() {
        let say = |line| panic!("{line}");
        assert_eq!(watched(Duration::from_secs(3600), &say, "it", || 1), 1);
    }
}
