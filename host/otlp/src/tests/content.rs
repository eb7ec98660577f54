//! What arrives at a collector.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, exemplar};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use wasm_host_settings::tls::ServerTls;
use wasm_host_telemetry::instruments::{MEMORY, SERVER_DURATION, SWAPS};
use wasm_host_telemetry::metrics::{self, Exemplar, Figure, Point};

use super::receiver::Receiver;
use super::*;

fn known(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let value = |value: &KeyValue| match value.value.clone().unwrap().value.unwrap() {
        Any::StringValue(text) => text,
        Any::IntValue(number) => format!("{number} as integer"),
        Any::DoubleValue(number) => format!("{number} as number"),
        Any::BoolValue(is) => is.to_string(),
        other => panic!("{other:?}"),
    };
    attributes.iter().map(|pair| (pair.key.clone(), value(pair))).collect()
}

fn of(resource: &Option<Resource>) -> BTreeMap<String, String> {
    known(&resource.as_ref().unwrap().attributes)
}

/// In gRPC and in HTTP, compressed and not: the same arrives.
#[tokio::test]
async fn a_trace_arrives_with_its_services_and_what_was_done() {
    for (protocol, compression) in
        [("http/protobuf", "none"), ("http/protobuf", "gzip"), ("grpc", "none"), ("grpc", "gzip")]
    {
        let mut receiver = Receiver::start([]).await;
        let otlp = start(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.url()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", compression),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20hunter2,x-tenant=a"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
        ]);
        otlp.exporter().batches(&[batch()]);
        let received = receiver.next().await;
        let path = match protocol {
            "grpc" => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            _ => "/v1/traces",
        };
        assert_eq!(received.path, path);
        assert_eq!(received.headers["authorization"], "Bearer hunter2");
        assert_eq!(received.headers["x-tenant"], "a");
        is_the_trace(&received.read());
        let counts = otlp.counts();
        until("it counts", || counts.all_sent(Signal::Traces) == 4).await;
        assert_eq!(counts.all_dropped(Signal::Traces), 0);
        otlp.stop().await;
        assert!(!receiver.has_more());
    }
}

/// With the certificate of an authority of one's own; without that it is not believed, and nothing is handed to it.
#[tokio::test]
async fn a_collector_may_be_encrypted() {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let tls = ServerTls::new(&own.cert.pem(), &own.signing_key.serialize_pem()).unwrap();
    let authority = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(authority.path(), own.cert.pem()).unwrap();
    for protocol in ["http/protobuf", "grpc"] {
        let mut receiver = Receiver::encrypted(&tls).await;
        let url = format!("https://localhost:{}", receiver.address.port());
        let mut variables = vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ];
        let doubtful = start_with(&variables, Times { retry: Duration::ZERO, ..TIMES });
        let counts = doubtful.counts();
        doubtful.exporter().batches(&[batch()]);
        until("it counts", || counts.all_dropped(Signal::Traces) == 4).await;
        doubtful.stop().await;
        assert!(!receiver.has_more());

        let path = authority.path().to_str().unwrap();
        variables.push(("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", path));
        let otlp = start(&variables);
        otlp.exporter().batches(&[batch()]);
        let request: ExportTraceServiceRequest = receiver.next().await.read();
        assert_eq!(request.resource_spans.len(), 2, "{protocol}");
        otlp.stop().await;
    }
}

fn is_the_trace(request: &ExportTraceServiceRequest) {
    let [front, stock] = request.resource_spans.as_slice() else { panic!("{request:?}") };
    let (about, other) = (of(&front.resource), of(&stock.resource));
    assert_eq!((&*about["service.name"], &*about["service.version"]), ("front", "sha256:aa"));
    assert_eq!((&*other["service.name"], &*other["service.version"]), ("stock", "sha256:bb"));
    assert_eq!(other["service.namespace"], "shop");
    assert_eq!(other["deployment.environment.name"], "test");
    assert_eq!(other["service.instance.id"], about["service.instance.id"]);
    assert_eq!(other["service.instance.id"].len(), 36);

    assert_eq!(front.scope_spans[0].scope.as_ref().unwrap().name, "wasm-host");
    let [first, call] = front.scope_spans[0].spans.as_slice() else { panic!("{front:?}") };
    let [second, query] = stock.scope_spans[0].spans.as_slice() else { panic!("{stock:?}") };
    for (span, kind) in [(first, SpanKind::Server), (call, SpanKind::Client)] {
        assert_eq!((span.kind(), &*span.trace_id), (kind, &TRACE.0.to_be_bytes()[..]));
    }
    assert!(first.parent_span_id.is_empty());
    assert_eq!(call.parent_span_id, first.span_id);
    assert_eq!(second.parent_span_id, call.span_id);
    assert_eq!(query.parent_span_id, second.span_id);
    assert_eq!(first.start_time_unix_nano, 1_700_000_000_000_001_000);
    assert_eq!(first.end_time_unix_nano, 1_700_000_000_001_501_000);
    assert_eq!(first.status.as_ref().unwrap().code(), StatusCode::Unset);

    assert_eq!(second.links[0].span_id, 8_u64.to_be_bytes());
    let status = query.status.as_ref().unwrap();
    assert_eq!((status.code(), &*status.message), (StatusCode::Error, "no such table"));
    let attributes = known(&query.attributes);
    assert_eq!(attributes["db.system.name"], "postgresql");
    assert_eq!(attributes["db.query.text"], "select * from items where id = $1");
    assert_eq!(attributes["db.response.returned_rows"], "3 as integer");
    assert_eq!((&*attributes["ratio"], &*attributes["is"]), ("0.5 as number", "true"));
    assert_eq!(query.events[0].name, "exception");
    assert_eq!(known(&query.events[0].attributes)["exception.message"], "why");
}

