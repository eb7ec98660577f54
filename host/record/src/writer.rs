//! The thread that makes cases of what was recorded and writes them: neither is done where requests are served.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use anyhow::{Context as _, Result};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use wasm_host_limits::record::{CLOSE, UNWRITTEN};

type Job = Box<dyn FnOnce() + Send>;

pub(crate) struct Writer {
    queue: Mutex<Option<SyncSender<Job>>>,
    done: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Writer {
    pub(crate) fn start() -> Result<Self> {
        let (queue, jobs): (_, Receiver<Job>) = sync_channel(UNWRITTEN);
        let (end, done) = oneshot::channel();
        let thread = thread::Builder::new().name("record".to_string()).spawn(move || {
            for job in jobs {
                // One recording that cannot be made is no reason to make no others.
                if catch_unwind(AssertUnwindSafe(job)).is_err() {
                    tracing::error!("a request is not recorded: making its case failed");
                }
            }
            let _ = end.send(());
        });
        thread.context("the thread that writes recordings does not start")?;
        Ok(Self { queue: Mutex::new(Some(queue)), done: Mutex::new(Some(done)) })
    }

    /// Have this done later. False: too much waits already, or the host ends.
    pub(crate) fn later(&self, job: impl FnOnce() + Send + 'static) -> bool {
        self.queue.lock().as_ref().is_some_and(|queue| queue.try_send(Box::new(job)).is_ok())
    }

    /// Do what waits, and stop.
    pub(crate) async fn close(&self) {
        drop(self.queue.lock().take());
        let done = self.done.lock().take();
        if let Some(done) = done {
            let _ = tokio::time::timeout(CLOSE, done).await;
        }
    }
}
