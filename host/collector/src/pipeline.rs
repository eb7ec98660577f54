//! The way of telemetry through the process: handed over, written, asked about.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use crate::exporter::Exporter;
use crate::figures::Figures;
use crate::pending::{Dropped, Pending};
use crate::reader::Reader;
use crate::recent::Recents;
use crate::shelf::Shelf;
use crate::store::{Bounds, Store};
use crate::writer::{Writer, WriterCommand};
use wasm_host_limits::telemetry as limits;
use wasm_host_telemetry::log::LogRecord;
use wasm_host_telemetry::metrics::Reading;
use wasm_host_telemetry::{Batch, Collector};

/// Below the state folder.
pub(super) const FOLDER: &str = "telemetry";

/// Takes what is seen off the threads that serve. It can be there before what writes is, as the figures that are
/// written come from what it is given to.
#[derive(Clone, Debug, Default)]
pub struct Sender(Arc<Pending>);

impl Sender {
    /// What was lost, as there was no room for it or it could not be written.
    pub fn dropped(&self) -> Dropped {
        self.0.dropped()
    }

    /// What others sent. False: there is no room for all of it, and nothing of it is taken.
    pub fn offer(&self, batches: Vec<Batch>, lines: Vec<LogRecord>) -> bool {
        self.0.offer(batches, lines)
    }
}

impl Collector for Sender {
    fn batch(&self, batch: Batch) {
        self.0.batch(batch);
    }

    fn log(&self, record: LogRecord) {
        self.0.log(record);
    }
}

/// All figures as they are.
pub type Source = Box<dyn Fn() -> Vec<Reading> + Send>;

/// The thread that writes.
#[derive(Debug)]
pub struct Pipeline {
    reader: Reader,
    orders: mpsc::Sender<WriterCommand>,
}

impl Pipeline {
    /// Begin to write what `sender` takes. Whatever is wrong with the folder is said in the log, and ends nothing.
    pub fn start(
        sender: &Sender,
        state: &Path,
        bounds: Bounds,
        source: Source,
        exporters: Vec<Box<dyn Exporter>>,
    ) -> io::Result<Self> {
        let pending = sender.0.clone();
        let shelf = Arc::new(Shelf::default());
        let recents = Arc::new(Recents::default());
        let (orders, ordered) = mpsc::channel(limits::WRITE_ORDERS);
        let (written, is_written) = watch::channel(());
        let reader = Reader::new(
            shelf.clone(),
            pending.clone(),
            orders.clone(),
            is_written,
            recents.clone(),
        );
        let store = Store::new(state.join(FOLDER), bounds, shelf);
        let figures = Figures::new(source, recents);
        let writer =
            Writer { pending, store, orders: ordered, exporters, figures, written, told: None };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        std::thread::Builder::new().name("telemetry".to_owned()).spawn(move || {
            // To be less urgent needs no privilege, and the threads of SQLite that begin here are the same. Without
            // it, they merely share.
            let thread = Some(rustix::thread::gettid());
            let _ = rustix::process::setpriority_process(thread, limits::WRITE_NICENESS);
            runtime.block_on(writer.run());
        })?;
        Ok(Self { reader, orders })
    }

    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Write what is pending, as far as that takes no longer than it may.
    pub async fn stop(self) {
        let (done, is_done) = oneshot::channel();
        let stopping = async {
            if self.orders.send(WriterCommand::Stop(done)).await.is_ok() {
                let _ = is_done.await;
            }
        };
        // The thread has the same bound for its writing; what it was at before comes on top.
        let _ = tokio::time::timeout(limits::WRITE_END * 2, stopping).await;
    }
}
