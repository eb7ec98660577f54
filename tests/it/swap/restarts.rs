//! What outlives the process, however it ended.

use std::time::Duration;

use tokio::sync::watch::Sender;
use wasm_host_tests::client::KeepAlive;
use wasm_host_tests::host::App;
use wasm_host_tests::within;

use super::{SERVICE, activate, answers, verdicts, version};

#[tokio::test]
async fn the_published_version_and_the_history_survive_a_restart() {
    let app = App::new(SERVICE);
    let host = app.serve().await;
    activate(&host, "two").await;
    super::rejected(&host, b"no component").await;
    let before = host.history("app").await;
    host.stop().await;
    let host = app.serve().await;
    assert_eq!(answers(&host).await, "two");
    let after = host.history("app").await;
    assert_eq!(verdicts(&after), ["activated", "activated", "rejected", "activated"]);
    assert_eq!(after[2], before[2]);
    assert_eq!(after[3]["cause"], "start, as it was left");
    // And the way back with it.
    let reply = host.ask("POST", "/services/app/rollback", &[], "").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(answers(&host).await, "one");
}

#[tokio::test]
async fn a_published_version_whose_file_has_vanished_gives_way_to_the_applications() {
    let app = App::new(SERVICE);
    let host = app.serve().await;
    let outcome = activate(&host, "two").await;
    let digest = outcome["digest"].as_str().unwrap();
    std::fs::remove_file(host.state().join(format!("versions/{digest}.wasm"))).unwrap();
    host.stop().await;
    let host = app.serve().await;
    assert_eq!(answers(&host).await, "one");
}

#[tokio::test]
async fn a_canary_does_not_survive_the_host() {
    let app = App::new(SERVICE);
    let host = app.serve().await;
    let canary = host.swap("app", "canary=50&for=1h", version("two")).await;
    assert_eq!(canary.json()["verdict"], "canary", "{}", canary.text());
    host.kill().await;
    let host = app.serve().await;
    for _ in 0..4 {
        assert_eq!(answers(&host).await, "one");
    }
    let history = host.history("app").await;
    assert_eq!(verdicts(&history), ["activated", "taken-back", "activated"]);
    assert_eq!(history[1]["reason"], "the host stopped during its canary");
}

/// Swap without end, and send the number of each attempt that was told to be in service.
async fn swap_for_ever(mut connection: KeepAlive, token: String, told: Sender<u64>) {
    let headers = [("authorization", &*token), ("content-type", "application/wasm")];
    for number in 0.. {
        let component = version(["two", "one"][number % 2]);
        let swap = connection.send("POST", "/services/app/swap", &headers, component);
        // The one that is under way when the host is killed has no answer.
        let Ok((status, outcome)) = swap.await else { return };
        assert_eq!(status, 200, "{outcome:?}");
        let outcome: serde_json::Value = serde_json::from_slice(&outcome).unwrap();
        told.send_replace(outcome["number"].as_u64().unwrap());
    }
}

#[tokio::test]
async fn a_host_that_is_killed_during_swaps_serves_one_of_the_versions_again() {
    let app = App::new(SERVICE);
    for round in 0..12_u64 {
        let host = app.serve().await;
        let connection = KeepAlive::connect(&host.admin).await;
        let (sender, mut told) = tokio::sync::watch::channel(0);
        let swapping = tokio::spawn(swap_for_ever(connection, host.authorization(), sender));
        within("a swap", told.wait_for(|number| *number > 0)).await.unwrap();
        // Another moment of a swap in every round.
        tokio::time::sleep(Duration::from_micros(50_000 + round * 1_700)).await;
        host.kill().await;
        swapping.await.unwrap();
        let told = *told.borrow();
        let host = app.serve().await;
        let now = answers(&host).await;
        assert!(["one", "two"].contains(&&*now), "{now}");
        let history = host.history("app").await;
        assert!(!host.log().contains("is no history"), "{}", host.log());
        // What was told to be in service is in the history, and so is at most the swap that was under way.
        let after = history.iter().filter(|record| record["number"].as_u64().unwrap() > told);
        assert!(after.count() <= 2, "{told}: {history:?}");
        let record = history.iter().find(|record| record["number"] == told).expect("the record");
        // The first swap of a round may find that its version serves already.
        let verdict = record["verdict"].as_str().unwrap();
        assert!(["activated", "unchanged"].contains(&verdict), "{history:?}");
        let [.., served, start] = &history[..] else { panic!("{history:?}") };
        assert_eq!(start["digest"], served["digest"], "it serves what was published last");
        host.stop().await;
    }
}
