//! Guests that eat memory, and what it costs the host.

use std::time::{Duration, Instant};

use wasm_host_tests::host::{App, Host};
use wasm_host_tests::{client, eventually};

/// Kilobytes that the process has in memory.
fn resident(host: &Host) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn a_service_that_hoards_takes_its_share_and_no_more() {
    let app = App::new(
        r#"
name = "memory"

[limits]
memory = "96MiB"

[service.bad]
component = "$(hostile)"
memory = "64MiB"
memory-total = "64MiB"
per-instance = 1
queue-timeout = "200ms"

[service.good]
component = "$(hostile)"
memory = "64MiB"
memory-total = "64MiB"
queue-timeout = "200ms"
"#,
    );
    let host = app.serve().await;
    let mut hoard = client::open(&host.address, "GET", "/bad/hoard?40", &[], "").await;
    assert_eq!(hoard.status, 200);
    assert!(hoard.next().await.unwrap().is_some());
    // The next one has room for an instance, and not for what it wants. That is its own trap.
    // (Only its head is asked for: what is granted by mistake has no end.)
    let status = async |path| client::open(&host.address, "GET", path, &[], "").await.status;
    assert_eq!(status("/bad/hoard?40").await, 502);
    assert_eq!(host.get("/good/count").await.text(), "1");
    // What the host has left is less than the share of the good one.
    assert_eq!(status("/good/hoard?58").await, 502);
    drop(hoard);
    eventually("the memory", async || {
        let hoard = client::open(&host.address, "GET", "/bad/hoard?40", &[], "").await;
        (hoard.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_memory_for_an_instance_a_request_is_told_to_come_back() {
    let app = App::new(
        r#"
name = "memory"

[service.bad]
component = "$(hostile)"
memory = "16MiB"
memory-total = "16MiB"
per-instance = 1
queue-timeout = "200ms"
"#,
    );
    let host = app.serve().await;
    let mut hoards = Vec::new();
    let refused = eventually("a refusal", async || {
        let mut hoard = client::open(&host.address, "GET", "/bad/hoard?1", &[], "").await;
        if hoard.status != 200 {
            return Some(hoard);
        }
        assert!(hoard.next().await.unwrap().is_some());
        hoards.push(hoard);
        None
    })
    .await;
    assert!(hoards.len() > 1);
    assert!([502, 503].contains(&refused.status.as_u16()), "{}", refused.status);
    // Fill up what is left in small pieces: then not even an instance fits.
    let reply = eventually("a 503", async || {
        let reply = client::open(&host.address, "GET", "/bad/hoard?0", &[], "").await;
        if reply.status == 503 {
            return Some(reply);
        }
        hoards.push(reply);
        None
    })
    .await;
    assert_eq!(reply.headers["retry-after"], "1");
}

/// Promise 5, all of it at once. How fast the neighbour is, the benchmark measures; here it is printed.
#[tokio::test]
async fn beside_a_service_that_loops_and_one_that_leaks_a_third_one_answers() {
    let app = App::new(
        r#"
name = "promise"

[service.looping]
component = "$(hostile)"
first-byte-timeout = "500ms"

[service.leaking]
component = "$(hostile)"
memory = "32MiB"
memory-total = "128MiB"

[service.good]
component = "$(hello-p3)"
"#,
    );
    let host = app.serve().await;
    let calm = asked(&host, 100).await;
    let before = resident(&host);
    let until = Instant::now() + Duration::from_secs(4);
    let faults: Vec<_> = ["/looping/loop", "/leaking/grow"]
        .into_iter()
        .cycle()
        .take(12)
        .map(|path| {
            let address = host.address.clone();
            tokio::spawn(async move {
                while Instant::now() < until {
                    let status = client::send(&address, "GET", path, &[], "").await.status;
                    assert!([502, 503, 504].contains(&status.as_u16()), "{path}: {status}");
                }
            })
        })
        .collect();
    let (mut beside, mut most) = (Vec::new(), before);
    while Instant::now() < until {
        beside.extend(asked(&host, 10).await);
        most = most.max(resident(&host));
    }
    for fault in faults {
        fault.await.unwrap();
    }
    println!(
        "p99 {:?} calm, {:?} beside faults; {before} kB before, at most {most} kB",
        p99(calm),
        p99(beside)
    );
    // The share of the one that leaks, the loops' instances, and the code.
    assert!(most < before + 512 * 1024, "{before} kB before, {most} kB beside faults");
}

async fn asked(host: &Host, times: usize) -> Vec<Duration> {
    let mut took = Vec::new();
    for _ in 0..times {
        let started = Instant::now();
        assert_eq!(host.get("/good/").await.status, 200);
        took.push(started.elapsed());
    }
    took
}

fn p99(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[(took.len() * 99 / 100).min(took.len() - 1)]
}
