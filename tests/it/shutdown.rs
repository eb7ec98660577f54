//! Promise 8: on SIGTERM every accepted request is finished, and the process exits 0.

mod faults;
mod hangup;

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wasm_host_tests::host::{App, Host};
use wasm_host_tests::models::CHAT;
use wasm_host_tests::upstream::{Step, Upstream, chunk, end, ndjson_head};
use wasm_host_tests::{client, eventually, within};

#[tokio::test]
async fn bodies_in_flight_are_finished_and_the_exit_code_is_0() {
    let upstream = Upstream::start(|_| {
        let mut steps = vec![Step::Send(ndjson_head())];
        for number in 0..20 {
            let line = format!("{{\"message\":{{\"content\":\"{number} \"}},\"done\":false}}\n");
            steps.push(Step::Send(chunk(line.as_bytes())));
            steps.push(Step::Wait(Duration::from_millis(50)));
        }
        steps.push(Step::Send(chunk(b"{\"message\":{\"content\":\"\"},\"done\":true}\n")));
        steps.push(Step::Send(end()));
        steps
    })
    .await;
    let app = App::new(
        r#"
name = "shutdown"

[ollama.local]

[service.chat]
component = "$(ollama)"
ollama = "local"
route = "/"
"#,
    )
    .env("OLLAMA_HOST", &upstream.url);
    let host = app.serve().await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = client::open(&host.address, "POST", "/api/chat", &[], CHAT).await;
        assert!(stream.next().await.unwrap().is_some());
        streams.push(stream);
    }
    host.terminate();
    eventually("the port to close", async || {
        TcpStream::connect(&host.address).await.is_err().then_some(())
    })
    .await;
    for mut stream in streams {
        let rest = String::from_utf8(stream.rest().await.expect("a whole body")).unwrap();
        assert!(rest.contains("\"19 \"") && rest.ends_with("\"done\":true}\n"), "{rest}");
    }
    let (status, log) = host.stop_after_signal().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("every accepted request was finished"), "{log}");
}

/// One service whose answers take as long as is asked for.
fn app(http: &str) -> App {
    App::new(&format!(
        "name = \"shutdown\"\n[http]\n{http}\n[service.pieces]\ncomponent = \"$(version-one)\"\nroute = \"/\"\nidle = \"1h\"\n"
    ))
}

#[tokio::test]
async fn fifty_bodies_in_flight_are_whole_while_the_host_says_that_it_is_not_ready() {
    let host = app("").serve().await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        let path = "/slow?pieces=60&ms=120&bytes=2000";
        let mut stream = client::open(&host.address, "GET", path, &[], "").await;
        assert!(stream.next().await.unwrap().is_some());
        streams.push(stream);
    }
    assert_eq!(client::send(&host.admin, "GET", "/ready", &[], "").await.status, 200);
    host.terminate();
    eventually("the host to be not ready", async || {
        (client::send(&host.admin, "GET", "/ready", &[], "").await.status == 503).then_some(())
    })
    .await;
    assert_eq!(client::send(&host.admin, "GET", "/live", &[], "").await.status, 200);
    for mut stream in streams {
        let rest = String::from_utf8(stream.rest().await.expect("a whole body")).unwrap();
        assert!(rest.ends_with("end one\n"), "{rest}");
    }
    let (status, log) = host.stop_after_signal().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("every accepted request was finished"), "{log}");
}

#[tokio::test]
async fn idle_connections_do_not_hold_the_host_and_busy_ones_are_told_to_close() {
    let host = app("").serve().await;
    let mut idle = client::KeepAlive::connect(&host.address).await;
    assert_eq!(idle.get("/").await.unwrap().0, 200);
    let mut busy = TcpStream::connect(&host.address).await.unwrap();
    let request = b"GET /slow?pieces=2&ms=1000 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    // The head of this answer is written before the signal, that of the next one is not.
    busy.write_all(&[&request[..], &request[..]].concat()).await.unwrap();
    eventually("the request", async || {
        (host.service("pieces").await["in_flight"] == 1).then_some(())
    })
    .await;
    // Connected and silent: it has a moment for its first request, and no more.
    let mut silent = TcpStream::connect(&host.address).await.unwrap();
    host.terminate();
    let mut answer = Vec::new();
    within("the end of the busy connection", busy.read_to_end(&mut answer)).await.unwrap();
    assert!(String::from_utf8(answer).unwrap().contains("end one\n"));
    within("the end of the silent one", silent.read_to_end(&mut Vec::new())).await.unwrap();
    assert!(idle.get("/").await.is_err());
    let (status, log) = host.stop_after_signal().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("every accepted request was finished"), "{log}");
}

