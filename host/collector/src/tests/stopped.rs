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

#[tokio::test]
async fn root_reads_what_a_host_of_another_user_left() {
    use std::os::unix::fs::{MetadataExt as _, lchown};
    let state = tempfile::tempdir().unwrap();
    // No other user can give a file away, or would be let into the folder.
    if fs::metadata(state.path()).unwrap().uid() != 0 {
        return;
    }
    let (sender, pipeline, reader) = testing::start(state.path());
    sender.log(line("left"));
    reader.flush().await.unwrap();
    pipeline.stop().await;
    drop(reader);
    let folder = state.path().join("telemetry");
    for entry in fs::read_dir(&folder).unwrap() {
        lchown(entry.unwrap().path(), Some(12345), Some(12345)).unwrap();
    }
    lchown(&folder, Some(12345), Some(12345)).unwrap();
    let reader = Reader::of_stopped(state.path()).await.unwrap().unwrap();
    assert_eq!(reader.logs(&LogQuery::default()).await.unwrap().items.len(), 1);
    // What SQLite makes beside a file belongs to whose file it is: the next host can use it.
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(fs::metadata(&path).unwrap().uid(), 12345, "{}", path.display());
    }
}

#[tokio::test]
async fn a_file_that_a_host_only_began_is_no_broken_one() {
    let state = tempfile::tempdir().unwrap();
    let folder = state.path().join("telemetry");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("00000001.sqlite"), "").unwrap();
    assert!(Reader::of_stopped(state.path()).await.unwrap().is_none());
    // Where none of what is there can be read, it is not said that there is nothing.
    fs::write(folder.join("00000002.sqlite"), "no database at all ".repeat(1000)).unwrap();
    let told = Reader::of_stopped(state.path()).await.unwrap_err().to_string();
    assert!(told.contains("not a database"), "{told}");
}

#[tokio::test]
async fn a_file_that_is_found_broken_by_a_question_is_told() {
    let state = tempfile::tempdir().unwrap();
    let (sender, pipeline, reader) = testing::start(state.path());
    for number in 0..2000 {
        sender.log(line(&format!("{number} {}", "x".repeat(100))));
    }
    reader.flush().await.unwrap();
    pipeline.stop().await;
    drop(reader);
    let path = state.path().join("telemetry/00000001.sqlite");
    let reader = Reader::of_stopped(state.path()).await.unwrap().unwrap();
    assert!(reader.broken().is_empty());
    // All but what was looked at first.
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096..].fill(0x55);
    fs::write(&path, bytes).unwrap();
    let search = LogQuery { search: Some("1234".into()), ..LogQuery::default() };
    assert!(reader.logs(&search).await.unwrap().items.is_empty());
    assert_eq!(reader.broken(), [path]);
}
