//! Passing requests on: byte for byte, both ways, and over when it is over.

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::super::backend::Body;
use super::super::body::full;
use super::scripted::{ReceivedRequest, STREAM_HEAD, Scripted, answer, chunk};
use super::*;

/// A body whose chunks a test sends one by one.
fn channel() -> (mpsc::Sender<Bytes>, Body) {
    let (sender, mut receiver) = mpsc::channel::<Bytes>(1);
    let chunks = futures_util::stream::poll_fn(move |cx| {
        receiver.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    });
    (sender, StreamBody::new(chunks).boxed_unsync())
}

fn request(method: Method, path: &str, body: Body) -> Request<Body> {
    Request::builder().method(method).uri(path).body(body).unwrap()
}

async fn forward(client: &Client, request: Request<Body>) -> Result<Response<Body>, Error> {
    client.forward(request, never()).await
}

#[tokio::test]
async fn what_is_passed_on_is_untouched_both_ways() {
    let (record, mut seen) = mpsc::channel::<ReceivedRequest>(1);
    // Bytes that are no text, under a name that a helpful client would decode.
    let reply = b"HTTP/1.1 418 I'm a teapot\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\nx-own: 1\r\nx-own: 2\r\nkeep-alive: timeout=5\r\nconnection: keep-alive\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x00\xff";
    let server = Scripted::serve(move |mut connection| {
        let record = record.clone();
        async move {
            while let Some(request) = connection.request().await {
                record.send(request).await.unwrap();
                connection.send(reply).await;
            }
        }
    })
    .await;
    let body = b"\x00\x01 any {\"bytes\"} \xff".repeat(1000);
    let mut request = request(Method::POST, "/v1/models/a%3Ab?x=1&y=%20%2F&z", full(body.clone()));
    for (name, value) in [
        ("host", "localhost:8080"),
        ("origin", "http://localhost:8080"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("accept", "text/event-stream"),
        ("accept-encoding", "gzip, zstd"),
        ("authorization", "Bearer ollama"),
        ("cookie", "session=s3cret"),
        ("content-type", "application/x-www-form-urlencoded"),
    ] {
        request.headers_mut().append(name, value.parse().unwrap());
    }
    let response = forward(&client(server.address), request).await.unwrap();

    let seen = seen.recv().await.unwrap();
    assert_eq!(seen.line, "POST /v1/models/a%3Ab?x=1&y=%20%2F&z HTTP/1.1");
    assert_eq!(
        seen.headers,
        [
            "accept-encoding: gzip, zstd",
            "accept: text/event-stream",
            &format!("content-length: {}", body.len()),
            "content-type: application/x-www-form-urlencoded",
            &format!("host: {}", server.address),
        ]
    );
    assert_eq!(seen.body, body);

    assert_eq!(response.status(), 418);
    let mut names: Vec<_> = response.headers().iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-encoding", "content-length", "content-type", "x-own", "x-own"]);
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(&bytes[..], b"\x1f\x8b\x00\xff");
}

#[tokio::test]
async fn bodies_flow_both_ways_while_they_are_made() {
    let (report, mut reports) = mpsc::channel(8);
    let server = Scripted::serve(move |mut connection| {
        let report = report.clone();
        async move {
            let seen = connection.request().await.unwrap();
            report.send(seen.body).await.unwrap();
            connection.send([STREAM_HEAD.as_bytes(), &chunk("data: 1\n\n")].concat()).await;
            report.send(b"sent".to_vec()).await.unwrap();
            connection.closed().await;
        }
    })
    .await;
    let (sender, body) = channel();
    let client = client(server.address);
    let upload = async move {
        sender.send("first ".into()).await.unwrap();
        sleep(Duration::from_millis(50)).await;
        sender.send("second".into()).await.unwrap();
    };
    let call = forward(&client, request(Method::POST, "/v1/x", body));
    let (response, ()) = tokio::join!(call, upload);
    assert_eq!(reports.recv().await.unwrap(), b"first second");
    let mut body = response.unwrap().into_body();
    let frame = timeout(PROMISE, body.frame()).await.expect("not held back").unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "data: 1\n\n");
}

/// A server that begins an endless answer and reports when the client has closed the connection.
async fn endless() -> (Scripted, mpsc::Receiver<()>) {
    let (report, reports) = mpsc::channel(8);
    let server = Scripted::serve(move |mut connection| {
        let report = report.clone();
        async move {
            connection.request().await;
            connection.send([STREAM_HEAD.as_bytes(), &chunk("{}\n")].concat()).await;
            connection.closed().await;
            report.send(()).await.unwrap();
        }
    })
    .await;
    (server, reports)
}

#[tokio::test]
async fn dropping_the_answer_closes_the_connection() {
    let (server, mut closed) = endless().await;
    let client = client(server.address);
    let mut response = forward(&client, request(Method::GET, "/v1/x", full(""))).await.unwrap();
    assert!(response.body_mut().frame().await.is_some());
    drop(response);
    timeout(PROMISE, closed.recv()).await.expect("closed");
}

