//! The thread that writes telemetry: off the threads that serve, in few large transactions.
//!
//! Whatever fails is dropped, counted, and said once a minute. Nothing here ends the host, and nothing waits without an
//! end.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::clear;
use crate::exporter::Exporter;
use crate::figures::Figures;
use crate::pending::{Dropped, Pending, Queue, batch_bytes, line_bytes};
use crate::store::Store;
use crate::write::{self, Change};
use wasm_host_limits::telemetry as limits;
use wasm_host_system::counted::counted;
use wasm_host_telemetry::Batch;
use wasm_host_telemetry::log::LogRecord;

/// What the thread is told to do.
#[derive(Debug)]
pub(super) enum WriterCommand {
    /// Write what is pending.
    Flush(oneshot::Sender<()>),
    /// Read the figures and store them, whatever time it is.
    Figures(oneshot::Sender<()>),
    /// Forget a service, or everything.
    Clear(Option<String>, oneshot::Sender<Result<(), String>>),
    /// Write what is pending, and end.
    Stop(oneshot::Sender<()>),
}

pub(super) struct Writer {
    pub pending: Arc<Pending>,
    pub store: Store,
    pub orders: mpsc::Receiver<WriterCommand>,
    pub exporters: Vec<Box<dyn Exporter>>,
    pub figures: Figures,
    /// Told after each time that something was written.
    pub written: watch::Sender<()>,
    /// When it was said that something cannot be written.
    pub told: Option<Instant>,
}

impl Writer {
    /// Until it is told to stop, or all that could tell it are gone.
    pub(super) async fn run(mut self) {
        let mut reading = interval(limits::READ_INTERVAL);
        reading.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // What is there from before can be asked about at once: questions wait for this.
        if let Err(error) = self.store.read().await {
            self.tell(&error, Dropped::default());
        }
        self.store.shelf.fill();
        loop {
            tokio::select! {
                order = self.orders.recv() => match order {
                    Some(WriterCommand::Stop(done)) => {
                        self.end().await;
                        let _ = done.send(());
                        return;
                    }
                    Some(order) => self.obey(order).await,
                    None => return self.end().await,
                },
                () = self.pending.has_some.notified() => {
                    let _ = timeout(limits::WRITE_INTERVAL, self.pending.is_much.notified()).await;
                    self.write_pending().await;
                }
                _ = reading.tick() => {
                    self.write_figures(false).await;
                    self.store.tend().await;
                }
            }
        }
    }

    async fn obey(&mut self, order: WriterCommand) {
        self.write_pending().await;
        match order {
            WriterCommand::Flush(done) | WriterCommand::Stop(done) => drop(done.send(())),
            WriterCommand::Figures(done) => {
                self.write_figures(true).await;
                let _ = done.send(());
            }
            WriterCommand::Clear(service, done) => {
                let cleared =
                    timeout(limits::CLEAR, clear::clear(&mut self.store, service.as_deref()));
                let cleared = match cleared.await {
                    Ok(cleared) => cleared.map_err(|error| error.to_string()),
                    Err(_) => Err("it took too long".to_owned()),
                };
                self.written.send_replace(());
                let _ = done.send(cleared);
            }
        }
    }

    async fn end(&mut self) {
        let writing = async {
            self.write_pending().await;
            self.write_figures(true).await;
            self.store.close().await;
        };
        if timeout(limits::WRITE_END, writing).await.is_err() {
            tracing::warn!("the last telemetry is not written: it took too long");
        }
    }

    /// Read them, and store them if it is time for that or must be now.
    async fn write_figures(&mut self, must: bool) {
        let changes = self.figures.read(&self.exporters, must);
        if self.write(&[], &[], &changes).await {
            self.figures.stored();
        }
    }

    async fn write_pending(&mut self) {
        let Queue { batches, logs, bytes } = self.pending.take();
        if batches.is_empty() && logs.is_empty() {
            return;
        }
        for exporter in &self.exporters {
            exporter.batches(&batches);
            exporter.lines(&logs);
        }
        let (mut batches, mut logs) = (batches.as_slice(), logs.as_slice());
        while !(batches.is_empty() && logs.is_empty()) {
            let mut room = self.store.step();
            let some = first(&mut batches, &mut room, batch_bytes);
            let lines = first(&mut logs, &mut room, line_bytes);
            self.write(some, lines, &[]).await;
        }
        self.pending.done(bytes);
    }

    /// All of it in one transaction; or it is lost, but for figures, which the next reading has too. Whether it is
    /// written.
    async fn write(&mut self, batches: &[Batch], logs: &[LogRecord], figures: &[Change]) -> bool {
        if batches.is_empty() && logs.is_empty() && figures.is_empty() {
            return false;
        }
        // Where a file is broken, there is another one.
        for is_last in [false, true] {
            let error = match self.store.current().await {
                Ok(current) => match write::everything(current, batches, logs, figures).await {
                    Ok(()) => {
                        self.store.tend().await;
                        self.written.send_replace(());
                        return true;
                    }
                    Err(error) => {
                        self.store.failed(&error);
                        anyhow::Error::from(error)
                    }
                },
                Err(error) => error,
            };
            if is_last || !self.store.can_go_on() {
                let spans = batches.iter().map(|batch| batch.spans.len() as u64).sum();
                let dropped = Dropped { spans, lines: logs.len() as u64 };
                self.pending.lose(dropped);
                self.tell(&error, dropped);
                return false;
            }
        }
        false
    }

    fn tell(&mut self, error: &anyhow::Error, dropped: Dropped) {
        if self.told.is_some_and(|told| told.elapsed() < limits::WRITE_TROUBLE) {
            return;
        }
        self.told = Some(Instant::now());
        let all = self.pending.dropped();
        tracing::warn!(
            folder = %self.store.folder().display(),
            dropped_spans = all.spans,
            dropped_lines = all.lines,
            "telemetry cannot be stored, {} and {} are dropped (what comes is tried again): {error:#}",
            counted(dropped.spans, "span"),
            counted(dropped.lines, "line")
        );
    }
}

/// The first of them that there is room for, and one in any case where all room is left.
fn first<'a, T>(all: &mut &'a [T], room: &mut usize, bytes: impl Fn(&T) -> usize) -> &'a [T] {
    let mut count = 0;
    for one in *all {
        let bytes = bytes(one);
        if bytes > *room && !(count == 0 && *room > 0) {
            break;
        }
        *room = room.saturating_sub(bytes);
        count += 1;
    }
    let (some, rest) = all.split_at_checked(count).unwrap_or((*all, &[]));
    *all = rest;
    some
}
