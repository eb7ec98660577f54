//! A registry for tests: it answers what a test says, in clear text, one request on each connection.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::reference::Reference;
use crate::settings::{RegistriesConfig, RegistryConfig};

/// What becomes of a connection.
pub(crate) enum StubResponse {
    /// All of an answer.
    Whole(Vec<u8>),
    /// The beginning of one, and nothing more.
    Begun(Vec<u8>),
}

/// Gone with the value, with its connections.
pub(crate) struct Stub {
    pub(crate) address: String,
    task: JoinHandle<()>,
}

impl Stub {
    pub(crate) async fn start(
        answer: impl Fn(&str) -> StubResponse + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answer = Arc::new(answer);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((connection, _)) = listener.accept().await {
                connections.spawn(converse(connection, answer.clone()));
            }
        });
        Self { address, task }
    }

    pub(crate) fn reference(&self, rest: &str) -> Reference {
        Reference::parse(&format!("{}/shop/app{rest}", self.address)).unwrap()
    }

    /// How it is asked.
    pub(crate) fn config(&self, config: RegistryConfig) -> RegistriesConfig {
        let config = RegistryConfig { plain_http: true, ..config };
        RegistriesConfig {
            registries: [(self.address.clone(), config)].into(),
            ..RegistriesConfig::default()
        }
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(mut connection: TcpStream, answer: Arc<impl Fn(&str) -> StubResponse>) {
    let mut request = Vec::new();
    while !is_whole(&request) {
        if connection.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    match answer(&request) {
        StubResponse::Whole(bytes) => {
            let _ = connection.write_all(&bytes).await;
            let _ = connection.shutdown().await;
        }
        StubResponse::Begun(bytes) => {
            let _ = connection.write_all(&bytes).await;
            std::future::pending().await
        }
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    request.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4 + length <= request.len()
}

/// An answer with a body, after which nothing more comes.
pub(crate) fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
