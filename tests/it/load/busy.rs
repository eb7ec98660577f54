//! Promise 6 in its details: busy is never 500, whatever it is that has run out.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use wasm_host_tests::client::{self, Streaming};
use wasm_host_tests::eventually;
use wasm_host_tests::guests::{guests, neighbour_is_well, nothing_in_flight};
use wasm_host_tests::host::{App, Host, component};

/// Ask for a path so many times at once. Answers with each status and the longest wait for a 503.
async fn all_at_once(address: &str, path: &'static str, count: usize) -> (Vec<u16>, Duration) {
    let mut asked = JoinSet::new();
    for _ in 0..count {
        let address = address.to_string();
        asked.spawn(async move {
            let began = Instant::now();
            let reply = client::send(&address, "GET", path, &[], "").await;
            if reply.status == 503 {
                assert_eq!(reply.header("retry-after"), "1");
                assert_eq!(reply.header("content-type"), "application/problem+json");
            }
            (reply.status.as_u16(), began.elapsed())
        });
    }
    let all = asked.join_all().await;
    let longest = all.iter().filter(|(status, _)| *status == 503).map(|(_, wait)| *wait).max();
    (all.into_iter().map(|(status, _)| status).collect(), longest.unwrap_or_default())
}

fn count(statuses: &[u16], wanted: u16) -> usize {
    statuses.iter().filter(|status| **status == wanted).count()
}

// Fault (Too much at once): a burst beyond places and queue | queues as many as the bound says | 200, or 503 with `Retry-After` | nothing
#[tokio::test]
async fn a_burst_beyond_places_and_queue_is_200_or_503() {
    let keys = "concurrent = 4\nqueue = 8\nqueue-timeout = \"30s\"";
    let host = guests(keys).serve().await;
    let (statuses, _) = all_at_once(&host.address, "/greedy/slow?300", 60).await;
    assert_eq!(count(&statuses, 200) + count(&statuses, 503), 60, "{statuses:?}");
    // Those with a place and those in the queue were served.
    assert!(count(&statuses, 200) >= 12 && count(&statuses, 503) > 0, "{statuses:?}");
    nothing_in_flight(&host, "greedy").await;
    let (statuses, _) = all_at_once(&host.address, "/greedy/", 8).await;
    assert_eq!(statuses, [200; 8]);
}

// Fault (Too much at once): a wait beyond its bound | ends it | 503 with `Retry-After` | nothing
#[tokio::test]
async fn a_wait_beyond_its_bound_is_503_and_not_longer() {
    let keys = "concurrent = 1\nqueue = 100\nqueue-timeout = \"500ms\"";
    let host = guests(keys).serve().await;
    let (statuses, longest) = all_at_once(&host.address, "/greedy/slow?2000", 20).await;
    assert_eq!(count(&statuses, 200) + count(&statuses, 503), 20, "{statuses:?}");
    assert!(count(&statuses, 503) >= 18, "{statuses:?}");
    println!("the longest wait in a queue of 500 ms: {longest:?}");
    assert!(longest < Duration::from_secs(10), "somebody waited {longest:?}");
}

// Fault (Too much at once): no queue at all | refuses at once | 503 with `Retry-After` | nothing
#[tokio::test]
async fn no_queue_at_all_is_503_at_once() {
    let host = guests("concurrent = 1\nqueue = 0").serve().await;
    let (statuses, _) = all_at_once(&host.address, "/greedy/slow?500", 10).await;
    assert_eq!(count(&statuses, 200) + count(&statuses, 503), 10, "{statuses:?}");
    assert!(count(&statuses, 200) >= 1 && count(&statuses, 503) >= 1, "{statuses:?}");
    // What the host refused is counted apart from what the service did.
    nothing_in_flight(&host, "greedy").await;
    let service = host.service("greedy").await;
    let ended = ["served", "refused", "failed", "cancelled"].map(|how| service[how].as_u64());
    let (served, refused) = (count(&statuses, 200) as u64, count(&statuses, 503) as u64);
    assert_eq!(ended, [Some(served), Some(refused), Some(0), Some(0)], "{service}");
    let metrics = host.ask("GET", "/metrics", &[], "").await;
    let line = format!("{{service=\"greedy\",how=\"refused\"}} {refused}.0\n");
    assert!(metrics.text().contains(&line), "{}", metrics.text());
}

// Fault (Too much at once): no instance left | waits for one, then refuses | 503 with `Retry-After` | nothing
#[tokio::test]
async fn instances_that_run_out_are_503() {
    let host = app("", "instances = 2").serve().await;
    let held = [hold_an_instance(&host).await, hold_an_instance(&host).await];
    let (statuses, _) = all_at_once(&host.address, "/greedy/", 10).await;
    assert_eq!(statuses, [503; 10]);
    let service = host.service("greedy").await;
    assert_eq!((&service["refused"], &service["failed"]), (&10.into(), &0.into()), "{service}");
    // They are the instances of one service.
    assert_eq!(host.get("/good/").await.status, 200);
    drop(held);
    is_served_again(&host).await;
}

