//! Swaps while many requests run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, JoinSet};
use wasm_host_tests::client::{self, KeepAlive};
use wasm_host_tests::eventually;
use wasm_host_tests::host::{App, Host};

use super::{activate, answers, reason, serve, version, wrote};

#[tokio::test]
async fn a_request_is_answered_by_exactly_one_version_body_included() {
    let host = serve().await;
    // Compiled by now: the streams outlast the swaps.
    activate(&host, "two").await;
    activate(&host, "one").await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = client::open(&host.address, "GET", "/?pieces=60&ms=150", &[], "").await;
        let begun = stream.next().await.unwrap().unwrap();
        assert_eq!(begun, "begin one\n");
        streams.push((begun, stream));
    }
    let outcome = activate(&host, "two").await;
    assert_eq!(outcome["finishing"], 20);
    // The old version is still at work on its bodies: both replace each other beside it.
    for name in ["two", "one", "two"] {
        activate(&host, name).await;
        assert_eq!(answers(&host).await, name);
    }
    for (begun, mut stream) in streams {
        let rest = stream.rest().await.expect("a whole body");
        let body = String::from_utf8([&begun[..], &rest].concat()).unwrap();
        assert_eq!(wrote(&body).as_deref(), Some("one"), "{body}");
        assert_eq!(body.lines().count(), 61, "{body}");
    }
}

/// Requests that go on until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    tasks: JoinSet<Vec<String>>,
}

impl Load {
    fn new() -> Self {
        Self { stop: Arc::default(), answered: Arc::default(), tasks: JoinSet::new() }
    }

    /// Ask again and again on one connection, with a pause, for bodies that must be whole.
    fn ask(&mut self, address: &str, path: &'static str, pause: Duration) {
        let (stop, answered) = (self.stop.clone(), self.answered.clone());
        let address = address.to_string();
        self.tasks.spawn(async move {
            let mut failures = Vec::new();
            let mut connection = KeepAlive::connect(&address).await;
            while !stop.load(Ordering::Relaxed) {
                match connection.get(path).await {
                    Ok((status, body)) if status == 200 => {
                        let body = String::from_utf8_lossy(&body);
                        if wrote(&body).is_none() {
                            failures.push(format!("{path}: not of one version: {body}"));
                        }
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok((status, body)) => failures.push(format!("{path}: {status} {body:?}")),
                    Err(error) => {
                        failures.push(format!("{path}: {error}"));
                        connection = KeepAlive::connect(&address).await;
                    }
                }
                tokio::time::sleep(pause).await;
            }
            failures
        });
    }

    /// Stop, and return how many requests were answered and what was wrong.
    async fn end(self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let failures = self.tasks.join_all().await.concat();
        (self.answered.load(Ordering::Relaxed), failures)
    }
}

const TWO_SERVICES: &str = r#"
name = "swap"

[service.a]
component = "$(version-one)"

[service.b]
component = "$(version-one)"
"#;

/// A hundred swaps of one service, every tenth to a component that must be rejected.
fn swaps(host: &Arc<Host>, service: &'static str) -> JoinHandle<(u32, u32)> {
    let host = host.clone();
    tokio::spawn(async move {
        let good = [version("two"), version("one")];
        let bad = [version("unstartable"), b"not a component".to_vec()];
        let (mut activated, mut refused) = (0, 0);
        for number in 1..=100_usize {
            if number.is_multiple_of(10) {
                let reply = host.swap(service, "", &bad[number / 10 % 2]).await;
                assert!(!reason(&reply).is_empty());
                refused += 1;
            } else {
                let reply = host.swap(service, "", &good[activated as usize % 2]).await;
                assert_eq!(reply.status, 200, "{}", reply.text());
                assert_eq!(reply.json()["verdict"], "activated", "{}", reply.text());
                activated += 1;
            }
        }
        (activated, refused)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_drops_no_accepted_request_and_a_bad_component_never_replaces_a_good_one() {
    let host = Arc::new(App::new(TWO_SERVICES).serve().await);
    let mut load = Load::new();
    for _ in 0..4 {
        load.ask(&host.address, "/a", Duration::from_millis(2));
        load.ask(&host.address, "/b", Duration::from_millis(2));
    }
    for _ in 0..25 {
        load.ask(&host.address, "/a?pieces=20&ms=50", Duration::ZERO);
        load.ask(&host.address, "/b?pieces=20&ms=50", Duration::ZERO);
    }
    let started = Instant::now();
    let (a, b) = (swaps(&host, "a"), swaps(&host, "b"));
    assert_eq!((a.await.unwrap(), b.await.unwrap()), ((90, 10), (90, 10)));
    let took = started.elapsed();
    let (answered, failures) = load.end().await;
    println!("{answered} requests during 200 swaps in {took:?}");
    assert_eq!(failures, Vec::<String>::new(), "of {answered}\n{}", host.log());
    assert!(answered > 1000, "{answered} requests prove little");
    for service in ["a", "b"] {
        let shown = host.service(service).await;
        assert_eq!(shown["failed"], 0, "{shown}");
        assert!(shown["instances"].as_u64().unwrap() < 64, "{shown}");
    }
}

/// Resident memory of a process, in KiB.
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn replaced_versions_are_freed() {
    let host = serve().await;
    let versions = [version("two"), version("one")];
    let mut after_50 = 0;
    let started = Instant::now();
    for number in 0..SWAPS {
        let reply = host.swap("app", "", &versions[number % 2]).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        // Each version has had an instance.
        answers(&host).await;
        if number + 1 == 50 {
            after_50 = resident_kib(host.pid());
        }
    }
    let took = started.elapsed();
    // The last of those that were replaced may still be on their way out.
    eventually("the memory to be given back", async || {
        let at_the_end = resident_kib(host.pid());
        println!("{after_50} KiB after 50 swaps, {at_the_end} after {SWAPS}, {took:?}");
        (at_the_end * 10 <= after_50 * 11).then_some(())
    })
    .await;
}

const SWAPS: usize = 1000;