#[tokio::test]
async fn a_line_of_the_log_has_the_ids_of_its_request() {
    let mut receiver = Receiver::start([]).await;
    let otlp = start(&[
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", &format!("{}/logs?key=k", receiver.url())),
        ("OTEL_SERVICE_NAME", "edge-1"),
    ]);
    let exporter = otlp.exporter();
    exporter.lines(&[line(Some("stock"), "no more"), line(None, "ready")]);
    // No address for it.
    exporter.batches(&[batch()]);
    // In one request, or each in its own.
    let mut logs = Vec::new();
    while logs.len() < 2 {
        let received = receiver.next().await;
        assert_eq!(received.path, "/logs");
        logs.extend(received.read::<ExportLogsServiceRequest>().resource_logs);
    }
    let [stock, host] = logs.as_slice() else { panic!("{logs:?}") };
    assert_eq!(of(&stock.resource)["service.name"], "stock");
    assert_eq!(of(&host.resource)["service.name"], "edge-1");
    let record = &stock.scope_logs[0].log_records[0];
    assert_eq!(record.trace_id, TRACE.0.to_be_bytes());
    assert_eq!(record.span_id, 3_u64.to_be_bytes());
    assert_eq!((record.severity_number, &*record.severity_text), (13, "WARN"));
    assert_eq!(record.time_unix_nano, 1_700_000_000_000_050_000);
    let body = record.body.clone().unwrap().value.unwrap();
    assert_eq!(body, Any::StringValue("no more".to_owned()));
    let attributes = known(&record.attributes);
    assert_eq!(attributes["stream"], "stderr");
    assert_eq!(attributes["wasm_host.log.source"], "guest");
    assert_eq!(attributes["wasm_host.request.id"], "0000000000000003");
    assert!(host.scope_logs[0].log_records[0].trace_id.is_empty());
    otlp.stop().await;
    assert!(!receiver.has_more());
}

/// A histogram of a service with an exemplar and one of all that was not counted apart, a counter, and a gauge.
fn readings(bounds: &[f64]) -> [Reading; 3] {
    let mut buckets = vec![0; bounds.len() + 1];
    buckets[3] = 2;
    buckets[bounds.len()] = 1;
    let exemplar = Some(Exemplar { time: 1_700_000_000_000_000, value: 99.0, trace: TRACE });
    let labels = ["stock", "", "/", "GET", "200", "https"].map(str::to_owned).to_vec();
    let point = |labels: &[&str], value, exemplar| Point {
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        value,
        exemplar,
    };
    let durations = vec![
        Point { labels, value: Figure::Histogram { buckets, sum: 99.01 }, exemplar },
        point(&[], Figure::Histogram { buckets: vec![0; bounds.len() + 1], sum: 0.0 }, None),
    ];
    let reading = |instrument, points| Reading { instrument, points, has_overflow: false };
    [
        reading(&SERVER_DURATION, durations),
        reading(&SWAPS, vec![point(&["stock", "activated"], Figure::Number(2.0), None)]),
        reading(&MEMORY, vec![point(&[], Figure::Number(1024.0), None)]),
    ]
}

