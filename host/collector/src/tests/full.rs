//! A disk without room: nothing is half written, and it goes on where it was when there is room again.

use std::sync::Arc;
use std::time::Duration;

use sqlx::AssertSqlSafe;
use wasm_host_limits::telemetry as limits;
use wasm_host_telemetry::Collector as _;

use crate::segment::Segment;
use crate::shelf::Shelf;
use crate::store::Store;
use crate::testing::{self, batch, line};
use crate::write;

/// How SQLite says that there is no room.
const FULL: &str = "13";

// Fault (Telemetry): no room for what is written | writes nothing half, tries again each second, goes on in the same file | its answer | spans and lines until then, counted
#[tokio::test]
async fn what_finds_no_room_is_not_half_written_and_the_file_goes_on() {
    let state = tempfile::tempdir().unwrap();
    let shelf = Arc::new(Shelf::default());
    let mut store = Store::new(state.path().join("telemetry"), testing::SMALL, shelf.clone());
    let current = store.current().await.unwrap();
    write::everything(current, &[batch(1, &[("a", None)])], &[line("before")], &[]).await.unwrap();
    // As if the disk had so many pages.
    let pages: i64 =
        sqlx::query_scalar("pragma page_count").fetch_one(&mut current.connection).await.unwrap();
    let bound = AssertSqlSafe(format!("pragma max_page_count = {}", pages + 2));
    sqlx::query(bound).execute(&mut current.connection).await.unwrap();
    let lines = vec![line(&"x".repeat(1000)); 100];
    let error =
        write::everything(current, &[batch(2, &[("b", None)])], &lines, &[]).await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().unwrap(), FULL);
    let file = current.segment.path.clone();
    store.failed(&error);
    // It can still be asked, and is not tried again at once.
    assert_eq!(shelf.newest_first().len(), 1);
    assert!(!store.can_go_on());
    tokio::time::sleep(limits::WRITE_RETRY).await;
    let current = store.current().await.unwrap();
    assert_eq!(current.segment.path, file);
    write::everything(current, &[], &[line("after")], &[]).await.unwrap();
    let count = async |current: &mut crate::store::Current, text: &'static str| -> i64 {
        sqlx::query_scalar(text).fetch_one(&mut current.connection).await.unwrap()
    };
    assert_eq!(count(current, "select count(*) from logs").await, 2);
    assert_eq!(count(current, "select count(*) from traces").await, 1);
}

// Fault (Telemetry): a file of the store that cannot be begun | leaves nothing of it | its answer | the same
#[tokio::test]
async fn a_file_that_cannot_be_begun_leaves_nothing() {
    let state = tempfile::tempdir().unwrap();
    // Where SQLite wants a file of its own.
    let in_the_way = state.path().join("00000001.sqlite-wal");
    std::fs::create_dir(&in_the_way).unwrap();
    assert!(Segment::create(state.path(), 1, 1 << 20).await.is_err());
    assert!(!state.path().join("00000001.sqlite").exists());
    std::fs::remove_dir(&in_the_way).unwrap();
    Segment::create(state.path(), 1, 1 << 20).await.unwrap();
}

// Fault (Telemetry): a question that takes too long | ends it | - | nothing
#[tokio::test]
async fn a_question_ends_when_its_time_is_over() {
    let state = tempfile::tempdir().unwrap();
    let (segment, _writer) = Segment::create(state.path(), 1, 1 << 20).await.unwrap();
    let until = std::time::Instant::now() + Duration::from_millis(50);
    let mut statement = crate::read::Statement::default();
    // Without an end.
    statement.push(
        "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n",
    );
    let asked = statement.ask(&segment, until, |_| Ok(true)).await;
    assert!(matches!(asked, Err(crate::ReadError::Late)), "{asked:?}");
    // And so does the thread that looked for the answer.
    let until = std::time::Instant::now() + Duration::from_millis(50);
    let mut connection = segment.reader(until).await.unwrap();
    let endless =
        "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n";
    let found = tokio::time::timeout(
        Duration::from_secs(30),
        sqlx::query(endless).fetch_all(&mut connection),
    );
    assert!(found.await.expect("it goes on").is_err());
}

/// Names a disk of a few MiB to a test that was started again.
const DISK: &str = "WASM_HOST_COLLECTOR_DISK";

// Fault (Telemetry): a disk that is full, and then has room (root alone can try it) | the same, and answers about what there is meanwhile | its answer | the same
#[tokio::test]
async fn a_full_disk_costs_telemetry_until_there_is_room() {
    let Some(disk) = std::env::var_os(DISK) else {
        // Only root may mount one.
        if rustix::process::getuid().is_root() {
            again_on_a_small_disk("tests::full::a_full_disk_costs_telemetry_until_there_is_room");
        }
        return;
    };
    let state = tempfile::tempdir_in(disk).unwrap();
    let ballast = state.path().join("ballast");
    std::fs::write(&ballast, vec![0; 6 << 20]).unwrap();
    let bounds = crate::Bounds { bytes: 512 << 20, ..testing::SMALL };
    let (sender, pipeline, reader) = testing::start_with(state.path(), bounds);
    let text = "x".repeat(1000);
    let mut number = 0;
    while reader.dropped().lines == 0 {
        (0..100).for_each(|_| sender.log(line(&text)));
        reader.flush().await.unwrap();
        number += 100;
        assert!(number < 100_000, "it has no end");
    }
    println!("full after {number} lines: {:?}", reader.dropped());
    let page = reader.logs(&crate::LogQuery::default()).await.unwrap();
    assert_eq!(page.items.len(), 100);
    std::fs::remove_file(&ballast).unwrap();
    let newest = async || {
        let items = reader.logs(&crate::LogQuery::default()).await.unwrap().items;
        items.first().map(|item| item.message.clone())
    };
    let mut tries = 0;
    while newest().await.as_deref() != Some("room") {
        sender.log(line("room"));
        reader.flush().await.unwrap();
        tries += 1;
        assert!(tries < 1000, "never again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("room after {tries} tries: {:?}", reader.dropped());
    pipeline.stop().await;
    let files = std::fs::read_dir(state.path().join("telemetry")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    // What SQLite has beside a file may still be there.
    let names: Vec<_> = names.filter(|name| !name.contains('-')).collect();
    assert_eq!(names, ["00000001.sqlite"]);
}

/// Run one test once more, where `DISK` names a small disk of its own that goes with it.
fn again_on_a_small_disk(test: &str) {
    let disk = tempfile::tempdir().unwrap();
    let mount = "mount -t tmpfs -o size=12m none \"$1\" && shift && exec \"$@\"";
    let output = std::process::Command::new("unshare")
        .args(["-m", "sh", "-c", mount, "sh"])
        .arg(disk.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env(DISK, disk.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
