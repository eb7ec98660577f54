//! What a database says to a guest's statement is output of its service like what the guest prints: it counts for
//! the same request and the same second.

use std::sync::Arc;

use tracing::Level;

use super::LogRate;
use wasm_host_capabilities::context::RequestContext;
use wasm_host_capabilities::journal::Journal;

impl Journal for LogRate {
    fn note(self: Arc<Self>, level: Level, request: Option<&RequestContext>, text: &str) {
        if self.admits(request) {
            let (service, request) = (&self.service, request.map(RequestContext::id));
            match level {
                Level::ERROR | Level::WARN => {
                    tracing::warn!(target: "guest", %service, request, stream = "postgres", "{text}");
                }
                Level::INFO => {
                    tracing::info!(target: "guest", %service, request, stream = "postgres", "{text}");
                }
                _ => {
                    tracing::debug!(target: "guest", %service, request, stream = "postgres", "{text}")
                }
            }
        }
        self.tell_soon();
    }
}
