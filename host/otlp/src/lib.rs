//! OpenTelemetry's protocol (OTLP): telemetry for collectors elsewhere, configured by OpenTelemetry's variables alone, and
//! what is made of telemetry that others send ([`intake`]).
//!
//! [`Otlp`] copies what the collector of this host stores ([`Exporter`]) into bounded queues. A thread of its own sends
//! them, each signal by itself. Without an address in the environment there is nothing of all this.
//!
//! The messages are those of the crate `opentelemetry-proto`, sent with the client that the host has anyway. The exporters
//! of `opentelemetry-otlp` take the data of OpenTelemetry's own library, which spans that have ended elsewhere and figures
//! that are counted already would have to be forced into.
//!
//! It must not know HTTP that is served, services, or the store.

mod counts;
mod environment;
pub mod intake;
mod message;
mod queue;
mod send;
mod signal;
mod trouble;
mod worker;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout};
use tracing::dispatcher;

use wasm_host_collector::Exporter;
use wasm_host_telemetry::log::{LogRecord, Source};
use wasm_host_telemetry::metrics::Reading;
use wasm_host_telemetry::sampling::KeepReason;
use wasm_host_telemetry::span::Value;
use wasm_host_telemetry::{Batch, clock, trace};

pub use self::counts::Counts;
use self::environment::{Environment, SignalEndpoint};
use self::message::{Figures, Origin, Spans};
use self::queue::Queue;
use self::send::Sender;
pub use self::signal::Signal;
use self::trouble::{Trouble, silence};
use self::worker::{DeadlineReceiver, Times, Worker};

/// What sends telemetry.
#[derive(Debug)]
pub struct Otlp {
    queues: Queues,
    end: watch::Sender<Option<Instant>>,
    /// How long what is left may take.
    longest: Duration,
    /// What this host calls itself there.
    instance: Arc<str>,
    has_ended: oneshot::Receiver<()>,
}

/// Of the signals that are sent.
#[derive(Clone, Debug, Default)]
struct Queues {
    spans: Option<Arc<Queue<Spans>>>,
    lines: Option<Arc<Queue<LogRecord>>>,
    figures: Option<Arc<Queue<Figures>>>,
    counts: Counts,
}

impl Otlp {
    /// None: the environment names no collector, and nothing is started. An error is one sentence for people, with nothing
    /// secret in it. Where telemetry goes is said in the log of the thread that calls this, and so is what goes wrong.
    pub fn from_environment(
        application: &str,
        read: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, String> {
        let Some(environment) = environment::read(read)? else { return Ok(None) };
        Self::start(application, environment, Times::default()).map(Some)
    }

    /// What [`from_environment`](Self::from_environment) would say of these variables, without starting anything. Files
    /// that they name are read.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub fn check(read: impl Fn(&str) -> Option<String>) -> Result<(), String> {
        environment::read(read).map(drop)
    }

    fn start(application: &str, environment: Environment, times: Times) -> Result<Self, String> {
        let Environment { targets, name, attributes } = environment;
        let (end, is_ending) = watch::channel(None);
        let origin = Arc::new(Origin::new(application, name, attributes, clock::now()));
        let instance = origin.instance().into();
        let start = Start {
            origin,
            counts: Counts::of(targets.iter().map(|target| target.signal)),
            trouble: Arc::new(Trouble::new()),
            end: is_ending.clone(),
            times,
        };
        let mut queues = Queues { counts: start.counts.clone(), ..Queues::default() };
        let (mut spans, mut lines, mut figures) = (None, None, None);
        for target in &targets {
            tracing::info!("{target}");
            match target.signal {
                Signal::Traces => {
                    let count = |spans: &Spans| spans.len() as u64;
                    spans = Some(start.worker(target, &mut queues.spans, message::spans, count)?);
                }
                Signal::Logs => {
                    lines = Some(start.worker(target, &mut queues.lines, message::logs, |_| 1)?);
                }
                Signal::Metrics => {
                    let (queue, count) = (&mut queues.figures, Figures::count);
                    figures = Some(start.worker(target, queue, message::metrics, count)?);
                }
            }
        }
        let sending = async move {
            let all = async { tokio::join!(run(spans), run(lines), run(figures)) };
            tokio::select! {
                _ = all => {}
                () = over(is_ending, times.end) => {}
            }
        };
        let (ended, has_ended) = oneshot::channel();
        let silence = silence();
        let start = move || {
            let runtime = Builder::new_current_thread()
                .enable_all()
                // Those that look names up.
                .on_thread_start({
                    let silence = silence.clone();
                    move || std::mem::forget(dispatcher::set_default(&silence))
                })
                .build()?;
            thread::Builder::new().name("otlp".to_owned()).spawn(move || {
                let _silent = dispatcher::set_default(&silence);
                runtime.block_on(sending);
                // A name that is still looked up is not waited for.
                runtime.shutdown_background();
                // The end may not be waited for any more.
                let _ = ended.send(());
            })
        };
        start()
            .map_err(|error| format!("the thread that sends telemetry does not start: {error}"))?;
        Ok(Self { queues, end, longest: times.end, instance, has_ended })
    }

