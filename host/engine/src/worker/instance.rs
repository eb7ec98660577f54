//! The life of one instance: made, asked, ended.
//!
//! Its task lets the instance's events happen (wasmtime's `run_concurrent`) until all of them wait for something.
//! Then it takes the next request, if there is one. So a guest that computes, or traps, as soon as it is asked
//! does so before it can harm a neighbour, and what a neighbour was about to say has been said. Between any two
//! events wasmtime asks for more ([`Instance::turn`]), which must cost next to nothing.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::poll;
use tokio::sync::oneshot;
use wasmtime::component::{Accessor, Func};
use wasmtime::{AsContextMut as _, format_err};
use wasmtime_wasi_http::handler::Proxy;

use super::call::{Answering, Call};
use super::expiration::Expiration;
use super::handler::{Desk, Job, Starting};
use super::slots::InstanceSlots;
use super::{Accepts, Made, Placed, computing};
use crate::state::State;
use wasm_host_limits as limits;

/// What an instance is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// Nothing.
    Idle,
    /// Requests that have no answer yet.
    Requests,
    /// What a guest does behind its answer: writing the body, and whatever else it likes.
    PostReturn,
}

/// Make an instance and let it serve.
pub(super) async fn run(starting: Starting) {
    let desk = starting.desk().clone();
    let made = match make(&desk).await {
        Ok(made) => made,
        Err(error) => return starting.failed(error),
    };
    let slots = made.slots.clone();
    let (shares, weight) = (desk.policy.shares_processors(), desk.weight.clone());
    // From here on it takes requests itself.
    let serving = Box::pin(async move {
        desk.enter(&made.slots);
        desk.offer(&made.slots);
        made.slots.set_started();
        drop(starting);
        // For a moment it counted twice.
        desk.keep_warm();
        serve(desk, made).await;
    });
    if shares {
        computing::shared(serving, slots, weight).await;
    } else {
        serving.await;
    }
}

/// Make an instance. One that could not be made counts no more when this returns.
async fn make(desk: &Desk) -> wasmtime::Result<Made> {
    let slots = desk.policy.enter()?;
    make_for(desk, &slots).await.inspect_err(|_| {
        // What computed for it, or looks at all instances, may let go of it a moment later.
        slots.leave_silently();
    })
}

/// Make an instance: here, or where guests compute, if its start takes longer than a tick.
async fn make_for(desk: &Desk, slots: &Arc<InstanceSlots>) -> wasmtime::Result<Made> {
    let policy = desk.policy.clone();
    let mut making = Box::pin({
        let slots = slots.clone();
        async move {
            let mut instantiating = pin!(policy.instantiate(slots));
            let step = |cx: &mut Context<'_>| {
                policy.engine.note_activity();
                instantiating.as_mut().poll(cx)
            };
            poll_fn(step).await
        }
    });
    if !desk.policy.shares_processors() {
        return making.await;
    }
    if let Poll::Ready(made) = poll!(&mut making) {
        return made;
    }
    let (tell, made) = oneshot::channel();
    let making = async move {
        // It is not waited for any more when the host stops.
        let _ = tell.send(making.await);
    };
    // How long its start takes says nothing of its requests, so it has a weight of its own.
    computing::shared(Box::pin(making), slots.clone(), Arc::default()).await;
    made.await.unwrap_or_else(|_| Err(super::Dropped.into()))
}

