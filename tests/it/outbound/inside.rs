//! Calls that end in this host again: to a service by its name, and to the host's own public port.

use std::time::{Duration, Instant};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use wasm_host_tests::client;
use wasm_host_tests::host::App;

#[tokio::test]
async fn a_component_may_shorten_its_wait_for_another_service() {
    let app = App::new(
        r#"
name = "inside"

[service.caller]
component = "$(caller)"
services = ["slow"]

[service.slow]
component = "$(hostile)"
internal = true
"#,
    );
    let host = app.serve().await;
    let ask = async |name: &str, milliseconds: &str, path: &str| {
        let path = format!("/caller/fetch?http://slow{path}");
        client::open(&host.address, "GET", &path, &[(name, milliseconds)], "").await
    };
    let mut late = ask("x-first-byte", "300", "/silent").await;
    assert_eq!(late.status, 502);
    assert_eq!(late.rest().await.unwrap(), b"ErrorCode::HttpResponseTimeout\n");
    // It drips every 20 ms, so this one never has to wait for long, and lasts longer in all than it may wait once.
    let began = Instant::now();
    let mut steady = ask("x-between-bytes", "5000", "/drip").await;
    while began.elapsed() < Duration::from_secs(7) {
        assert!(steady.next().await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_body_between_services_obeys_the_bound_of_the_one_that_takes_it() {
    let app = App::new(
        r#"
name = "inside"

[service.caller]
component = "$(caller)"
services = ["taker"]

[service.taker]
component = "$(hostile)"
max-body = "1KiB"
internal = true
"#,
    );
    let host = app.serve().await;
    for (size, passes) in [(1024, true), (1025, false)] {
        let body = "x".repeat(size);
        let reply = host.send("POST", "/caller/fetch?http://taker/echo", &body).await;
        assert_eq!(reply.status == 200 && reply.text() == body, passes, "{size}: {}", reply.text());
    }
}

/// A public name of the host: known before the host has an address.
async fn front() -> (u16, tokio::sync::oneshot::Sender<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, address) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let address: String = address.await.unwrap();
        while let Ok((mut inbound, _)) = listener.accept().await {
            let address = address.clone();
            tokio::spawn(async move {
                if let Ok(mut outbound) = TcpStream::connect(address).await {
                    let _ = copy_bidirectional(&mut inbound, &mut outbound).await;
                }
            });
        }
    });
    (port, sender)
}

#[tokio::test]
async fn a_service_that_calls_itself_from_outside_is_a_loop() {
    let (port, known) = front().await;
    let app = App::new(&format!(
        r#"
name = "inside"

[service.caller]
component = "$(caller)"
route = "/"
outbound = "http://127.0.0.1:{port}"

[service.hello]
component = "$(hello-p3)"
"#
    ));
    let host = app.serve().await;
    known.send(host.address.clone()).unwrap();
    let through = |times: usize| {
        let url = format!("http://127.0.0.1:{port}/fetch?").repeat(times - 1);
        format!("/fetch?{url}http://127.0.0.1:{port}/hello")
    };
    assert_eq!(host.get(&through(8)).await.status, 200);
    let looped = host.get(&through(9)).await;
    assert_eq!((looped.status.as_u16(), looped.text()), (502, "ErrorCode::LoopDetected\n"));
}