#[tokio::test]
async fn a_request_on_a_connection_that_was_just_opened_is_answered() {
    let host = app("").serve().await;
    let mut opened = TcpStream::connect(&host.address).await.unwrap();
    let mut busy = client::open(&host.address, "GET", "/slow?pieces=20&ms=100", &[], "").await;
    // It has half a second for its first request: a host that stands still finds it there, however slow this machine is.
    stands_still(&host).await;
    host.terminate();
    opened.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    goes_on(&host);
    let mut answer = Vec::new();
    within("an answer", opened.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.contains("200 OK") && answer.contains("end one\n"), "{answer}");
    assert!(busy.rest().await.is_ok());
    assert_eq!(host.stop_after_signal().await.0.code(), Some(0));
}

// Fault (SIGTERM): a client that waits for the place of a connection | gives it one as soon as there is one | its answer | nothing
#[tokio::test]
async fn who_waits_for_a_place_of_a_connection_is_answered() {
    let host = app("connections = 1").serve().await;
    let mut busy = client::open(&host.address, "GET", "/slow?pieces=20&ms=100", &[], "").await;
    let mut waiting = TcpStream::connect(&host.address).await.unwrap();
    waiting.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    host.terminate();
    assert!(busy.rest().await.is_ok());
    let mut answer = Vec::new();
    within("an answer", waiting.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.contains("200 OK") && answer.contains("end one\n"), "{answer}");
    assert_eq!(host.stop_after_signal().await.0.code(), Some(0));
}

// Fault (SIGTERM): work beyond the drain | cuts it, and says what | a body that is not whole | what was running
#[tokio::test]
async fn what_takes_longer_than_the_drain_is_cut_and_told() {
    let host = app("drain = \"500ms\"").serve().await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        let path = "/slow?pieces=1000&ms=100";
        let mut stream = client::open(&host.address, "GET", path, &[], "").await;
        assert!(stream.next().await.unwrap().is_some());
        streams.push(stream);
    }
    host.terminate();
    for mut stream in streams {
        assert!(stream.rest().await.is_err(), "a cut body looks whole");
    }
    let (status, log) = host.stop_after_signal().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("cutting 3 requests of pieces"), "{log}");
}

// Fault (SIGTERM): no answer yet when the drain is over | ends it, says what | 503 with `Retry-After` | what was running
#[tokio::test]
async fn who_has_no_answer_when_the_drain_is_over_is_told_to_come_back() {
    let app = App::new(
        "name = \"shutdown\"\n[http]\ndrain = \"500ms\"\n\
         [service.silent]\ncomponent = \"$(hostile)\"\nroute = \"/\"\nconcurrent = 2\n",
    );
    let host = app.serve().await;
    // Two run, and one waits for a place.
    let mut asked = Vec::new();
    for _ in 0..3 {
        let address = host.address.clone();
        asked.push(tokio::spawn(
            async move { client::send(&address, "GET", "/silent", &[], "").await },
        ));
    }
    eventually("the requests", async || {
        let service = host.service("silent").await;
        (service["in_flight"] == 2 && service["queued"] == 1).then_some(())
    })
    .await;
    host.terminate();
    for asked in asked {
        let reply = asked.await.unwrap();
        assert_eq!(reply.status, 503, "{}", reply.text());
        assert_eq!(reply.header("retry-after"), "1");
        assert!(reply.text().contains("was stopped or replaced"), "{}", reply.text());
    }
    let (status, log) = host.stop_after_signal().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("cutting 3 requests of silent"), "{log}");
    assert!(log.contains("all instances have ended"), "{log}");
}

