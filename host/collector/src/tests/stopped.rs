//! What a process reads of a host that has ended.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use wasm_host_telemetry::Collector as _;

use crate::testing::{self, batch, line};
use crate::{LogQuery, ReadError, Reader, TraceQuery};

/// All that is in the folder, but what SQLite makes for its readers.
fn content(state: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(state.join("telemetry")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let kept = paths.filter(|path| !path.to_str().unwrap().ends_with("-shm"));
    let content = kept.map(|path| (path.clone(), fs::read(path).unwrap()));
    content.filter(|(_, bytes)| !bytes.is_empty()).collect()
}

// Fault (Telemetry): a broken file in the store of a host that has ended, and somebody reads it | leaves it out with a line, and leaves it where it is | nothing | what was in it
#[tokio::test]
async fn what_a_host_left_is_read_and_not_changed() {
    let state = tempfile::tempdir().unwrap();
    assert!(Reader::of_stopped(state.path()).await.unwrap().is_none());
    let (sender, pipeline, reader) = testing::start(state.path());
    sender.log(line("first"));
    sender.batch(batch(1, &[("span", None)]));
    reader.flush().await.unwrap();
    pipeline.stop().await;
    drop(reader);
    let folder = state.path().join("telemetry");
    fs::write(folder.join("00000009.sqlite"), "no database at all ".repeat(1000)).unwrap();
    let before = content(state.path());
    let reader = Reader::of_stopped(state.path()).await.unwrap().unwrap();
    let lines = reader.logs(&LogQuery::default()).await.unwrap().items;
    assert_eq!(lines.iter().map(|line| &*line.message).collect::<Vec<_>>(), ["first"]);
    assert_eq!(reader.traces(&TraceQuery::default()).await.unwrap().items.len(), 1);
    // Nothing can be ordered of it.
    assert!(matches!(reader.clear(None).await, Err(ReadError::Ended)));
    drop(reader);
    assert_eq!(content(state.path()), before);
}
