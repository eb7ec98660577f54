//! What tests see of the calls of a request.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Uri};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use parking_lot::Mutex;
use wasm_host_system::digest::Digest;
use wasm_host_telemetry::log::LogRecord;
use wasm_host_telemetry::sampling::Sampler;
use wasm_host_telemetry::span::{Attributes, Kind, Span, Status, Value};
use wasm_host_telemetry::trace::Trace;
use wasm_host_telemetry::{Batch, Collector, Telemetry, attributes};

use crate::body::Body;
use crate::context::{Inbound, RequestContext, Served};

/// A body that panics when it is polled behind its first frame.
pub(crate) fn panics_in_its_body() -> Body {
    let frames = stream::unfold(false, |begun| async move {
        assert!(!begun, "on purpose");
        Some((Ok(Frame::data(Bytes::from_static(b"begun"))), true))
    });
    StreamBody::new(frames).boxed_unsync()
}

#[derive(Clone, Default)]
pub(crate) struct Collected(Arc<Mutex<Vec<Span>>>);

impl Collector for Collected {
    fn batch(&self, batch: Batch) {
        self.0.lock().extend(batch.spans);
    }

    fn log(&self, _: LogRecord) {}
}

impl Collected {
    /// The attributes of the one call that there was, and why it failed if it did. Once its request has ended.
    pub(crate) fn call(&self) -> (Attributes, Option<String>) {
        let spans = std::mem::take(&mut *self.0.lock());
        let mut calls = spans.into_iter().filter(|span| span.kind == Kind::Client);
        let (Some(call), None) = (calls.next(), calls.next()) else { panic!("not one call") };
        let why = match call.status {
            Status::Error(why) => Some(why.into_owned()),
            _ => None,
        };
        (call.attributes, why)
    }

    /// The kind of failure of the one call that there was, and why it failed.
    pub(crate) fn failure(&self) -> (String, String) {
        let (attributes, why) = self.call();
        let mut kinds = attributes.iter().filter(|(name, _)| name == attributes::ERROR_TYPE);
        let (Some((_, Value::Text(kind))), None) = (kinds.next(), kinds.next()) else {
            panic!("not one kind of failure: {attributes:?}")
        };
        (kind.to_string(), why.unwrap())
    }
}

/// Requests of the service `shop` of which everything is seen; messages of models only if that is wanted.
pub(crate) struct ObservedRequests {
    telemetry: &'static Telemetry,
    pub(crate) collected: Collected,
}

impl ObservedRequests {
    pub(crate) fn new(captures_messages: bool) -> Self {
        let collected = Collected::default();
        let (collector, sampler) = (Box::new(collected.clone()), Sampler::new(100, 1_000_000));
        let slow = Duration::from_secs(3600);
        let telemetry = Telemetry::new(collector, sampler, slow, captures_messages).leak();
        Self { telemetry, collected }
    }

    /// One that has passed so many services.
    pub(crate) fn request(&self, hops: u8) -> RequestContext {
        let trace = Trace::begin(self.telemetry, None, &Method::GET, &Uri::from_static("/"));
        let (service, version) = ("shop".into(), Digest::of(b""));
        Inbound::new(trace, hops).served_by(Served { service, version, deadline: None })
    }
}
