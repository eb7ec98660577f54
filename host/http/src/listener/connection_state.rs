//! What one connection is doing, and since when: the facts that its deadlines are about.
//!
//! Written by what sees them (the socket, the requests), read by the connection's task. Atomics, because the
//! requests of HTTP/2 run in tasks of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use wasm_host_config::HttpLimits;
use wasm_host_limits::http as limits;

/// What a connection is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum ConnectionCommand {
    Go,
    /// Finish what runs and take nothing new.
    Finish,
    /// The same, in favour of a client that waits: there is no time for what has not begun.
    MakeRoom,
    /// End now.
    Cut,
}

/// Which deadline of a connection passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing was asked for a long time, or since it was told to finish.
    Idle,
    /// A request head did not come to its end.
    Head,
    /// An answer had all its time and is still being written.
    Answer,
}

/// What a connection that may be ended for another one is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spare {
    /// Nothing, for this long.
    Idle(Duration),
    /// Waiting for the rest of a request head, for this long.
    Headless(Duration),
}

pub(super) struct ConnectionState {
    /// The origin of the times below, which are milliseconds after it.
    opened: Instant,
    in_flight: AtomicUsize,
    /// Requests so far.
    begun: AtomicU64,
    idle_since: AtomicU64,
    /// `NEVER`: no head is on its way.
    head_since: AtomicU64,
    /// Requests that the client reset before they were answered, less those that were answered.
    unanswered: AtomicU64,
    told_at: AtomicU64,
    order: AtomicU8,
    http2: AtomicBool,
    /// The client may still be sending when its last answer is written.
    may_send: AtomicBool,
    /// Bodies of requests that may still be read.
    unread: AtomicUsize,
    /// The client speaks HTTP/1.0, for which an answer ends with the connection.
    is_old: AtomicBool,
    /// When the answer that is being written must be whole; `NEVER`: whenever it is. HTTP/1.1 only: the streams of
    /// HTTP/2 have their own.
    answer_until: AtomicU64,
    /// Bytes that are to be sent wait for the client.
    waiting: AtomicBool,
    /// They have waited for too long.
    pub(super) stalled: AtomicBool,
    /// The client sent too many frames that ask for nothing.
    pub(super) flooded: AtomicBool,
    waker: AtomicWaker,
}

const NEVER: u64 = u64::MAX;

/// One request. It ends with this value.
pub(super) struct InFlightGuard {
    connection: Arc<ConnectionState>,
    answered: bool,
}

// === impl ConnectionState ===

impl ConnectionState {
    pub(super) fn new() -> Self {
        Self {
            opened: Instant::now(),
            in_flight: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            idle_since: AtomicU64::new(0),
            // The first head is expected from the beginning.
            head_since: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            told_at: AtomicU64::new(NEVER),
            order: AtomicU8::new(ConnectionCommand::Go as u8),
            http2: AtomicBool::new(false),
            may_send: AtomicBool::new(false),
            unread: AtomicUsize::new(0),
            is_old: AtomicBool::new(false),
            answer_until: AtomicU64::new(NEVER),
            waiting: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            flooded: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    fn now(&self) -> u64 {
        self.opened.elapsed().as_millis() as u64
    }

    fn at(&self, milliseconds: u64) -> Instant {
        self.opened + Duration::from_millis(milliseconds)
    }

    /// The handshake is done; the first head is expected from now on.
    pub(super) fn handshaken(&self, http2: bool) {
        self.http2.store(http2, Ordering::Relaxed);
        self.head_since.store(self.now(), Ordering::Relaxed);
    }

    /// Bytes came.
    pub(super) fn received(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.is_busy() || self.head_since.load(Ordering::Relaxed) != NEVER {
            // The first bytes of a connection say which protocol it speaks.
            if self.begun.load(Ordering::Relaxed) == 0 && bytes.starts_with(b"PRI * HTTP/2.0") {
                self.http2.store(true, Ordering::Relaxed);
            }
            return;
        }
        self.head_since.store(self.now(), Ordering::Relaxed);
    }

    pub(super) fn begin(self: &Arc<Self>, http2: bool, has_body: bool) -> InFlightGuard {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.head_since.store(NEVER, Ordering::Relaxed);
        if http2 {
            self.http2.store(true, Ordering::Relaxed);
        } else {
            self.may_send.store(has_body, Ordering::Relaxed);
            self.answer_until.store(NEVER, Ordering::Relaxed);
        }
        InFlightGuard { connection: self.clone(), answered: false }
    }

    /// Whether there is one more body that may be read, or one less.
    pub(super) fn unread(&self, more: bool) {
        if more {
            self.unread.fetch_add(1, Ordering::Relaxed);
        } else {
            self.unread.fetch_sub(1, Ordering::Release);
        }
    }

    pub(super) fn has_unread(&self) -> bool {
        self.unread.load(Ordering::Acquire) > 0
    }

    /// The connection has done all that it could, knowing that no body is read. If it goes on now, without a
    /// request, it has read all of the last one.
    pub(super) fn rests(&self) {
        if !self.is_at_work() {
            self.may_send.store(false, Ordering::Relaxed);
        }
    }

    /// A request is of HTTP/1.0.
    pub(super) fn speaks_old(&self) {
        self.is_old.store(true, Ordering::Relaxed);
    }

    /// Whether the end of the connection may be taken for the end of an answer.
    pub(super) fn is_old(&self) -> bool {
        self.is_old.load(Ordering::Relaxed)
    }

    /// Bytes wait for the client.
    pub(super) fn waits(&self) {
        self.waiting.store(true, Ordering::Relaxed);
    }

    /// The client has taken some of the bytes that waited.
    pub(super) fn taken(&self) {
        self.waiting.store(false, Ordering::Relaxed);
        self.idle_since.store(self.now(), Ordering::Relaxed);
    }

    /// Whether an answer is made or written. The end of a large one is still to be sent when its request has ended.
    pub(super) fn is_at_work(&self) -> bool {
        self.is_busy() || self.waiting.load(Ordering::Relaxed)
    }

    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0
    }

    /// Requests so far.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    pub(super) fn has_begun(&self) -> bool {
        self.begun() > 0
    }

