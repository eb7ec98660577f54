//! Guests that compute leave the thread that serves, and come back when they wait for something.
//!
//! To give way at each tick is not enough: a request takes some ten steps, and each would wait behind a tick of
//! every guest on its thread that computes at the moment. So an instance that has computed for a whole tick goes on
//! in a thread of lower priority, and the operating system sees to it that whoever serves comes first.
//!
//! It knows an instance as a future and a fact: whether it computes.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use tokio::runtime::{Builder, Handle, Runtime};

use super::slots::InstanceSlots;
use crate::{limits, threads};

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The process has one set of processors. None: no thread could be started; guests then compute where they are.
static COMPUTING: LazyLock<Option<Runtime>> = LazyLock::new(|| match start() {
    Ok(runtime) => Some(runtime),
    Err(error) => {
        tracing::warn!("guests that compute share the threads that serve: {error}");
        None
    }
});

fn start() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(threads::count(0))
        .thread_name("compute")
        .on_thread_start(|| {
            // To be less urgent needs no privilege. Without it, they merely share.
            let _ = rustix::process::setpriority_process(
                Some(rustix::thread::gettid()),
                limits::COMPUTING_NICENESS,
            );
        })
        .enable_time()
        .build()
}

/// An instance on the thread that it belongs to.
pub(super) struct Home {
    task: Option<Task>,
    slots: Arc<InstanceSlots>,
}

/// An instance that computes.
struct Away {
    task: Option<Task>,
    slots: Arc<InstanceSlots>,
    home: Handle,
    thread: Option<usize>,
}

impl Home {
    pub(super) fn new(task: Task, slots: Arc<InstanceSlots>) -> Self {
        Self { task: Some(task), slots }
    }
}

impl Future for Home {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(task) = &mut self.task else { return Poll::Ready(()) };
        if task.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if self.slots.is_computing()
            && let Some(computing) = &*COMPUTING
        {
            let (task, slots) = (self.task.take(), self.slots.clone());
            computing.spawn(Away {
                task,
                slots,
                home: Handle::current(),
                thread: threads::current(),
            });
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Future for Away {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Some(task) = &mut this.task else { return Poll::Ready(()) };
        // What the guest asks the host for meanwhile is done where it belongs.
        let polled = threads::on_behalf_of(this.thread, &this.home, || task.as_mut().poll(cx));
        if polled.is_ready() {
            return Poll::Ready(());
        }
        if this.slots.is_computing() {
            return Poll::Pending;
        }
        this.home.spawn(Home { task: this.task.take(), slots: this.slots.clone() });
        Poll::Ready(())
    }
}
