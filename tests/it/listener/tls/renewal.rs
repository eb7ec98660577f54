//! Certificates that are renewed while the host serves: files are replaced, and SIGHUP says so.

use rcgen::CertificateParams;
use rustix::process::{Pid, Signal, kill_process};

use super::*;

impl Secure {
    /// Put another certificate and key into the place of its own, and say so.
    fn renew(&self, certificate: &str, key: &str) {
        write(&self.app, certificate, key);
        self.hang_up();
    }

    fn hang_up(&self) {
        // Of its own process, also where it runs in a terminal.
        let pid = self.host.control()["pid"].as_i64().unwrap();
        kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::HUP).unwrap();
    }

    async fn is_served(&self) {
        assert_eq!(status(&self.ask(LAST).await), 200);
    }

    /// Begin an answer that takes a second, and read its first piece.
    async fn slow(&self) -> TlsStream<TcpStream> {
        let mut stream = self.connect(&["http/1.1"]).await.unwrap();
        let request = "GET /pieces/slow?pieces=10&ms=100 HTTP/1.1\r\nhost: localhost\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        until(&mut stream, "begin one").await;
        stream
    }
}

async fn until(stream: &mut TlsStream<TcpStream>, text: &str) {
    let mut all = Vec::new();
    within(text, async {
        while !String::from_utf8_lossy(&all).contains(text) {
            assert_ne!(stream.read_buf(&mut all).await.unwrap(), 0, "an end before {text:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_renewed_certificate_serves_new_connections_and_cuts_none() {
    let mut secure = serve("").await;
    let mut stream = secure.slow().await;
    let CertifiedKey { cert, signing_key } = own();
    secure.renew(&cert.pem(), &signing_key.serialize_pem());
    secure.host.logs("certificate and key of [http] were read anew").await;
    // Who trusts only the one of before does not trust this one.
    assert!(secure.connect(&[]).await.is_err());
    secure.certificate = cert;
    secure.is_served().await;
    // What was open goes on, and takes more requests.
    until(&mut stream, "end one").await;
    stream.write_all(LAST.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    within("an answer", stream.read_to_end(&mut answer)).await.unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("200 OK"));
    assert_eq!(secure.host.stop().await.0.code(), Some(0));
}

// Fault (SIGTERM): SIGHUP with certificates that are wrong by then | keeps those of before, and says why | its answer | nothing
#[tokio::test]
async fn a_wrong_certificate_never_takes_the_place_of_one_that_serves() {
    let mut secure = serve("").await;
    let (one, other) = (own(), own());
    secure.renew(&one.cert.pem(), &other.signing_key.serialize_pem());
    secure.host.logs("the key is not the one of the certificate").await;
    secure.is_served().await;
    std::fs::remove_file(secure.app.path().join("key.pem")).unwrap();
    secure.hang_up();
    secure.host.logs("it does not exist").await;
    secure.is_served().await;
    let log = secure.host.log();
    assert!(
        log.contains("the certificate stays the one of before: ") && log.contains("key.pem"),
        "{log}"
    );
    secure.renew(&one.cert.pem(), &one.signing_key.serialize_pem());
    secure.host.logs("were read anew").await;
    secure.certificate = one.cert;
    secure.is_served().await;
}

#[tokio::test]
async fn a_certificate_is_renewed_though_its_key_is_from_the_environment() {
    let CertifiedKey { cert, signing_key } = own();
    let keys = "tls = { certificate = \"cert.pem\", key = \"${TLS_KEY}\" }";
    let app = app(keys).env("TLS_KEY", &signing_key.serialize_pem());
    write(&app, &cert.pem(), "");
    let mut secure = Secure { host: app.serve().await, app, certificate: cert };
    let params = CertificateParams::new(["localhost".to_string()]).unwrap();
    let renewed = params.self_signed(&signing_key).unwrap();
    secure.renew(&renewed.pem(), "");
    secure.host.logs("were read anew").await;
    secure.certificate = renewed;
    let stream = secure.connect(&[]).await.unwrap();
    // Whoever trusts the one before trusts this one: they have the same key and name.
    assert_eq!(stream.get_ref().1.peer_certificates().unwrap(), [secure.certificate.der().clone()]);
}

// Fault (SIGTERM): a terminal that closes | the same, also with certificates | its whole answer | what it would have told there
/// In a terminal SIGHUP can mean both.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn in_a_terminal_certificates_are_read_anew_until_it_closes() {
    let mut secure = serve_app(app(KEYS).in_terminal()).await;
    let CertifiedKey { cert, signing_key } = own();
    secure.renew(&cert.pem(), &signing_key.serialize_pem());
    secure.host.logs("were read anew").await;
    secure.certificate = cert;
    secure.is_served().await;
    let mut stream = secure.slow().await;
    let control = secure.host.state().join("control.json");
    secure.host.kill().await;
    until(&mut stream, "end one").await;
    eventually("the host to end in order", async || (!control.exists()).then_some(())).await;
}
