//! What a store holds: one guest instance's view of WASI, its resources, its grants and its limits.

use std::sync::Arc;

use wasmtime::component::{GuestTaskId, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::body::{HostOutgoingBody, StreamContext};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::memory::{Budget, StoreLimit};
use crate::output::{GuestOutput, LogAttribution, LogRate, Printed, Stream};
use crate::worker::ProcessorTime;
use wasm_host_capabilities::budget::Exhausted;
use wasm_host_capabilities::configuration::Configuration;
use wasm_host_capabilities::context::{RequestContext, Requests};
use wasm_host_capabilities::granted::Granted;
use wasm_host_capabilities::header_sets::{Tally, TallyView};
use wasm_host_capabilities::instance::{HasInstance, InstanceView};
use wasm_host_capabilities::journal::Journal;
use wasm_host_capabilities::outgoing::{OutgoingHooks, OutgoingView, Peers};
use wasm_host_limits as limits;
use wasm_host_system::digest::Digest;

/// What is around an instance beside its grants. `serve` leaves it to the machine; a test decides it.
pub trait InstanceEnvironment: Send + Sync {
    /// Change clocks, randomness and output of a new instance.
    fn furnish(&self, wasi: &mut WasiCtxBuilder);

    /// An instance ended with this error. True if that is told, and not for the log.
    fn trapped(&self, error: &wasmtime::Error) -> bool;

    /// The environment of a new instance's own. None: it has this one.
    fn of_instance(&self) -> Option<Arc<dyn InstanceEnvironment>> {
        None
    }

    /// The instance is given a request.
    fn serves(&self, _request: &RequestContext) {}

    /// Whether its instances do all that they do on the thread that they were made on: the time of a test is that thread's.
    fn stays_on_its_thread(&self) -> bool {
        true
    }

    /// Whether it has standard output and standard error of its own, instead of the log.
    fn has_output(&self) -> bool {
        false
    }
}

/// What the application file grants to one service. Shared by all instances of all its versions.
#[derive(Clone)]
pub struct Grants {
    /// The service's name, for logs.
    pub service: Arc<str>,
    /// What it has beside plain WASI.
    pub granted: Granted,
    /// The services it may call.
    pub peers: Arc<dyn Peers>,
    /// What its instances may hold together.
    pub memory: Arc<Budget>,
    /// What they took of the processors together.
    pub processor_time: Arc<ProcessorTime>,
    /// What they may write to the log.
    pub log: Arc<LogRate>,
    /// All the environment it sees. Values may be secret.
    pub environment: Vec<(String, String)>,
    /// All that it is told by `wasi:config`.
    pub configuration: Configuration,
    /// None: the machine's own.
    pub instance_environment: Option<Arc<dyn InstanceEnvironment>>,
}

/// The data of one store.
pub struct StoreData {
    grants: Arc<Grants>,
    instance_environment: Option<Arc<dyn InstanceEnvironment>>,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: OutgoingHooks,
    table: ResourceTable,
    tally: Tally,
    printed: Arc<Printed>,
    /// For what backends say.
    journal: Arc<dyn Journal>,
    pub memory: StoreLimit,
    pub requests: Requests,
}

impl StoreData {
    /// `version`: of its service, which lines of the log then say.
    pub fn new(grants: Arc<Grants>, version: Option<Digest>, memory_bytes: usize) -> Self {
        // Nothing is preopened, inherited or allowed: no files, no sockets, no arguments.
        let mut wasi = WasiCtxBuilder::new();
        let printed = Printed::new(grants.log.clone(), version);
        let output = |stream| GuestOutput::new(printed.clone(), stream);
        wasi.max_random_size(limits::held::GUEST_RANDOM_BYTES)
            .envs(&grants.environment)
            .stdout(output(Stream::Stdout))
            .stderr(output(Stream::Stderr));
        let environment = grants.instance_environment.as_ref();
        let environment = environment.and_then(|all| all.of_instance().or(Some(all.clone())));
        if let Some(environment) = &environment {
            environment.furnish(&mut wasi);
        }
        let wasi = wasi.build();
        let memory = StoreLimit::new(memory_bytes, &grants.memory);
        // Both live in the host's memory, where the limit on the guest's does not reach.
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits::GUEST_RESOURCES);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(limits::GUEST_FIELDS_BYTES);
        Self {
            wasi,
            instance_environment: environment,
            printed,
            http,
            hooks: OutgoingHooks::new(grants.peers.clone(), memory.holdings().clone()),
            table,
            tally: Tally::new(memory.holdings()),
            memory,
            requests: Requests::default(),
            journal: grants.log.clone(),
            grants,
        }
    }

    /// The request of an instance that serves one at a time, for calls that come without a task.
    pub fn set_only_request(&mut self, request: RequestContext) {
        self.attribution().set(Some(request.clone()));
        self.hooks.set_request(request);
    }

    /// The request whose code prints in this instance.
    pub(super) fn attribution(&self) -> &LogAttribution {
        self.printed.attribution()
    }

    /// What it has printed.
    pub fn printed(&self) -> &Arc<Printed> {
        &self.printed
    }

    /// Its standard output or standard error.
    pub(super) fn output(&self, stream: Stream) -> GuestOutput {
        GuestOutput::new(self.printed.clone(), stream)
    }

    pub(super) fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }

    pub fn service(&self) -> &Arc<str> {
        &self.grants.service
    }

    /// The instance is given a request.
    pub fn begin(&mut self, task: GuestTaskId, request: RequestContext) {
        if let Some(environment) = &self.instance_environment {
            environment.serves(&request);
        }
        self.requests.begin(task, request);
    }

    /// Tell its environment that the instance ended with this error. Whether that is instead of the log.
    pub fn trapped(&self, error: &wasmtime::Error) -> bool {
        self.instance_environment.as_ref().is_some_and(|environment| environment.trapped(error))
    }

    /// End, as broken, the bodies that a guest of WASI 0.2 began and forgot: of what goes with its store one could not
    /// tell any more whether it was whole. Whether there were any.
    pub fn end_unfinished(&mut self) -> bool {
        let mut any = false;
        for entry in self.table.iter_mut() {
            let Some(body) = entry.downcast_mut::<HostOutgoingBody>() else { continue };
            // Its handle stays the guest's.
            let (empty, _) = HostOutgoingBody::new(StreamContext::Response, None, 1, 1);
            std::mem::replace(body, empty).abort();
            any = true;
        }
        any
    }

    pub(super) fn configuration(&self) -> &Configuration {
        &self.grants.configuration
    }

    pub fn outgoing(&mut self) -> OutgoingView<'_> {
        OutgoingView {
            peers: &self.grants.peers,
            requests: &self.requests,
            holdings: self.memory.holdings(),
            tally: &mut self.tally,
            table: &mut self.table,
            hooks: &mut self.hooks,
        }
    }

    /// Count what the host holds in the instance's table.
    pub(super) fn count(&mut self) -> Result<(), Exhausted> {
        self.tally.count(&mut self.table)
    }

    pub(super) fn tally(&mut self) -> TallyView<'_> {
        TallyView { tally: &mut self.tally, table: &mut self.table }
    }
}

impl HasInstance for StoreData {
    fn instance(&mut self) -> InstanceView<'_> {
        InstanceView {
            granted: &self.grants.granted,
            configuration: &self.grants.configuration,
            requests: &self.requests,
            holdings: self.memory.holdings(),
            journal: &self.journal,
            tally: &mut self.tally,
            table: &mut self.table,
        }
    }
}

impl WasiView for StoreData {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for StoreData {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}
