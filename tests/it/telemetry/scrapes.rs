//! Answers with all figures: only so many at once, as each is held until it is read.

use bytes::Bytes;
use http::Request;
use tokio::net::TcpStream;
use wasm_host_tests::host::App;
use wasm_host_tests::{client, eventually, within};

use super::TWO;

// Fault (Telemetry): more readers of `/metrics` at once than are answered, which read nothing | tells one more to ask again, and answers when one has gone | 503 | nothing
#[tokio::test]
async fn one_scrape_too_many_at_once_is_told_to_ask_again() {
    let host = App::new(TWO).serve().await;
    let token = host.authorization();
    let stream = TcpStream::connect(&host.admin).await.unwrap();
    // Heads are let through, and of bodies nothing.
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(0);
    let (sender, connection) = builder.handshake::<_, Bytes>(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut sender = within("settings", sender.ready()).await.unwrap();
    let mut ask = || {
        let request = Request::get(format!("http://{}/metrics", host.admin));
        let request = request.header("authorization", &token).body(()).unwrap();
        sender.send_request(request, true).unwrap().0
    };
    let mut held = Vec::new();
    for _ in 0..4 {
        let response = within("a head", ask()).await.unwrap();
        assert_eq!(response.status(), 200);
        held.push(response);
    }
    let refused = within("a head", ask()).await.unwrap();
    assert_eq!(refused.status(), 503);
    let refused = host.ask("GET", "/metrics", &[], "").await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "1"));
    assert!(refused.text().contains("4 answers with all figures are being read"));
    // Everything else is answered.
    assert_eq!(host.ask("GET", "/services", &[], "").await.status, 200);
    assert_eq!(client::send(&host.admin, "GET", "/live", &[], "").await.status, 200);
    drop(held.pop());
    eventually("the place of one that has gone", async || {
        (host.ask("GET", "/metrics", &[], "").await.status == 200).then_some(())
    })
    .await;
    connection.abort();
}
