//! What is seen of the HTTP requests that components send.

use std::sync::Arc;

use http::{Request, StatusCode};

use crate::body::BodyGuard;
use crate::context::RequestContext;
use wasm_host_telemetry::attributes as names;
use wasm_host_telemetry::instruments::CLIENT_DURATION;
use wasm_host_telemetry::span::Kind;
use wasm_host_telemetry::trace::{ActiveSpan, method};

/// A request on its way, until the end of its answer's body, for as long as which it is held.
pub struct ClientCall {
    pub span: ActiveSpan,
    service: Arc<str>,
    host: String,
    /// In digits; empty if it is not known.
    port: String,
    method: &'static str,
    caller: RequestContext,
    has_failed: bool,
}

impl ClientCall {
    /// `caller` sends `request`.
    pub fn begin<B>(caller: &RequestContext, request: &Request<B>) -> Self {
        let (method, uri) = (method(request.method()), request.uri());
        let mut span = caller.span(method, Kind::Client);
        let port = uri.port_u16().or_else(|| default_port(uri.scheme_str()?));
        let (service, host, port_text) = match caller.served().filter(|_| caller.trace().is_seen())
        {
            Some(served) => {
                let host = uri.host().unwrap_or_default().to_owned();
                (
                    served.service.clone(),
                    host,
                    port.map(|port| port.to_string()).unwrap_or_default(),
                )
            }
            None => ("".into(), String::new(), String::new()),
        };
        span.set(names::HTTP_METHOD, method);
        span.set_text(names::SERVER_ADDRESS, &host);
        if let Some(port) = port {
            span.set(names::SERVER_PORT, port);
        }
        // Without what is asked for: keys are often written there.
        span.set_text(names::URL_PATH, uri.path());
        Self {
            span,
            service,
            host,
            port: port_text,
            method,
            caller: caller.clone(),
            has_failed: false,
        }
    }

    /// The head of an answer is there.
    pub fn answered(&mut self, status: StatusCode) {
        self.span.event("response head");
        self.span.set(names::HTTP_STATUS, status.as_u16());
        if status.is_client_error() || status.is_server_error() {
            self.has_failed = true;
            self.span.fail(status.as_str().to_owned(), &format!("status {status}"));
        }
        self.measure(status.as_str());
    }

    /// There will be no answer.
    pub fn failed(&mut self, why: &str) {
        self.has_failed = true;
        self.span.fail("no answer", why);
        self.measure("");
    }

    /// The same, and it was not even sent.
    pub fn refused(&mut self, why: &str) {
        self.has_failed = true;
        self.span.fail("refused", why);
        self.measure("");
    }

    fn measure(&self, status: &str) {
        if self.caller.trace().is_seen() {
            let labels = [&*self.service, &self.host, self.method, status, &self.port];
            let seconds = self.span.elapsed().as_secs_f64();
            self.caller.trace().measure_call(&CLIENT_DURATION, &labels, seconds);
        }
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

impl BodyGuard for ClientCall {
    /// What its status says has been said; that not all of the answer came is news only where that was good.
    fn broke(&mut self, why: &wasmtime_wasi_http::Error) {
        if !self.has_failed {
            self.has_failed = true;
            self.span.fail("interrupted", &format!("the answer broke off: {why:?}"));
        }
    }
}
