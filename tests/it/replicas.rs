//! Promise 13: a swap reaches every replica or none; which it was is decided once, in Postgres, and survives a crash.

mod ends;
mod faults;
#[cfg(target_os = "linux")]
mod namespaces;
mod registries;
mod services;
mod starts;

use rustix::process::{Pid, Signal, kill_process};
use wasm_host_tests::client::Reply;
use wasm_host_tests::eventually;
use wasm_host_tests::host::{App, Host, component};
use wasm_host_tests::postgres::Postgres;

fn app(url: &str) -> App {
    app_with(url, "serve", "version-one", "")
}

/// With what a replica does that is lost, its own component, and more keys of the service.
fn app_with(url: &str, lost: &str, own: &str, keys: &str) -> App {
    app_leased("2s", url, lost, own, keys)
}

/// With a lease that does not end because the machine is busy, where none is to end.
fn app_leased(lease: &str, url: &str, lost: &str, own: &str, keys: &str) -> App {
    App::new(&format!(
        r#"
name = "replicas"

[replicas]
url = "{url}"
lost = "{lost}"
lease = "{lease}"

[service.app]
component = "$({own})"
route = "/"
{keys}
"#
    ))
}

/// Wait until an attempt is open.
async fn is_asked(server: &Postgres) {
    let open = "select count(*) from wasm_host.applications \
                where state->'lines'->'app'->>'attempt' is not null";
    eventually("an attempt", async || (server.sql(open) == "1").then_some(())).await;
}

fn signal(host: &Host, signal: Signal) {
    kill_process(Pid::from_raw(host.pid().cast_signed()).unwrap(), signal).unwrap();
}

/// Wait until a host has heard that so many replicas serve a generation.
async fn all_serve(host: &Host, count: usize, generation: u64) {
    eventually(&format!("{count} replicas with generation {generation}"), async || {
        let listed = host.service("app").await;
        let replicas = listed["replicas"].as_array().unwrap();
        let serves =
            |it: &&serde_json::Value| it["state"] == "serving" && it["generation"] == generation;
        (replicas.iter().filter(serves).count() == count).then_some(())
    })
    .await;
}

/// The name by which the others know a host.
async fn name(host: &Host) -> String {
    let said = "this replica is ";
    host.logs(said).await;
    let log = host.log();
    let (_, rest) = log.split_once(said).unwrap();
    rest.split_whitespace().next().unwrap().to_string()
}

fn version(name: &str) -> Vec<u8> {
    std::fs::read(component(&format!("version-{name}"))).unwrap()
}

async fn is_ready(host: &Host) {
    eventually("the host answers", async || (host.get("/").await.status == 200).then_some(()))
        .await;
}

async fn comes_to_answer(host: &Host, text: &str) {
    eventually(&format!("the answer {text}"), async || {
        host.get("/").await.text().contains(text).then_some(())
    })
    .await;
}

