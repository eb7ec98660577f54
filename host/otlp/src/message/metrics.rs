//! Figures: counters and histograms since the start of the process, and gauges as they are.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::metrics::v1 as otlp;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message as _;

use wasm_host_limits::telemetry as limits;
use wasm_host_telemetry::attributes as names;
use wasm_host_telemetry::instruments;
use wasm_host_telemetry::metrics::{Exemplar, Figure, Instrument, Kind, Point, Reading};

use super::{HOST, Origin, group, nanos, pair, scope, text};

/// The label whose value is the service that a point is of: it becomes the resource.
const SERVICE: &str = "service";

/// Labels that the conventions have as integers.
const INTEGERS: [&str; 2] = [names::HTTP_STATUS, names::SERVER_PORT];

/// Points of one instrument, no more than a request has room for.
#[derive(Debug)]
pub(crate) struct Figures {
    /// When they were read. Microseconds since 1970.
    time: u64,
    instrument: &'static Instrument,
    points: Vec<Point>,
}

impl Figures {
    pub(crate) fn count(&self) -> u64 {
        self.points.len() as u64
    }
}

/// What was read, in pieces and with the size of each.
pub(crate) fn figures(readings: &[Reading], time: u64) -> Vec<(Figures, usize)> {
    let mut pieces: Vec<(Figures, usize)> = Vec::new();
    for Reading { instrument, points, .. } in readings {
        let empty = || (Figures { time, instrument, points: Vec::new() }, 0);
        let mut piece = empty();
        for point in points {
            let size = size(instrument, point);
            if piece.1 + size > limits::EXPORT_REQUEST_BYTES {
                pieces.push(std::mem::replace(&mut piece, empty()));
            }
            piece.1 += size;
            piece.0.points.push(point.clone());
        }
        pieces.push(piece);
    }
    pieces.retain(|(figures, _)| !figures.points.is_empty());
    pieces
}

/// About what a point takes in a message.
fn size(instrument: &Instrument, point: &Point) -> usize {
    let names = instrument.labels.iter().map(|name| name.len() + 8);
    let labels = point.labels.iter().map(String::len);
    let values = match &point.value {
        Figure::Number(_) => 8,
        Figure::Histogram { buckets, .. } => 16 * buckets.len(),
    };
    // Times, counts, and an exemplar.
    96 + values + names.chain(labels).sum::<usize>()
}

/// A request with all of these: one resource for each service, and one for the host.
pub(crate) fn metrics(all: &[Figures], origin: &Origin) -> Vec<u8> {
    let mut groups: Vec<(Option<&str>, Vec<otlp::Metric>)> = Vec::new();
    for figures in all {
        let instrument = figures.instrument;
        let mut services: Vec<(Option<&str>, Vec<&Point>)> = Vec::new();
        for point in &figures.points {
            group(&mut services, service(instrument, point)).push(point);
        }
        for (service, points) in services {
            group(&mut groups, service).push(metric(instrument, &points, figures.time, origin));
        }
    }
    let resource = |(service, metrics)| {
        let scope = Some(scope(HOST));
        let scope_metrics =
            vec![otlp::ScopeMetrics { scope, metrics, ..otlp::ScopeMetrics::default() }];
        let resource = Some(origin.resource(service, None));
        otlp::ResourceMetrics { resource, scope_metrics, ..otlp::ResourceMetrics::default() }
    };
    let resource_metrics = groups.into_iter().map(resource).collect();
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

fn service<'a>(instrument: &Instrument, point: &'a Point) -> Option<&'a str> {
    let mut labels = instrument.labels.iter().zip(&point.labels);
    let (_, service) = labels.find(|(name, _)| **name == SERVICE)?;
    Some(service.as_str()).filter(|service| !service.is_empty())
}

fn metric(
    instrument: &'static Instrument,
    points: &[&Point],
    time: u64,
    origin: &Origin,
) -> otlp::Metric {
    let started = origin.started(time);
    let cumulative = otlp::AggregationTemporality::Cumulative.into();
    let numbers = |started| {
        let number = |point: &&Point| number(instrument, point, time, started);
        points.iter().filter_map(number).collect()
    };
    let data = match instrument.kind {
        Kind::Counter => Data::Sum(otlp::Sum {
            data_points: numbers(started),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        }),
        Kind::Gauge => Data::Gauge(otlp::Gauge { data_points: numbers(0) }),
        Kind::Histogram(bounds) => {
            let histogram = |point: &&Point| histogram(instrument, bounds, point, time, started);
            let data_points = points.iter().filter_map(histogram).collect();
            Data::Histogram(otlp::Histogram { data_points, aggregation_temporality: cumulative })
        }
    };
    otlp::Metric {
        name: instrument.name.to_owned(),
        description: instrument.description.to_owned(),
        unit: instrument.unit.to_owned(),
        data: Some(data),
        ..otlp::Metric::default()
    }
}