    /// What is to be told of everything that is stored.
    pub fn exporter(&self) -> Box<dyn Exporter> {
        Box::new(self.queues.clone())
    }

    /// The `service.instance.id` of all that is sent. What comes back with it is this host's own.
    pub fn instance(&self) -> Arc<str> {
        self.instance.clone()
    }

    /// What was sent and what was not, which goes on to be counted.
    pub fn counts(&self) -> Counts {
        self.queues.counts.clone()
    }

    /// Send what is left, as far as that takes no longer than it may.
    pub async fn stop(self) {
        let until = Instant::now() + self.longest;
        self.end.send_replace(Some(until));
        // The thread has the same bound, and a moment to see it.
        if timeout(self.longest * 2, self.has_ended).await.is_err() || Instant::now() >= until {
            tracing::warn!("the last telemetry was not sent: it took too long");
        }
    }
}

async fn run<T>(worker: Option<Worker<T>>) {
    if let Some(worker) = worker {
        worker.run().await;
    }
}

/// When the time for what is left is over.
async fn over(mut end: DeadlineReceiver, longest: Duration) {
    // Whoever could tell the end may be gone: what is left has its time then, too.
    let until = match end.wait_for(Option::is_some).await {
        Ok(until) => *until,
        Err(_) => None,
    };
    tokio::time::sleep_until(until.unwrap_or_else(|| Instant::now() + longest)).await;
}

/// What all signals have.
struct Start {
    origin: Arc<Origin>,
    counts: Counts,
    trouble: Arc<Trouble>,
    end: DeadlineReceiver,
    times: Times,
}

impl Start {
    fn worker<T>(
        &self,
        target: &SignalEndpoint,
        queue: &mut Option<Arc<Queue<T>>>,
        write: fn(&[T], &Origin) -> Vec<u8>,
        count: fn(&T) -> u64,
    ) -> Result<Worker<T>, String> {
        Ok(Worker {
            signal: target.signal,
            queue: queue.insert(Arc::new(Queue::default())).clone(),
            sender: Sender::new(target)?,
            origin: self.origin.clone(),
            write,
            count,
            counts: self.counts.clone(),
            trouble: self.trouble.clone(),
            end: self.end.clone(),
            times: self.times,
        })
    }
}

impl Exporter for Queues {
    fn batches(&self, batches: &[Batch]) {
        let Some(queue) = &self.spans else { return };
        // What others sent they can send there themselves; sent on, it could go round for ever. A page cannot.
        let is_own = |batch: &&Batch| batch.why != KeepReason::Outside && !batch.spans.is_empty();
        for Batch { spans, .. } in batches.iter().filter(is_own) {
            if !queue.add(spans.iter().map(trace::size).sum(), || spans.clone()) {
                self.counts.dropped(Signal::Traces, spans.len() as u64);
            }
        }
    }

    fn lines(&self, lines: &[LogRecord]) {
        let Some(queue) = &self.lines else { return };
        for line in lines.iter().filter(|line| line.source != Source::Outside) {
            if !queue.add(size(line), || line.clone()) {
                self.counts.dropped(Signal::Logs, 1);
            }
        }
    }

    fn figures(&self, figures: &[Reading]) {
        let Some(queue) = &self.figures else { return };
        // These say all that those before them do, which are old now.
        let before = queue.replace(message::figures(figures, clock::now()));
        self.counts.dropped(Signal::Metrics, before.iter().map(Figures::count).sum());
    }
}

fn size(line: &LogRecord) -> usize {
    let field = |(name, value): &(std::borrow::Cow<'_, str>, Value)| {
        let text = if let Value::Text(text) = value { text.len() } else { 0 };
        size_of_val(name) + size_of_val(value) + name.len() + text
    };
    size_of::<LogRecord>() + line.message.len() + line.fields.iter().map(field).sum::<usize>()
}

/// As in the program, so that tests see what it sees.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: wasm_host_system::allocations::Watched<wasm_host_system::mimalloc::Mimalloc> =
    wasm_host_system::allocations::Watched(wasm_host_system::mimalloc::Mimalloc);

#[cfg(test)]
mod tests;