// Fault (Too much at once): no instance left of all services, with the engine's pool or without it | waits for one, then refuses | 503 with `Retry-After` | nothing
#[tokio::test]
async fn instances_of_the_whole_host_that_run_out_are_503() {
    // Where the host has a pool of instances, and where it may not reserve the room for one and makes each by itself.
    // It may have room for some more than two.
    for before in ["true", "ulimit -v 30000000"] {
        let host = app("instances = 2", "").before(before).serve().await;
        let unpooled = "the pool could not be reserved";
        match before {
            "true" => assert!(!host.log().contains(unpooled), "{}", host.log()),
            _ => host.logs(unpooled).await,
        }
        let held = [hold_an_instance(&host).await, hold_an_instance(&host).await];
        let (statuses, _) = all_at_once(&host.address, "/greedy/", 10).await;
        assert_eq!(statuses, [503; 10]);
        // The bound is that of all services.
        let (statuses, _) = all_at_once(&host.address, "/good/", 10).await;
        assert_eq!(statuses, [503; 10]);
        drop(held);
        is_served_again(&host).await;
    }
}

// Fault (Too much at once): a new version, and no instance left of all services | waits five seconds for one to try it, then rejects it | the verdict, with the bound | nothing
#[tokio::test]
async fn a_version_waits_for_a_place_of_the_host_to_be_tried() {
    let app = app("instances = 1", "").env("WASM_HOST_LOG", "info,wasm_host_service::swap=debug");
    let host = app.serve().await;
    let held = hold_an_instance(&host).await;
    let version = std::fs::read(component("version-one")).unwrap();
    // Where none becomes free it is told what is missing.
    let reply = host.swap("good", "", &version).await;
    assert_eq!(reply.status, 422, "{}", reply.text());
    assert!(reply.text().contains("'instances' in [limits]"), "{}", reply.text());
    let release = async {
        host.logs("swap 2 is compiled and tried").await;
        drop(held);
    };
    let (reply, ()) = tokio::join!(host.swap("good", "", &version), release);
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[tokio::test]
async fn more_services_than_instances_are_all_asked_for_their_health_at_the_start() {
    let service = |name: &str| {
        format!("[service.{name}]\ncomponent = \"$(version-one)\"\nhealth = \"/health\"\n")
    };
    let services: String = ["one", "two", "three"].map(service).concat();
    let app = App::new(&format!("name = \"busy\"\n[limits]\ninstances = 1\n{services}"));
    // An instance that has told stays for a second, unless somebody ends it: it starts all the same.
    let host = app.serve().await;
    eventually("an answer", async || (host.get("/three/").await.status == 200).then_some(())).await;
}

/// Each request takes an instance of its own, and nothing but its client's leaving ends one that is held.
fn app(limits: &str, keys: &str) -> App {
    App::new(&format!(
        r#"
name = "busy"

[http]
write-idle = "10m"

[limits]
{limits}

[service.greedy]
component = "$(greedy)"
per-instance = 1
queue-timeout = "300ms"
{keys}

[service.good]
component = "$(hello-p3)"
queue-timeout = "300ms"
"#
    ))
}

/// An answer that has begun and does not end: it has an instance for as long as it is not dropped.
async fn hold_an_instance(host: &Host) -> Streaming {
    let mut held = client::open(&host.address, "GET", "/greedy/endless", &[], "").await;
    assert_eq!(held.status, 200);
    assert!(held.next().await.unwrap().is_some());
    held
}

async fn is_served_again(host: &Host) {
    nothing_in_flight(host, "greedy").await;
    // The instances end a moment after their requests.
    for path in ["/greedy/", "/good/"] {
        eventually("an instance", async || (host.get(path).await.status == 200).then_some(()))
            .await;
    }
}

// Fault (Too much at once): loops that fill a service | refuses what comes on top | 504, or 503 with `Retry-After` | the loops
#[tokio::test]
async fn loops_that_fill_a_service_are_its_own_busy_and_nobody_elses() {
    let keys = "concurrent = 2\nqueue = 0\nfirst-byte-timeout = \"3s\"";
    let host = guests(keys).serve().await;
    let address = host.address.clone();
    let loops = tokio::spawn(async move { all_at_once(&address, "/greedy/work?100000", 6).await });
    for _ in 0..10 {
        neighbour_is_well(&host).await;
    }
    let (statuses, _) = loops.await.unwrap();
    assert_eq!(count(&statuses, 504) + count(&statuses, 503), 6, "{statuses:?}");
    nothing_in_flight(&host, "greedy").await;
    assert_eq!(host.get("/greedy/").await.status, 200);
}