#[tokio::test]
async fn a_cancelled_answer_closes_the_connection_though_nobody_reads_and_then_is_an_error() {
    let (server, mut closed) = endless().await;
    let client = client(server.address);
    let cancel = never();
    let call = client.forward(request(Method::GET, "/v1/x", full("")), cancel.clone());
    let mut body = call.await.unwrap().into_body();
    cancel.cancel().cancel();
    timeout(PROMISE, closed.recv()).await.expect("closed");
    assert!(body.frame().await.is_some_and(|frame| frame.is_err()), "never taken for whole");

    // A reader that waits is woken.
    let cancel = never();
    let call = client.forward(request(Method::GET, "/v1/x", full("")), cancel.clone());
    let mut body = call.await.unwrap().into_body();
    assert!(body.frame().await.unwrap().is_ok());
    let stop = async {
        sleep(Duration::from_millis(20)).await;
        cancel.cancel().cancel();
    };
    let (frame, ()) = tokio::join!(timeout(PROMISE, body.frame()), stop);
    assert!(frame.expect("woken").unwrap().is_err());
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_never_a_clean_end() {
    let server = Scripted::serve(|mut connection| async move {
        connection.request().await;
        connection.send([STREAM_HEAD.as_bytes(), &chunk("{}\n")].concat()).await;
    })
    .await;
    let client = client(server.address);
    let response = forward(&client, request(Method::GET, "/v1/x", full(""))).await.unwrap();
    assert!(response.into_body().collect().await.is_err());
}

#[tokio::test]
async fn what_is_closed_is_refused_and_never_sent() {
    let server = Scripted::answering(answer("200 OK", "{}")).await;
    let client = client(server.address);
    for path in ["/api/push", "/api/blobs/sha256:00", "/api//tags", "/x", "/api/a/../push"] {
        let result = forward(&client, request(Method::POST, path, full(""))).await;
        let Err(Error::Refused(refusal)) = result else { panic!("{path}") };
        assert_eq!(refusal.status, 403);
        assert!(refusal.body.starts_with("{\"error\":\""), "{}", refusal.body);
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn an_answer_holds_its_permit_until_it_ends() {
    let server = Scripted::answering(answer("200 OK", "{}")).await;
    let options = Options { calls: 1, queue: 0, ..Options::default() };
    let client = client_with(server.address, options);
    let first = forward(&client, request(Method::GET, "/v1/x", full(""))).await.unwrap();
    let second = forward(&client, request(Method::GET, "/v1/x", full(""))).await;
    assert!(matches!(second, Err(Error::Busy(_))));
    let mut body = first.into_body();
    while body.frame().await.is_some() {}
    assert!(forward(&client, request(Method::GET, "/v1/x", full(""))).await.is_ok());
}

#[tokio::test]
async fn an_upload_that_moves_is_waited_for_and_one_that_stalls_is_not() {
    let server = Scripted::answering(answer("200 OK", "{}")).await;
    let options = Options { first_byte: Duration::from_secs(2), ..Options::default() };
    let client = client_with(server.address, options);
    let (sender, body) = channel();
    // Longer than the time to the first byte, and each piece well within it.
    let upload = async move {
        for _ in 0..6 {
            sleep(Duration::from_millis(600)).await;
            // A call that was given up takes no more; its result says so.
            let _ = sender.send("x".into()).await;
        }
    };
    let moving = forward(&client, request(Method::POST, "/v1/x", body));
    let (_sender, body) = channel();
    let stalled = forward(&client, request(Method::POST, "/v1/x", body));
    let (moved, (), stalled) = tokio::join!(moving, upload, timeout(PROMISE, stalled));
    assert!(moved.is_ok(), "{:?}", moved.err());
    assert!(matches!(stalled.expect("in time"), Err(Error::TimedOut(_))));
}

// Fault (Telemetry): a model's stream that passes through and breaks off | fails the call in the trace | the beginning of it | the rest
#[tokio::test]
async fn a_stream_that_breaks_off_on_its_way_has_failed() {
    for path in ["/v1/chat/completions", "/v1/models"] {
        let server = Scripted::serve(|mut connection| async move {
            connection.request().await.unwrap();
            connection.send(STREAM_HEAD).await;
            connection.send(&chunk(b"{}\n")).await;
        })
        .await;
        let seen = crate::testing::ObservedRequests::new(false);
        let method = if path.ends_with("models") { Method::GET } else { Method::POST };
        let client = client(server.address);
        let response = client.forward(request(method, path, full("")), seen.request(0)).await;
        response.unwrap().into_body().collect().await.unwrap_err();
        assert_eq!(seen.collected.failure().0, "interrupted", "{path}");
    }
}
