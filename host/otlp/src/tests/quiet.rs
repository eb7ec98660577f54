//! What is said in the log: little, nothing secret, and nothing of what happens while something is sent.

use std::fmt::Debug;

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::receiver::{Receiver, Reply};
use super::*;

/// Keeps all lines.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Subscriber for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                self.0.push_str(&format!("{}={value:?} ", field.name()));
            }
        }
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        let mut text = Text(format!("{thread}: {} ", event.metadata().target()));
        event.record(&mut text);
        self.0.lock().push(text.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// One line for each signal where it goes, and one of what is wrong, however often it is.
#[test]
fn trouble_is_said_once_a_minute_and_without_secrets() {
    let lines = Lines::default();
    // For all threads of this process: the one that sends is silent on its own account.
    tracing::subscriber::set_global_default(lines.clone()).unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    for (protocol, refusal) in [
        ("http/protobuf", Reply::Http(400, Vec::new())),
        ("http/protobuf", Reply::Http(503, Vec::new())),
        ("grpc", Reply::Grpc(16, None)),
        ("grpc", Reply::Grpc(14, None)),
    ] {
        runtime.block_on(async {
            let mut receiver = Receiver::start(vec![refusal; 5]).await;
            let port = receiver.address.port();
            // Another test may have had this port before.
            let before = lines.0.lock().len();
            let otlp = start(&[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://u:hunter2@127.0.0.1:{port}")),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hunter2"),
                ("OTEL_METRICS_EXPORTER", "none"),
            ]);
            let exporter = otlp.exporter();
            for id in 1..=5 {
                exporter.batches(&[small_batch(id)]);
                exporter.lines(&[line(None, "a line")]);
                receiver.next().await;
            }
            otlp.stop().await;
            let address = format!(" http://127.0.0.1:{port}");
            let all = lines.0.lock();
            let said: Vec<_> =
                all.iter().skip(before).filter(|line| line.contains(&address)).collect();
            // Some may have come through at the end.
            let said: Vec<_> =
                said.into_iter().filter(|line: &&String| !line.contains(" are sent to ")).collect();
            let (warned, told): (Vec<&String>, Vec<_>) =
                said.into_iter().partition(|line| line.contains("cannot be sent"));
            assert_eq!((warned.len(), told.len()), (1, 2), "{all:?}");
            assert!(warned[0].contains("what comes is tried again"));
            let ours = all.iter().filter(|line| line.contains(": wasm_host_otlp"));
            ours.for_each(|line| assert!(!line.contains("hunter2"), "{line}"));
        });
    }
    // One that is there again is told of once.
    runtime.block_on(async {
        let mut receiver = Receiver::start(vec![Reply::Http(503, Vec::new())]).await;
        let address = format!("http://127.0.0.1:{}", receiver.address.port());
        let before = lines.0.lock().len();
        let otlp = start(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*address),
            ("OTEL_METRICS_EXPORTER", "none"),
            ("OTEL_LOGS_EXPORTER", "none"),
        ]);
        otlp.exporter().batches(&[small_batch(1)]);
        // Refused, and then taken.
        receiver.next().await;
        receiver.next().await;
        otlp.exporter().batches(&[small_batch(2)]);
        receiver.next().await;
        otlp.stop().await;
        let all = lines.0.lock();
        let again = format!("are sent to {address} again");
        let said = all.iter().skip(before).filter(|line| line.contains(&again));
        assert_eq!(said.count(), 1, "{all:?}");
    });
    // A library's lines would be the reason for the next request. The collectors of tests are on other threads.
    let all = lines.0.lock();
    let sending = all.iter().filter(|line| line.starts_with("otlp: "));
    let others: Vec<_> = sending.filter(|line| !line.starts_with("otlp: wasm_host_otlp")).collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(all.iter().any(|line| line.contains(": h2::")), "the collectors do say something");
}
