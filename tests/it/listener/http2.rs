//! HTTP/2: the same answers, and an end for clients that misuse what only it has.

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Request, Version};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

use super::*;

/// A client as others write it.
pub(super) struct Client {
    sender: hyper::client::conn::http2::SendRequest<Full<Bytes>>,
}

impl Client {
    pub(super) async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let io = TokioIo::new(stream);
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        Self { sender }
    }

    async fn connect(host: &Host) -> Self {
        Self::over(TcpStream::connect(&host.address).await.unwrap()).await
    }

    pub(super) async fn get(&mut self, host: &Host, path: &str) -> (u16, Bytes) {
        self.send(Request::get(format!("http://{}{path}", host.address)), "").await
    }

    async fn send(&mut self, request: http::request::Builder, body: &str) -> (u16, Bytes) {
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
        let response = within("a response", self.sender.send_request(request)).await.unwrap();
        assert_eq!(response.version(), Version::HTTP_2);
        let status = response.status().as_u16();
        let body = within("a body", response.into_body().collect()).await.unwrap();
        (status, body.to_bytes())
    }
}

/// A client that is told every frame.
pub(super) async fn frames(host: &Host) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
    let stream = TcpStream::connect(&host.address).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    (within("settings", sender.ready()).await.unwrap(), tokio::spawn(connection))
}

pub(super) fn to(host: &Host, path: &str) -> Request<()> {
    Request::get(format!("http://{}{path}", host.address)).body(()).unwrap()
}

#[tokio::test]
async fn requests_share_a_connection() {
    let host = app("").serve().await;
    let client = Client::connect(&host).await;
    let mut tasks = Vec::new();
    for number in 0..20 {
        let mut client = Client { sender: client.sender.clone() };
        let request = Request::post(format!("http://{}/echo", host.address));
        tasks.push(tokio::spawn(
            async move { client.send(request, &format!("body {number}")).await },
        ));
    }
    for (number, answer) in tasks.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap(), (200, Bytes::from(format!("body {number}"))));
    }
}

#[tokio::test]
async fn what_is_refused_is_refused_here_too() {
    let host = app("body-idle = \"1s\"").serve().await;
    let mut client = Client::connect(&host).await;
    let url = |path: &str| format!("http://{}{path}", host.address);
    let other = Request::get(url("/count")).header("host", "other");
    assert_eq!(client.send(other, "").await.0, 400);
    assert_eq!(client.send(Request::get("http://evil.example/count"), "").await.0, 421);
    let page = Request::post(url("/echo")).header("sec-fetch-site", "cross-site");
    assert_eq!(client.send(page, "").await.0, 403);
    assert_eq!(client.send(Request::builder().method("TRACE").uri(url("/")), "").await.0, 501);
    assert_eq!(client.send(Request::post(url("/echo")), &"a".repeat(1_000_001)).await.0, 413);
    // The connection is as good as before.
    assert_eq!(client.get(&host, "/count").await.0, 200);

    let (mut sender, _connection) = frames(&host).await;
    let request = Request::post(url("/echo")).body(()).unwrap();
    let (response, mut body) = sender.send_request(request, false).unwrap();
    body.send_data(Bytes::from_static(b"abc"), false).unwrap();
    assert_eq!(within("a response", response).await.unwrap().status(), 408);
}

#[tokio::test]
async fn an_answer_to_head_ends_with_its_head() {
    let host = app("").serve().await;
    let (mut sender, _connection) = frames(&host).await;
    for (url, status) in
        [(format!("http://{}/count", host.address), 200), ("http://evil.example/".into(), 421)]
    {
        let request = Request::head(url).body(()).unwrap();
        let (response, _) = sender.send_request(request, true).unwrap();
        let response = within("an answer", response).await.unwrap();
        assert_eq!(response.status(), status);
        assert!(response.body().is_end_stream(), "{response:?}");
    }
}

