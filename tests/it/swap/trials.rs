//! Versions that are tried on some requests, or that fail their first ones.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use wasm_host_tests::client::{self, KeepAlive};
use wasm_host_tests::eventually;
use wasm_host_tests::host::Host;

use super::{activate, answers, app_with, serve, verdicts, version};

/// Wait for these verdicts of all attempts: who serves is known a moment before why.
async fn judged(host: &Host, expected: &[&str]) -> Vec<serde_json::Value> {
    eventually(&format!("the verdicts {expected:?}"), async || {
        let history = host.history("app").await;
        (verdicts(&history) == expected).then_some(history)
    })
    .await
}

/// The record of the newest attempt with this digest.
async fn record_of(host: &Host, digest: &serde_json::Value) -> serde_json::Value {
    let history = host.history("app").await;
    let mut newest = history.iter().rev();
    newest.find(|record| record["digest"] == *digest).cloned().expect("a record")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_traps_is_taken_back_and_only_its_share_has_failed() {
    // One request for each instance: a trap costs the request that it answers.
    let host = app_with("per-instance = 1").serve().await;
    let (asked, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let reply = host.swap("app", "canary=20%25&for=60s", version("flaky")).await;
    let outcome = reply.json();
    assert_eq!(outcome["verdict"], "canary", "{outcome}");
    assert!(host.service("app").await["canary"].as_str().unwrap().ends_with(" 20%"));
    let started = Instant::now();
    let ask = async || {
        let mut connection = KeepAlive::connect(&host.address).await;
        while host.service("app").await["canary"].is_string() {
            for _ in 0..10 {
                let answer = connection.get("/").await;
                asked.fetch_add(1, Ordering::Relaxed);
                if !answer.is_ok_and(|(status, _)| status == 200) {
                    failed.fetch_add(1, Ordering::Relaxed);
                    connection = KeepAlive::connect(&host.address).await;
                }
            }
        }
    };
    tokio::join!(ask(), ask(), ask(), ask());
    assert!(started.elapsed() < Duration::from_secs(60), "it was not taken back in its time");
    let (asked, failed) = (asked.load(Ordering::Relaxed), failed.load(Ordering::Relaxed));
    println!("{failed} of {asked} requests failed, in {:?}", started.elapsed());
    assert!(failed >= 3 && failed * 5 <= asked + 5, "{failed} of {asked} failed");
    judged(&host, &["activated", "taken-back"]).await;
    let record = record_of(&host, &outcome["digest"]).await;
    let reason = record["reason"].as_str().unwrap();
    assert!(reason.contains("answers were errors"), "{reason}");
    for _ in 0..20 {
        assert_eq!(answers(&host).await, "one");
    }
}

#[tokio::test]
async fn a_canary_that_does_well_takes_all_requests_after_its_time() {
    let host = serve().await;
    let reply = host.swap("app", "canary=50&for=4s", version("two")).await;
    assert_eq!(reply.json()["verdict"], "canary", "{}", reply.text());
    let mut seen = Vec::new();
    for _ in 0..10 {
        seen.push(answers(&host).await);
    }
    let two = seen.iter().filter(|name| *name == "two").count();
    assert_eq!(two, 5, "{seen:?}");
    eventually("the end of the canary", async || {
        (host.service("app").await["state"] == "running").then_some(())
    })
    .await;
    assert_eq!(answers(&host).await, "two");
    judged(&host, &["activated", "activated"]).await;
}

#[tokio::test]
async fn a_canary_is_compared_with_the_version_beside_it_also_in_time() {
    let host = serve().await;
    host.swap("app", "canary=10&for=1h", version("two")).await;
    let versions = eventually("times of both versions", async || {
        for _ in 0..10 {
            answers(&host).await;
        }
        let described = host.ask("GET", "/api/resources/app", &[], "").await.json();
        let versions = described["versions"].as_array().expect("versions").clone();
        let rate = |place: usize| versions[place]["rate"].as_f64().unwrap();
        // Each has what it answered itself, and not what the service did.
        let are_apart = rate(1) > 0.0 && rate(0) > rate(1) * 2.0;
        (versions.iter().all(|it| it["p50"].is_u64()) && are_apart).then_some(versions)
    })
    .await;
    let states: Vec<_> = versions.iter().map(|version| version["state"].clone()).collect();
    assert_eq!(states, ["serving", "canary"]);
    for version in &versions {
        let (p50, p99) = (version["p50"].as_u64(), version["p99"].as_u64());
        assert!(p50 > Some(0) && p50 <= p99, "{version}");
    }
}

#[tokio::test]
async fn a_rollback_during_a_canary_ends_it() {
    let host = serve().await;
    let canary = host.swap("app", "canary=50&for=1h", version("two")).await.json();
    let outcome = host.ask("POST", "/services/app/rollback", &[], "").await.json();
    assert_eq!(outcome["verdict"], "unchanged");
    assert_eq!(outcome["ended_canary"], canary["digest"]);
    for _ in 0..4 {
        assert_eq!(answers(&host).await, "one");
    }
    let record = record_of(&host, &canary["digest"]).await;
    assert_eq!(record["verdict"], "taken-back", "{record}");
}

#[tokio::test]
async fn a_swap_during_a_canary_takes_its_place() {
    let host = serve().await;
    let canary = host.swap("app", "canary=50&for=1h", version("sick")).await.json();
    // What is rejected leaves the canary alone.
    super::rejected(&host, version("unstartable")).await;
    assert_eq!(host.service("app").await["state"], "canary");
    let outcome = activate(&host, "two").await;
    assert_eq!(outcome["ended_canary"], canary["digest"]);
    for _ in 0..4 {
        assert_eq!(answers(&host).await, "two");
    }
    let record = record_of(&host, &canary["digest"]).await;
    assert_eq!(record["reason"], "another version took its place", "{record}");
}

#[tokio::test]
async fn a_version_that_traps_on_its_first_requests_is_taken_back() {
    let host = serve().await;
    let outcome = activate(&host, "trapping").await;
    let mut failed = 0;
    eventually("the old version to serve again", async || {
        let reply = host.get("/").await;
        failed += u32::from(reply.status == 502);
        (reply.status == 200).then_some(())
    })
    .await;
    assert!((3..20).contains(&failed), "{failed} requests failed");
    assert_eq!(answers(&host).await, "one");
    let history = judged(&host, &["activated", "taken-back", "activated"]).await;
    assert_eq!(history[1]["digest"], outcome["digest"]);
    assert_eq!(history[2]["digest"], outcome["from"]);
    // And seen so.
    eventually("its trial in a trace", async || {
        let list = host.ask("GET", "/api/traces?search=trial&errors=true", &[], "").await.json();
        let item = list["items"].as_array()?.first()?.clone();
        (item["name"] == "trial app" && item["why"] == "operation").then_some(())
    })
    .await;
    let metrics = host.ask("GET", "/metrics", &[], "").await;
    let counted = "wasm_host_swaps_total{service=\"app\",verdict=\"taken-back\"} 1";
    assert!(metrics.text().contains(counted), "{}", metrics.text());
    // It is no version to go back to.
    let reply = host.ask("POST", "/services/app/rollback", &[], "").await;
    assert_eq!(reply.status, 409, "{}", reply.text());
    assert!(reply.text().contains("no earlier version"), "{}", reply.text());
}

#[tokio::test]
async fn a_version_that_serves_again_is_not_cut_at_the_end_of_its_earlier_drain() {
    let host = app_with("drain = \"4s\"").serve().await;
    let mut stream = client::open(&host.address, "GET", "/?pieces=90&ms=100", &[], "").await;
    assert!(stream.next().await.unwrap().is_some());
    activate(&host, "trapping").await;
    eventually("the old version to serve again", async || {
        (host.get("/").await.status == 200).then_some(())
    })
    .await;
    let rest = stream.rest().await.expect("a whole body, nine seconds long");
    assert!(rest.ends_with(b"end one\n"));
    assert_eq!(answers(&host).await, "one");
}
