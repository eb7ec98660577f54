//! What can become of the files, and of the disk.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use wasm_host_limits::telemetry as limits;
use wasm_host_telemetry::Collector as _;
use wasm_host_telemetry::id::TraceId;

use crate::age::Steady;
use crate::testing::{self, batch, line};
use crate::{Bounds, Dropped, LogQuery, Reader, TraceQuery};

pub(super) fn files(state: &Path, end: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(state.join("telemetry")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.to_str().unwrap().ends_with(end));
    paths.sort();
    paths
}

/// Not in the files, whatever their tables say.
pub(super) fn assert_nowhere(state: &Path, text: &[u8]) {
    for path in files(state, "") {
        // What SQLite has beside a file goes with its last reader.
        let bytes = fs::read(&path).unwrap_or_default();
        assert!(!bytes.windows(text.len()).any(|at| at == text), "{}", path.display());
    }
}

pub(super) async fn messages(reader: &Reader) -> Vec<String> {
    let query = LogQuery { limit: Some(1000), ..LogQuery::default() };
    reader.logs(&query).await.unwrap().items.into_iter().map(|item| item.message).collect()
}

/// Lines that fill some files.
pub(super) async fn fill(sender: &crate::Sender, reader: &Reader, from: usize, mebibytes: usize) {
    let text = "x".repeat(1000);
    for number in from..from + mebibytes * 1024 {
        sender.log(line(&format!("{number} {text}")));
        if number % 256 == 0 {
            reader.flush().await.unwrap();
        }
    }
    reader.flush().await.unwrap();
}

#[tokio::test]
async fn what_is_written_is_there_after_the_end_and_is_the_users_alone() {
    let state = tempfile::tempdir().unwrap();
    let (sender, pipeline, reader) = testing::start(state.path());
    sender.log(line("first"));
    reader.flush().await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state.path().join("telemetry")), 0o700);
    let all = files(state.path(), "");
    assert!(all.len() >= 2, "{all:?}");
    for path in all {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    // What is pending is written at the end.
    sender.log(line("last"));
    sender.batch(batch(1, &[("span", None)]));
    pipeline.stop().await;
    let (sender, _pipeline, reader) = testing::start(state.path());
    sender.log(line("anew"));
    reader.flush().await.unwrap();
    assert_eq!(messages(&reader).await, ["anew", "last", "first"]);
    assert!(reader.trace(TraceId(1)).await.unwrap().is_some());
    assert_eq!(files(state.path(), ".sqlite").len(), 1);
}