fn number(
    instrument: &Instrument,
    point: &Point,
    time: u64,
    started: u64,
) -> Option<otlp::NumberDataPoint> {
    let Figure::Number(value) = point.value else { return None };
    Some(otlp::NumberDataPoint {
        attributes: labels(instrument, point),
        start_time_unix_nano: nanos(started),
        time_unix_nano: nanos(time),
        value: Some(otlp::number_data_point::Value::AsDouble(value)),
        exemplars: exemplars(point.exemplar),
        ..otlp::NumberDataPoint::default()
    })
}

fn histogram(
    instrument: &Instrument,
    bounds: &[f64],
    point: &Point,
    time: u64,
    started: u64,
) -> Option<otlp::HistogramDataPoint> {
    let Figure::Histogram { buckets, sum } = &point.value else { return None };
    Some(otlp::HistogramDataPoint {
        attributes: labels(instrument, point),
        start_time_unix_nano: nanos(started),
        time_unix_nano: nanos(time),
        count: buckets.iter().sum(),
        sum: Some(*sum),
        bucket_counts: buckets.clone(),
        explicit_bounds: bounds.to_vec(),
        exemplars: exemplars(point.exemplar),
        ..otlp::HistogramDataPoint::default()
    })
}

fn exemplars(exemplar: Option<Exemplar>) -> Vec<otlp::Exemplar> {
    let message = |Exemplar { time, value, trace }| otlp::Exemplar {
        time_unix_nano: nanos(time),
        trace_id: trace.0.to_be_bytes().into(),
        value: Some(otlp::exemplar::Value::AsDouble(value)),
        ..otlp::Exemplar::default()
    };
    exemplar.map(message).into_iter().collect()
}

fn labels(instrument: &Instrument, point: &Point) -> Vec<KeyValue> {
    if point.labels.is_empty() && !instrument.labels.is_empty() {
        // All that were not counted apart.
        return vec![pair("otel.metric.overflow", Any::BoolValue(true))];
    }
    // What is not known, such as why something failed that did not, is not said.
    let labels = instrument.labels.iter().zip(&point.labels);
    let labels = labels.filter(|(name, value)| **name != SERVICE && !value.is_empty());
    let labels = labels.map(|(name, value)| match value.parse() {
        Ok(number) if INTEGERS.contains(name) => pair(name, Any::IntValue(number)),
        _ => text(name, value),
    });
    let constants = instruments::constants(instrument).iter();
    labels.chain(constants.map(|(name, value)| text(name, value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_host_telemetry::instruments::{CLIENT_DURATION, DATABASE_DURATION, MODEL_TOKENS};

    #[test]
    fn figures_have_what_the_conventions_want_and_nothing_empty() {
        let of = |instrument: &'static Instrument, labels: &[&str]| {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            let point = Point { labels, value: Figure::Number(0.0), exemplar: None };
            super::labels(instrument, &point)
        };
        assert_eq!(
            of(
                &DATABASE_DURATION,
                &["shop", "postgresql", "orders", "SELECT", "", "db.example", "5432"]
            ),
            [
                text("db.system.name", "postgresql"),
                text("db.namespace", "orders"),
                text("db.operation.name", "SELECT"),
                text("server.address", "db.example"),
                pair("server.port", Any::IntValue(5432)),
            ]
        );
        assert_eq!(
            of(&CLIENT_DURATION, &["shop", "api.example", "GET", "", "443"]),
            [
                text("server.address", "api.example"),
                text("http.request.method", "GET"),
                pair("server.port", Any::IntValue(443)),
            ]
        );
        assert_eq!(
            of(&MODEL_TOKENS, &["shop", "chat", "m", "input"]),
            [
                text("gen_ai.operation.name", "chat"),
                text("gen_ai.request.model", "m"),
                text("gen_ai.token.type", "input"),
                text("gen_ai.provider.name", "ollama"),
            ]
        );
    }
}
