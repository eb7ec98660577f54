//! What is seen of calls of a bucket: which operation, about how many keys, how long it took, and how it ended. No keys
//! and no values: both may be secrets.

use super::backend::Error;
use crate::context::RequestContext;
use crate::figures::Figure;
use wasm_host_telemetry::attributes as names;
use wasm_host_telemetry::instruments::DATABASE_DURATION;
use wasm_host_telemetry::span::Kind;
use wasm_host_telemetry::trace::ActiveSpan;

const MEMORY: &str = "memory";
const FILE: &str = "sqlite";
const REDIS: &str = "redis";

/// What is seen to hold buckets.
const SYSTEMS: [&str; 3] = [MEMORY, FILE, REDIS];

/// Where calls of a bucket are counted, which is of one kind.
pub(super) fn figures(name: &str) -> Vec<Figure> {
    let of = |system| {
        Figure::new(&DATABASE_DURATION, [(names::DB_SYSTEM, system), (names::DB_NAMESPACE, name)])
    };
    SYSTEMS.into_iter().map(of).collect()
}

/// A bucket as calls are seen to ask it.
#[derive(Clone, Debug)]
pub(super) struct BucketAddress {
    /// One of [`SYSTEMS`].
    pub(super) system: &'static str,
    pub(super) name: String,
    /// Empty where there is no server.
    pub(super) server: String,
    pub(super) port: Option<u16>,
}

impl BucketAddress {
    pub(super) fn in_memory(name: &str) -> Self {
        Self::of(MEMORY, name)
    }

    pub(super) fn in_a_file(name: &str) -> Self {
        Self::of(FILE, name)
    }

    pub(super) fn on_redis(name: &str, server: &str, port: u16) -> Self {
        Self { server: server.to_owned(), port: Some(port), ..Self::of(REDIS, name) }
    }

    fn of(system: &'static str, name: &str) -> Self {
        Self { system, name: name.to_owned(), server: String::new(), port: None }
    }
}

/// A call under way.
pub(super) struct CallSpan<'a> {
    span: ActiveSpan,
    request: &'a RequestContext,
    operation: &'static str,
}

impl<'a> CallSpan<'a> {
    pub(super) fn begin(
        request: &'a RequestContext,
        operation: &'static str,
        keys: usize,
        place: &BucketAddress,
    ) -> Self {
        let mut span = request.span(operation, Kind::Client);
        if span.is_seen() {
            span.set(names::DB_SYSTEM, place.system);
            span.set(names::DB_NAMESPACE, place.name.clone());
            if !place.server.is_empty() {
                span.set(names::SERVER_ADDRESS, place.server.clone());
            }
            if let Some(port) = place.port {
                span.set(names::SERVER_PORT, port);
            }
            span.set(names::DB_OPERATION, operation);
            // As in the conventions: only of what is about several.
            if keys > 1 {
                span.set(names::DB_BATCH, keys as u64);
            }
        }
        Self { span, request, operation }
    }

    pub(super) fn ended<T>(mut self, place: &BucketAddress, result: &Result<T, Error>) {
        let Some(served) = self.request.served() else { return };
        if !self.request.trace().is_seen() {
            return;
        }
        let kind = match result {
            Ok(_) => "",
            Err(error) => {
                let (kind, why) = describe(error);
                match error {
                    // Nothing went wrong: it was not wanted any more.
                    Error::Cancelled => self.span.set(names::LEFT, true),
                    _ => self.span.fail(kind, why),
                }
                kind
            }
        };
        let port = place.port.map(|port| port.to_string()).unwrap_or_default();
        let BucketAddress { system, name, server, .. } = place;
        let labels = [&*served.service, system, name, self.operation, kind, server, &*port];
        let seconds = self.span.elapsed().as_secs_f64();
        self.request.trace().measure_call(&DATABASE_DURATION, &labels, seconds);
    }
}

/// What kind of failure, and why. Not what a server says: it may repeat a key.
fn describe(error: &Error) -> (&'static str, &str) {
    match error {
        Error::NoSuchStore => ("no-such-store", "there is no such bucket"),
        Error::AccessDenied => ("access-denied", "the bucket is not granted"),
        Error::Unavailable(why) => ("unavailable", why),
        Error::Busy(why) => ("busy", why),
        Error::TimedOut(why) => ("timeout", why),
        Error::Cancelled => ("cancelled", "cancelled"),
        Error::Invalid(why) => ("invalid", why),
        Error::Full(why) => ("full", why),
        Error::Refused(_) => ("refused", "the server refused it"),
    }
}