#[tokio::test]
async fn figures_arrive_since_the_start_with_their_exemplars() {
    let metrics::Kind::Histogram(bounds) = SERVER_DURATION.kind else { panic!() };
    let readings = readings(bounds);
    let mut receiver = Receiver::start([]).await;
    let before = clock::now();
    let otlp = start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.url()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ]);
    let started = before * 1000..=clock::now() * 1000;
    otlp.exporter().figures(&readings);
    let received = receiver.next().await;
    assert_eq!(received.path, "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export");
    let request: ExportMetricsServiceRequest = received.read();
    let [stock, host] = request.resource_metrics.as_slice() else { panic!("{request:?}") };
    assert_eq!(of(&stock.resource)["service.name"], "stock");
    assert_eq!(of(&host.resource)["service.name"], "wasm-host");
    let data = |of: &ResourceMetrics, name: &str| {
        let metrics = &of.scope_metrics[0].metrics;
        let metric = metrics.iter().find(|metric| metric.name == name).unwrap();
        (metric.unit.clone(), metric.data.clone().unwrap())
    };

    let (unit, Data::Histogram(histogram)) = data(stock, "http.server.request.duration") else {
        panic!("{stock:?}")
    };
    assert_eq!((&*unit, histogram.aggregation_temporality), ("s", 2));
    let point = &histogram.data_points[0];
    assert!(started.contains(&point.start_time_unix_nano));
    assert!(point.time_unix_nano >= point.start_time_unix_nano);
    assert_eq!((point.count, point.sum), (3, Some(99.01)));
    assert_eq!(point.explicit_bounds, bounds);
    assert_eq!(point.bucket_counts.len(), bounds.len() + 1);
    let attributes = known(&point.attributes);
    assert!(!attributes.contains_key("service"), "{attributes:?}");
    assert_eq!(attributes["url.scheme"], "https");
    // What is not known is left out, and what the conventions count is a number.
    assert!(!attributes.contains_key("wasm_host.service.version"), "{attributes:?}");
    assert_eq!(attributes["http.response.status_code"], "200 as integer");
    let exemplar = &point.exemplars[0];
    assert_eq!(exemplar.trace_id, TRACE.0.to_be_bytes());
    assert_eq!(exemplar.value, Some(exemplar::Value::AsDouble(99.0)));

    let (_, Data::Sum(sum)) = data(stock, "wasm_host.swaps") else { panic!("{stock:?}") };
    assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
    assert_eq!(sum.data_points[0].value, Some(Number::AsDouble(2.0)));
    let (_, Data::Gauge(gauge)) = data(host, "process.memory.usage") else { panic!("{host:?}") };
    assert_eq!(gauge.data_points[0].value, Some(Number::AsDouble(1024.0)));
    // All others together.
    let (_, Data::Histogram(others)) = data(host, "http.server.request.duration") else {
        panic!("{host:?}")
    };
    assert_eq!(known(&others.data_points[0].attributes)["otel.metric.overflow"], "true");
    otlp.stop().await;
}

/// For a look at what a collector makes of it: `OTEL_EXPORTER_OTLP_ENDPOINT=… cargo test -p wasm-host-otlp -- --ignored`.
#[tokio::test]
#[ignore = "it sends to the collector that the environment names"]
async fn a_collector_of_ones_own_takes_everything() {
    let metrics::Kind::Histogram(bounds) = SERVER_DURATION.kind else { panic!() };
    let otlp = Otlp::from_environment("shop", |name| std::env::var(name).ok()).unwrap().unwrap();
    let (exporter, counts) = (otlp.exporter(), otlp.counts());
    exporter.batches(&[batch()]);
    exporter.lines(&[line(Some("stock"), "no more"), line(None, "ready")]);
    exporter.figures(&readings(bounds));
    otlp.stop().await;
    println!("{counts:?}");
    for (signal, count) in [(Signal::Traces, 4), (Signal::Logs, 2), (Signal::Metrics, 4)] {
        assert_eq!((counts.all_sent(signal), counts.all_dropped(signal)), (count, 0));
    }
}

// Fault (Telemetry): telemetry of the host that comes back from a collector | leaves it out, and sends nothing of others on | 200 | nothing
/// What programs send could come back from there, and go round for ever.
#[tokio::test]
async fn what_programs_send_is_not_sent_on_and_what_pages_send_is() {
    let mut receiver = Receiver::start([]).await;
    let otlp = start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.url())]);
    let exporter = otlp.exporter();
    let of = |id, why| Batch { why, ..small_batch(id) };
    exporter.lines(&[LogRecord { source: Source::Outside, ..line(Some("walker"), "a marmot") }]);
    exporter.batches(&[of(1, KeepReason::Outside), of(2, KeepReason::Page)]);
    let received = receiver.next().await;
    assert_eq!(received.path, "/v1/traces");
    let request: ExportTraceServiceRequest = received.read();
    let spans = &request.resource_spans[0].scope_spans[0].spans;
    assert_eq!(spans.iter().map(|span| &*span.name).collect::<Vec<_>>(), ["span 2"]);
    let instance = of_instance(&request);
    assert_eq!(instance, *otlp.instance());
    otlp.stop().await;
    assert!(!receiver.has_more());
}

fn of_instance(request: &ExportTraceServiceRequest) -> String {
    of(&request.resource_spans[0].resource)["service.instance.id"].clone()
}
