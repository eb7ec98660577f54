//! What becomes of a bucket's file while the host has it open.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::*;
use crate::keyvalue::backend::Error;
use wasm_host_limits::keyvalue::FILE_LOG_BYTES;
use wasm_host_tests::eventually;

async fn set(bucket: &FileBucket, text: &str) -> Result<(), Error> {
    bucket.set("a".into(), value(text), request()).await
}

async fn get(bucket: &FileBucket) -> Result<Option<Value>, Error> {
    bucket.get("a".into(), request()).await
}

fn path(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("keyvalue/b.sqlite")
}

fn log(path: &Path) -> std::path::PathBuf {
    path.with_extension("sqlite-wal")
}

/// What is told to a component, which must not have where the file is, and at `/ready`.
async fn told(bucket: &FileBucket) -> (String, String) {
    let error = get(bucket).await.unwrap_err();
    let Error::Unavailable(why) = error else { panic!("{error:?}") };
    assert!(why.contains("the file of the bucket b cannot be used"), "{why}");
    assert!(!why.contains("b.sqlite"), "{why}");
    assert!(set(bucket, "lost").await.is_err() || bucket.check().await.is_err());
    (why, bucket.check().await.unwrap_err())
}

#[tokio::test]
async fn a_file_that_is_taken_away_with_its_log_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (bucket, path) = (file(&folder), path(&folder));
    set(&bucket, "old").await.unwrap();
    assert_eq!(get(&bucket).await, Ok(Some(value("old"))));
    let away = folder.path().join("away");
    std::fs::rename(path.parent().unwrap(), &away).unwrap();
    assert_eq!(get(&bucket).await, Ok(None));
    set(&bucket, "new").await.unwrap();
    bucket.check().await.unwrap();
    drop(bucket);
    assert_eq!(get(&file(&folder)).await, Ok(Some(value("new"))));
    let moved = FileBucket::new(runs(BucketAddress::in_a_file("b")), away.join("b.sqlite"), MIB);
    assert_eq!(get(&moved).await, Ok(Some(value("old"))));
}

#[tokio::test]
async fn a_file_that_is_taken_away_without_its_log_is_told_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (bucket, path) = (file(&folder), path(&folder));
    set(&bucket, "old").await.unwrap();
    get(&bucket).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let (_, why) = told(&bucket).await;
    let (path, log) = (path.display().to_string(), log(&path));
    assert!(why.contains(&path) && why.contains(log.to_str().unwrap()), "{why}");
    assert!(why.contains("stop the host"), "{why}");
    assert!(set(&bucket, "lost").await.is_err());
    // Without what would be mixed up with it, it is made anew.
    std::fs::remove_file(log).unwrap();
    set(&bucket, "new").await.unwrap();
    bucket.check().await.unwrap();
}

#[tokio::test]
async fn a_copy_in_its_place_is_read_and_written_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let (bucket, path) = (file(&folder), path(&folder));
    // Enough that moving it takes its time, and less than what is moved without being asked for.
    bucket.set("large".into(), Value(vec![0; 3_000_000]), request()).await.unwrap();
    set(&bucket, "copied").await.unwrap();
    bucket.close().await;
    assert!(!log(&path).exists(), "closing moves the log into the file");
    let copy = folder.path().join("copy");
    std::fs::copy(&path, &copy).unwrap();
    set(&bucket, "later").await.unwrap();
    get(&bucket).await.unwrap();
    for end in ["sqlite-wal", "sqlite-shm"] {
        std::fs::remove_file(path.with_extension(end)).unwrap();
    }
    std::fs::rename(&copy, &path).unwrap();
    assert_eq!(get(&bucket).await, Ok(Some(value("copied"))));
    set(&bucket, "last").await.unwrap();
    bucket.close().await;
    assert_eq!(get(&file(&folder)).await, Ok(Some(value("last"))));
}

#[tokio::test]
async fn damage_that_a_statement_finds_is_told_until_the_file_is_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let (bucket, path) = (file(&folder), path(&folder));
    for n in 0..2000 {
        let entry = (format!("key-{n}"), value(&n.to_string()));
        bucket.set_many(vec![entry], request()).await.unwrap();
    }
    bucket.close().await;
    drop(bucket);
    // What is looked at when nothing is wrong is as it was.
    let mut bytes = std::fs::read(&path).unwrap();
    let from = bytes.len() / 4096 * 3 / 4 * 4096;
    bytes[from..].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    let bucket = file(&folder);
    bucket.check().await.unwrap();
    let mut why = String::new();
    for n in 0..2000 {
        if let Err(error) = bucket.get(format!("key-{n}"), request()).await {
            why = error.to_string();
        }
    }
    assert!(why.contains("malformed") && !why.contains("b.sqlite"), "{why}");
    let told = bucket.check().await.unwrap_err();
    assert!(told.contains(path.to_str().unwrap()) && told.contains("malformed"), "{told}");
    std::fs::rename(path.parent().unwrap(), folder.path().join("away")).unwrap();
    bucket.check().await.unwrap();
}

/// Of each value that is written while something reads.
const WRITTEN_BYTES: usize = 200_000;

#[tokio::test]
async fn a_log_that_reads_have_kept_is_moved_once_it_is_large() {
    let folder = tempfile::tempdir().unwrap();
    let (bucket, path) = (file(&folder), path(&folder));
    let mut fill = 0_u8;
    // SQLite does not write what is there already.
    let mut set = async |bytes| {
        fill = fill.wrapping_add(1);
        bucket.set("a".into(), Value(vec![fill; bytes]), request()).await.unwrap();
        std::fs::metadata(log(&path)).unwrap().len()
    };
    set(1).await;
    let options = SqliteConnectOptions::new().filename(&path);
    let mut reader = options.connect().await.unwrap();
    sqlx::raw_sql("begin; select * from entries").execute(&mut reader).await.unwrap();
    let near = FILE_LOG_BYTES - 2 * WRITTEN_BYTES as u64;
    while set(WRITTEN_BYTES).await < near {}
    reader.close().await.unwrap();
    // With this it is beyond the bound.
    set(3 * WRITTEN_BYTES).await;
    let moved = async || (std::fs::metadata(log(&path)).unwrap().len() == 0).then_some(());
    eventually("the log to be moved", moved).await;
    assert_eq!(
        bucket.get("a".into(), request()).await.unwrap().unwrap().0.len(),
        3 * WRITTEN_BYTES
    );
}

/// How often this process has the file of a bucket open.
fn open_at(path: &Path) -> usize {
    let all = std::fs::read_dir("/proc/self/fd").unwrap();
    all.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter(|open| open == path)
        .count()
}

#[tokio::test]
async fn a_stop_waits_until_the_file_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = path(&folder);
    let bucket = file(&folder);
    set(&bucket, "a").await.unwrap();
    get(&bucket).await.unwrap();
    // One that writes and one that reads.
    assert_eq!(open_at(&path), 2);
    bucket.close().await;
    assert_eq!(open_at(&path), 0);
}
