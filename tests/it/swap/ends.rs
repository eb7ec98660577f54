//! How versions end that were replaced.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wasm_host_tests::host::App;
use wasm_host_tests::{client, eventually, sockets, within};

use super::{activate, answers, app_with, serve, version};

#[tokio::test]
async fn what_runs_at_the_drains_deadline_is_cut_as_an_error_and_told() {
    let app = app_with("drain = \"8s\"");
    let host = app.serve().await;
    // Compiled by now: the short body outlasts the swap.
    activate(&host, "two").await;
    activate(&host, "one").await;
    let mut long = client::open(&host.address, "GET", "/?pieces=600&ms=100", &[], "").await;
    // Longer than a busy machine takes for a swap, shorter than the drain.
    let mut short = client::open(&host.address, "GET", "/?pieces=3&ms=1500", &[], "").await;
    for stream in [&mut long, &mut short] {
        assert!(stream.next().await.unwrap().is_some());
    }
    let started = Instant::now();
    assert_eq!(activate(&host, "two").await["finishing"], 2);
    assert!(short.rest().await.is_ok(), "it had the time to finish");
    assert!(long.rest().await.is_err(), "what is cut must not look whole");
    assert!(started.elapsed() >= Duration::from_secs(8), "it was cut before the deadline");
    let old = eventually("the end of the drain", async || {
        let record = host.history("app").await.swap_remove(2);
        record["drained_in_ms"].is_u64().then_some(record)
    })
    .await;
    assert_eq!((&old["served"], &old["cut"]), (&1.into(), &1.into()), "{old}");
    assert!(old["drained_in_ms"].as_u64().unwrap() >= 8000, "{old}");
    host.logs("cut 1 request that still ran 8s after the swap").await;
    let told = app.run(&["history", "app"]).await;
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains("1 request was cut at the drain's deadline"), "{told}");
}

#[tokio::test]
async fn a_client_that_stopped_reading_does_not_keep_an_old_version() {
    let host = app_with("drain = \"500ms\"").serve().await;
    // It never reads: what is written fills the buffers of the connection.
    let mut stalled = within("a connection", TcpStream::connect(&host.address)).await.unwrap();
    let request = "GET /?pieces=1000000&bytes=60000 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stalled.write_all(request.as_bytes()).await.unwrap();
    sockets::is_stalled(&stalled).await;
    assert_eq!(host.service("app").await["in_flight"], 1);
    activate(&host, "two").await;
    let old = eventually("the end of the drain", async || {
        let record = host.history("app").await.swap_remove(0);
        record["drained_in_ms"].is_u64().then_some(record)
    })
    .await;
    assert_eq!(old["cut"], 1, "{old}");
    assert_eq!(host.service("app").await["in_flight"], 1, "it has noticed, so it did not stall");
    drop(stalled);
}

#[tokio::test]
async fn a_swap_that_comes_while_the_host_stops_is_rejected() {
    let host = serve().await;
    let component = version("two");
    let mut upload = within("a connection", TcpStream::connect(&host.admin)).await.unwrap();
    let head = format!(
        "POST /services/app/swap HTTP/1.1\r\nhost: {}\r\nauthorization: {}\r\n\
         content-type: application/wasm\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        host.admin,
        host.authorization(),
        component.len()
    );
    let (first, second) = component.split_at(component.len() / 2);
    upload.write_all(head.as_bytes()).await.unwrap();
    // It says so when it begins to read, which is before it is told to stop.
    let mut begun = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    within("the host to read", upload.read_exact(&mut begun)).await.unwrap();
    assert!(begun.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&begun));
    upload.write_all(first).await.unwrap();
    host.terminate();
    eventually("the port to close", async || {
        TcpStream::connect(&host.address).await.is_err().then_some(())
    })
    .await;
    upload.write_all(second).await.unwrap();
    let mut answer = String::new();
    within("the verdict", upload.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 422"), "{answer}");
    assert!(answer.contains("the host is stopping"), "{answer}");
    let (status, log) = host.stop_after_signal().await;
    assert_eq!(status.code(), Some(0), "{log}");
}

#[tokio::test]
async fn bodies_of_an_old_version_are_finished_when_the_host_stops() {
    let host = serve().await;
    let mut stream = client::open(&host.address, "GET", "/?pieces=20&ms=100", &[], "").await;
    assert!(stream.next().await.unwrap().is_some());
    activate(&host, "two").await;
    assert_eq!(answers(&host).await, "two");
    host.terminate();
    let rest = stream.rest().await.expect("a whole body");
    assert!(rest.ends_with(b"end one\n"));
    let (status, log) = host.stop_after_signal().await;
    assert_eq!(status.code(), Some(0), "{log}");
}

#[tokio::test]
async fn what_a_replaced_version_still_does_is_cut_and_told_when_the_host_stops() {
    let app = App::new(
        "name = \"cut\"\n[http]\ndrain = \"500ms\"\n\
         [service.silent]\ncomponent = \"$(hostile)\"\nroute = \"/\"\ndrain = \"10m\"\n",
    );
    let host = app.serve().await;
    let address = host.address.clone();
    let asked =
        tokio::spawn(async move { client::send(&address, "GET", "/silent", &[], "").await });
    eventually("the request", async || {
        (host.service("silent").await["in_flight"] == 1).then_some(())
    })
    .await;
    assert_eq!(host.swap("silent", "", version("one")).await.status, 200);
    host.terminate();
    let reply = asked.await.unwrap();
    assert_eq!(reply.status, 503, "{}", reply.text());
    let (status, log) = host.stop_after_signal().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("all instances have ended"), "{log}");
}

// Fault (The control plane and swaps): a request without an answer when the time of a replaced version is over | ends it | 503 with `Retry-After` | the request
#[tokio::test]
async fn a_request_that_is_cut_before_its_answer_begins_is_told_to_come_back() {
    let app = App::new(
        r#"
name = "cut"

[postgres.any]

[ollama.nowhere]
url = "http://127.0.0.1:1"

[service.silent]
component = "$(hostile)"
drain = "300ms"

[service.holder]
component = "$(holder)"
postgres = "any"
ollama = "nowhere"
drain = "300ms"
"#,
    );
    let host = app.serve().await;
    // One that waits on, and one that answers 500 when its statement is ended.
    for (service, path) in [("silent", "/silent/silent"), ("holder", "/holder/sleep")] {
        let address = host.address.clone();
        let asked = tokio::spawn(async move { client::send(&address, "GET", path, &[], "").await });
        eventually("the request", async || {
            (host.service(service).await["in_flight"] == 1).then_some(())
        })
        .await;
        assert_eq!(host.swap(service, "", version("one")).await.status, 200);
        let reply = asked.await.unwrap();
        assert_eq!(reply.status, 503, "{}", reply.text());
        assert_eq!(reply.header("retry-after"), "1");
        assert!(reply.text().contains("was stopped or replaced"), "{}", reply.text());
    }
    assert!(!host.log().contains("trapped"), "{}", host.log());
}
