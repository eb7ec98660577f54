//! What sends one signal: takes what waits, sends it, and tries again what may be taken later.
//!
//! A collector that is away, slow or refuses costs what waits for it, which is counted, and a line of the log. It must not
//! know what a message says.

mod pace;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::counts::Counts;
use crate::message::Origin;
use crate::queue::{Queue, Taken};
use crate::send::{SendOutcome, Sender};
use crate::signal::Signal;
use crate::trouble::Trouble;

use self::pace::Pace;
pub(super) use self::pace::Times;

/// Set once: until when what is left must be sent.
pub(super) type DeadlineReceiver = watch::Receiver<Option<Instant>>;

pub(super) struct Worker<T> {
    pub signal: Signal,
    pub queue: Arc<Queue<T>>,
    pub sender: Sender,
    pub origin: Arc<Origin>,
    /// A message with all of these.
    pub write: fn(&[T], &Origin) -> Vec<u8>,
    pub count: fn(&T) -> u64,
    pub counts: Counts,
    pub trouble: Arc<Trouble>,
    pub end: DeadlineReceiver,
    pub times: Times,
}

impl<T> Worker<T> {
    /// Until the end, and then until nothing waits.
    pub(super) async fn run(mut self) {
        let mut pace = Pace::new(self.times);
        while let Some(Taken { items, bytes }) = self.next().await {
            let count = items.iter().map(self.count).sum();
            let body = self.sender.body(&(self.write)(&items, &self.origin));
            drop(items);
            self.deliver(&body, count, &mut pace).await;
            self.queue.done(bytes);
        }
    }

    /// None: it is the end, and nothing is left.
    async fn next(&mut self) -> Option<Taken<T>> {
        loop {
            if is_over(&self.end) {
                return self.queue.take();
            }
            tokio::select! {
                () = self.queue.has_some.notified() => {}
                _ = self.end.changed() => continue,
            }
            tokio::select! {
                () = sleep(self.times.interval) => {}
                () = self.queue.is_much.notified() => {}
                _ = self.end.changed() => {}
            }
            if let Some(taken) = self.queue.take() {
                return Some(taken);
            }
        }
    }

    /// Send it, or give it up.
    async fn deliver(&mut self, body: &Bytes, count: u64, pace: &mut Pace) {
        let until = Instant::now() + self.times.retry;
        loop {
            if let Some(pause) = pace.pause().filter(|_| !is_over(&self.end)) {
                tokio::select! {
                    () = sleep_until(pause) => {}
                    _ = self.end.changed() => {}
                }
            }
            // Then there is one attempt, with the time that is left.
            let is_last = is_over(&self.end);
            let left = self.end.borrow().map(|end| end.saturating_duration_since(Instant::now()));
            let why = match self.sender.send(body.clone(), left.unwrap_or(Duration::MAX)).await {
                SendOutcome::Taken { rejected } => {
                    pace.went_well();
                    let rejected = rejected.min(count);
                    self.counts.sent(self.signal, count - rejected);
                    if rejected == 0 {
                        let (items, address) = (self.signal.items(), self.sender.address());
                        let what = format_args!("{items} are sent to {address} again");
                        return self.trouble.is_over(self.signal, what);
                    }
                    self.counts.dropped(self.signal, rejected);
                    return self.tell(None, &format!("it rejected {rejected} of {count}"));
                }
                SendOutcome::Refused { why } => {
                    pace.went_well();
                    self.counts.dropped(self.signal, count);
                    return self.tell(None, &why);
                }
                SendOutcome::Later { why, pause } => {
                    pace.failed(pause);
                    why
                }
            };
            let is_given_up = is_last || Instant::now() >= until;
            if is_given_up {
                self.counts.dropped(self.signal, count);
            }
            self.tell(Some(self.signal), &why);
            if is_given_up {
                return;
            }
        }
    }

    fn tell(&self, away: Option<Signal>, why: &str) {
        let (items, address) = (self.signal.items(), self.sender.address());
        let dropped = self.counts.all_dropped(self.signal);
        let hint = self.sender.hint();
        self.trouble.tell(
            away,
            format_args!(
            "{items} cannot be sent to {address}: {why}{hint}; dropped since the start: {dropped}; what comes is tried again"
        ));
    }
}

/// Whoever could tell the end may be gone, too.
fn is_over(end: &DeadlineReceiver) -> bool {
    end.borrow().is_some() || end.has_changed().is_err()
}
