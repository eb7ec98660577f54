//! Hosts that are spoken to over TLS: whose word is taken for who they are, and what becomes of the others.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use wasm_host_tests::hostile::{Raw, request};
use wasm_host_tests::tls::{Authority, Secure};
use wasm_host_tests::upstream::{chunk, ndjson_head};
use wasm_host_tests::{eventually, within};

use super::*;

/// Callers who trust the authority and may call these hosts.
async fn callers_of(authority: &Authority, hosts: &[String], bounds: &str) -> Host {
    let keys = format!("[service.caller.outbound]\nca = \"ca.pem\"\nallow = {hosts:?}\n{bounds}");
    let app = app(&keys);
    std::fs::write(app.path().join("ca.pem"), &authority.pem).unwrap();
    app.serve().await
}

#[tokio::test]
async fn a_host_is_called_on_the_word_of_an_authority_that_the_file_names() {
    let authority = Authority::new();
    let upstream = hello().await;
    let secure = Secure::start(&authority.sign(&["127.0.0.1"]), &upstream.url).await;
    let host = callers_of(&authority, &[secure.url()], "").await;
    let url = format!("{}/a?b=c", secure.url());
    for _ in 0..3 {
        assert_eq!(fetch(&host, &url).await, (200, "\"hello\"".to_string()));
        assert_eq!(fetch_old(&host, &url).await, "200 \"hello\"");
    }
    let requests = upstream.requests();
    assert_eq!(requests.len(), 6);
    assert!(requests[0].starts_with("GET /a?b=c HTTP/1.1\r\n"), "{}", requests[0]);
    // Each service keeps its connection, and no two share one.
    assert_eq!(secure.handshakes(), 2);
    // It was named for `https`, and for nothing else.
    let plain = url.replace("https", "http");
    assert_eq!(fetch(&host, &plain).await, (502, "ErrorCode::HttpRequestDenied\n".to_string()));
}

// Fault (Hosts outside): a certificate of no authority that is trusted, of another host, or out of date | sends nothing | the component's error | nothing
#[tokio::test]
async fn a_host_that_is_not_who_it_should_be_is_sent_nothing() {
    let (authority, other) = (Authority::new(), Authority::new());
    let upstream = hello().await;
    let mut impostors = Vec::new();
    for identity in [
        other.sign(&["127.0.0.1"]),
        authority.sign(&["127.0.0.2", "api.example.com"]),
        authority.sign_expired(&["127.0.0.1"]),
    ] {
        impostors.push(Secure::start(&identity, &upstream.url).await);
    }
    let urls: Vec<String> = impostors.iter().map(Secure::url).collect();
    let host = callers_of(&authority, &urls, "").await;
    for url in &urls {
        let refused = (502, "ErrorCode::TlsCertificateError\n".to_string());
        assert_eq!(fetch(&host, url).await, refused, "{url}");
        assert!(fetch_old(&host, url).await.contains("TlsCertificateError"), "{url}");
    }
    assert_eq!(upstream.requests().len(), 0);
    // The word of one table is not that of another, nor the system's.
    let trusted = Secure::start(&authority.sign(&["127.0.0.1"]), &upstream.url).await;
    let host = callers(&format!("outbound = \"{}\"", trusted.url())).await;
    let refused = (502, "ErrorCode::TlsCertificateError\n".to_string());
    assert_eq!(fetch(&host, &trusted.url()).await, refused);
    assert_eq!(upstream.requests().len(), 0);
}

// Fault (Hosts outside): a host that speaks no TLS or stops in its handshake | closes after the connect time | the component's error | nothing
#[tokio::test]
async fn a_host_that_speaks_no_tls_or_stops_in_its_handshake_is_given_up() {
    let (plain, silent) = (bind().await, bind().await);
    let urls = [&plain, &silent].map(|socket| format!("https://{}", socket.local_addr().unwrap()));
    let bounds = "connect-timeout = \"3s\"";
    let host = callers_of(&Authority::new(), &urls, bounds).await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = plain.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let told = (502, "ErrorCode::TlsProtocolError\n".to_string());
    assert_eq!(fetch(&host, &urls[0]).await, told);
    let asked = Instant::now();
    let told = (502, "ErrorCode::ConnectionTimeout\n".to_string());
    assert_eq!(fetch(&host, &urls[1]).await, told);
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    // What was given up is closed.
    let (mut stream, _) = silent.accept().await.unwrap();
    let mut hello = Vec::new();
    within("the close", stream.read_to_end(&mut hello)).await.unwrap();
    assert_eq!(hello[0], 0x16, "it began a handshake");
}

// Fault (Hosts outside): a client that leaves a handshake or an encrypted answer | closes it | - | nothing
#[tokio::test]
async fn a_client_that_leaves_closes_its_encrypted_calls() {
    let authority = Authority::new();
    let upstream =
        Upstream::start(|_| vec![Step::Send([ndjson_head(), chunk(b"half")].concat()), Step::Hold])
            .await;
    let secure = Secure::start(&authority.sign(&["127.0.0.1"]), &upstream.url).await;
    // It never answers a handshake.
    let silent = bind().await;
    let urls = [secure.url(), format!("https://{}", silent.local_addr().unwrap())];
    let host = callers_of(&authority, &urls, "connect-timeout = \"5m\"").await;
    let ask = async |url: &str| {
        let mut raw = Raw::connect(&host.address).await;
        raw.send(request("GET", &format!("/caller/fetch?{url}"), "")).await.unwrap();
        raw
    };
    let mut reading = ask(&urls[0]).await;
    reading.read_until("half").await;
    reading.reset();
    eventually("the close", async || (upstream.hung_up() == 1).then_some(())).await;

    let connecting = ask(&urls[1]).await;
    let (mut stream, _) = within("a connection", silent.accept()).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), 0x16);
    connecting.reset();
    within("the close", stream.read_to_end(&mut Vec::new())).await.unwrap();
}

async fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}
