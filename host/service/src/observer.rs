//! What may watch the requests of a service, such as a recorder.

use wasm_host_capabilities::context::Inbound;
use wasm_host_capabilities::outgoing::{HttpRequest, HttpResponse};

use crate::failure::Failure;

/// Watches a service.
pub trait Observer: Send + Sync {
    /// Whether it watches at the moment. Asked for each request.
    fn is_watching(&self) -> bool;

    /// A request has come. It goes on as this returns it, with what is attached to it; none if it is not watched.
    fn begin(
        &self,
        inbound: &mut Inbound,
        request: HttpRequest,
    ) -> (Option<Box<dyn Observation>>, HttpRequest);
}

/// Watches one request. Dropped before there is an answer: the client has left.
pub trait Observation: Send {
    /// The request was answered, or not. The answer goes on as this returns it, its body still to come.
    fn answered(
        self: Box<Self>,
        answer: Result<HttpResponse, Failure>,
    ) -> Result<HttpResponse, Failure>;
}