// Fault (Replicas): a replica is killed | waits until its lease ends, goes on without it and names it | the new version, of the others | requests of that one
#[tokio::test]
async fn a_swap_reaches_all_replicas_or_none_and_survives_a_kill() {
    let server = Postgres::start();
    let hosts = [app(&server.url()), app(&server.url()), app(&server.url())];
    let first = hosts[0].serve().await;
    let second = hosts[1].serve().await;
    let third = hosts[2].serve().await;
    for host in [&first, &second, &third] {
        is_ready(host).await;
    }
    let reply = first.swap("app", "", version("two")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    for host in [&first, &second, &third] {
        comes_to_answer(host, "two").await;
    }
    // What is broken serves nowhere, whichever is asked.
    let reply = second.swap("app", "", "no component").await;
    assert_eq!(reply.status, 422, "{}", reply.text());
    let reply = second.swap("app", "canary=10%25&for=1s", version("one")).await;
    assert!(reply.text().contains("[replicas]"), "{}", reply.text());
    all_serve(&first, 3, 2).await;

    // It tells none of its end: the others wait until its lease is over, and say so.
    third.kill().await;
    let reply = second.swap("app", "", version("one")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let reply = reply.json();
    assert_eq!(reply["without"].as_array().unwrap().len(), 1, "{reply}");
    for host in [&first, &second] {
        comes_to_answer(host, "one").await;
    }
    let third = hosts[2].serve().await;
    is_ready(&third).await;
    assert!(third.get("/").await.text().contains("one"));
}

// Fault (Replicas): a version that one replica cannot serve | rejects it everywhere, with the replica and its reason | the version before | nothing
#[tokio::test]
async fn a_replica_that_refuses_is_named_and_nothing_changes_anywhere() {
    let server = Postgres::start();
    let first = app(&server.url()).serve().await;
    // Only this one asks for its health.
    let second = app_with(&server.url(), "serve", "version-one", "health = \"/health\"");
    let second = second.serve().await;
    for host in [&first, &second] {
        is_ready(host).await;
    }
    let reply = first.swap("app", "", version("sick")).await;
    assert_eq!(reply.status, 422, "{}", reply.text());
    let reason = reply.json()["reason"].as_str().unwrap().to_string();
    let expected = format!("{} refused it: ", name(&second).await);
    assert!(reason.starts_with(&expected) && reason.contains("is not healthy"), "{reason}");
    for host in [&first, &second] {
        assert!(host.get("/").await.text().contains("one"));
        assert!(host.service("app").await["replicas"][0]["generation"] == 1);
    }
}

// Fault (Replicas): a replica stands still for longer than its lease, with `lost = "fence"` | answers 503 until it serves what the others serve | 503, then the new version | nothing
#[tokio::test]
async fn a_replica_that_stood_still_answers_nothing_old_when_it_goes_on() {
    let server = Postgres::start();
    let first = app_with(&server.url(), "fence", "version-one", "").serve().await;
    let second = app_with(&server.url(), "fence", "version-one", "").serve().await;
    for host in [&first, &second] {
        is_ready(host).await;
    }
    let lost = name(&second).await;
    signal(&second, Signal::STOP);
    let reply = first.swap("app", "", version("two")).await;
    assert_eq!(reply.json()["without"], serde_json::json!([lost]), "{}", reply.text());
    signal(&second, Signal::CONT);
    // From the first moment on.
    let reply = eventually("it answers again", async || {
        let reply = second.get("/").await;
        match reply.status.as_u16() {
            503 => None,
            _ => Some(reply),
        }
    })
    .await;
    assert!(reply.text().contains("two"), "{}", reply.text());
}

// Fault (Replicas): two swaps at once | lets the newer one win | one version everywhere | nothing
#[tokio::test]
async fn of_two_swaps_at_once_one_is_everywhere() {
    let server = Postgres::start();
    let first = app(&server.url()).serve().await;
    let second = app(&server.url()).serve().await;
    for host in [&first, &second] {
        is_ready(host).await;
    }
    let (slow, two) = (version("slow"), version("two"));
    let both = tokio::join!(first.swap("app", "", slow), second.swap("app", "", two));
    let verdict = |reply: &Reply| reply.json()["verdict"].as_str().unwrap().to_string();
    let verdicts = [verdict(&both.0), verdict(&both.1)];
    assert!(verdicts.contains(&"activated".to_string()), "{verdicts:?}");
    // Whichever came last.
    let serves = async |host: &Host| host.service("app").await["version"].clone();
    eventually("one version", async || {
        (serves(&first).await == serves(&second).await).then_some(())
    })
    .await;
    let reply = first.swap("app", "", version("two")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    comes_to_answer(&second, "two").await;
}

#[tokio::test]
async fn what_does_worse_on_one_replica_is_taken_back_on_all() {
    let server = Postgres::start();
    let first = app(&server.url()).serve().await;
    let second = app(&server.url()).serve().await;
    for host in [&first, &second] {
        is_ready(host).await;
    }
    let reply = first.swap("app", "", version("trapping")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    eventually("the version before", async || {
        let answer = second.get("/").await;
        let listed = first.service("app").await;
        let is_back = listed["replicas"].as_array().unwrap().iter().all(|it| it["generation"] == 3);
        (answer.status == 200 && is_back).then_some(())
    })
    .await;
    comes_to_answer(&first, "one").await;
}

#[tokio::test]
async fn a_replica_with_another_file_serves_what_the_others_serve() {
    let server = Postgres::start();
    let first = app(&server.url()).serve().await;
    is_ready(&first).await;
    let late = app_with(&server.url(), "serve", "version-two", "").serve().await;
    let reply = eventually("an answer", async || {
        let reply = late.get("/").await;
        (reply.status != 503).then_some(reply)
    })
    .await;
    assert!(reply.text().contains("one"), "{}", reply.text());
}

// Fault (Replicas): their database is away | serves on, rejects swaps with the reason | its answer | nothing
#[tokio::test]
async fn with_the_database_away_requests_are_answered_and_swaps_are_rejected() {
    let mut server = Postgres::start();
    let host = app(&server.url()).serve().await;
    is_ready(&host).await;
    server.crash();
    let reply = host.swap("app", "", version("two")).await;
    assert_eq!(reply.status, 422, "{}", reply.text());
    assert!(reply.text().contains("the database of [replicas]"), "{}", reply.text());
    assert!(host.get("/").await.text().contains("one"));
    server.resume();
    eventually("a swap", async || {
        (host.swap("app", "", version("two")).await.status == 200).then_some(())
    })
    .await;
    comes_to_answer(&host, "two").await;
}
