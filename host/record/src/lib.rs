//! Real requests become cases that `wasm-host test` replays: all of a host (`serve --record`), or those that are ordered
//! while it runs.
//!
//! Each recorded request has an instance of its own, whose clock and randomness can be repeated. What
//! goes in and out of it is watched at the same seams at which a test puts its fakes: the database, the transport
//! to Ollama, the other services, functions of other capabilities, and the request itself. Nothing behind those seams knows of it. A
//! recording that cannot be made (too large, too many, a full disk) is left out; the request never waits for it.

mod body;
mod case;
mod exchange;
mod files;
mod function;
mod instance_environment;
mod order;
mod postgres;
mod recorder;
mod redact;
mod session;
mod shelf;
mod time;
mod writer;

use std::sync::Arc;

pub use files::write;
use function::RecordedFunctions;
pub use order::{Only, Ordered};
pub use recorder::{Everything, Recorder, ServiceEnvironment, ServiceRecorder};
pub use redact::Redactor;
use session::RecordingSession;
pub use shelf::RecordingSummary;
use wasm_host_capabilities::ALL;
use wasm_host_capabilities::context::RequestContext;
use wasm_host_capabilities::function::Seam;
use wasm_host_capabilities::granted::Granted;
use wasm_host_capabilities::outgoing::Peers;
use wasm_host_capabilities::postgres::Postgres;
use wasm_host_capabilities::transport::Transport;
use wasm_host_engine::state::InstanceEnvironment;

/// What a service is granted, watched where it is called. Model servers are watched behind that ([`transport`]).
pub fn granted(granted: Granted) -> Granted {
    let granted = match granted.of::<Postgres>().cloned() {
        Some(database) => granted.with::<Postgres>(Arc::new(postgres::Recorded(database))),
        None => granted,
    };
    let functions: Arc<dyn Seam> = Arc::new(RecordedFunctions);
    ALL.iter().fold(granted, |granted, capability| capability.watched(functions.clone(), granted))
}

/// The way to a model server, watched.
pub fn transport(inner: Arc<dyn Transport>) -> Arc<dyn Transport> {
    Arc::new(exchange::RecordedTransport(inner))
}

/// The other services, watched.
pub fn peers(inner: Arc<dyn Peers>) -> Arc<dyn Peers> {
    Arc::new(exchange::RecordedPeers(inner))
}

/// What recorded instances see of time and chance.
pub fn instance_environment() -> Arc<dyn InstanceEnvironment> {
    Arc::new(instance_environment::Recorded)
}

/// The recording that a call for this request is part of.
fn session(request: &RequestContext) -> Option<&Arc<RecordingSession>> {
    request.extension()
}
