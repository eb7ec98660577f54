//! The host outlives the want of what it needs to accept.

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::*;

fn descriptors(host: &Host) -> u64 {
    std::fs::read_dir(format!("/proc/{}/fd", host.pid())).unwrap().count() as u64
}

#[tokio::test]
async fn a_host_without_descriptors_goes_on_when_it_has_some() {
    let host = app("").serve().await;
    assert_eq!(host.get("/count").await.status, 200);
    let process = Pid::from_raw(host.pid().cast_signed());
    let few = Some(descriptors(&host) + 5);
    let limit = Rlimit { current: few, maximum: few };
    prlimit(process, Resource::Nofile, limit).unwrap();
    let mut held = Vec::new();
    for _ in 0..30 {
        held.push(Raw::connect(&host.address).await);
    }
    eventually("the want of descriptors", async || {
        host.log().contains("cannot accept connections").then_some(())
    })
    .await;
    drop(held);
    assert_eq!(host.get("/count").await.status, 200);
    // It was told once, not at every attempt.
    let (ended, log) = host.stop().await;
    assert_eq!(log.matches("cannot accept connections").count(), 1, "{log}");
    assert_eq!(ended.code(), Some(0));
}

#[tokio::test]
async fn idle_connections_give_their_descriptors_to_new_ones() {
    let host = app("").serve().await;
    let process = Pid::from_raw(host.pid().cast_signed());
    assert_eq!(host.get("/count").await.status, 200);
    let few = Some(descriptors(&host) + 5);
    let limit = Rlimit { current: few, maximum: few };
    prlimit(process, Resource::Nofile, limit).unwrap();
    let mut idle = Vec::new();
    for _ in 0..20 {
        let mut raw = Raw::open(&host, get("/print")).await;
        raw.until("\r\n\r\n").await;
        idle.push(raw);
    }
}
