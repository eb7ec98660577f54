//! One export, from the store to the file.

use std::collections::BTreeMap;
use std::future::{Future, ready};
use std::io::{Cursor, Read as _};
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use wasm_host_collector::{Bounds as StoreBounds, Pipeline, Sender};
use wasm_host_settings::bounds::Bound;
use wasm_host_telemetry::Collector as _;
use wasm_host_telemetry::log::{Level, LogRecord, Source};
use wasm_host_telemetry::metrics::Reading;

use super::super::resources::{Described, HostStatus, Resources};
use super::super::{BackendStatus, Readiness, ServiceStatus};
use super::*;

/// An application without services.
struct Nothing;

type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Status for Nothing {
    fn telemetry_off(&self) -> Option<String> {
        None
    }

    fn application(&self) -> &str {
        "a shop"
    }

    fn readiness(&self) -> Readiness {
        Readiness::Ready
    }

    fn degraded(&self) -> Later<'_, Vec<String>> {
        Box::pin(ready(Vec::new()))
    }

    fn services(&self) -> Vec<ServiceStatus> {
        Vec::new()
    }

    fn figures(&self) -> Vec<Reading> {
        Vec::new()
    }

    fn backends(&self) -> Vec<BackendStatus> {
        Vec::new()
    }

    fn bounds(&self) -> &[Bound] {
        &[]
    }

    fn resources(&self) -> Later<'_, Resources> {
        let host =
            HostStatus { version: "1", started: 0, address: String::new(), pid: 1, memory: None };
        let application = "a shop".to_owned();
        let (services, others) = (Vec::new(), Vec::new());
        let (backends, edges) = (Vec::new(), Vec::new());
        Box::pin(ready(Resources { application, host, services, others, backends, edges }))
    }

    fn service<'a>(&'a self, _name: &'a str) -> Later<'a, Option<Described>> {
        Box::pin(ready(None))
    }
}

fn store(folder: &Path) -> (Sender, Pipeline, Reader) {
    let sender = Sender::default();
    let bounds = StoreBounds { bytes: 16 << 20, age: Duration::from_secs(3600) };
    let pipeline =
        Pipeline::start(&sender, folder, bounds, Box::new(Vec::new), Vec::new()).unwrap();
    let reader = pipeline.reader();
    (sender, pipeline, reader)
}

fn line(message: String) -> LogRecord {
    LogRecord {
        time: 1_000_000,
        level: Level::Info,
        service: Some("a".into()),
        source: Source::Guest,
        trace: None,
        span: None,
        request: None,
        message,
        fields: Vec::new(),
    }
}

fn export(reader: &Reader, asked: Exported) -> Export {
    let at = jiff::Timestamp::from_second(1_927_943_106).unwrap();
    Export { status: Arc::new(Nothing), reader: reader.clone(), asked, at }
}

const ALL: Exported = Exported { since: None, until: u64::MAX, service: None };

/// The files of a body, by name.
async fn files(response: Response<Body>) -> BTreeMap<String, String> {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let read = (0..zip.len()).map(|number| {
        let mut file = zip.by_index(number).unwrap();
        let (name, mut text) = (file.name().unwrap().into_owned(), String::new());
        file.read_to_string(&mut text).unwrap();
        (name, text)
    });
    read.collect()
}

