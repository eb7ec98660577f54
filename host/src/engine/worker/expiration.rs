//! When an instance ends.
//!
//! wasmtime asks after every turn of the instance's task that ended in a wait. So this must cost next to
//! nothing: clocks are read and timers set only where something may be due, and a timer that is
//! due too early is left alone until it fires.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::handler::{WorkerExpiration, WorkerStatus};

use super::slots::InstanceSlots;
use crate::limits;

/// Decides when an instance ends.
pub struct Expiration {
    slots: Arc<InstanceSlots>,
    per_instance: usize,
    /// How long it is kept without requests.
    idle: Duration,
    /// How long a body may stand still; zero for ever.
    stream_idle: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    /// The ticks without a pause when it was last looked.
    ticks: u32,
    /// Since when there are requests that nobody waits for, how many, and when the last one was added.
    abandoned: Option<Abandoned>,
    /// Since when no request is left while the guest goes on.
    empty_since: Option<Instant>,
    next_sweep: Option<Instant>,
    /// The last change of status: when it was for wasmtime, and when it was noticed here. wasmtime counts
    /// real time; deadlines are tokio's, whose time may be virtual.
    changed: Option<(std::time::Instant, Instant)>,
}

#[derive(Clone, Copy)]
struct Abandoned {
    first: Instant,
    last: Instant,
    count: usize,
}

impl Expiration {
    pub(super) fn new(
        slots: Arc<InstanceSlots>,
        per_instance: usize,
        idle: Duration,
        stream_idle: Duration,
    ) -> Self {
        Self {
            slots,
            per_instance,
            idle,
            stream_idle,
            timer: None,
            ticks: 0,
            abandoned: None,
            empty_since: None,
            next_sweep: None,
            changed: None,
        }
    }
}

impl WorkerExpiration for Expiration {
    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        status: WorkerStatus,
        since: std::time::Instant,
    ) -> Poll<()> {
        let this = self.get_mut();
        // Registered before looking, so that what changes in between wakes us.
        this.slots.wake_by(cx.waker());
        this.note_pause();
        let survey = this.slots.survey(status);
        if survey.live < survey.was_live && survey.was_live >= this.per_instance {
            // It was full and looks for requests only when it is woken.
            cx.waker().wake_by_ref();
        }
        this.note_abandoned(survey.abandoned);
        if survey.live > 0 {
            this.empty_since = None;
            this.watch_live(cx);
            return Poll::Pending;
        }
        let deadline = match this.abandoned {
            Some(abandoned) => abandoned.last + limits::ABANDONED_GRACE,
            None if status == WorkerStatus::Idle => {
                this.empty_since = None;
                if this.slots.is_retired() {
                    return Poll::Ready(());
                }
                this.noticed(since) + this.idle
            }
            // The guest goes on after its last response.
            None => *this.empty_since.get_or_insert_with(Instant::now) + limits::POST_RETURN,
        };
        if this.is_reached(deadline, cx) {
            this.slots.end();
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Expiration {
    fn noticed(&mut self, since: std::time::Instant) -> Instant {
        match self.changed {
            Some((of, noticed)) if of == since => noticed,
            _ => self.changed.insert((since, Instant::now())).1,
        }
    }

    /// A turn that ended without a tick ended because the guest waits; one with a tick, because it was made
    /// to give way.
    fn note_pause(&mut self) {
        let ticks = self.slots.ticks();
        if self.slots.is_queued() && ticks == self.ticks {
            // Somebody else woke us: the guest waits for nothing but its turn.
        } else if ticks == self.ticks {
            self.slots.pause();
            self.ticks = 0;
        } else {
            self.ticks = ticks;
        }
    }

    fn note_abandoned(&mut self, count: usize) {
        if count == 0 {
            if self.abandoned.take().is_some() {
                self.slots.set_tainted(false);
            }
            return;
        }
        let before = self.abandoned.map_or(0, |abandoned| abandoned.count);
        if count > before {
            let now = Instant::now();
            let first = self.abandoned.map_or(now, |abandoned| abandoned.first);
            self.abandoned = Some(Abandoned { first, last: now, count });
        } else if let Some(abandoned) = &mut self.abandoned {
            abandoned.count = count;
        }
    }

    /// What is due while requests run: nothing ends, but some may be given up, and no more come if one hangs.
    fn watch_live(&mut self, cx: &mut Context<'_>) {
        if let Some(abandoned) = self.abandoned
            && !self.slots.is_tainted()
            && self.is_reached(abandoned.first + limits::ABANDONED_GRACE, cx)
        {
            self.slots.set_tainted(true);
            // It still offers itself for requests; woken, it looks again.
            cx.waker().wake_by_ref();
        }
        if self.stream_idle.is_zero() {
            return;
        }
        let interval = self.stream_idle / limits::STREAM_IDLE_LOOKS;
        let sweep = *self.next_sweep.get_or_insert_with(|| Instant::now() + interval);
        if self.is_reached(sweep, cx) {
            let now = Instant::now();
            self.slots.end_stalled(now.into_std(), self.stream_idle);
            self.next_sweep = Some(now + interval);
            self.is_reached(now + interval, cx);
        }
    }

    /// Whether this time has come. If not, the task is woken at that time or earlier.
    fn is_reached(&mut self, deadline: Instant, cx: &mut Context<'_>) -> bool {
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if timer.deadline() >= deadline {
                return true;
            }
            timer.as_mut().reset(deadline);
        }
        false
    }
}