    pub(super) fn may_send(&self) -> bool {
        self.may_send.load(Ordering::Relaxed)
    }

    pub(super) fn is_http2(&self) -> bool {
        self.http2.load(Ordering::Relaxed)
    }

    /// If it has no request, what it does instead. None if it was told to end: it may stay for a while, and must not be
    /// chosen again.
    pub(super) fn spare(&self) -> Option<Spare> {
        if self.is_at_work() || self.told_at.load(Ordering::Relaxed) != NEVER {
            return None;
        }
        let head_since = self.head_since.load(Ordering::Relaxed);
        let since = |begin: u64| Duration::from_millis(self.now().saturating_sub(begin));
        if !self.has_begun() {
            // A handshake is no excuse.
            return Some(Spare::Headless(since(0)));
        }
        // With HTTP/2 bytes that come between requests need not be those of a head.
        if head_since != NEVER && !self.is_http2() {
            return Some(Spare::Headless(since(head_since)));
        }
        Some(Spare::Idle(since(self.idle_since.load(Ordering::Relaxed))))
    }

    pub(super) fn tell(&self, order: ConnectionCommand) {
        let _ =
            self.told_at.compare_exchange(NEVER, self.now(), Ordering::Relaxed, Ordering::Relaxed);
        self.order.fetch_max(order as u8, Ordering::AcqRel);
        self.waker.wake();
    }

    /// What it is told; the task of `waker` is woken when that changes.
    pub(super) fn order(&self, waker: &std::task::Waker) -> ConnectionCommand {
        self.waker.register(waker);
        match self.order.load(Ordering::Acquire) {
            0 => ConnectionCommand::Go,
            1 => ConnectionCommand::Finish,
            2 => ConnectionCommand::MakeRoom,
            _ => ConnectionCommand::Cut,
        }
    }

