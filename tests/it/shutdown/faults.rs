//! Promise 8 in its details: SIGTERM while clients are slow, backends are away, or nothing has come yet.

use std::time::{Duration, Instant};

use wasm_host_tests::client::{self, KeepAlive};
use wasm_host_tests::guests::{guests, patient_guests};
use wasm_host_tests::host::{App, Host, has_ended};
use wasm_host_tests::hostile::{Raw, request};
use wasm_host_tests::models;
use wasm_host_tests::upstream::{Step, Upstream};
use wasm_host_tests::{eventually, handmade};

/// Waits for nothing: below the time that an unfinished request is given.
const SOON: Duration = Duration::from_secs(15);

/// After which a signal is another one, and not the first one sent twice.
const ANOTHER: Duration = Duration::from_millis(300);

async fn stops_soon(host: Host) -> String {
    let asked = Instant::now();
    let (status, log) = host.stop().await;
    assert_eq!(status.code(), Some(0), "{log}");
    println!("stopped after {:?}", asked.elapsed());
    assert!(asked.elapsed() < SOON, "it took {:?}", asked.elapsed());
    log
}

// Fault (SIGTERM): idle and silent connections | closes them | a close | nothing
#[tokio::test]
async fn connections_without_a_request_hold_nobody_up() {
    let host = guests("").serve().await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        let mut connection = KeepAlive::connect(&host.address).await;
        assert_eq!(connection.get("/good/").await.unwrap().0, 200);
        idle.push(connection);
    }
    let silent = Raw::connect(&host.address).await;
    stops_soon(host).await;
    drop((idle, silent));
}

// Fault (SIGTERM): a head that has not come whole | does not wait for it | a close | nothing: it was not accepted
#[tokio::test]
async fn a_head_that_has_not_come_whole_holds_nobody_up() {
    let host = guests("").serve().await;
    let mut half = Raw::connect(&host.address).await;
    half.send("GET /good/ HTTP/1.1\r\nhost: loc").await.unwrap();
    stops_soon(host).await;
    drop(half);
}

// Fault (SIGTERM): requests in the queue | answers them | their answers | nothing
#[tokio::test]
async fn a_request_in_the_queue_was_accepted_and_is_answered() {
    let host = guests("concurrent = 1\nqueue-timeout = \"30s\"").serve().await;
    let ask = async |path: &str| {
        let mut raw = Raw::connect(&host.address).await;
        raw.send(request("GET", path, "")).await.unwrap();
        raw
    };
    // It holds the only place until the others were seen to wait.
    let mut requests = vec![ask("/greedy/slow?5000").await];
    eventually("one to run", async || {
        (host.service("greedy").await["in_flight"] == 1).then_some(())
    })
    .await;
    for _ in 0..4 {
        requests.push(ask("/greedy/slow?100").await);
    }
    eventually("one to run and four to wait", async || {
        let greedy = host.service("greedy").await;
        (greedy["in_flight"] == 1 && greedy["queued"] == 4).then_some(())
    })
    .await;
    host.terminate();
    for raw in requests {
        let ended = raw.end().await;
        assert_eq!(ended.statuses(), [200], "{}", ended.text());
        assert!(ended.text().ends_with("slow\n"));
    }
    let (status, log) = host.stop_after_signal().await;
    assert_eq!(status.code(), Some(0), "{log}");
}

// Fault (SIGTERM): a second signal | says what it cuts and ends at once, with 130 | a body that is not whole | what was running
#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let host = patient_guests("").serve().await;
    let mut endless = client::open(&host.address, "GET", "/greedy/endless", &[], "").await;
    assert!(endless.next().await.unwrap().is_some());
    host.terminate();
    eventually("the port to close", async || {
        tokio::net::TcpStream::connect(&host.address).await.is_err().then_some(())
    })
    .await;
    tokio::time::sleep(ANOTHER).await;
    let again = Instant::now();
    let (status, log) = host.stop().await;
    assert_eq!(status.code(), Some(130), "{log}");
    assert!(log.contains("cutting 1 request of greedy"), "{log}");
    assert!(again.elapsed() < SOON, "it took {:?}", again.elapsed());
    // What was cut does not look whole.
    endless.rest().await.expect_err("a body that ends as an error");
}

