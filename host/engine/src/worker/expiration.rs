//! When an instance ends.
//!
//! It is asked after every turn of the instance's task that ended in a wait. So this must cost next to
//! nothing: clocks are read and timers set only where something may be due, and a timer that is
//! due too early is left alone until it fires.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::instance::Status;
use super::instance_state::InstanceState;
use crate::output::Printed;
use crate::state::StoreData;
use wasm_host_capabilities::context::{RequestContext, Requests};
use wasm_host_limits as limits;
use wasm_host_limits::service::ServiceLimits;

/// Time between two looks into an instance that does nothing.
const LOOK: Duration = match limits::POST_RETURN.checked_div(limits::LOOKS_IN_BOUND) {
    Some(time) => time,
    None => limits::POST_RETURN,
};

/// Decides when an instance ends.
pub(super) struct Expiration {
    instance: Arc<InstanceState>,
    requests: Requests,
    printed: Arc<Printed>,
    per_instance: usize,
    /// How long it is kept without requests.
    idle: Duration,
    /// How long a body may stand still; zero for ever.
    stream_idle: Duration,
    /// Time between two looks for what stands still or was forgotten.
    sweep: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    /// The ticks without a pause when it was last looked.
    ticks: u32,
    /// Since when there are requests that are not waited for, how many, and when the last one was added.
    abandoned: Option<Abandoned>,
    /// Since when no request is left while the guest goes on.
    empty_since: Option<Instant>,
    next_sweep: Option<Instant>,
    /// Since when it does nothing, and how many requests it had begun by then.
    idle_since: Option<(usize, Instant)>,
}

#[derive(Clone, Copy)]
struct Abandoned {
    first: Instant,
    last: Instant,
    count: usize,
}

impl Expiration {
    pub(super) fn new(
        instance: Arc<InstanceState>,
        state: &StoreData,
        per_instance: usize,
        limits: &ServiceLimits,
    ) -> Self {
        let (requests, printed) = (state.requests.clone(), state.printed().clone());
        let ServiceLimits { idle, stream_idle_timeout: stream_idle, .. } = *limits;
        let bounds = [stream_idle, limits::POST_RETURN].into_iter();
        let shortest = bounds.filter(|bound| !bound.is_zero()).min().unwrap_or_default();
        Self {
            instance,
            requests,
            printed,
            per_instance,
            idle,
            stream_idle,
            sweep: shortest / limits::LOOKS_IN_BOUND,
            timer: None,
            ticks: 0,
            abandoned: None,
            empty_since: None,
            next_sweep: None,
            idle_since: None,
        }
    }
}

impl Expiration {
    /// Ready when the instance is to end. One that has been idle for its time is not, if it `is_kept`.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        status: Status,
        is_kept: impl FnOnce() -> bool,
    ) -> Poll<()> {
        // Registered before looking, so that what changes in between wakes us.
        self.instance.wake_by(cx.waker());
        self.note_pause();
        if status == Status::Idle {
            // Nothing is left that would go on with a line.
            self.printed.end_lines(|_| true);
        }
        let survey = self.instance.survey(status);
        if survey.live < survey.was_live && survey.was_live >= self.per_instance {
            // It was full and looks for requests only when it is woken.
            cx.waker().wake_by_ref();
        }
        self.note_abandoned(survey.abandoned, cx);
        if survey.live > 0 {
            self.empty_since = None;
            self.watch_live(cx);
            return Poll::Pending;
        }
        let deadline = match self.abandoned {
            Some(abandoned) => abandoned.last + limits::ABANDONED_GRACE,
            None if status == Status::Idle => {
                self.empty_since = None;
                if self.instance.is_retired() {
                    return Poll::Ready(());
                }
                self.idle_since() + self.idle
            }
            // The guest goes on after its last response.
            None => *self.empty_since.get_or_insert_with(Instant::now) + limits::POST_RETURN,
        };
        // Whichever is first: the timer is asked once.
        let look = self.next_sweep.filter(|_| status == Status::Idle);
        if !self.is_reached(look.map_or(deadline, |look| look.min(deadline)), cx) {
            return Poll::Pending;
        }
        if look.is_some_and(|look| look <= Instant::now()) {
            self.look_for_kept();
        }
        if !self.is_reached(deadline, cx) {
            return Poll::Pending;
        }
        // A retirement wakes it, and whatever else may change that.
        if status == Status::Idle && self.abandoned.is_none() && is_kept() {
            if let Some(look) = self.next_sweep
                && self.is_reached(look, cx)
            {
                // Just now.
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        self.instance.end();
        Poll::Ready(())
    }

    /// Since when it does nothing. One that has served since it was last asked is looked into later.
    fn idle_since(&mut self) -> Instant {
        let begun = self.instance.begun();
        match self.idle_since {
            Some((before, since)) if before == begun => since,
            _ => {
                let now = Instant::now();
                self.next_sweep.get_or_insert(now + LOOK);
                self.idle_since.insert((begun, now)).1
            }
        }
    }

    /// While it does nothing, its guest may keep a transaction or a stream of a request that is over, and with it a
    /// place at the backend. Without such it is not looked again.
    fn look_for_kept(&mut self) {
        let now = Instant::now();
        let are_more = self.requests.end_forgotten(now.into_std(), limits::POST_RETURN);
        self.next_sweep = are_more.then(|| now + LOOK);
    }

    /// A turn that ended without a tick ended because the guest waits; one with a tick, because it was made
    /// to give way.
    fn note_pause(&mut self) {
        let ticks = self.instance.ticks();
        if ticks == self.ticks {
            self.instance.pause();
            self.ticks = 0;
        } else {
            self.ticks = ticks;
        }
    }

    fn note_abandoned(&mut self, count: usize, cx: &Context<'_>) {
        if count == 0 {
            if self.abandoned.take().is_some() {
                self.instance.set_quarantined(false);
                // It may take requests again, and looks for them when it is woken.
                cx.waker().wake_by_ref();
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
            && !self.instance.is_quarantined()
            && self.is_reached(abandoned.first + limits::ABANDONED_GRACE, cx)
        {
            self.instance.set_quarantined(true);
            // It still offers itself for requests; woken, it looks again.
            cx.waker().wake_by_ref();
        }
        let sweep = *self.next_sweep.get_or_insert_with(|| Instant::now() + self.sweep);
        if self.is_reached(sweep, cx) {
            let now = Instant::now();
            // While others live here, the instance's end cannot be what ends these.
            self.requests.end_forgotten(now.into_std(), limits::POST_RETURN);
            self.printed.end_lines(|request| request.is_some_and(RequestContext::has_ended));
            if !self.stream_idle.is_zero() {
                self.instance.end_stalled(now.into_std(), self.stream_idle);
            }
            self.next_sweep = Some(now + self.sweep);
            self.is_reached(now + self.sweep, cx);
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