#[tokio::test]
async fn all_that_is_kept_is_in_the_file_newest_first_and_over_many_pages() {
    let folder = tempfile::tempdir().unwrap();
    let (sender, _pipeline, reader) = store(folder.path());
    let count = limits::ARCHIVE_PAGE * 2 + 1;
    for number in 0..count {
        sender.log(line(number.to_string()));
    }
    reader.flush().await.unwrap();
    let places = Arc::new(Semaphore::new(1));
    let response = export(&reader, ALL).answer(&places, CancellationToken::new()).unwrap();
    assert_eq!(
        response.headers()[header::CONTENT_DISPOSITION],
        "attachment; filename=\"a-shop-20310204T034506Z.zip\""
    );
    let files = files(response).await;
    let messages: Vec<usize> = files["logs.ndjson"]
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| line["message"].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(messages, (0..count).rev().collect::<Vec<_>>());
    let manifest: Value = serde_json::from_str(&files["manifest.json"]).unwrap();
    assert_eq!(manifest["application"], "a shop");
    assert_eq!(manifest["files"]["logs.ndjson"]["items"], count);
    assert_eq!(manifest["files"]["logs.ndjson"]["left_out"], Value::Null);
    let named = |name: &str| files.contains_key(name) && README.contains(name);
    for name in ["traces.ndjson", "metrics.ndjson", "resources.json"] {
        assert!(named(name), "{name}");
    }
}

// Fault (Telemetry): a client that leaves in the midst of an export | gives up, and is free for the next one | - | nothing
#[tokio::test]
async fn there_is_one_at_a_time_and_one_that_nobody_reads_any_more_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let (_sender, _pipeline, reader) = store(folder.path());
    let places = Arc::new(Semaphore::new(1));
    let ask = || export(&reader, ALL).answer(&places, CancellationToken::new());
    let first = ask().unwrap();
    assert_eq!(ask().unwrap_err().kind, Kind::Busy);
    // The client leaves in the midst of it.
    let mut body = first.into_body();
    body.frame().await.unwrap().unwrap();
    assert_eq!(ask().unwrap_err().kind, Kind::Busy);
    drop(body);
    files(ask().unwrap()).await;
    files(ask().unwrap()).await;
}

// Fault (Telemetry): a host that stops in the midst of an export | ends its body as an error; the command leaves no file | an error | nothing: it can be asked for again
#[tokio::test]
async fn one_that_the_host_stops_ends_as_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (_sender, _pipeline, reader) = store(folder.path());
    let stopping = CancellationToken::new();
    let places = Arc::new(Semaphore::new(1));
    let response = export(&reader, ALL).answer(&places, stopping.clone()).unwrap();
    stopping.cancel();
    assert!(response.into_body().collect().await.is_err());
}

/// Pages of numbers without an end.
struct Endless(u64);

impl Pages for Endless {
    type Item = u64;

    async fn next(&mut self) -> Result<Option<Vec<u64>>, ReadError> {
        self.0 += 1;
        match self.0 {
            0..100 => Ok(Some(vec![self.0; 100])),
            _ => Err(ReadError::Late),
        }
    }
}

async fn listed(bounds: Bounds) -> Written {
    let (sender, mut receiver) = mpsc::channel(1);
    let reading = tokio::spawn(async move { while receiver.recv().await.is_some() {} });
    let mut archive = Archive::new(jiff::Timestamp::UNIX_EPOCH, sender);
    let written = list(&mut archive, "numbers", bounds, Endless(0)).await.unwrap();
    archive.end().await.unwrap();
    reading.await.unwrap();
    written
}

// Fault (Telemetry): more that is kept than an export may have, or a store that does not answer it in time | leaves out the oldest, says so in the file and to the command | a file that opens | what is left out
#[tokio::test]
async fn what_is_beyond_a_bound_or_cannot_be_read_is_left_out_and_told() {
    let later = Instant::now() + Duration::from_secs(3600);
    let few = listed(Bounds { until: later, bytes: 1001 }).await;
    // `1\n` a hundred times, and so on.
    assert_eq!((few.items, few.bytes), (500, 1000));
    assert!(few.left_out.unwrap().contains("at most 1001 of each"));
    let late = listed(Bounds { until: Instant::now() - Duration::from_secs(1), bytes: 1001 }).await;
    assert_eq!(late.items, 0);
    assert!(late.left_out.unwrap().contains("at most 10m"));
    let broken = listed(Bounds { until: later, bytes: 1 << 30 }).await;
    assert_eq!(broken.items, 9900);
    assert!(broken.left_out.unwrap().contains("has not answered in time"));
}
