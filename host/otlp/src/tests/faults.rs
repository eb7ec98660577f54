//! Collectors that are away, slow, or refuse.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

use super::receiver::{Received, Receiver, Reply};
use super::*;

/// The first span of a request.
fn id(received: &Received) -> u64 {
    let request: ExportTraceServiceRequest = received.read();
    let span = &request.resource_spans[0].scope_spans[0].spans[0];
    u64::from_be_bytes(span.span_id.clone().try_into().unwrap())
}

fn traces(url: &str, protocol: &str) -> Otlp {
    start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_LOGS_EXPORTER", "none"),
        ("OTEL_METRICS_EXPORTER", "none"),
    ])
}

/// `RetryInfo` with a moment.
fn soon() -> String {
    let info = [0x0a, 0x04, 0x10, 0xc0, 0x84, 0x3d];
    let name = b"type.googleapis.com/google.rpc.RetryInfo";
    let mut any = vec![0x0a, name.len() as u8];
    any.extend_from_slice(name);
    any.extend_from_slice(&[0x12, info.len() as u8]);
    any.extend_from_slice(&info);
    let mut status = vec![0x08, 8, 0x1a, any.len() as u8];
    status.extend_from_slice(&any);
    STANDARD.encode(status)
}

// Fault (Telemetry): a collector elsewhere that is busy | tries the same again after pauses, or when it is asked to | its answer | nothing within a minute
#[tokio::test]
async fn what_may_be_taken_later_is_sent_again() {
    let http = |status| Reply::Http(status, Vec::new());
    let asked = Reply::Http(429, vec![("retry-after", "0".to_owned())]);
    let cases = [
        ("http/protobuf", vec![http(429), http(502), http(503), http(504), asked]),
        (
            "grpc",
            vec![
                Reply::Grpc(14, None),
                Reply::Grpc(4, None),
                Reply::Grpc(8, Some(soon())),
                http(503),
            ],
        ),
    ];
    for (protocol, script) in cases {
        let count = script.len();
        let mut receiver = Receiver::start(script).await;
        let otlp = traces(&receiver.url(), protocol);
        otlp.exporter().batches(&[small_batch(5)]);
        for _ in 0..=count {
            assert_eq!(id(&receiver.next().await), 5, "{protocol}");
        }
        let counts = otlp.counts();
        until("it counts", || counts.all_sent(Signal::Traces) == 1).await;
        assert_eq!(counts.all_dropped(Signal::Traces), 0, "{protocol}");
        otlp.stop().await;
        assert!(!receiver.has_more());
    }
}

// Fault (Telemetry): a collector elsewhere that does not answer | gives the request its time, and sends it again | its answer | nothing within a minute; it may be there twice
#[tokio::test]
async fn what_is_not_answered_is_sent_again() {
    for protocol in ["http/protobuf", "grpc"] {
        let mut receiver = Receiver::start([Reply::Hang]).await;
        let otlp = start(&[
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &receiver.url()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", &MOMENT.as_millis().to_string()),
        ]);
        otlp.exporter().batches(&[small_batch(5)]);
        // There may be more of them, where something else takes a moment, too.
        for _ in 0..2 {
            assert_eq!(id(&receiver.next().await), 5, "{protocol}");
        }
        let counts = otlp.counts();
        until("it counts", || counts.all_sent(Signal::Traces) == 1).await;
        assert_eq!(counts.all_dropped(Signal::Traces), 0, "{protocol}");
        otlp.stop().await;
    }
}

// Fault (Telemetry): a collector elsewhere that refuses | drops what it refused, counts it, sends the next | its answer | what was refused
#[tokio::test]
async fn what_is_refused_is_dropped_and_the_next_is_sent() {
    for (protocol, refusal) in [
        ("http/protobuf", Reply::Http(400, Vec::new())),
        ("http/protobuf", Reply::Http(401, Vec::new())),
        ("http/protobuf", Reply::Http(500, Vec::new())),
        ("http/protobuf", Reply::Http(307, vec![("location", "/elsewhere".to_owned())])),
        ("grpc", Reply::Grpc(16, None)),
        ("grpc", Reply::Grpc(3, None)),
        // It does not say when it has room.
        ("grpc", Reply::Grpc(8, None)),
        ("grpc", Reply::Http(404, Vec::new())),
    ] {
        let told = format!("{refusal:?}");
        let mut receiver = Receiver::start([refusal]).await;
        let otlp = traces(&receiver.url(), protocol);
        let (exporter, counts) = (otlp.exporter(), otlp.counts());
        exporter.batches(&[small_batch(5)]);
        assert_eq!(id(&receiver.next().await), 5);
        until("it counts", || counts.all_dropped(Signal::Traces) == 1).await;
        exporter.batches(&[small_batch(6)]);
        assert_eq!(id(&receiver.next().await), 6, "{told}");
        until("it counts", || counts.all_sent(Signal::Traces) == 1).await;
        otlp.stop().await;
        assert!(!receiver.has_more());
    }
}

#[tokio::test]
async fn what_is_rejected_of_a_request_is_counted() {
    for protocol in ["http/protobuf", "grpc"] {
        let receiver = Receiver::start([Reply::Reject(3)]).await;
        let otlp = traces(&receiver.url(), protocol);
        otlp.exporter().batches(&[batch()]);
        let counts = otlp.counts();
        let all = || (counts.all_sent(Signal::Traces), counts.all_dropped(Signal::Traces));
        until("it counts", || all() == (1, 3)).await;
        let readings = counts.readings();
        let names: Vec<_> = readings.iter().map(|reading| reading.instrument.name).collect();
        let dropped = "wasm_host.telemetry.export.dropped";
        assert_eq!(names, [dropped, "wasm_host.telemetry.export.sent"]);
        assert_eq!(readings[0].points[0].labels, ["traces"]);
        // The others are not sent.
        assert_eq!(readings[0].points.len(), 1);
        otlp.stop().await;
    }
}

