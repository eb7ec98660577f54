//! Where telemetry goes besides the store, such as a collector elsewhere.

use wasm_host_telemetry::Batch;
use wasm_host_telemetry::log::LogRecord;
use wasm_host_telemetry::metrics::Reading;

/// Told of everything before it is stored, on the thread that stores: it copies what it wants and returns at once. What
/// it has no room for it drops and counts itself.
pub trait Exporter: Send {
    fn batches(&self, batches: &[Batch]);

    fn lines(&self, lines: &[LogRecord]);

    /// Each time that the figures are stored.
    fn figures(&self, figures: &[Reading]);
}
