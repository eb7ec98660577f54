//! TLS: both protocols, handshakes that nobody waits for, and certificates that are told when they are wrong.

use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;

mod renewal;

/// A host that serves with a certificate of its own, and the address that it tells.
pub(super) struct Secure {
    pub(super) host: Host,
    app: App,
    /// The one that its clients trust.
    certificate: rcgen::Certificate,
}

const KEYS: &str = "tls = { certificate = \"cert.pem\", key = \"key.pem\" }";

fn own() -> CertifiedKey<rcgen::KeyPair> {
    generate_simple_self_signed(["localhost".to_string()]).unwrap()
}

pub(super) async fn serve(http: &str) -> Secure {
    serve_app(app(&format!("{KEYS}\n{http}"))).await
}

async fn serve_app(app: App) -> Secure {
    let CertifiedKey { cert, signing_key } = own();
    write(&app, &cert.pem(), &signing_key.serialize_pem());
    Secure { host: app.serve().await, app, certificate: cert }
}

fn write(app: &App, certificate: &str, key: &str) {
    std::fs::write(app.path().join("cert.pem"), certificate).unwrap();
    std::fs::write(app.path().join("key.pem"), key).unwrap();
}

impl Secure {
    async fn connect(&self, protocols: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols =
            protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(&self.host.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        within("a handshake", connecting).await
    }

    /// What comes for a request of HTTP/1.1.
    pub(super) async fn ask(&self, request: &str) -> String {
        let mut stream = self.connect(&["http/1.1"]).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        within("an answer", stream.read_to_end(&mut answer)).await.unwrap();
        String::from_utf8(answer).unwrap()
    }
}

pub(super) const LAST: &str = "GET /count HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn both_protocols_are_served_with_encryption() {
    let secure = serve("").await;
    assert!(
        secure.host.log().contains(&format!("Serving HTTP on https://{}", secure.host.address))
    );
    let answer = secure.ask(LAST).await;
    assert_eq!(status(&answer), 200, "{answer}");
    let stream = secure.connect(&["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut client = http2::Client::over(stream).await;
    assert_eq!(client.get(&secure.host, "/count").await.0, 200);
    // A client that speaks neither is told so in the handshake.
    assert!(secure.connect(&["spdy/3"]).await.is_err());
}

// Fault (Clients): a TLS handshake that stalls | closes after the handshake timeout | a close | nothing
#[tokio::test]
async fn handshakes_that_stall_hold_nobody_up_and_are_given_up() {
    let secure = serve("handshake-timeout = \"2s\"").await;
    let mut stalled = Vec::new();
    for number in 0..100 {
        // Half of them say nothing, half begin to.
        let begin: &[u8] = if number % 2 == 0 { b"" } else { &[0x16, 3, 1, 1, 0, 1] };
        stalled.push(Raw::open(&secure.host, begin).await);
    }
    assert_eq!(status(&secure.ask(LAST).await), 200);
    for raw in &mut stalled {
        let mut bytes = Vec::new();
        let _ = within("an end", raw.0.read_to_end(&mut bytes)).await;
    }
    assert_eq!(status(&secure.ask(LAST).await), 200);
    let (_, log) = secure.host.stop().await;
    assert!(log.contains("did not complete a TLS handshake"), "{log}");
}

// Fault (Clients): no encryption where there should be | closes | a close | nothing
#[tokio::test]
async fn a_client_that_speaks_without_encryption_is_closed() {
    let secure = serve("").await;
    let answer = Raw::open(&secure.host, get("/count")).await.rest().await;
    assert!(!answer.contains("HTTP/1.1"), "{answer:?}");
    assert_eq!(status(&secure.ask(LAST).await), 200);
}

#[tokio::test]
async fn a_client_that_leaves_an_encrypted_connection_is_noticed() {
    let secure = serve("").await;
    let mut stream = secure.connect(&[]).await.unwrap();
    let unread = "POST /silent HTTP/1.1\r\nhost: localhost\r\ncontent-length: 900000\r\n\r\n";
    stream.write_all(unread.as_bytes()).await.unwrap();
    stream.write_all(&[0; 50_000]).await.unwrap();
    in_flight(&secure.host, "guest", 1).await;
    drop(stream);
    in_flight(&secure.host, "guest", 0).await;
}

#[tokio::test]
async fn a_wrong_certificate_is_told_with_its_line() {
    let own = generate_simple_self_signed(["localhost".to_string()]).unwrap();
    let other = generate_simple_self_signed(["localhost".to_string()]).unwrap();
    let own = (own.cert.pem(), own.signing_key.serialize_pem());
    for (certificate, key, expected) in [
        (&own.0, &other.signing_key.serialize_pem(), "the key is not the one of the certificate"),
        (&own.1, &own.1, "there is no certificate in the PEM file"),
        (&own.0, &own.0, "there is no private key in the PEM text"),
    ] {
        let app = app("tls = { certificate = \"cert.pem\", key = \"key.pem\" }");
        std::fs::write(app.path().join("cert.pem"), certificate).unwrap();
        std::fs::write(app.path().join("key.pem"), key).unwrap();
        let output = app.run(&["check"]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(said.contains("wasm-host.toml:5:") && said.contains(expected), "{said}");
    }
    let missing = app("tls = { certificate = \"cert.pem\" }").run(&["check"]).await;
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(said.contains("'tls' has no 'key'") && said.contains("cannot read the PEM"), "{said}");
}

#[tokio::test]
async fn a_key_may_come_from_the_environment_and_is_never_shown() {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_string()]).unwrap();
    let key = signing_key.serialize_pem();
    let keys = "tls = { certificate = \"cert.pem\", key = \"${TLS_KEY}\" }";
    let with = |value: &str| {
        let app = app(keys).env("TLS_KEY", value);
        std::fs::write(app.path().join("cert.pem"), cert.pem()).unwrap();
        app
    };
    let app = with(&key);
    let secure = Secure { host: app.serve().await, app, certificate: cert.clone() };
    assert_eq!(status(&secure.ask(LAST).await), 200);
    for wrong in ["hunter2", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"] {
        let output = with(wrong).run(&["check"]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(said.contains("wasm-host.toml:5:") && !said.contains("hunter2"), "{said}");
    }
}

// Fault (Clients): an answer that breaks off with encryption | closes without the end that TLS has | an error after what was sent | the request
#[tokio::test]
async fn an_answer_that_breaks_off_is_not_whole_with_encryption_either() {
    let secure = serve("").await;
    for version in ["1.0", "1.1"] {
        let mut stream = secure.connect(&["http/1.1"]).await.unwrap();
        let request = format!(
            "GET /fail-in-body HTTP/{version}\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // Without the end that TLS has of its own, this is an error.
        let end = within("the end", stream.read_to_end(&mut answer)).await;
        let text = String::from_utf8_lossy(&answer);
        assert!(end.is_err() && text.contains("half of it"), "HTTP/{version}: {end:?}, {text}");
    }
}
