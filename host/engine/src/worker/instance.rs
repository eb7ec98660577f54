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

use super::call::{Answering, GuestCall};
use super::expiration::Expiration;
use super::handler::{HandlerQueue, PendingRequest, Starting};
use super::instance_state::InstanceState;
use super::{Accepts, Made, StoreAndPermit};
use crate::state::StoreData;
use wasm_host_limits as limits;
use wasm_host_system::computing;

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
    let queue = starting.queue().clone();
    let made = match make(&queue).await {
        Ok(made) => made,
        Err(error) => return starting.failed(error),
    };
    let state = made.state.clone();
    let (shares, weight) = (queue.policy.shares_processors(), queue.weight.clone());
    // From here on it takes requests itself.
    let serving = Box::pin(async move {
        queue.enter(&made.state);
        queue.offer(&made.state);
        made.state.set_started();
        drop(starting);
        // For a moment it counted twice.
        queue.keep_warm();
        serve(queue, made).await;
    });
    if shares {
        computing::shared(serving, state, weight).await;
    } else {
        serving.await;
    }
}

/// Make an instance. One that could not be made counts no more when this returns.
async fn make(queue: &HandlerQueue) -> wasmtime::Result<Made> {
    let state = queue.policy.enter().await?;
    make_for(queue, &state).await.inspect_err(|_| {
        // What computed for it, or looks at all instances, may let go of it a moment later.
        state.leave_silently();
    })
}

/// Make an instance: here, or where guests compute, if its start takes longer than a tick.
async fn make_for(queue: &HandlerQueue, state: &Arc<InstanceState>) -> wasmtime::Result<Made> {
    let policy = queue.policy.clone();
    let mut making = Box::pin({
        let state = state.clone();
        async move {
            let mut instantiating = pin!(policy.instantiate(state));
            let step = |cx: &mut Context<'_>| {
                policy.engine.note_activity();
                instantiating.as_mut().poll(cx)
            };
            poll_fn(step).await
        }
    });
    if !queue.policy.shares_processors() {
        return making.await;
    }
    let began = Instant::now();
    let first = poll!(&mut making);
    state.work().add(began.elapsed());
    if let Poll::Ready(made) = first {
        return made;
    }
    let (tell, made) = oneshot::channel();
    let making = async move {
        // It is not waited for any more when the host stops.
        let _ = tell.send(making.await);
    };
    // How long its start takes says nothing of its requests, so it has a weight of its own.
    computing::shared(Box::pin(making), state.clone(), Arc::default()).await;
    made.await.unwrap_or_else(|_| Err(super::Dropped.into()))
}

