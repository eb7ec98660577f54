//! The public port: what it makes of bytes, how long it waits for a client, and that it goes on whatever clients
//! do. Bytes are written as they are, because a client library would not send most of them.

mod broken_answers;
mod crowds;
mod deadlines;
mod departures;
mod exhaustion;
mod framing;
mod http2;
mod malformed;
mod slow_clients;
mod slow_readers;
mod tls;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wasm_host_tests::host::{App, Host};
use wasm_host_tests::{eventually, within};

/// Two services, and what `[http]` says.
fn app(http: &str) -> App {
    App::new(&format!(
        r#"
name = "listener"

[http]
{http}

[service.guest]
component = "$(hostile)"
route = "/"
max-body = 1000000

[service.pieces]
component = "$(version-one)"
"#
    ))
}

/// A connection that sends what it is told to.
struct Raw(TcpStream);

impl Raw {
    async fn connect(address: &str) -> Self {
        Self(within("a connection", TcpStream::connect(address)).await.unwrap())
    }

    async fn open(host: &Host, bytes: impl AsRef<[u8]>) -> Self {
        let mut raw = Self::connect(&host.address).await;
        raw.send(bytes).await;
        raw
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within("room for the bytes", self.0.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Everything up to the end of the connection, which must not be a reset.
    async fn rest(&mut self) -> String {
        let mut all = Vec::new();
        within("the end of the connection", self.0.read_to_end(&mut all)).await.unwrap();
        String::from_utf8_lossy(&all).into_owned()
    }

    /// What comes, up to a text.
    async fn until(&mut self, text: &str) -> String {
        let mut all = Vec::new();
        within(text, async {
            while !String::from_utf8_lossy(&all).contains(text) {
                assert_ne!(self.0.read_buf(&mut all).await.unwrap(), 0, "an end before {text:?}");
            }
        })
        .await;
        String::from_utf8_lossy(&all).into_owned()
    }

    /// Close with a reset instead of an end.
    fn reset(self) {
        self.0.set_zero_linger().unwrap();
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")
}

/// The status of the first answer; 0 if there is none.
fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// Wait until so many requests of a service run.
async fn in_flight(host: &Host, service: &str, count: u64) {
    eventually("the requests in flight", async || {
        (host.service(service).await["in_flight"] == count).then_some(())
    })
    .await;
}
