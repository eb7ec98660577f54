//! What a database says to a guest's statement is output of its service like what the guest prints: it counts for
//! the same request and the same second. The log says that it is not the guest that speaks.

use std::sync::Arc;

use tracing::Level;

use super::LogRate;
use wasm_host_capabilities::context::{About, RequestContext};
use wasm_host_capabilities::journal::Journal;

impl Journal for LogRate {
    fn note(self: Arc<Self>, level: Level, request: Option<&RequestContext>, text: &str) {
        if self.admits(request) {
            let (service, about) = (&self.service, request.map(RequestContext::about));
            let request = about.map(|about| about.request);
            let About { trace_id, span_id, service_version, .. } = about.unwrap_or_default();
            macro_rules! say {
                ($say:ident) => {
                    tracing::$say!(
                        target: "postgres",
                        %service, request, trace_id, span_id, service_version, stream = "postgres", "{text}"
                    )
                };
            }
            match level {
                Level::ERROR | Level::WARN => say!(warn),
                Level::INFO => say!(info),
                _ => say!(debug),
            }
        }
        self.tell_soon();
    }
}