#[tokio::test]
async fn a_client_that_waits_for_a_file_when_the_drain_is_over_is_told_to_come_back() {
    let app = App::new(
        "name = \"shutdown\"\n[http]\ndrain = \"500ms\"\n\
         [service.site]\nstatic = \"site\"\nroute = \"/\"\nconcurrent = 1\nqueue-timeout = \"5m\"\n",
    );
    std::fs::create_dir_all(app.path().join("site")).unwrap();
    std::fs::write(app.path().join("site/small.txt"), "small").unwrap();
    let large = std::fs::File::create(app.path().join("site/large.bin")).unwrap();
    large.set_len(64 * 1024 * 1024).unwrap();
    let host = app.serve().await;
    let unread = client::open(&host.address, "GET", "/large.bin", &[], "").await;
    let address = host.address.clone();
    let waits =
        tokio::spawn(async move { client::send(&address, "GET", "/small.txt", &[], "").await });
    eventually("the requests", async || {
        let service = host.service("site").await;
        (service["in_flight"] == 1 && service["queued"] == 1).then_some(())
    })
    .await;
    host.terminate();
    let reply = waits.await.unwrap();
    assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, "1"));
    let (status, log) = host.stop_after_signal().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("cutting 2 requests of site"), "{log}");
    drop(unread);
}

// Fault (SIGTERM): the same, or its version's time to drain is over, and no instance has taken the request | gives it up | 503 with `Retry-After` | the request
#[tokio::test]
async fn who_waits_for_an_instance_to_start_when_the_drain_is_over_is_told_to_come_back() {
    let app = App::new(
        "name = \"shutdown\"\n[http]\ndrain = \"0s\"\n\
         [service.slow]\ncomponent = \"$(version-slow)\"\nroute = \"/\"\n",
    );
    let host = app.serve().await;
    let address = host.address.clone();
    let asked = tokio::spawn(async move { client::send(&address, "GET", "/", &[], "").await });
    eventually("the request", async || {
        (host.service("slow").await["in_flight"] == 1).then_some(())
    })
    .await;
    host.terminate();
    let reply = asked.await.unwrap();
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert_eq!(reply.header("retry-after"), "1");
    assert!(reply.text().contains("was stopped or replaced"), "{}", reply.text());
    assert_eq!(host.stop_after_signal().await.0.code(), Some(0));
}

#[tokio::test]
async fn instances_are_ended_with_the_host() {
    let host = app("").serve().await;
    assert_eq!(host.get("/").await.status, 200);
    // It would be kept for an hour.
    assert_eq!(host.service("pieces").await["instances"], 1);
    let (status, log) = host.stop().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("all instances have ended"), "{log}");
}

#[tokio::test]
async fn a_second_signal_does_not_wait() {
    let host = app("").serve().await;
    let path = "/slow?pieces=1000&ms=100";
    let mut stream = client::open(&host.address, "GET", path, &[], "").await;
    assert!(stream.next().await.unwrap().is_some());
    host.terminate();
    eventually("the host to be on its way down", async || {
        host.log().contains("SIGTERM: finishing").then_some(())
    })
    .await;
    // Later than a supervisor that sends the first one twice.
    tokio::time::sleep(Duration::from_millis(300)).await;
    host.terminate();
    let (status, log) = host.stop_after_signal().await;
    assert_eq!(status.code(), Some(130), "{log}");
}

// Fault (SIGTERM): a signal that comes twice at once | takes it for one | its whole answer | nothing
#[tokio::test]
async fn a_signal_that_comes_twice_at_once_is_one() {
    let host = app("").serve().await;
    let path = "/slow?pieces=10&ms=100";
    let mut stream = client::open(&host.address, "GET", path, &[], "").await;
    assert!(stream.next().await.unwrap().is_some());
    // A process that stands still gets both at once, whatever happens to this one between the two.
    stands_still(&host).await;
    // As supervisors do it that signal the process and its group; two of one kind might be merged by the system.
    host.terminate();
    signal(&host, Signal::INT);
    goes_on(&host);
    assert!(stream.rest().await.is_ok());
    let (status, log) = host.stop_after_signal().await;
    assert_eq!(status.code(), Some(0), "{log}");
}

/// From here on the host does nothing, until it goes on.
async fn stands_still(host: &Host) {
    signal(host, Signal::STOP);
    eventually("the host to stand still", async || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", host.pid())).unwrap();
        stat.contains(") T ").then_some(())
    })
    .await;
}

fn goes_on(host: &Host) {
    signal(host, Signal::CONT);
}

fn signal(host: &Host, signal: Signal) {
    kill_process(Pid::from_raw(host.pid().cast_signed()).unwrap(), signal).unwrap();
}