    /// Wait until it is told to do this, or more.
    pub(super) async fn told(&self, order: ConnectionCommand) {
        std::future::poll_fn(|cx| match self.order(cx.waker()) >= order {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    /// When it has been quiet, or slow, for too long. While it serves a request, that one's own time counts.
    pub(super) fn due(&self, bounds: &HttpLimits) -> Option<(Instant, Due)> {
        if self.is_at_work() {
            let until = self.answer_until.load(Ordering::Relaxed);
            return (until != NEVER).then(|| (self.at(until), Due::Answer));
        }
        let told_at = self.told_at.load(Ordering::Relaxed);
        if told_at != NEVER {
            // Of a connection that has just been opened the first request may be on its way; one that
            // is finishing has nothing more to do than to write what it has.
            let in_favour = self.order.load(Ordering::Relaxed) == ConnectionCommand::MakeRoom as u8;
            let grace = match (self.has_begun(), in_favour) {
                (true, false) => bounds.write_idle,
                (true, true) => limits::ROOM_GRACE,
                (false, false) => limits::FRESH_GRACE.min(bounds.header_timeout),
                // It has been read once more before this is looked at.
                (false, true) => Duration::ZERO,
            };
            let since = told_at.max(self.idle_since.load(Ordering::Relaxed));
            return Some((self.at(since) + grace, Due::Idle));
        }
        let head_since = self.head_since.load(Ordering::Relaxed);
        // With HTTP/2 bytes that come between requests need not be those of a head.
        if head_since != NEVER && !(self.is_http2() && self.has_begun()) {
            return Some((self.at(head_since) + bounds.header_timeout, Due::Head));
        }
        let idle_since = self.idle_since.load(Ordering::Relaxed);
        Some((self.at(idle_since) + bounds.keep_alive, Due::Idle))
    }
}

// === impl InFlightGuard ===

impl InFlightGuard {
    /// The answer must be whole by then.
    pub(super) fn bind(&self, until: Instant) {
        // Not before it: what makes the answer looks at the same time.
        let until = until.saturating_duration_since(self.connection.opened).as_millis() as u64 + 1;
        self.connection.answer_until.store(until, Ordering::Relaxed);
    }

    /// There is an answer.
    pub(super) fn answer(&mut self) {
        self.answered = true;
        // Where nothing was reset, nothing is subtracted.
        let _ = self.connection.unanswered.fetch_update(
            Ordering::Relaxed,
            Ordering::Relaxed,
            |count| count.checked_sub(1),
        );
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        let connection = &self.connection;
        connection.idle_since.store(connection.now(), Ordering::Relaxed);
        if !self.answered
            && connection.unanswered.fetch_add(1, Ordering::Relaxed) >= limits::UNANSWERED_RESETS
        {
            connection.tell(ConnectionCommand::Cut);
        }
        if connection.in_flight.fetch_sub(1, Ordering::Relaxed) == 1 && connection.is_http2() {
            // The connection's task need not be polled for it otherwise.
            connection.waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, sleep};

    use super::*;

    fn in_seconds(state: &ConnectionState) -> Option<(u64, Due)> {
        let (at, due) = state.due(&HttpLimits::default())?;
        Some((at.duration_since(state.opened).as_secs(), due))
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_time_from_its_first_byte_and_a_quiet_connection_from_its_last_request()
    {
        let state = Arc::new(ConnectionState::new());
        assert_eq!(in_seconds(&state), Some((10, Due::Head)));
        advance(Duration::from_secs(3)).await;
        state.received(b"GET / HT");
        assert_eq!(in_seconds(&state), Some((10, Due::Head)));
        let in_flight = state.begin(false, false);
        assert_eq!(in_seconds(&state), None);
        sleep(Duration::from_secs(100)).await;
        drop(in_flight);
        assert_eq!(in_seconds(&state), Some((103 + 75, Due::Idle)));
        assert!(matches!(state.spare(), Some(Spare::Idle(_))));
        advance(Duration::from_secs(5)).await;
        state.received(b"G");
        advance(Duration::from_secs(5)).await;
        state.received(b"E");
        assert_eq!(in_seconds(&state), Some((108 + 10, Due::Head)));
        assert_eq!(state.spare(), Some(Spare::Headless(Duration::from_secs(5))));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_has_its_time_until_all_of_it_is_written_and_the_next_one_its_own() {
        let state = Arc::new(ConnectionState::new());
        let in_flight = state.begin(false, false);
        in_flight.bind(Instant::now() + Duration::from_secs(20));
        assert_eq!(in_seconds(&state), Some((20, Due::Answer)));
        // All of it was handed over, and the socket is full.
        state.waits();
        drop(in_flight);
        assert_eq!(in_seconds(&state), Some((20, Due::Answer)));
        assert_eq!(state.spare(), None);
        advance(Duration::from_secs(5)).await;
        state.taken();
        assert_eq!(in_seconds(&state), Some((5 + 75, Due::Idle)));
        let _next = state.begin(false, false);
        assert_eq!(in_seconds(&state), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_was_told_to_finish_is_not_to_spare() {
        let state = Arc::new(ConnectionState::new());
        drop(state.begin(true, false));
        assert!(state.spare().is_some());
        state.tell(ConnectionCommand::Finish);
        assert_eq!(state.spare(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn pings_of_http2_are_no_heads() {
        let state = Arc::new(ConnectionState::new());
        drop(state.begin(true, false));
        advance(Duration::from_secs(5)).await;
        state.received(b"a ping");
        assert_eq!(in_seconds(&state), Some((75, Due::Idle)));
    }
}