// Fault (Telemetry): a collector elsewhere that is away, and comes back | keeps what waits, up to a bound, tries again after pauses | its answer | what waits beyond the bound, or a minute, counted
#[tokio::test]
async fn a_collector_that_comes_back_has_what_waited() {
    for protocol in ["http/protobuf", "grpc"] {
        // Something that hangs up, and then a collector, with one listener: a port that is let go may be another test's.
        let broken = Receiver::listener().await;
        let address = broken.local_addr().unwrap();
        let otlp = traces(&format!("http://{address}"), protocol);
        let exporter = otlp.exporter();
        exporter.batches(&[small_batch(5)]);
        for _ in 0..2 {
            drop(timeout(PATIENCE, broken.accept()).await.unwrap().unwrap());
        }
        let mut receiver = Receiver::on(broken, []);
        assert_eq!(id(&receiver.next().await), 5, "{protocol}");
        exporter.batches(&[small_batch(6)]);
        assert_eq!(id(&receiver.next().await), 6, "{protocol}");
        otlp.stop().await;
    }
}

// Fault (Telemetry): a collector elsewhere that is too slow for what there is | keeps what it has room for, drops the rest, and counts it; other signals go on | its answer | spans and lines beyond the bound, figures but the last
#[tokio::test]
async fn a_slow_collector_costs_what_there_is_no_room_for_and_nobody_waits() {
    let mut receiver = Receiver::start([Reply::Hang]).await;
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*receiver.url()),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "600000"),
    ];
    let otlp = start_with(&variables, Times { end: MOMENT, ..TIMES });
    let (exporter, counts) = (otlp.exporter(), otlp.counts());
    exporter.lines(&[line(None, "the first")]);
    receiver.next().await;
    let long = line(None, &"x".repeat(64 * 1024));
    let room = limits::EXPORT_BYTES / (64 * 1024);
    for _ in 0..room + 100 {
        exporter.lines(std::slice::from_ref(&long));
    }
    let dropped = counts.all_dropped(Signal::Logs);
    assert!((100..110).contains(&dropped), "{dropped}");
    // Another signal does not wait for this one.
    exporter.batches(&[small_batch(5)]);
    assert_eq!(receiver.next().await.path, "/v1/traces");
    otlp.stop().await;
}

/// Figures say all that those before them did, so those that wait are replaced.
#[tokio::test]
async fn only_the_last_figures_wait() {
    use wasm_host_telemetry::instruments::MEMORY;
    use wasm_host_telemetry::metrics::{Figure, Point};
    let mut receiver = Receiver::start([Reply::Hang]).await;
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*receiver.url()),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "600000"),
    ];
    let otlp = start_with(&variables, Times { end: MOMENT, ..TIMES });
    let (exporter, counts) = (otlp.exporter(), otlp.counts());
    let point = Point { labels: Vec::new(), value: Figure::Number(1.0), exemplar: None };
    let readings = [Reading { instrument: &MEMORY, points: vec![point; 3], has_overflow: false }];
    exporter.figures(&readings);
    receiver.next().await;
    exporter.figures(&readings);
    exporter.figures(&readings);
    assert_eq!(counts.all_dropped(Signal::Metrics), 3);
    otlp.stop().await;
}

// Fault (Telemetry): a collector elsewhere that takes nothing when the host stops | gives it three seconds | - | what was not sent
#[tokio::test]
async fn the_end_sends_what_is_left_and_does_not_wait_for_ever() {
    let long = PATIENCE * 10;
    let times = Times { interval: long, pause: long, retry: long, end: PATIENCE };
    let mut receiver = Receiver::start([]).await;
    let url = receiver.url();
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str())];
    let otlp = start_with(&variables, times);
    let counts = otlp.counts();
    otlp.exporter().batches(&[small_batch(5)]);
    otlp.exporter().lines(&[line(None, "the last")]);
    otlp.stop().await;
    let paths = [receiver.next().await.path, receiver.next().await.path];
    assert!(paths.contains(&"/v1/traces".to_owned()) && paths.contains(&"/v1/logs".to_owned()));
    assert_eq!((counts.all_sent(Signal::Traces), counts.all_sent(Signal::Logs)), (1, 1));

    // One that takes nothing has its time, and one that is away not even that.
    receiver.will(Reply::Hang);
    let otlp = start_with(&variables, Times { end: MOMENT, ..times });
    otlp.exporter().batches(&[small_batch(5)]);
    let begin = Instant::now();
    otlp.stop().await;
    assert!(begin.elapsed() < PATIENCE);
    // A port without a listener.
    let otlp = start_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")], times);
    let counts = otlp.counts();
    otlp.exporter().batches(&[small_batch(5)]);
    otlp.stop().await;
    assert_eq!(counts.all_dropped(Signal::Traces), 1);
}

/// What cannot be taken is given up, and what comes after it is sent.
#[tokio::test]
async fn one_request_is_not_tried_for_ever() {
    let times = Times { retry: Duration::ZERO, interval: Duration::ZERO, ..TIMES };
    let mut receiver = Receiver::start([Reply::Http(503, Vec::new())]).await;
    let otlp = start_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.url())], times);
    let (exporter, counts) = (otlp.exporter(), otlp.counts());
    exporter.batches(&[small_batch(5)]);
    assert_eq!(id(&receiver.next().await), 5);
    until("it counts", || counts.all_dropped(Signal::Traces) == 1).await;
    exporter.batches(&[small_batch(6)]);
    assert_eq!(id(&receiver.next().await), 6);
    otlp.stop().await;
}
