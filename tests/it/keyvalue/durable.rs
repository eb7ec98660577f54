//! What is left of a file's bucket when the host is killed.

use http::StatusCode;

use super::*;
use wasm_host_tests::client::{self, KeepAlive};

// Fault (The machine): killed between two writes of a bucket in a file | has what was answered when it starts again | the connection ends | what had no answer yet
#[tokio::test]
async fn what_was_answered_is_there_after_the_host_is_killed_between_two_writes() {
    let app = app(FILE);
    // In the middle of writes, again and again.
    let mut known = 0_u64;
    for _ in 0..3 {
        let host = app.serve().await;
        let (status, count) = text(&host, "GET", "/carts/n", "").await;
        let found = if status == 404 { 0 } else { count.parse().unwrap() };
        // The last one may have been written without having been answered.
        assert!(found == known || found == known + 1, "{found} of {known}");
        known = found;
        let mut kept = KeepAlive::connect(&host.address).await;
        let (told, mut answered) = tokio::sync::mpsc::unbounded_channel();
        let writing = tokio::spawn(async move {
            for next in known + 1.. {
                let sent = kept.send("POST", "/carts/n?increment=1", &[], "").await;
                let Ok((StatusCode::OK, body)) = sent else { return };
                assert_eq!(body, next.to_string());
                let _ = told.send(next);
            }
        });
        while known < found + 20 {
            known = answered.recv().await.expect("it writes");
        }
        host.kill().await;
        writing.await.unwrap();
        while let Some(next) = answered.recv().await {
            known = next;
        }
    }
    // A bucket in memory is empty after that, and says nothing else.
    let app = super::app(MEMORY);
    let host = app.serve().await;
    assert_eq!(put(&host, "a", "tea").await.status, 200);
    host.kill().await;
    let host = app.serve().await;
    assert_eq!(text(&host, "GET", "/carts/a", "").await.0, 404);
}

#[tokio::test]
async fn a_bucket_that_is_full_says_so_and_takes_more_when_something_has_gone() {
    for kind in [MEMORY, FILE] {
        let host = app(&format!("{kind}\nsize = \"1MiB\"")).serve().await;
        let large = "x".repeat(200_000);
        let mut last = 0;
        let told = loop {
            let reply = put(&host, &format!("k{last}"), &large).await;
            if reply.status != 200 {
                break reply.text().to_owned();
            }
            last += 1;
        };
        assert!((3..6).contains(&last), "{kind}: {last}");
        assert!(told.contains("'size' of [keyvalue.carts] sets the bound"), "{kind}: {told}");
        assert_eq!(host.send("DELETE", "/carts/k0", "").await.status, 200, "{kind}");
        assert_eq!(put(&host, "more", &large).await.status, 200, "{kind}");
    }
}

// Fault (The machine): a bucket's file that is taken away while the host has it open | writes nothing any more, and tells it at `/ready` | an error | nothing of what was answered from then on
#[tokio::test]
async fn a_file_that_is_taken_away_is_told_and_no_write_is_answered_and_lost() {
    let app = app(FILE);
    let host = app.serve().await;
    assert_eq!(put(&host, "a", "tea").await.status, 200);
    let path = host.state().join("keyvalue/carts.sqlite");
    let away = path.with_extension("away");
    std::fs::rename(&path, &away).unwrap();
    let reply = put(&host, "a", "lost").await;
    assert_eq!(reply.status, 503);
    let told = reply.text();
    assert!(told.contains("the file of the bucket carts cannot be used"), "{told}");
    assert!(!told.contains("carts.sqlite"), "{told}");
    let ready = async || {
        let reply = client::send(&host.admin, "GET", "/ready", &[], "").await;
        reply.text().to_owned()
    };
    let told = ready().await;
    assert!(told.contains("carts.sqlite") && told.contains("stop the host"), "{told}");
    // It is put back: nothing was mixed up.
    std::fs::rename(&away, &path).unwrap();
    assert_eq!(text(&host, "GET", "/carts/a", "").await, ok("tea"));
    assert!(!ready().await.contains("carts"));
    let (status, log) = host.stop().await;
    assert!(status.success(), "{log}");
    // The last connection has moved the log into the file, which is whole alone from then on.
    assert!(!path.with_extension("sqlite-wal").exists());
}