async fn serve(queue: Arc<HandlerQueue>, made: Made) {
    let Made { store, proxy, state, mut expiration } = made;
    let mut living = Living { queue: queue.clone(), store: Some(store), state: state.clone() };
    let Some((store, _)) = &mut living.store else { return };
    let mut instance = Instance {
        export: match &proxy {
            Proxy::P3(guest) => *guest.wasi_http_handler().func_handle().func(),
            Proxy::P2(guest) => *guest.wasi_http_incoming_handler().func_handle().func(),
        },
        ready: false,
        proxy: Arc::new(proxy),
        queue,
        state,
        closed: false,
    };
    let (queue, state) = (instance.queue.clone(), instance.state.clone());
    let ended = {
        let turns =
            async |accessor: &Accessor<StoreData>| poll_fn(|cx| instance.turn(accessor, cx)).await;
        let mut events = pin!(store.run_concurrent(turns));
        poll_fn(|cx| {
            queue.policy.engine.note_activity();
            let began = Instant::now();
            loop {
                state.wake_up();
                if let Poll::Ready(ended) = events.as_mut().poll(cx) {
                    return Poll::Ready(ended.and_then(|ended| ended));
                }
                if let Poll::Ready(ended) = outside(&queue, &state, &mut expiration, cx) {
                    return Poll::Ready(ended);
                }
                // As many as it has room for; it is free no longer than that.
                if !(state.is_free() && queue.has_pending()) {
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
    queue: &Arc<HandlerQueue>,
    state: &Arc<InstanceState>,
    expiration: &mut Expiration,
    cx: &mut Context<'_>,
) -> Poll<wasmtime::Result<()>> {
    let status = state.status();
    if expiration.poll(cx, status, || queue.keeps(state)).is_ready() {
        return Poll::Ready(match status {
            Status::Idle => Ok(()),
            Status::Requests | Status::PostReturn => Err(format_err!("it did not come to its end")),
        });
    }
    if state.is_quarantined() {
        // Others are to be warm in its stead. Should it recover, it is one that is not kept.
        queue.leave(state);
    }
    // What cannot take a request leaves it to others.
    if state.is_computing() || state.is_held_up() {
        queue.withdraw(state);
    }
    Poll::Pending
}

/// What the events of an instance are asked with.
struct Instance {
    queue: Arc<HandlerQueue>,
    state: Arc<InstanceState>,
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
        accessor: &Accessor<StoreData>,
        cx: &mut Context<'_>,
    ) -> Poll<wasmtime::Result<()>> {
        if self.state.is_fresh() {
            self.ready = true;
            // Asked between its events, so the guest has let its neighbours run.
            self.state.pause();
            // The ticks of the time in which it waited were not the guest's.
            accessor
                .with(|mut access| access.as_context_mut().set_epoch_deadline(super::FIRST_TICKS));
        }
        if let Err(error) = self.accept(accessor, cx) {
            return Poll::Ready(Err(error));
        }
        if self.state.unanswered() > 0 {
            return Poll::Pending;
        }
        if accessor.poll_no_interesting_tasks(cx).is_pending() {
            self.state.set_idle(false);
            return Poll::Pending;
        }
        self.state.set_idle(true);
        if self.closed { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn accept(
        &mut self,
        accessor: &Accessor<StoreData>,
        cx: &mut Context<'_>,
    ) -> wasmtime::Result<()> {
        if self.closed || !self.ready {
            return Ok(());
        }
        match self.queue.policy.accepts(&self.state) {
            Accepts::Yes => {}
            Accepts::NotNow => {
                self.queue.withdraw(&self.state);
                return Ok(());
            }
            Accepts::NeverAgain => {
                self.closed = true;
                self.queue.withdraw(&self.state);
                self.queue.leave(&self.state);
                return Ok(());
            }
        }
        if self.queue.policy.alone && accessor.poll_no_interesting_tasks(cx).is_pending() {
            // Some part of it still does something for the request before.
            self.queue.withdraw(&self.state);
            return Ok(());
        }
        if self.queue.has_pending()
            && accessor.poll_ready_for_concurrent_call(self.export, cx).is_pending()
        {
            // The guest itself asks for no more at the moment.
            self.queue.withdraw(&self.state);
            return Ok(());
        }
        self.queue.offer(&self.state);
        let pending = self.queue.take();
        // Once for each time that its events turn: wasmtime may ask last of all, and would not look at what was
        // begun then.
        self.ready = false;
        match pending {
            Some(pending) => self.begin(accessor, pending),
            None => Ok(()),
        }
    }

    fn begin(
        &mut self,
        accessor: &Accessor<StoreData>,
        pending: PendingRequest,
    ) -> wasmtime::Result<()> {
        let PendingRequest { state: request_state, request, answer } = pending;
        request_state.context.trace().begun();
        let call = accessor.with(|mut access| {
            let call = GuestCall::begin(
                access.as_context_mut(),
                &self.proxy,
                &request_state,
                request,
                answer,
            )?;
            self.queue.policy.begin(access.as_context_mut(), &request_state, call.task());
            wasmtime::error::Ok(call)
        })?;
        self.state.begin(request_state);
        self.state.set_idle(false);
        if self.queue.policy.is_used_up(&self.state) {
            self.queue.leave(&self.state);
        }
        let (proxy, instance) = (self.proxy.clone(), self.state.clone());
        accessor.spawn(Answering { call, proxy, instance }).map(drop)
    }
}

/// A store that is told of its end, also when its task is dropped.
struct Living {
    queue: Arc<HandlerQueue>,
    store: Option<StoreAndPermit>,
    state: Arc<InstanceState>,
}

impl Living {
    fn end(&mut self, ended: wasmtime::Result<()>) {
        let (queue, state) = (self.queue.clone(), self.state.clone());
        queue.withdraw(&state);
        let Some(placed) = self.store.take() else { return };
        queue.policy.ended(&state, &placed.0, ended);
        let is_large = queue.policy.is_large(&placed.0);
        let engine = self.queue.policy.engine.clone();
        let leave = move || {
            state.leave();
            queue.leave(&state);
            engine.freed.notify_one();
        };
        // In this order: what takes its place finds its memory. What is to be warm would not be tried again for a
        // while; a request is, so it need not wait for a thread that has others to do.
        match (is_large, self.queue.policy.warm() > 0) {
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