// Fault (Telemetry): more telemetry than the store may have | deletes the oldest file, or what a service with more than a quarter of the store has in it | - | the oldest
#[tokio::test]
async fn the_oldest_go_when_there_is_too_much() {
    let state = tempfile::tempdir().unwrap();
    let (sender, _pipeline, reader) = testing::start(state.path());
    fill(&sender, &reader, 0, 20).await;
    // One that was there a moment ago may have gone: the thread rotates now and then.
    let size = |path: &PathBuf| match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        found => found.unwrap().len(),
    };
    let bytes: u64 = files(state.path(), "").iter().map(size).sum();
    assert!(bytes <= testing::SMALL.bytes + (1 << 20), "{bytes}");
    let left = files(state.path(), ".sqlite").len();
    assert!((4..=limits::STORE_FILES + 1).contains(&left), "{left}");
    assert_eq!(reader.dropped(), Dropped::default());
    // A page goes over several files, and its cursor is good when the file that it is of is gone.
    let mut query = LogQuery { limit: Some(1000), ..LogQuery::default() };
    let mut expected = 20 * 1024;
    loop {
        let page = reader.logs(&query).await.unwrap();
        for item in &page.items {
            expected -= 1;
            assert!(item.message.starts_with(&format!("{expected} ")), "{}", &item.message[..20]);
        }
        query.before = page.next;
        if query.before.is_none() {
            break;
        }
    }
    assert!(expected > 1024, "{expected}");
    let early = LogQuery { before: Some("1".into()), ..LogQuery::default() };
    assert!(reader.logs(&early).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn what_is_too_old_goes() {
    let state = tempfile::tempdir().unwrap();
    let (sender, pipeline, reader) = testing::start(state.path());
    fill(&sender, &reader, 0, 5).await;
    pipeline.stop().await;
    let all = files(state.path(), ".sqlite");
    assert!(all.len() >= 3);
    let old = std::time::SystemTime::now() - Duration::from_secs(7200);
    let first = fs::File::options().write(true).open(&all[0]).unwrap();
    first.set_modified(old).unwrap();
    let (_sender, _pipeline, reader) = testing::start(state.path());
    reader.flush().await.unwrap();
    assert_eq!(files(state.path(), ".sqlite")[0], all[1]);
}

// Fault (Telemetry): a clock that is set forward by more than telemetry is kept | goes by the time that has passed since its start | - | nothing
#[tokio::test]
async fn a_clock_that_is_set_forward_makes_nothing_old() {
    let state = tempfile::tempdir().unwrap();
    let (sender, pipeline, reader) = testing::start(state.path());
    fill(&sender, &reader, 0, 5).await;
    pipeline.stop().await;
    let all = files(state.path(), ".sqlite");
    // Two hours ago is when the host has started, and when these were written; of that, nothing has passed for it.
    let ago = std::time::SystemTime::now() - Duration::from_secs(7200);
    for path in &all {
        fs::File::options().write(true).open(path).unwrap().set_modified(ago).unwrap();
    }
    let folder = state.path().join("telemetry");
    for (clock, left) in [(Steady::at(ago), all.len()), (Steady::new(), 1)] {
        let mut store =
            crate::store::Store::new(folder.clone(), testing::SMALL, Default::default());
        store.clock = clock;
        store.current().await.unwrap();
        store.tend().await;
        assert_eq!(files(state.path(), ".sqlite").len(), left);
        store.close().await;
        // It was opened to be written.
        let newest = all.last().unwrap();
        fs::File::options().write(true).open(newest).unwrap().set_modified(ago).unwrap();
    }
}

#[tokio::test]
async fn what_a_service_is_forgotten_in_is_as_old_as_before() {
    let state = tempfile::tempdir().unwrap();
    let (sender, pipeline, reader) = testing::start(state.path());
    fill(&sender, &reader, 0, 5).await;
    pipeline.stop().await;
    let all = files(state.path(), ".sqlite");
    let old = std::time::SystemTime::now() - Duration::from_secs(600);
    fs::File::options().write(true).open(&all[0]).unwrap().set_modified(old).unwrap();
    let (_sender, pipeline, reader) = testing::start(state.path());
    assert!(!messages(&reader).await.is_empty());
    reader.clear(Some("a")).await.unwrap();
    assert!(messages(&reader).await.is_empty());
    pipeline.stop().await;
    assert_eq!(fs::metadata(&all[0]).unwrap().modified().unwrap(), old);
    assert_nowhere(state.path(), &[b'x'; 9]);
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_now_costs_itself_until_it_can() {
    let state = tempfile::tempdir().unwrap();
    let (sender, pipeline, reader) = testing::start(state.path());
    sender.log(line("before"));
    reader.flush().await.unwrap();
    pipeline.stop().await;
    drop(reader);
    let file = files(state.path(), ".sqlite").remove(0);
    // Where SQLite wants a file of its own.
    let in_the_way = state.path().join("telemetry/00000001.sqlite-wal");
    let _ = fs::remove_file(&in_the_way);
    fs::create_dir(&in_the_way).unwrap();
    let shelf = std::sync::Arc::new(crate::shelf::Shelf::default());
    let folder = state.path().join("telemetry");
    let mut store = crate::store::Store::new(folder, testing::SMALL, shelf.clone());
    let current = store.current().await.unwrap();
    assert_eq!(current.segment.number, 2);
    // What it has is not forgotten, and this is not said.
    assert!(crate::clear::clear(&mut store, Some("a")).await.is_err());
    assert_eq!(shelf.all().len(), 1);
    fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(store.take_up_unread().await, 0);
    assert_eq!(shelf.all()[0].path, file);
    assert_eq!(shelf.all()[0].logs_end(), shelf.all()[0].first_id() + 1);
    crate::clear::clear(&mut store, Some("a")).await.unwrap();
}

#[tokio::test]
async fn a_question_at_the_start_has_what_was_there_before() {
    let state = tempfile::tempdir().unwrap();
    let (sender, pipeline, _reader) = testing::start(state.path());
    sender.log(line("before"));
    pipeline.stop().await;
    let (_sender, _pipeline, reader) = testing::start(state.path());
    assert_eq!(messages(&reader).await, ["before"]);
    let (_sender, _pipeline, reader) = testing::start(state.path());
    let (items, _) = reader.follow_logs(LogQuery::default()).await.unwrap();
    assert_eq!(items.len(), 1);
}

// Fault (Telemetry): files of the store that are cut off, of anything, or of another version | sets them aside, keeps two | its answer | what was in them
#[tokio::test]
async fn broken_files_are_set_aside_without_the_others() {
    let state = tempfile::tempdir().unwrap();
    let (sender, pipeline, reader) = testing::start(state.path());
    fill(&sender, &reader, 0, 10).await;
    pipeline.stop().await;
    let all = files(state.path(), ".sqlite");
    assert!(all.len() >= 5, "{all:?}");
    // Cut off by one page, of anything, and of another version.
    let bytes = fs::metadata(&all[0]).unwrap().len();
    let cut = fs::File::options().write(true).open(&all[0]).unwrap();
    cut.set_len(bytes - 4096).unwrap();
    fs::write(&all[1], "no database at all ".repeat(1000)).unwrap();
    let mut bytes = fs::read(&all[2]).unwrap();
    bytes[63] = 99;
    fs::write(&all[2], bytes).unwrap();
    fs::write(state.path().join("telemetry/notes.txt"), "of another program").unwrap();
    let (sender, _pipeline, reader) = testing::start(state.path());
    sender.log(line("goes on"));
    reader.flush().await.unwrap();
    assert_eq!(files(state.path(), ".sqlite")[..], all[3..]);
    assert_eq!(files(state.path(), ".broken").len(), limits::STORE_BROKEN_FILES);
    let told = messages(&reader).await;
    assert_eq!((told.len(), told[0].as_str()), (1000, "goes on"));
    assert!(state.path().join("telemetry/notes.txt").exists());
}

// Fault (Telemetry): a file of the store that breaks while it is asked | answers from the others | its answer | its rows
#[tokio::test]
async fn a_file_that_breaks_while_it_is_asked_costs_its_rows_alone() {
    let state = tempfile::tempdir().unwrap();
    let (sender, pipeline, reader) = testing::start(state.path());
    fill(&sender, &reader, 0, 5).await;
    pipeline.stop().await;
    let all = files(state.path(), ".sqlite");
    let (_sender, _pipeline, reader) = testing::start(state.path());
    reader.flush().await.unwrap();
    // All but what is looked at first.
    let mut bytes = fs::read(&all[0]).unwrap();
    bytes[4096..].fill(0x55);
    fs::write(&all[0], bytes).unwrap();
    let query = LogQuery { search: Some("0".into()), ..LogQuery::default() };
    reader.logs(&query).await.unwrap();
    let query = LogQuery { services: vec!["none".into()], ..LogQuery::default() };
    reader.logs(&query).await.unwrap();
    reader.flush_figures().await.unwrap();
    assert!(!messages(&reader).await.is_empty());
}

// Fault (Telemetry): a folder of the store that cannot be used | says so, tries again | its answer | the same
#[tokio::test]
async fn a_folder_that_cannot_be_used_costs_telemetry_and_is_tried_again() {
    let state = tempfile::tempdir().unwrap();
    // In its way is a file, as no mode of a folder keeps root out.
    let folder = state.path().join("telemetry");
    fs::write(&folder, "in the way").unwrap();
    let (sender, _pipeline, reader) = testing::start(state.path());
    sender.log(line("lost"));
    sender.batch(batch(1, &[("lost", None), ("too", None)]));
    reader.flush().await.unwrap();
    assert_eq!(reader.dropped(), Dropped { spans: 2, lines: 1 });
    assert!(reader.traces(&TraceQuery::default()).await.unwrap().items.is_empty());
    fs::remove_file(&folder).unwrap();
    // It is tried again after a moment.
    let mut tries = 0;
    while messages(&reader).await.is_empty() {
        sender.log(line(&format!("try {tries}")));
        reader.flush().await.unwrap();
        tries += 1;
        assert!(tries < 1000, "never again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

// Fault (Telemetry): a folder of the store that is deleted | makes it anew | its answer | what was in it
#[tokio::test]
async fn a_folder_that_is_deleted_is_made_anew() {
    let state = tempfile::tempdir().unwrap();
    let (sender, _pipeline, reader) = testing::start(state.path());
    sender.log(line("gone"));
    reader.flush().await.unwrap();
    fs::remove_dir_all(state.path().join("telemetry")).unwrap();
    reader.flush_figures().await.unwrap();
    sender.log(line("one"));
    reader.flush().await.unwrap();
    sender.log(line("two"));
    reader.flush().await.unwrap();
    assert_eq!(messages(&reader).await[0], "two");
    assert_eq!(files(state.path(), ".sqlite").len(), 1);
}

#[tokio::test]
async fn a_service_is_forgotten_and_everything_is() {
    let state = tempfile::tempdir().unwrap();
    let bounds = Bounds { age: Duration::from_secs(3600), ..testing::SMALL };
    let (sender, pipeline, reader) = testing::start_with(state.path(), bounds);
    let mut other = batch(2, &[("kept", None)]);
    other.spans[0].service = "b".into();
    sender.batch(batch(1, &[("forgotten", None)]));
    sender.batch(other);
    sender.log(wasm_host_telemetry::log::LogRecord { service: Some("b".into()), ..line("kept") });
    sender.log(line("forgotten"));
    reader.clear(Some("a")).await.unwrap();
    assert_nowhere(state.path(), b"forgotten");
    assert_eq!(messages(&reader).await, ["kept"]);
    let traces = reader.traces(&TraceQuery::default()).await.unwrap().items;
    assert_eq!((traces.len(), traces[0].name.as_str()), (1, "kept"));
    for search in ["forgotten", "kept"] {
        let found = reader.search(search, None).await.unwrap();
        let count = usize::from(search == "kept");
        assert_eq!((found.traces.len(), found.logs.len()), (count, count), "{search}");
    }
    assert!(reader.trace(TraceId(1)).await.unwrap().is_none());
    // No id is given twice, also after a start anew.
    let before = reader.logs(&LogQuery::default()).await.unwrap().items[0].id;
    pipeline.stop().await;
    let (sender, _pipeline, reader) = testing::start_with(state.path(), bounds);
    sender.log(line("anew"));
    reader.flush().await.unwrap();
    assert_eq!(reader.logs(&LogQuery::default()).await.unwrap().items[0].id, before + 2);

    reader.clear(None).await.unwrap();
    assert!(messages(&reader).await.is_empty());
    sender.log(line("after"));
    reader.flush().await.unwrap();
    assert_eq!(messages(&reader).await, ["after"]);
    assert_eq!(files(state.path(), ".sqlite").len(), 1);
}
