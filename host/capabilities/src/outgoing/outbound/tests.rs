//! Calls to a scripted host on this machine that sees every connection, every byte and every close.

mod seen;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Request;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use wasmtime_wasi_http::RequestOptions;

use super::*;
use crate::body::full;
use crate::context::Inbound;
use crate::outgoing::settings::AllowList;
use wasm_host_limits::backends::BreakerConfig;
use wasm_host_limits::outgoing::OutboundLimits;
use wasm_host_telemetry::trace::Trace;

/// How long a test waits for anything, and between two looks.
const PATIENCE: Duration = Duration::from_secs(60);
const MOMENT: Duration = Duration::from_millis(20);

/// A host that does `script` with every connection.
struct Peer {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Peer {
    async fn start<F>(script: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(script(stream));
            }
        });
        Self { address, connections }
    }

    /// Answer every request on a connection with these bytes.
    async fn answering(answer: &'static str) -> Self {
        Self::start(move |mut stream| async move {
            while read_head(&mut stream).await.is_some() {
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        })
        .await
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn config(rules: &[&str]) -> OutboundConfig {
    OutboundConfig { allow: AllowList::of(rules), ..OutboundConfig::default() }
}

fn outbound(config: OutboundConfig) -> Arc<Outbound> {
    wasm_host_settings::tls::install();
    Outbound::new("shop".into(), config).unwrap()
}

fn caller() -> RequestContext {
    RequestContext::of_host("r")
}

fn get(url: &str) -> HttpRequest {
    Request::get(url).body(full("")).unwrap()
}

async fn ask(outbound: &Arc<Outbound>, url: &str) -> Result<String, Error> {
    let response = outbound.send(caller(), get(url)).await?;
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn what_is_not_listed_is_denied_before_anything_is_connected() {
    let peer = Peer::answering(OK).await;
    let port = peer.address.port();
    for rules in
        [vec![], vec![format!("https://127.0.0.1:{port}")], vec!["http://127.0.0.1".into()]]
    {
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        let outbound = outbound(config(&rules));
        let denied = ask(&outbound, &peer.url()).await;
        assert!(matches!(denied, Err(Error::HttpRequestDenied)), "{rules:?}: {denied:?}");
    }
    // Every public address is not this one.
    let outbound = outbound(config(&[&format!("http://*:{port}")]));
    let denied = ask(&outbound, &peer.url()).await;
    assert!(matches!(denied, Err(Error::HttpRequestDenied)), "{denied:?}");
    let denied = ask(&outbound, &format!("http://localhost:{port}")).await;
    assert!(matches!(denied, Err(Error::DestinationIpProhibited)), "{denied:?}");
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn a_name_needs_a_rule_for_its_private_address_too() {
    let peer = Peer::answering(OK).await;
    let port = peer.address.port();
    let (name, address) = (format!("http://*:{port}"), format!("http://127.0.0.0/8:{port}"));
    let outbound = outbound(config(&[&name, &address]));
    assert_eq!(ask(&outbound, &format!("http://localhost:{port}/")).await.unwrap(), "ok");
}

#[tokio::test]
async fn the_host_gets_the_request_without_what_is_about_connections() {
    let (sender, mut heads) = tokio::sync::mpsc::unbounded_channel();
    let peer = Peer::start(move |mut stream| {
        let sender = sender.clone();
        async move {
            let head = read_head(&mut stream).await.unwrap();
            let _ = sender.send(head);
            let answer = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\nkeep-alive: x\r\n\
                          content-length: 0\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let outbound = outbound(config(&[&peer.url()]));
    let mut request = get(&format!("{}/a?b=%20c", peer.url()));
    for (name, value) in [
        ("host", "evil.example"),
        ("connection", "x-private"),
        ("x-private", "1"),
        ("te", "trailers"),
        ("authorization", "Bearer t"),
    ] {
        request.headers_mut().append(name, value.parse().unwrap());
    }
    let response = outbound.send(caller(), request).await.unwrap();
    // A redirect is an answer.
    assert_eq!(
        (response.status().as_u16(), response.headers().contains_key("keep-alive")),
        (302, false)
    );
    let head = heads.recv().await.unwrap().to_ascii_lowercase();
    assert!(head.starts_with("get /a?b=%20c http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: {}\r\n", peer.address)), "{head}");
    assert!(head.contains("authorization: bearer t\r\n") && head.contains("hops=1"), "{head}");
    for gone in ["evil", "x-private", "trailers"] {
        assert!(!head.contains(gone), "{gone}: {head}");
    }
}

#[tokio::test]
async fn a_call_that_has_passed_too_many_services_is_a_loop() {
    let peer = Peer::answering(OK).await;
    let outbound = outbound(config(&[&peer.url()]));
    let hops = u8::try_from(limits::HOP_LIMIT).unwrap();
    let last =
        outbound.send(Inbound::new(Trace::off(), hops - 1).unserved(), get(&peer.url())).await;
    assert!(last.is_ok());
    let beyond = outbound.send(Inbound::new(Trace::off(), hops).unserved(), get(&peer.url())).await;
    assert!(matches!(beyond, Err(Error::LoopDetected)));
}

#[tokio::test]
async fn connections_are_kept_and_not_shared_between_services() {
    let peer = Peer::answering(OK).await;
    let (one, other) = (outbound(config(&[&peer.url()])), outbound(config(&[&peer.url()])));
    // A connection goes back a moment after the body: a call that comes sooner opens another one.
    let mut reused = 0;
    let mut opened = 0;
    let asking = async {
        while reused < 3 {
            ask(&one, &peer.url()).await.unwrap();
            if peer.connections() == opened {
                reused += 1;
            }
            opened = peer.connections();
            tokio::time::sleep(MOMENT).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("none is used again");
    ask(&other, &peer.url()).await.unwrap();
    assert_eq!(peer.connections(), opened + 1);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_costs_no_call() {
    // Each connection takes one request and is then closed without a word.
    let peer = Peer::start(|mut stream| async move {
        if read_head(&mut stream).await.is_some() {
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
    })
    .await;
    let outbound = outbound(config(&[&peer.url()]));
    for number in 0..20 {
        let mut request = get(&peer.url());
        *request.method_mut() = http::Method::POST;
        let answer = outbound.send(caller(), request).await;
        assert!(answer.is_ok(), "{number}: {answer:?}");
        answer.unwrap().into_body().collect().await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_request_that_was_sent_is_never_sent_again() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    let peer = Peer::start(move |mut stream| {
        let counted = counted.clone();
        async move {
            // The first is answered, so that the connection is kept; the second is cut.
            for answer in [OK, ""] {
                if read_head(&mut stream).await.is_none() {
                    return;
                }
                counted.fetch_add(1, Ordering::SeqCst);
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let outbound = outbound(config(&[&peer.url()]));
    // Until one meets a connection that is back already, and is the second on it.
    let mut asked = 0;
    let asking = async {
        loop {
            asked += 1;
            match ask(&outbound, &peer.url()).await {
                Ok(_) => tokio::time::sleep(MOMENT).await,
                Err(error) => return error,
            }
        }
    };
    let cut = tokio::time::timeout(PATIENCE, asking).await.expect("no connection is used again");
    assert!(matches!(cut, Error::HttpResponseIncomplete), "{cut:?}");
    assert_eq!(requests.load(Ordering::SeqCst), asked);
}

#[tokio::test]
async fn waits_and_sizes_are_bounded() {
    let short = Duration::from_millis(100);
    let silent = Peer::start(|stream| async move {
        let _stream = stream;
        std::future::pending().await
    })
    .await;
    let drip = Peer::answering("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
    let large = Peer::answering("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n123456789").await;
    let chunked = Peer::answering(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n123456789\r\n0\r\n\r\n",
    )
    .await;
    let rules = [silent.url(), drip.url(), large.url(), chunked.url()];
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let outbound = outbound(OutboundConfig {
        limits: OutboundLimits { first_byte_timeout: short, ..OutboundLimits::default() },
        ..config(&rules)
    });
    let answer = tokio::time::timeout(Duration::from_secs(30), ask(&outbound, &silent.url())).await;
    assert!(matches!(answer, Ok(Err(Error::HttpResponseTimeout))), "{answer:?}");
    // Those that answer have all the time that is usual.
    let outbound = self::outbound(OutboundConfig {
        limits: OutboundLimits { max_body_bytes: 8, ..OutboundLimits::default() },
        ..config(&rules)
    });
    for peer in [&large, &chunked] {
        let answer = ask(&outbound, &peer.url()).await;
        assert!(matches!(answer, Err(Error::HttpResponseBodySize(Some(8)))), "{answer:?}");
    }
    let outbound = self::outbound(OutboundConfig {
        limits: OutboundLimits { idle_timeout: short, ..OutboundLimits::default() },
        ..config(&rules)
    });
    let answer = ask(&outbound, &drip.url()).await;
    assert!(matches!(answer, Err(Error::ConnectionReadTimeout)), "{answer:?}");
}

#[tokio::test]
async fn a_component_may_wait_for_less_time_and_not_for_more() {
    let silent = Peer::start(|stream| async move {
        let _stream = stream;
        std::future::pending().await
    })
    .await;
    let short = Duration::from_millis(100);
    let hour = Duration::from_secs(3600);
    for (own, asked) in [(hour, short), (short, hour)] {
        let config = OutboundConfig {
            limits: OutboundLimits { first_byte_timeout: own, ..OutboundLimits::default() },
            ..config(&[&silent.url()])
        };
        let outbound = outbound(config);
        let mut request = get(&silent.url());
        let options = RequestOptions { first_byte_timeout: Some(asked), ..Default::default() };
        request.extensions_mut().insert(options);
        let answer =
            tokio::time::timeout(Duration::from_secs(30), outbound.send(caller(), request));
        assert!(matches!(answer.await, Ok(Err(Error::HttpResponseTimeout))), "{own:?} {asked:?}");
    }
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let peer = Peer::start(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await;
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    })
    .await;
    let outbound = outbound(config(&[&peer.url()]));
    let answer = ask(&outbound, &peer.url()).await;
    assert!(matches!(answer, Err(Error::HttpResponseHeaderSectionSize(_))), "{answer:?}");
}

#[tokio::test]
async fn calls_at_once_are_bounded_and_end_with_their_bodies() {
    let peer = Peer::answering(OK).await;
    let outbound = outbound(OutboundConfig {
        limits: OutboundLimits { concurrent: 1, ..OutboundLimits::default() },
        ..config(&[&peer.url()])
    });
    let first = outbound.send(caller(), get(&peer.url())).await.unwrap();
    let second = ask(&outbound, &peer.url()).await;
    assert!(matches!(second, Err(Error::ConnectionLimitReached)), "{second:?}");
    first.into_body().collect().await.unwrap();
    assert_eq!(ask(&outbound, &peer.url()).await.unwrap(), "ok");
}

#[tokio::test]
async fn a_client_that_leaves_closes_the_connection() {
    for answer in ["", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"] {
        let (sender, mut closed) = tokio::sync::mpsc::unbounded_channel();
        let peer = Peer::start(move |mut stream| {
            let sender = sender.clone();
            async move {
                read_head(&mut stream).await;
                stream.write_all(answer.as_bytes()).await.unwrap();
                let _ = sender.send("asked");
                let _ = stream.read(&mut [0]).await;
                let _ = sender.send("closed");
            }
        })
        .await;
        let outbound = outbound(config(&[&peer.url()]));
        let caller = caller();
        let call = tokio::spawn(outbound.send(caller.clone(), get(&peer.url())));
        assert_eq!(closed.recv().await, Some("asked"));
        // Nothing reads the body, as a guest that hangs would not.
        let held = if answer.is_empty() { None } else { Some(call.await.unwrap().unwrap()) };
        caller.cancel().cancel();
        let seen = tokio::time::timeout(Duration::from_secs(10), closed.recv()).await;
        assert_eq!(seen, Ok(Some("closed")), "{answer:?}");
        drop(held);
    }
}

#[tokio::test]
async fn a_host_that_is_away_is_not_tried_for_every_call() {
    // Held to the end, so that no other test is given the same port.
    let closed = TcpSocket::new_v4().unwrap();
    closed.set_reuseaddr(true).unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = closed.local_addr().unwrap();
    let url = format!("http://{address}");
    // A busy machine may need long for the next call, which must come within this.
    let wait = Duration::from_secs(2);
    let breaker = BreakerConfig { failures: 3, wait, wait_max: wait };
    let outbound = outbound(OutboundConfig {
        limits: OutboundLimits { breaker, ..OutboundLimits::default() },
        ..config(&[&url])
    });
    for _ in 0..3 {
        let away = ask(&outbound, &url).await;
        assert!(matches!(away, Err(Error::ConnectionRefused)), "{away:?}");
    }
    let known = ask(&outbound, &url).await;
    assert!(matches!(known, Err(Error::DestinationUnavailable)), "{known:?}");
    assert_eq!(outbound.unreachable(), std::slice::from_ref(&url));
    // Its return is noticed by a call.
    let back = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = back.accept().await {
            read_head(&mut stream).await;
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
    });
    let noticed = async {
        while ask(&outbound, &url).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), noticed).await.expect("it stays away");
    assert_eq!(outbound.unreachable(), [""; 0]);
}
