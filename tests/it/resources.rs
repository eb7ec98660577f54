//! What a machine runs out of: descriptors, disk, somebody who reads the log; and being killed.

use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use wasm_host_tests::guests::{guests, neighbour_is_well, nothing_in_flight};
use wasm_host_tests::host::{App, component};
use wasm_host_tests::hostile::{Raw, request};
use wasm_host_tests::{client, eventually};

// Fault (The machine): no descriptor left | waits, and accepts again | a wait | nothing
#[tokio::test]
async fn a_host_out_of_descriptors_lives_and_serves_again() {
    let host = guests("").serve().await;
    neighbour_is_well(&host).await;
    // Known from the start, it would have fewer connections.
    let few = Some(host.descriptors() as u64 + 40);
    let process = Pid::from_raw(host.pid().cast_signed());
    prlimit(process, Resource::Nofile, Rlimit { current: few, maximum: few }).unwrap();
    let mut idle = Vec::new();
    for _ in 0..150 {
        // The system accepts for it, as long as there is room in its queue.
        idle.push(Raw::connect(&host.address).await);
    }
    host.logs("cannot accept connections").await;
    drop(idle);
    for _ in 0..10 {
        neighbour_is_well(&host).await;
    }
    let (status, log) = host.stop().await;
    assert_eq!(status.code(), Some(0), "{log}");
    // Bounded, too: a line for each attempt would fill the disk next.
    let told = log.lines().filter(|line| line.contains("cannot accept")).count();
    assert!(told < 200, "it was said {told} times");
}

// Fault (The machine): connections over the bound | leaves them to the system's queue | a wait | nothing
#[tokio::test]
async fn connections_beyond_the_bound_wait_and_are_served() {
    let app = App::new(
        r#"
name = "faults"

[http]
connections = 32

[service.good]
component = "$(hello-p3)"

[service.silent]
component = "$(hostile)"
"#,
    );
    let host = app.serve().await;
    // All of them wait for an answer, so none of them is there to make room.
    let mut silent = Vec::new();
    for _ in 0..32 {
        let mut raw = Raw::connect(&host.address).await;
        raw.send(request("GET", "/silent/silent", "")).await.unwrap();
        silent.push(raw);
    }
    eventually("the requests", async || {
        (host.service("silent").await["in_flight"] == 32).then_some(())
    })
    .await;
    let mut waiting = tokio::spawn({
        let address = host.address.clone();
        async move { client::send(&address, "GET", "/good/", &[], "").await }
    });
    let early = tokio::time::timeout(Duration::from_secs(1), &mut waiting).await;
    assert!(early.is_err(), "it was served beyond the bound");
    drop(silent);
    assert_eq!(waiting.await.unwrap().status, 200);
    nothing_in_flight(&host, "good").await;
}

// Fault (The machine): a log that is not read | goes on without it | its answer | log lines
#[tokio::test]
async fn a_log_that_nobody_reads_stops_nobody() {
    let host = guests("first-byte-timeout = \"5s\"").serve().await;
    neighbour_is_well(&host).await;
    host.read_log(false);
    // Far more than a pipe holds.
    let flood = tokio::time::timeout(
        Duration::from_secs(15),
        client::send(&host.address, "GET", "/greedy/flood?4", &[], ""),
    );
    let flood = flood.await;
    println!("the flood: {:?}", flood.map(|reply| reply.status));
    for _ in 0..10 {
        let well = tokio::time::timeout(Duration::from_secs(20), neighbour_is_well(&host)).await;
        assert!(well.is_ok(), "the neighbour waits for the log's reader");
    }
    host.read_log(true);
    neighbour_is_well(&host).await;
}

// Fault (The machine): a log that cannot be written | goes on without it | its answer | log lines
#[tokio::test]
async fn a_log_that_cannot_be_written_stops_nobody() {
    // Standard error ends once the host has told its addresses.
    let host = guests("").serve().await;
    host.close_log();
    host.get("/greedy/flood?1").await;
    for path in ["trap-behind", "exit", "recurse"] {
        host.get(&format!("/greedy/{path}")).await;
        neighbour_is_well(&host).await;
    }
}

