//! A host that is killed at any moment has what was written until then, and goes on.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use wasm_host_telemetry::Collector as _;

use crate::LogQuery;
use crate::testing::{self, batch, line};

/// Says to this test in another process where to write.
const FOLDER: &str = "WASM_HOST_COLLECTOR_TEST_FOLDER";

// Fault (Telemetry): a host that is killed while it writes telemetry | has what was written, goes on | a reset | what waited to be written
#[tokio::test]
async fn what_was_written_before_a_kill_is_there_and_it_goes_on() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return write_until_killed(folder.as_ref()).await;
    }
    let state = tempfile::tempdir().unwrap();
    for round in 1..=3 {
        let written = write_and_kill(state.path());
        let (sender, pipeline, reader) = testing::start(state.path());
        sender.log(line("after"));
        reader.flush().await.unwrap();
        let mut query = LogQuery { limit: Some(1000), ..LogQuery::default() };
        let (mut all, mut last) = (0, u64::MAX);
        loop {
            let page = reader.logs(&query).await.unwrap();
            for item in &page.items {
                assert!(item.id < last);
                last = item.id;
                all += usize::from(item.message == "line");
            }
            query.before = page.next;
            if query.before.is_none() {
                break;
            }
        }
        assert!(all >= written * round, "{all} of {written} times {round} at least");
        let broken = std::fs::read_dir(state.path().join("telemetry")).unwrap();
        assert!(
            broken
                .map(|entry| entry.unwrap().file_name())
                .all(|name| !name.to_str().unwrap().contains("broken"))
        );
        pipeline.stop().await;
    }
}

/// Lines that the other process said that it has written.
fn write_and_kill(state: &std::path::Path) -> usize {
    const LEAST: usize = 500;
    let name = "tests::kill::what_was_written_before_a_kill_is_there_and_it_goes_on";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(FOLDER, state)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let written = |line: std::io::Result<String>| {
        line.unwrap().strip_prefix("written ")?.parse::<usize>().ok()
    };
    let reached = lines.by_ref().filter_map(written).find(|count| *count >= LEAST);
    // In the midst of writing, as it never stops that.
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(reached.is_some(), "it ended by itself");
    LEAST
}

async fn write_until_killed(state: &std::path::Path) {
    let (sender, _pipeline, reader) = testing::start(state);
    for number in 0.. {
        for _ in 0..50 {
            sender.log(line("line"));
            sender.batch(batch(number + 1, &[("a", None), ("b", Some(1))]));
        }
        reader.flush().await.unwrap();
        println!("written {}", (number + 1) * 50);
    }
}