// Fault (SIGTERM): a compiler at work | ends it | the end of a command that swaps | nothing
#[tokio::test]
async fn a_compiler_at_work_holds_nobody_up() {
    let host = std::sync::Arc::new(guests("").serve().await);
    let swapping = tokio::spawn({
        let host = host.clone();
        async move { host.swap("good", "", handmade::takes_long_to_compile()).await }
    });
    let compiler = host.compiler().await;
    swapping.abort();
    let _ = swapping.await;
    stops_soon(std::sync::Arc::into_inner(host).unwrap()).await;
    has_ended(compiler).await;
}

// Fault (SIGTERM): a second signal with a database of the host's own | tells that to stop | - | nothing that was committed
#[tokio::test]
async fn a_second_signal_leaves_no_database_server_behind() {
    let app = App::new(
        "name = \"impatient\"\n[postgres.any]\n[ollama.nowhere]\nurl = \"http://127.0.0.1:1\"\n\
         [service.holder]\ncomponent = \"$(holder)\"\npostgres = \"any\"\nollama = \"nowhere\"\nroute = \"/\"\n",
    );
    let host = app.serve().await;
    // The server's own note of itself, which is gone when it has ended in order.
    let note = host.state().join("postgres/data/postmaster.pid");
    assert!(note.exists());
    let mut asked = Raw::connect(&host.address).await;
    asked.send(request("GET", "/sleep", "")).await.unwrap();
    wasm_host_tests::eventually("the statement", async || {
        (host.service("holder").await["in_flight"] == 1).then_some(())
    })
    .await;
    host.terminate();
    host.logs("SIGTERM: finishing").await;
    tokio::time::sleep(ANOTHER).await;
    assert_eq!(host.stop().await.0.code(), Some(130));
    wasm_host_tests::eventually("the end of the server", async || (!note.exists()).then_some(()))
        .await;
}

// Fault (SIGTERM): a client that leaves meanwhile | ends its work | - | nothing
#[tokio::test]
async fn a_request_whose_client_leaves_meanwhile_holds_nobody_up() {
    let upstream = Upstream::start(|_| vec![Step::Hold]).await;
    let host = models::app(&upstream.url, "").serve().await;
    let mut raw = Raw::connect(&host.address).await;
    raw.send(request("POST", "/api/chat", models::CHAT)).await.unwrap();
    eventually("the call", async || (upstream.requests().len() == 1).then_some(())).await;
    host.terminate();
    raw.reset();
    let asked = Instant::now();
    let (status, log) = host.stop_after_signal().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(asked.elapsed() < SOON, "it took {:?}", asked.elapsed());
}

// Fault (SIGTERM): work that was forgotten | gives it two seconds | - | the work
#[tokio::test]
async fn work_that_was_forgotten_holds_nobody_up() {
    let host = guests("").serve().await;
    for path in ["forget", "spin-behind"] {
        assert_eq!(host.get(&format!("/greedy/{path}")).await.status, 200);
    }
    // Where guests compute that take long.
    eventually("the loop", async || (host.processor_time("compute") > 0).then_some(())).await;
    stops_soon(host).await;
}

// Fault (SIGTERM): an embedded database | stops it when the last request is done, so that its next start has nothing to repair | - | nothing
#[tokio::test]
async fn the_embedded_database_stops_with_the_host_and_needs_no_recovery() {
    let app = App::new(
        r#"
name = "stopping"

[postgres.any]

[service.querier]
component = "$(querier)"
postgres = "any"
route = "/"
"#,
    );
    let host = app.serve().await;
    let log = host.state().join("postgres/server.log");
    for sql in ["create table kept(x int)", "insert into kept values (7)"] {
        let reply = host.send("POST", "/", sql).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let servers = children(host.pid());
    assert_eq!(servers.len(), 1, "{servers:?}");
    stops_soon(host).await;
    let server = format!("/proc/{}", servers[0]);
    assert!(!std::fs::exists(&server).unwrap(), "{server} outlived the host");
    let host = app.serve().await;
    assert_eq!(host.send("POST", "/", "select x from kept").await.text(), "7\n");
    // What it says comes into the file a moment later.
    let log = eventually("both starts in the log", async || {
        let log = std::fs::read_to_string(&log).unwrap();
        (log.matches("ready to accept connections").count() == 2).then_some(log)
    })
    .await;
    assert!(!log.contains("not properly shut down"), "{log}");
}

/// The processes that a process has started and that still run.
fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_child = |pid: &u32| {
        // It may end meanwhile.
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line == format!("PPid:\t{parent}"))
    };
    pids.filter(is_child).collect()
}
