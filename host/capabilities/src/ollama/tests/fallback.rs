//! The stand-in: in use while nothing answers at the address, and never longer.

use parking_lot::Mutex;

use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tokio::time::{sleep, timeout};

use super::super::backend::Body;
use super::super::body::full;
use super::super::network::Network;
use super::super::upstream::{CallTarget, Fallback};
use super::scripted::{ClosedPort, Scripted, answer};
use super::*;
use crate::transport::{Transport, TransportError};

const INTERVAL: Duration = Duration::from_millis(50);

/// A stand-in that calls itself `demo` and keeps the bodies that it was sent.
#[derive(Default)]
struct Demo(Mutex<Vec<Vec<u8>>>);

impl Transport for Demo {
    fn send(
        &self,
        request: Request<Body>,
        _caller: RequestContext,
    ) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        Box::pin(async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            self.0.lock().push(body.to_vec());
            Ok(Response::new(full(r#"{"version":"demo"}"#)))
        })
    }
}

fn upstream(address: SocketAddr) -> (Arc<Upstream>, Arc<Demo>) {
    let demo = Arc::new(Demo::default());
    wasm_host_settings::tls::install();
    let address = Address::parse(&format!("http://{address}")).unwrap();
    let server = Arc::new(Network::new(&address, &super::terms()).unwrap());
    let fallback = Fallback { service: "demo-ollama".into(), transport: demo.clone() };
    let upstream = Upstream::with_server(server, address.to_string(), Some(fallback), INTERVAL);
    (Arc::new(upstream), demo)
}

fn real() -> Vec<u8> {
    answer("200 OK", r#"{"version":"real"}"#)
}

async fn version(upstream: &Arc<Upstream>) -> String {
    let client = Client::new(upstream.clone(), Options::default());
    client.version(never()).await.unwrap()
}

async fn until(upstream: &Arc<Upstream>, expected: &str) {
    // Counted and not timed, as a busy machine makes all of it slow. Twenty intervals of 50 ms are
    // less than the default one of 2 s.
    for _ in 0..20 {
        if timeout(PROMISE, version(upstream)).await.expect(expected) == expected {
            return;
        }
        sleep(INTERVAL).await;
    }
    panic!("never {expected}");
}

#[tokio::test]
async fn the_server_takes_over_when_it_appears_and_the_stand_in_when_it_vanishes() {
    let port = ClosedPort::take();
    let (upstream, demo) = upstream(port.address);
    assert_eq!(upstream.target(), CallTarget::Unknown);
    assert_eq!(version(&upstream).await, "demo");
    assert_eq!(upstream.target(), CallTarget::Fallback);

    for _ in 0..2 {
        let server = Scripted::serve_at(port.address, |mut connection| async move {
            while connection.request().await.is_some() {
                connection.send(real()).await;
            }
        })
        .await;
        until(&upstream, "real").await;
        assert_eq!(upstream.target(), CallTarget::Server);

        // The server is gone between two requests: the very next one goes to the stand-in, whole.
        timeout(PROMISE, server.leave()).await.expect("a dead connection is kept");
        demo.0.lock().clear();
        let client = Client::new(upstream.clone(), Options::default());
        let load = GenerateRequest { model: "m".into(), prompt: Some("kept".into()), extra: None };
        let _ = client.generate(load, never()).await.unwrap();
        assert_eq!(upstream.target(), CallTarget::Fallback);
        let bodies = demo.0.lock().clone();
        assert_eq!(bodies, [br#"{"model":"m","prompt":"kept","stream":true}"#]);
    }
}

#[tokio::test]
async fn a_server_that_is_there_is_used_from_the_first_call() {
    let server = Scripted::answering(real()).await;
    let (upstream, demo) = upstream(server.address);
    assert_eq!(version(&upstream).await, "real");
    assert!(demo.0.lock().is_empty());
}

#[tokio::test]
async fn a_server_that_is_there_but_broken_is_not_covered_up() {
    let server = Scripted::answering(answer("502 Bad Gateway", "")).await;
    let (upstream, _demo) = upstream(server.address);
    let client = Client::new(upstream.clone(), Options::default());
    let result = client.version(never()).await;
    assert!(matches!(result, Err(Error::Refused(refusal)) if refusal.status == 502));
}

#[tokio::test]
async fn a_port_that_accepts_and_says_nothing_counts_as_absent() {
    let server = Scripted::serve(|mut connection| async move { connection.closed().await }).await;
    let (upstream, _demo) = upstream(server.address);
    assert_eq!(timeout(PROMISE, version(&upstream)).await.unwrap(), "demo");
}

#[tokio::test]
async fn a_request_that_reached_the_server_is_not_sent_again() {
    // It answers what it is asked for its version and closes the connection on everything else.
    let server = Scripted::serve(|mut connection| async move {
        while connection.request().await.is_some_and(|seen| seen.line.contains("version")) {
            connection.send(real()).await;
        }
    })
    .await;
    let (upstream, demo) = upstream(server.address);
    let client = Client::new(upstream, Options::default());
    assert!(matches!(generate(&client).await, Err(Error::Unreachable(_))));
    assert!(matches!(client.list(never()).await, Err(Error::Unreachable(_))));
    assert!(demo.0.lock().is_empty());
}

/// A server that claims to be out of reach after it has read the request.
struct Liar;

impl Transport for Liar {
    fn send(
        &self,
        request: Request<Body>,
        _caller: RequestContext,
    ) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        Box::pin(async move {
            if request.uri().path() == "/api/version" {
                return Ok(Response::new(full(r#"{"version":"real"}"#)));
            }
            let _ = request.into_body().collect().await;
            Err(TransportError::Unreachable("not here".into()))
        })
    }
}

#[tokio::test]
async fn a_body_that_was_read_is_never_sent_half() {
    let demo = Arc::new(Demo::default());
    let fallback = Fallback { service: "demo-ollama".into(), transport: demo.clone() };
    let upstream = Upstream::with_server(Arc::new(Liar), "liar".into(), Some(fallback), INTERVAL);
    let client = Client::new(Arc::new(upstream), Options::default());
    assert!(matches!(generate(&client).await, Err(Error::Unreachable(_))));
    assert!(demo.0.lock().is_empty());
}

#[tokio::test]
async fn without_a_stand_in_the_state_is_known_all_the_same() {
    let port = ClosedPort::take();
    let upstream = alone(&format!("http://{}", port.address));
    assert_eq!(upstream.check().await, CallTarget::Nothing);
    let _server = Scripted::serve_at(port.address, |mut connection| async move {
        while connection.request().await.is_some() {
            connection.send(real()).await;
        }
    })
    .await;
    assert_eq!(version(&Arc::new(upstream)).await, "real");
}
