//! Telemetry as the messages of OTLP.
//!
//! Pure: what a message says follows from what it is given alone.

mod logs;
mod metrics;
mod spans;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;

use wasm_host_limits::telemetry as limits;
use wasm_host_telemetry::clock;
use wasm_host_telemetry::span::{Attributes, Value};

pub(super) use self::logs::logs;
pub(super) use self::metrics::{Figures, figures, metrics};
pub(super) use self::spans::{Spans, spans};

/// What says what is not said by a service.
const HOST: &str = "wasm-host";

/// What telemetry is of, besides a service: what all resources have.
#[derive(Debug)]
pub(super) struct Origin {
    /// The host's own name.
    name: String,
    attributes: Vec<(String, String)>,
    /// From when on is counted. Microseconds since 1970, as the clock says now that may have been set since.
    started: AtomicU64,
    began: Instant,
}

impl Origin {
    /// `attributes` are those of the environment, which go before ours.
    pub(super) fn new(
        application: &str,
        name: Option<String>,
        mut attributes: Vec<(String, String)>,
        started: u64,
    ) -> Self {
        let mut add = |key: &str, value: String| {
            if attributes.iter().all(|(known, _)| known != key) {
                attributes.push((key.to_owned(), value));
            }
        };
        add("service.namespace", application.to_owned());
        // Two hosts that count the same would otherwise contradict each other.
        add("service.instance.id", uuid());
        Self {
            name: name.unwrap_or_else(|| HOST.to_owned()),
            attributes,
            started: started.into(),
            began: Instant::now(),
        }
    }

    /// From when on is counted what was read at that time. The same each time, or it would look like another count; but
    /// a clock that was set takes it along.
    fn started(&self, time: u64) -> u64 {
        let (known, began) = (self.started.load(Ordering::Relaxed), clock::unix(self.began));
        let is_set = known.abs_diff(began) >= clock::micros(limits::CLOCK_SET);
        let started = if is_set { began } else { known };
        self.started.store(started, Ordering::Relaxed);
        started.min(time)
    }

    /// What tells this run of the host from others.
    pub(super) fn instance(&self) -> &str {
        let found = self.attributes.iter().find(|(key, _)| key == "service.instance.id");
        found.map_or("", |(_, instance)| instance)
    }

    /// Of a service, or of the host itself; and of a version if it is known.
    fn resource(&self, service: Option<&str>, version: Option<&str>) -> Resource {
        let mut attributes = vec![text("service.name", service.unwrap_or(&self.name))];
        attributes.extend(version.map(|version| text("service.version", version)));
        let others = self.attributes.iter();
        let others = others.filter(|(key, _)| key != "service.version" || version.is_none());
        attributes.extend(others.map(|(key, value)| text(key, value)));
        Resource { attributes, ..Resource::default() }
    }
}

/// By chance, in the form of version 4.
fn uuid() -> String {
    let id = fastrand::u128(..);
    let id = id & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{id:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| hex.get(part).unwrap_or_default());
    parts.join("-")
}

fn scope(name: &str) -> InstrumentationScope {
    InstrumentationScope { name: name.to_owned(), ..InstrumentationScope::default() }
}

/// Nanoseconds.
fn nanos(micros: u64) -> u64 {
    micros.saturating_mul(1000)
}

fn any(value: Any) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn pair(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any(value)), ..KeyValue::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    pair(key, Any::StringValue(value.to_owned()))
}

fn pairs(attributes: &Attributes) -> Vec<KeyValue> {
    let value = |value: &Value| match value {
        Value::Text(text) => Any::StringValue(text.clone().into_owned()),
        Value::Integer(number) => Any::IntValue(*number),
        Value::Number(number) => Any::DoubleValue(*number),
        Value::Boolean(is) => Any::BoolValue(*is),
    };
    attributes.iter().map(|(key, known)| pair(key, value(known))).collect()
}

/// The group with this key, which is made if there is none. There are few.
fn group<K: PartialEq, G: Default>(groups: &mut Vec<(K, G)>, key: K) -> &mut G {
    let place = match groups.iter().position(|(known, _)| *known == key) {
        Some(place) => place,
        None => {
            groups.push((key, G::default()));
            groups.len() - 1
        }
    };
    #[expect(clippy::indexing_slicing, reason = "the place was found or made above")]
    &mut groups[place].1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_takes_the_start_along_once() {
        let origin = |started| Origin::new("shop", None, Vec::new(), started);
        let now = clock::now();
        // A moment apart, as two readings of the clock are.
        assert_eq!(origin(now - 1).started(now), now - 1);
        for started in [now - 3_600_000_000, now + 3_600_000_000] {
            let origin = origin(started);
            let first = origin.started(u64::MAX);
            assert!(first.abs_diff(now) < clock::micros(limits::CLOCK_SET), "{first}");
            assert_eq!(origin.started(u64::MAX), first);
            // What was read before it was set is no older than its start.
            assert_eq!(origin.started(now - 5), now - 5);
        }
    }
}
