//! What a capability has of the instance that calls it.

use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime_wasi_http::WasiHttpView;

use super::budget::Holdings;
use super::configuration::Configuration;
use super::context::Requests;
use super::granted::Granted;
use super::header_sets::Tally;
use super::journal::Journal;

/// What a store holds, as far as capabilities go.
pub trait HasInstance: WasiHttpView + Send + 'static {
    /// The instance, as capabilities see it.
    fn instance(&mut self) -> InstanceView<'_>;
}

/// One instance, as every capability sees it.
pub struct InstanceView<'a> {
    /// What its service is granted.
    pub granted: &'a Granted,
    /// What its service is configured with.
    pub configuration: &'a Configuration,
    /// The requests that it serves.
    pub requests: &'a Requests,
    /// What the host holds for it.
    pub holdings: &'a Holdings,
    /// Where what backends say is written down.
    pub journal: &'a Arc<dyn Journal>,
    /// What of that is in its table.
    pub tally: &'a mut Tally,
    /// Resources that it has handles of.
    pub table: &'a mut ResourceTable,
}