#[tokio::test]
async fn a_head_has_a_size() {
    let host = app("").serve().await;
    let (mut sender, _connection) = frames(&host).await;
    let mut request = to(&host, "/count");
    request.headers_mut().insert("x-long", "a".repeat(70_000).parse().unwrap());
    // Told, or not even begun, as the client library knows the bound.
    match sender.send_request(request, true) {
        Ok((response, _)) => match within("an answer", response).await {
            Ok(response) => assert_eq!(response.status(), 431),
            Err(error) => assert!(error.is_reset() || error.is_go_away(), "{error}"),
        },
        Err(error) => assert!(error.is_io() || error.reason().is_none(), "{error}"),
    }
    assert_eq!(host.get("/count").await.status, 200);
}

#[tokio::test]
async fn a_stream_that_is_reset_ends_its_request_and_no_other() {
    let host = app("").serve().await;
    let (mut sender, _connection) = frames(&host).await;
    let (silent, mut stream) = sender.send_request(to(&host, "/silent"), true).unwrap();
    let (drip, _) = sender.send_request(to(&host, "/pieces/slow?pieces=40&ms=100"), true).unwrap();
    let mut drip = within("a response", drip).await.unwrap().into_body();
    in_flight(&host, "guest", 1).await;
    stream.send_reset(h2::Reason::CANCEL);
    drop(silent);
    in_flight(&host, "guest", 0).await;
    let mut whole = Vec::new();
    while let Some(data) = within("more", drip.data()).await {
        let data = data.unwrap();
        drip.flow_control().release_capacity(data.len()).unwrap();
        whole.extend_from_slice(&data);
    }
    assert!(whole.ends_with(b"end one\n"));
}

#[tokio::test]
async fn a_client_that_leaves_ends_all_its_streams() {
    let host = app("").serve().await;
    let (mut sender, connection) = frames(&host).await;
    let mut responses = Vec::new();
    for _ in 0..5 {
        responses.push(sender.send_request(to(&host, "/silent"), true).unwrap());
    }
    in_flight(&host, "guest", 5).await;
    connection.abort();
    let _ = connection.await;
    drop((sender, responses));
    in_flight(&host, "guest", 0).await;
}

// Fault (Clients): a stream of HTTP/2 that is not read | resets it after the idle time | a reset of that stream | the request
#[tokio::test]
async fn a_stream_that_is_not_read_keeps_its_place_for_so_long_only() {
    let host = app("write-idle = \"1s\"").serve().await;
    let (mut sender, _connection) = frames(&host).await;
    // Its window is never opened again; the connection itself is well.
    let flood = "/pieces/slow?pieces=100000&bytes=60000";
    let (deaf, _) = sender.send_request(to(&host, flood), true).unwrap();
    let mut deaf = within("a response", deaf).await.unwrap().into_body();
    in_flight(&host, "pieces", 0).await;
    let ended = within("the reset", async {
        loop {
            match deaf.data().await {
                Some(Ok(_)) => {}
                ended => break ended,
            }
        }
    })
    .await;
    assert!(ended.unwrap().unwrap_err().is_reset());
    let (other, _) = sender.send_request(to(&host, "/count"), true).unwrap();
    assert_eq!(within("a response", other).await.unwrap().status(), 200);
    // A stream whose guest is slow is none that is not read.
    let patient = "/pieces/slow?pieces=2&ms=2500";
    let mut client = Client::connect(&host).await;
    assert!(client.get(&host, patient).await.1.ends_with(b"end one\n"));
}

#[tokio::test]
async fn a_connection_has_so_many_streams() {
    let host = app("streams = 3").serve().await;
    let (mut sender, _connection) = frames(&host).await;
    let mut responses = Vec::new();
    // The client learns the bound with the settings; the rest waits on its side.
    for _ in 0..10 {
        match within("a stream", sender.clone().ready()).await {
            Ok(mut ready) => responses.push(ready.send_request(to(&host, "/silent"), true)),
            Err(error) => panic!("{error}"),
        }
        if responses.len() == 3 {
            break;
        }
    }
    in_flight(&host, "guest", 3).await;
    let more = sender.send_request(to(&host, "/silent"), true);
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(host.service("guest").await["in_flight"], 3);
    drop(more);
}