// Fault (The machine): a full disk | rejects swaps, serves as before | its answer | nothing
#[tokio::test]
async fn a_full_disk_stops_swaps_and_nobody_else() {
    let app = guests("").before("trap '' XFSZ");
    let host = app.serve().await;
    neighbour_is_well(&host).await;
    assert_eq!(host.get("/greedy/").await.status, 200);
    // No file may grow: what a full disk says is the same sentence with another number.
    host.forbid_writing();
    let reply = host.swap("good", "", std::fs::read(component("hello-p2")).unwrap()).await;
    assert_eq!(reply.status, 422, "{}", reply.text());
    let reason = reply.json()["reason"].as_str().unwrap_or_default().to_string();
    assert!(reason.contains("cannot") || reason.contains("too large"), "{reason}");
    neighbour_is_well(&host).await;
    let (status, log) = host.stop().await;
    assert_eq!(status.code(), Some(0), "{log}");
}

// Fault (The machine): a state folder that is gone | rejects swaps, serves as before | its answer | what was in it
#[tokio::test]
async fn a_state_folder_that_is_gone_stops_swaps_and_nobody_else() {
    let host = guests("").serve().await;
    let state = host.state();
    let authorization = host.authorization();
    std::fs::remove_dir_all(&state).unwrap();
    // And cannot be made again.
    std::fs::write(&state, "").unwrap();
    neighbour_is_well(&host).await;
    let headers = [("authorization", &*authorization), ("content-type", "application/wasm")];
    let file = std::fs::read(component("hello-p2")).unwrap();
    let reply = client::send(&host.admin, "POST", "/services/good/swap", &headers, file).await;
    assert_eq!(reply.status, 422, "{}", reply.text());
    neighbour_is_well(&host).await;
    assert_eq!(host.get("/greedy/").await.status, 200);
}

// Fault (The machine): a state folder that cannot be made | does not start, and names it | - | nothing
#[tokio::test]
async fn a_state_folder_that_cannot_be_made_is_an_error_that_names_it() {
    let app = guests("");
    std::fs::write(app.path().join("taken"), "").unwrap();
    let output = app
        .run(&["serve", "--state", "taken", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("taken") && !told.contains("panicked"), "{told}");
}

// Fault (The machine): a port that is taken | does not start, and names it | - | nothing
#[tokio::test]
async fn a_port_that_is_taken_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = guests("").run(&["serve", "--listen", &address, "--admin", "127.0.0.1:0"]).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains(&address) && !told.contains("panicked"), "{told}");
}

// Fault (The machine): a state folder that another host uses | does not start, and names the process that has it | - | nothing
#[tokio::test]
async fn a_state_folder_that_is_in_use_is_an_error_that_names_who_has_it() {
    let app = guests("");
    let host = app.serve().await;
    // Also by a component that is served by itself.
    let hello = component("hello-p3");
    let ports = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    for first in [vec!["serve"], vec!["serve", hello.to_str().unwrap()]] {
        let output = app.run(&[&first[..], &ports].concat()).await;
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        let process = format!("(process {})", host.pid());
        assert!(told.contains(&process) && told.contains("--state"), "{told}");
    }
    // The one that runs is still found by commands.
    let ps = app.run(&["ps"]).await;
    assert!(String::from_utf8(ps.stdout).unwrap().contains("greedy"));
    drop(app.serve_with(&["wasm-host.toml", "--state", "other"]).await);
}

// Fault (The machine): a host that is killed under load | starts again as if nothing was | a reset | what was running
#[tokio::test]
async fn a_host_that_is_killed_under_load_starts_again_as_if_nothing_was() {
    let app = guests("");
    for _ in 0..3 {
        let host = app.serve().await;
        let mut load = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let mut raw = Raw::connect(&host.address).await;
            raw.send(request("GET", "/greedy/endless", "")).await.unwrap();
            load.spawn(raw.end());
        }
        neighbour_is_well(&host).await;
        host.kill().await;
        load.join_all().await;
    }
    let host = app.serve().await;
    neighbour_is_well(&host).await;
    eventually("a clean start", async || {
        (host.service("greedy").await["in_flight"] == 0).then_some(())
    })
    .await;
}
