//! Lines of the log as records: for what collects telemetry, and for programs that read the log as JSON.
//!
//! Messages and fields are those of the text, bounded alike. Some fields are no part of the text: `trace_id` and `span_id`,
//! which say for which request a line is said where its id alone does not, and `service_version`, the whole digest of
//! the component that it is about.

use std::fmt::{Debug, Write as _};
use std::sync::OnceLock;

use serde_json::{Map, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use wasm_host_limits as limits;
use wasm_host_system::printable::Printable;
use wasm_host_telemetry::id::{SpanId, TraceId};
use wasm_host_telemetry::log::{Level, LogRecord, Source};
use wasm_host_telemetry::span::Value;
use wasm_host_telemetry::{Telemetry, attributes, clock};

/// Fields that are no part of the text.
pub(super) const UNTOLD: [&str; 3] = ["trace_id", "span_id", "service_version"];

/// Where records go, once there is something that collects them.
static COLLECTED: OnceLock<&'static Telemetry> = OnceLock::new();

/// Hand every line over to this, too, from now on. Once in a process.
pub fn collect(telemetry: &'static Telemetry) {
    let _ = COLLECTED.set(telemetry);
}

/// Hands lines over, and writes them as JSON if there is something that writes.
pub(super) struct Records {
    pub(super) json: Option<fn(&[u8])>,
}

impl<S: Subscriber> Layer<S> for Records {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let collected = COLLECTED.get();
        if collected.is_none() && self.json.is_none() {
            return;
        }
        let metadata = event.metadata();
        let mut fields = Fields::new(metadata.target() == "guest");
        event.record(&mut fields);
        let record = fields.record(level(*metadata.level()));
        if let Some(write) = self.json {
            write(&line(&record));
        }
        if let Some(telemetry) = collected {
            telemetry.log(record);
        }
    }
}

fn level(level: tracing::Level) -> Level {
    match level {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::INFO => Level::Info,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::TRACE => Level::Trace,
    }
}

/// One line of JSON.
fn line(record: &LogRecord) -> Vec<u8> {
    let time = jiff::Timestamp::from_microsecond(record.time.try_into().unwrap_or_default());
    let mut line = Map::new();
    let mut set = |name: &str, value: Option<serde_json::Value>| {
        if let Some(value) = value {
            line.insert(name.to_owned(), value);
        }
    };
    set("time", time.ok().map(|time| json!(format!("{time:.6}"))));
    set("level", Some(json!(record.level.name())));
    set("message", Some(json!(record.message)));
    set("service", record.service.as_deref().map(|service| json!(service)));
    let source = if record.source == Source::Guest { "guest" } else { "host" };
    set("source", Some(json!(source)));
    set("request", record.request.map(|id| json!(id.to_string())));
    set("trace", record.trace.map(|id| json!(id.to_string())));
    set("span", record.span.map(|id| json!(id.to_string())));
    for (name, value) in &record.fields {
        let (name, value) = match (&**name, value) {
            // As elsewhere in the log.
            (attributes::VERSION, Value::Text(digest)) => {
                set("version", Some(json!(digest.get(..12).unwrap_or(digest))));
                continue;
            }
            (name, value) => (name, value),
        };
        let value = match value {
            Value::Text(text) => json!(text),
            Value::Integer(number) => json!(number),
            Value::Number(number) => json!(number),
            Value::Boolean(is) => json!(is),
        };
        set(name, Some(value));
    }
    let mut line = serde_json::to_vec(&line).unwrap_or_default();
    line.push(b'\n');
    line
}

/// What an event says.
struct Fields {
    is_guest: bool,
    message: String,
    service: Option<String>,
    request: Option<String>,
    trace: Option<TraceId>,
    span: Option<SpanId>,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    fn new(is_guest: bool) -> Self {
        let (message, service, request, trace, span, others) = Default::default();
        Self { is_guest, message, service, request, trace, span, others }
    }

    fn record(self, level: Level) -> LogRecord {
        let request: Option<SpanId> = self.request.as_deref().and_then(|id| id.parse().ok());
        let mut fields: Vec<_> =
            self.others.into_iter().map(|(name, value)| (name.into(), value)).collect();
        // What the host asks on its own account has words where a request has its id.
        if let Some(words) = self.request.filter(|_| request.is_none()) {
            fields.push(("request".into(), words.into()));
        }
        LogRecord {
            time: clock::now(),
            level,
            service: self.service.map(Into::into),
            source: if self.is_guest { Source::Guest } else { Source::Host },
            trace: self.trace,
            span: self.span.or(request),
            request,
            message: self.message,
            fields,
        }
    }

    fn text(&mut self, field: &Field, text: String) {
        match field.name() {
            "message" => self.message = text,
            "service" => self.service = Some(text),
            "request" => self.request = Some(text),
            "service_version" => self.others.push((attributes::VERSION, text.into())),
            name if name.starts_with("log.") => {}
            name => self.others.push((name, text.into())),
        }
    }
}

fn bounded(value: &dyn Debug) -> String {
    let mut text = String::new();
    // A string takes everything.
    let _ = write!(Printable::new(&mut text, limits::LOG_LINE_BYTES), "{value:?}");
    text
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, bounded(&format_args!("{value}")));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "span_id" => self.span = (value != 0).then_some(SpanId(value)),
            name => self.others.push((name, value.into())),
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        match field.name() {
            "trace_id" => self.trace = (value != 0).then_some(TraceId(value)),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.others.push((field.name(), Value::Integer(value)));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.others.push((field.name(), Value::Number(value)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.others.push((field.name(), Value::Boolean(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, bounded(value));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    static WRITTEN: Mutex<Vec<u8>> = Mutex::new(Vec::new());

    #[test]
    fn a_line_is_one_object_with_what_it_is_about() {
        let records =
            Records { json: Some(|line| WRITTEN.lock().unwrap().extend_from_slice(line)) };
        let subscriber = tracing_subscriber::registry().with(records);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(
                target: "guest",
                service = %"weather",
                stream = %"stdout",
                request = "00f067aa0ba902b7",
                trace_id = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128,
                service_version = "d65f837a9f2b0000000000000000000000000000000000000000000000000000",
                "a \"line\"\nand {}",
                1
            );
            tracing::warn!(count = 3, ratio = 0.5, request = "rollback", "of the host");
        });
        let written = String::from_utf8(WRITTEN.lock().unwrap().clone()).unwrap();
        let lines: Vec<serde_json::Value> =
            written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0]["time"].as_str().unwrap().ends_with('Z'));
        let without_time = |line: &serde_json::Value| {
            let mut line = line.clone();
            line.as_object_mut().unwrap().remove("time");
            line
        };
        assert_eq!(
            without_time(&lines[0]),
            json!({
                "level": "info", "message": "a \"line\"\\nand 1", "service": "weather", "source": "guest",
                "request": "00f067aa0ba902b7", "span": "00f067aa0ba902b7", "stream": "stdout",
                "trace": "4bf92f3577b34da6a3ce929d0e0e4736", "version": "d65f837a9f2b",
            })
        );
        assert_eq!(
            without_time(&lines[1]),
            json!({
                "level": "warn", "message": "of the host", "source": "host", "count": 3, "ratio": 0.5,
                "request": "rollback",
            })
        );
    }
}