async fn serve(desk: Arc<Desk>, made: Made) {
    let Made { store, proxy, slots, mut expiration } = made;
    let mut living = Living { desk: desk.clone(), store: Some(store), slots: slots.clone() };
    let Some((store, _)) = &mut living.store else { return };
    let mut instance = Instance {
        export: match &proxy {
            Proxy::P3(guest) => *guest.wasi_http_handler().func_handle().func(),
            Proxy::P2(guest) => *guest.wasi_http_incoming_handler().func_handle().func(),
        },
        ready: false,
        proxy: Arc::new(proxy),
        desk,
        slots,
        closed: false,
    };
    let (desk, slots) = (instance.desk.clone(), instance.slots.clone());
    let ended = {
        let turns =
            async |accessor: &Accessor<State>| poll_fn(|cx| instance.turn(accessor, cx)).await;
        let mut events = pin!(store.run_concurrent(turns));
        poll_fn(|cx| {
            desk.policy.engine.note_activity();
            let began = Instant::now();
            loop {
                slots.wake_up();
                if let Poll::Ready(ended) = events.as_mut().poll(cx) {
                    return Poll::Ready(ended.and_then(|ended| ended));
                }
                if let Poll::Ready(ended) = outside(&desk, &slots, &mut expiration, cx) {
                    return Poll::Ready(ended);
                }
                // As many as it has room for; it is free no longer than that.
                if !(slots.is_free() && desk.has_jobs()) {
                    return Poll::Pending;
                }
                // And for no longer than a tick: each request has its own.
                if began.elapsed() >= limits::EPOCH_TICK {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        })
        .await
    };
    living.end(ended);
}

/// What is to be seen to when nothing happens in an instance. Its events may not turn for a long time: they do not
/// while a guest computes, or waits in a call that is synchronous for it.
fn outside(
    desk: &Arc<Desk>,
    slots: &Arc<InstanceSlots>,
    expiration: &mut Expiration,
    cx: &mut Context<'_>,
) -> Poll<wasmtime::Result<()>> {
    let status = slots.status();
    if expiration.poll(cx, status, || desk.keeps(slots)).is_ready() {
        return Poll::Ready(match status {
            Status::Idle => Ok(()),
            Status::Requests | Status::PostReturn => Err(format_err!("it did not come to its end")),
        });
    }
    if slots.is_tainted() {
        // Others are to be warm in its stead. Should it recover, it is one that is not kept.
        desk.leave(slots);
    }
    // What cannot take a request leaves it to others.
    if slots.is_computing() || slots.is_held_up() {
        desk.withdraw(slots);
    }
    Poll::Pending
}

/// What the events of an instance are asked with.
struct Instance {
    desk: Arc<Desk>,
    slots: Arc<InstanceSlots>,
    proxy: Arc<Proxy>,
    /// The function that requests go to.
    export: Func,
    /// Everything it had begun has been given its chance.
    ready: bool,
    /// It takes no more.
    closed: bool,
}

impl Instance {
    /// Take a request, if there is one and it may be taken. Ready when the instance has come to its end.
    fn turn(
        &mut self,
        accessor: &Accessor<State>,
        cx: &mut Context<'_>,
    ) -> Poll<wasmtime::Result<()>> {
        if self.slots.is_fresh() {
            self.ready = true;
            // Asked between its events, so the guest has let its neighbours run.
            self.slots.pause();
            // The ticks of the time in which it waited were not the guest's.
            accessor
                .with(|mut access| access.as_context_mut().set_epoch_deadline(super::FIRST_TICKS));
        }
        if let Err(error) = self.accept(accessor, cx) {
            return Poll::Ready(Err(error));
        }
        if self.slots.unanswered() > 0 {
            return Poll::Pending;
        }
        if accessor.poll_no_interesting_tasks(cx).is_pending() {
            self.slots.set_idle(false);
            return Poll::Pending;
        }
        self.slots.set_idle(true);
        if self.closed { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn accept(&mut self, accessor: &Accessor<State>, cx: &mut Context<'_>) -> wasmtime::Result<()> {
        if self.closed || !self.ready {
            return Ok(());
        }
        match self.desk.policy.accepts(&self.slots) {
            Accepts::Yes => {}
            Accepts::NotNow => {
                self.desk.withdraw(&self.slots);
                return Ok(());
            }
            Accepts::NeverAgain => {
                self.closed = true;
                self.desk.withdraw(&self.slots);
                self.desk.leave(&self.slots);
                return Ok(());
            }
        }
        if self.desk.has_jobs()
            && accessor.poll_ready_for_concurrent_call(self.export, cx).is_pending()
        {
            // The guest itself asks for no more at the moment.
            self.desk.withdraw(&self.slots);
            return Ok(());
        }
        self.desk.offer(&self.slots);
        let job = self.desk.take();
        // Once for each time that its events turn: wasmtime may ask last of all, and would not look at what was
        // begun then.
        self.ready = false;
        match job {
            Some(job) => self.begin(accessor, job),
            None => Ok(()),
        }
    }

    fn begin(&mut self, accessor: &Accessor<State>, job: Job) -> wasmtime::Result<()> {
        let Job { slot, request, answer } = job;
        let call = accessor.with(|mut access| {
            let call = Call::begin(access.as_context_mut(), &self.proxy, &slot, request, answer)?;
            self.desk.policy.begin(access.as_context_mut(), &slot, call.task());
            wasmtime::error::Ok(call)
        })?;
        self.slots.begin(slot);
        self.slots.set_idle(false);
        if self.desk.policy.is_used_up(&self.slots) {
            self.desk.leave(&self.slots);
        }
        let (proxy, slots) = (self.proxy.clone(), self.slots.clone());
        accessor.spawn(Answering { call, proxy, slots }).map(drop)
    }
}

/// A store that is told of its end, also when its task is dropped.
struct Living {
    desk: Arc<Desk>,
    store: Option<Placed>,
    slots: Arc<InstanceSlots>,
}

impl Living {
    fn end(&mut self, ended: wasmtime::Result<()>) {
        let (desk, slots) = (self.desk.clone(), self.slots.clone());
        desk.withdraw(&slots);
        let Some(placed) = self.store.take() else { return };
        desk.policy.ended(&slots, &placed.0, ended);
        let is_large = desk.policy.is_large(&placed.0);
        let engine = self.desk.policy.engine.clone();
        let leave = move || {
            slots.leave();
            desk.leave(&slots);
            engine.freed.notify_one();
        };
        // In this order: what takes its place finds its memory. What is to be warm would not be tried again for a
        // while; a request is, so it need not wait for a thread that has others to do.
        match (is_large, self.desk.policy.warm() > 0) {
            (false, _) => {
                drop(placed);
                leave();
            }
            (true, true) => computing::do_there(move || {
                drop(placed);
                leave();
            }),
            (true, false) => {
                leave();
                computing::do_there(move || drop(placed));
            }
        }
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        if self.store.is_some() {
            self.end(Err(super::Dropped.into()));
        }
    }
}
