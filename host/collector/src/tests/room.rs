//! Which service has room in the store, and what is left on disk of what is forgotten.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use wasm_host_telemetry::Collector as _;
use wasm_host_telemetry::id::TraceId;
use wasm_host_telemetry::log::LogRecord;

use super::disk::{assert_nowhere, files, fill, messages};
use crate::clear;
use crate::store::Store;
use crate::testing::{self, batch, line};
use crate::{LogQuery, Page, TraceQuery};

fn of(service: &str, message: &str) -> LogRecord {
    LogRecord { service: Some(service.into()), ..line(message) }
}

/// With a transaction that reads a file.
async fn reading(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut reading = options.connect().await.unwrap();
    sqlx::raw_sql("begin; select count(*) from logs").execute(&mut reading).await.unwrap();
    reading
}

// Fault (Telemetry): a service that prints without an end, beside others | its own oldest lines and traces go first; what others have stays | its answer | the oldest of that service
#[tokio::test]
async fn a_service_drives_out_what_it_has_itself_and_not_what_others_have() {
    let state = tempfile::tempdir().unwrap();
    let (sender, pipeline, reader) = testing::start(state.path());
    let mut of_b = batch(7, &[("of b", None), ("asked of a", Some(1))]);
    of_b.spans[0].service = "b".into();
    sender.batch(of_b);
    let mut expected = Vec::new();
    let text = "x".repeat(8000);
    for number in 0..40 {
        let said = format!("b says {number}");
        sender.log(of("b", &said));
        sender.batch(batch(1000 + number, &[("of a", None)]));
        expected.push(said);
        let of_a = (0..100).map(|line| format!("{} {text}", number * 100 + line));
        of_a.for_each(|message| sender.log(line(&message)));
        reader.flush().await.unwrap();
    }
    let query = LogQuery { services: vec!["b".into()], ..LogQuery::default() };
    let Page { items, .. } = reader.logs(&query).await.unwrap();
    let kept: Vec<_> = items.into_iter().rev().map(|item| item.message).collect();
    assert_eq!(kept, expected);
    // A trace is of the service that it began in, whole.
    assert_eq!(reader.trace(TraceId(7)).await.unwrap().unwrap().spans.len(), 2);
    // The newest of the other one is there, without a gap, and its oldest is not.
    let newest = messages(&reader).await;
    let number = |message: &String| message.split(' ').next().unwrap().parse::<usize>().ok();
    let numbers: Vec<usize> = newest.iter().filter_map(number).collect();
    assert!(numbers.iter().rev().copied().eq(4000 - numbers.len()..4000), "{numbers:?}");
    assert!(reader.trace(TraceId(1000)).await.unwrap().is_none());
    // Nothing is found that is not there.
    let search = |search: &str| LogQuery { search: Some(search.into()), ..LogQuery::default() };
    assert!(reader.logs(&search("0 xxx")).await.unwrap().items.is_empty());
    assert_eq!(reader.logs(&search("b says 39")).await.unwrap().items.len(), 1);
    pipeline.stop().await;
    let bytes: u64 = files(state.path(), "").iter().map(|at| fs::metadata(at).unwrap().len()).sum();
    assert!(bytes <= testing::SMALL.bytes + (1 << 20), "{bytes}");
    // What was made room of is as good as before after a start anew.
    let (_sender, _pipeline, reader) = testing::start(state.path());
    assert_eq!(reader.logs(&query).await.unwrap().items.len(), expected.len());
}

// Fault (Telemetry): a question that reads what is being forgotten | says that files have it yet, and writes it over as soon as that ends | an error | nothing
#[tokio::test]
async fn what_is_forgotten_while_it_is_read_is_written_over_later() {
    let state = tempfile::tempdir().unwrap();
    let (sender, pipeline, reader) = testing::start(state.path());
    sender.log(of("b", "stays"));
    fill(&sender, &reader, 0, 5).await;
    pipeline.stop().await;
    drop(reader);
    let first = files(state.path(), ".sqlite").remove(0);
    let old = SystemTime::now() - Duration::from_secs(600);
    fs::File::options().write(true).open(&first).unwrap().set_modified(old).unwrap();
    let folder = state.path().join("telemetry");
    let mut store = Store::new(folder, testing::SMALL, Default::default());
    store.read().await.unwrap();
    let reading = reading(&first).await;
    let told = clear::clear(&mut store, Some("a")).await.unwrap_err().to_string();
    assert!(told.contains("1 file on disk will have it until a question"), "{told}");
    reading.close().await.unwrap();
    assert_eq!(store.move_unmoved().await, 0);
    assert_nowhere(state.path(), &[b'x'; 9]);
    assert_eq!(fs::metadata(&first).unwrap().modified().unwrap(), old);
    clear::clear(&mut store, Some("b")).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn what_is_moved_into_a_file_at_a_start_makes_it_no_newer() {
    let state = tempfile::tempdir().unwrap();
    let (sender, pipeline, reader) = testing::start(state.path());
    fill(&sender, &reader, 0, 5).await;
    pipeline.stop().await;
    drop(reader);
    let first = files(state.path(), ".sqlite").remove(0);
    // A host that was killed before it could move what it had changed.
    let reading = reading(&first).await;
    let mut writing = SqliteConnectOptions::new().filename(&first).connect().await.unwrap();
    sqlx::raw_sql("delete from logs where id % 2").execute(&mut writing).await.unwrap();
    writing.close().await.unwrap();
    reading.close().await.unwrap();
    let beside = fs::metadata(first.with_extension("sqlite-wal")).unwrap().len();
    assert!(beside > 0, "nothing is left to be moved");
    let old = SystemTime::now() - Duration::from_secs(600);
    fs::File::options().write(true).open(&first).unwrap().set_modified(old).unwrap();
    let (_sender, pipeline, reader) = testing::start(state.path());
    reader.flush().await.unwrap();
    pipeline.stop().await;
    assert_eq!(fs::metadata(&first).unwrap().modified().unwrap(), old);
}

#[tokio::test]
async fn a_trace_is_forgotten_whole_also_where_it_goes_over_several_files() {
    let state = tempfile::tempdir().unwrap();
    let (sender, _pipeline, reader) = testing::start(state.path());
    let part = |service: &str, id| {
        let mut part = batch(1, &[("part", None)]);
        (part.spans[0].service, part.spans[0].id) =
            (service.to_owned().into(), wasm_host_telemetry::id::SpanId(id));
        part
    };
    sender.batch(part("b", 1));
    sender.batch(batch(2, &[("of a alone", None)]));
    let filled = |from| {
        let lines =
            (from..from + 3000).map(|number| of("c", &format!("{number} {}", "y".repeat(1000))));
        lines.for_each(|line| sender.log(line));
        reader.flush()
    };
    filled(0).await.unwrap();
    sender.batch(part("a", 2));
    filled(3000).await.unwrap();
    let mut of_b = part("b", 3);
    of_b.spans.push(testing::span(3, 1, None, "of b alone"));
    of_b.spans[1].service = "b".into();
    sender.batch(of_b);
    reader.flush().await.unwrap();
    assert!(files(state.path(), ".sqlite").len() >= 3);
    reader.clear(Some("a")).await.unwrap();
    assert!(reader.trace(TraceId(1)).await.unwrap().is_none());
    let left = reader.traces(&TraceQuery::default()).await.unwrap().items;
    let names: Vec<_> = left.iter().map(|item| &*item.name).collect();
    assert_eq!(names, ["of b alone"]);
}