// Fault (Clients): a flood of resets | closes the connection | a close | nothing that anybody waits for
#[tokio::test]
async fn a_flood_of_resets_ends_the_connection_and_leaves_nothing_behind() {
    let host = app("").serve().await;
    let (sender, connection) = frames(&host).await;
    let mut sent = 0;
    let flooding = async {
        for _ in 0..100_000 {
            let Ok(mut ready) = sender.clone().ready().await else { break };
            let Ok((response, mut stream)) = ready.send_request(to(&host, "/silent"), true) else {
                break;
            };
            // Written before it is reset, or the library would send neither.
            tokio::task::yield_now().await;
            stream.send_reset(h2::Reason::CANCEL);
            drop(response);
            sent += 1;
        }
    };
    within("the flood's end", flooding).await;
    drop(sender);
    let _ = within("the connection's end", connection).await.unwrap();
    assert!(sent < 100_000, "the host took all of them");
    in_flight(&host, "guest", 0).await;
    assert_eq!(host.get("/count").await.status, 200);
}

/// Each request has begun when it is reset: those that have not are bounded by themselves, and much closer.
#[tokio::test]
async fn a_client_that_resets_whatever_it_asks_is_closed() {
    let host = app("").serve().await;
    let (sender, connection) = frames(&host).await;
    let mut sent = 0;
    let resetting = async {
        while sent < 2000 {
            let mut begun = Vec::new();
            for _ in 0..10 {
                let Ok(mut ready) = sender.clone().ready().await else { return };
                let Ok(asked) = ready.send_request(to(&host, "/silent"), true) else { return };
                begun.push(asked);
            }
            eventually("the requests to begin", async || {
                let service = host.service("guest").await;
                (connection.is_finished() || service["in_flight"] == 10).then_some(())
            })
            .await;
            for (_response, mut stream) in begun {
                stream.send_reset(h2::Reason::CANCEL);
                sent += 1;
            }
            in_flight(&host, "guest", 0).await;
        }
    };
    within("the last reset", resetting).await;
    drop(sender);
    let _ = within("the connection's end", connection).await.unwrap();
    assert!((100..2000).contains(&sent), "closed after {sent}");
    in_flight(&host, "guest", 0).await;
    assert_eq!(host.get("/count").await.status, 200);
}

// Fault (Clients): a flood of settings, pings or grants | closes the connection | a close | its streams
#[tokio::test]
async fn a_flood_of_frames_that_ask_for_nothing_ends_the_connection() {
    let host = app("").serve().await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for (name, frame) in [
        ("settings", &b"\0\0\0\x04\0\0\0\0\0"[..]),
        ("pings", b"\0\0\x08\x06\0\0\0\0\0abcdefgh"),
        ("priorities", b"\0\0\x05\x02\0\0\0\0\x01\0\0\0\0\x10"),
        ("grants", b"\0\0\x04\x08\0\0\0\0\0\0\0\0\x01"),
        ("what nobody knows", b"\0\0\0\x77\0\0\0\0\0"),
    ] {
        let (mut answers, mut floods) = Raw::open(&host, preface).await.0.into_split();
        let flood = frame.repeat(1000);
        let flooding = async {
            let mut sent = 0;
            while sent < 10_000_000 && floods.write_all(&flood).await.is_ok() {
                sent += 1000;
            }
            sent
        };
        // Read, or the host would wait for that.
        let reading = async {
            let mut answer = vec![0; 65_536];
            while answers.read(&mut answer).await.is_ok_and(|count| count > 0) {}
        };
        let (sent, ()) = within(name, async { tokio::join!(flooding, reading) }).await;
        assert!(sent < 10_000_000, "the host took all {name}");
    }
    // Not so a client that looks after its connection.
    let mut client = Client::connect(&host).await;
    assert_eq!(client.get(&host, "/count").await.0, 200);
    let (_, log) = host.stop().await;
    assert!(log.contains("5 sent a flood of frames"), "{log}");
}

#[tokio::test]
async fn a_quiet_connection_is_told_to_go_away() {
    let host = app("keep-alive = \"3s\"").serve().await;
    let (mut sender, connection) = frames(&host).await;
    let (response, _) = sender.send_request(to(&host, "/count"), true).unwrap();
    assert_eq!(within("a response", response).await.unwrap().status(), 200);
    let ended = within("the connection's end", connection).await.unwrap();
    assert!(ended.is_ok(), "{ended:?}");
}
