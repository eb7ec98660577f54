//! The host outlives the want of what it needs to accept.

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::*;

fn descriptors(host: &Host) -> u64 {
    std::fs::read_dir(format!("/proc/{}/fd", host.pid())).unwrap().count() as u64
}

/// From now on it may open so many more than it has.
pub(super) fn leave_descriptors(host: &Host, more: u64) {
    let few = Some(descriptors(host) + more);
    let process = Pid::from_raw(host.pid().cast_signed());
    prlimit(process, Resource::Nofile, Rlimit { current: few, maximum: few }).unwrap();
}

#[tokio::test]
async fn a_host_without_descriptors_goes_on_when_it_has_some() {
    let host = app("").serve().await;
    assert_eq!(host.get("/count").await.status, 200);
    leave_descriptors(&host, 5);
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
    assert_eq!(host.get("/count").await.status, 200);
    leave_descriptors(&host, 5);
    let mut idle = Vec::new();
    for _ in 0..20 {
        let mut raw = Raw::open(&host, get("/print")).await;
        raw.until("\r\n\r\n").await;
        idle.push(raw);
    }
}

// Fault (The machine): no descriptor left for a file | says so | 503 with `Retry-After` | nothing
#[tokio::test]
async fn files_beyond_the_descriptors_are_busy_and_no_fault() {
    let app = App::new("name = \"files\"\n[service.pages]\nstatic = \"pages\"\nroute = \"/\"\n");
    std::fs::create_dir(app.path().join("pages")).unwrap();
    std::fs::write(app.path().join("pages/large.bin"), vec![0; 1024 * 1024]).unwrap();
    let host = app.serve().await;
    let (mut sender, _connection) = http2::frames(&host).await;
    leave_descriptors(&host, 10);
    // Nobody reads their bodies, so that their files stay open.
    let (mut held, mut refused) = (Vec::new(), 0);
    for _ in 0..30 {
        let (response, _) = sender.send_request(http2::to(&host, "/large.bin"), true).unwrap();
        let response = within("a response", response).await.unwrap();
        if response.status() == 200 {
            held.push(response);
        } else {
            assert_eq!(
                (response.status().as_u16(), &response.headers()["retry-after"]),
                (503, &"1".parse().unwrap())
            );
            refused += 1;
        }
    }
    assert!(!held.is_empty() && refused > 0, "{} files and {refused} refusals", held.len());
    drop(held);
    eventually("a file", async || {
        let (response, _) = sender.send_request(http2::to(&host, "/large.bin"), true).unwrap();
        (within("a response", response).await.unwrap().status() == 200).then_some(())
    })
    .await;
}

// Fault (The machine): few descriptors from the start | asks for more, tells if there are none, and has fewer connections | - | nothing
#[tokio::test]
async fn a_soft_bound_of_descriptors_is_raised_and_a_hard_one_is_told() {
    let host = app("").before("ulimit -S -n 300").serve().await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", host.pid())).unwrap();
    let open = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<&str> = open.split_whitespace().skip(3).collect();
    assert_eq!(numbers[0], numbers[1], "{open}");
    let told = "300 open files and sockets, and 1024 connections need";
    assert!(!host.log().contains(told), "{}", host.log());
    let host = app("").before("ulimit -n 300").serve().await;
    host.logs(told).await;
    host.logs("there are 150 at once").await;
}
