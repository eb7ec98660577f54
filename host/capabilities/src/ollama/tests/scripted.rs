//! A server on a raw socket. A script gets each connection and does with it what it likes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A running server. Dropping it closes its port and all its connections.
pub(super) struct Scripted {
    pub(super) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    leaving: CancellationToken,
    tasks: JoinSet<()>,
}

impl Scripted {
    pub(super) async fn serve<F>(script: impl Fn(Connection) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::serve_at("127.0.0.1:0".parse().unwrap(), script).await
    }

    pub(super) async fn serve_at<F>(
        address: SocketAddr,
        script: impl Fn(Connection) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener: TcpListener = socket.listen(64).unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let leaving = CancellationToken::new();
        let left = leaving.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut scripts = JoinSet::new();
            while let Some(accepted) = left.run_until_cancelled(listener.accept()).await {
                let (stream, _) = accepted.unwrap();
                stream.set_nodelay(true).unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let leaving = left.clone();
                scripts.spawn(script(Connection { stream, unread: Vec::new(), leaving }));
            }
            drop(listener);
            scripts.join_all().await;
        });
        Self { address, connections, leaving, tasks }
    }

    /// Close the port and all connections, and wait until the client has closed them, too: until
    /// then, it may take one of them for its next request.
    pub(super) async fn leave(self) {
        self.leaving.cancel();
        self.tasks.join_all().await;
    }

    /// A server that answers every request with the same bytes.
    pub(super) async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Arc<Vec<u8>> = Arc::new(answer.into());
        Self::serve(move |mut connection| {
            let answer = answer.clone();
            async move {
                while connection.request().await.is_some() {
                    connection.send(answer.as_slice()).await;
                }
            }
        })
        .await
    }

    /// How many connections were opened so far.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A port that refuses connections until [`Scripted::serve_at`] listens on it. It is held, so that
/// no other program and no other test is given the same one.
pub(super) struct ClosedPort {
    pub(super) address: SocketAddr,
    _socket: TcpSocket,
}

impl ClosedPort {
    pub(super) fn take() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // As the server's has it: the two share the port.
        socket.set_reuseaddr(true).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self { address: socket.local_addr().unwrap(), _socket: socket }
    }
}

pub(super) struct Connection {
    pub(super) stream: TcpStream,
    unread: Vec<u8>,
    leaving: CancellationToken,
}

/// A request as it arrived.
#[derive(Debug)]
pub(super) struct ReceivedRequest {
    pub(super) line: String,
    /// `name: value` in lower case, sorted.
    pub(super) headers: Vec<String>,
    pub(super) body: Vec<u8>,
}

impl Connection {
    /// Read one request to its end; `None` if the connection is closed instead.
    pub(super) async fn request(&mut self) -> Option<ReceivedRequest> {
        let leaving = self.leaving.clone();
        let Some(head) = leaving.run_until_cancelled(self.until(b"\r\n\r\n")).await else {
            let _ = self.stream.shutdown().await;
            self.closed().await;
            return None;
        };
        let head = head?;
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let line = lines.next().unwrap().to_string();
        let mut headers: Vec<String> = lines.map(str::to_lowercase).collect();
        headers.sort();
        let length = headers.iter().find_map(|header| header.strip_prefix("content-length: "));
        let mut body = Vec::new();
        if let Some(length) = length {
            body = self.exactly(length.parse().unwrap()).await?;
        } else if headers.iter().any(|header| header == "transfer-encoding: chunked") {
            loop {
                let size = String::from_utf8(self.until(b"\r\n").await?).unwrap();
                let size = usize::from_str_radix(size.trim(), 16).unwrap();
                let chunk = self.exactly(size + 2).await?;
                if size == 0 {
                    break;
                }
                body.extend_from_slice(&chunk[..size]);
            }
        }
        Some(ReceivedRequest { line, headers, body })
    }

    /// Send bytes; a client that is gone is no failure.
    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Wait until the client has closed the connection.
    pub(super) async fn closed(&mut self) {
        let mut buffer = [0; 1024];
        while matches!(self.stream.read(&mut buffer).await, Ok(1..)) {}
    }

    async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.unread.windows(end.len()).position(|window| window == end) {
                return Some(self.unread.drain(..at + end.len()).collect());
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.unread.len() < length {
            self.more().await?;
        }
        Some(self.unread.drain(..length).collect())
    }

    async fn more(&mut self) -> Option<()> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer).await {
            Ok(0) | Err(_) => None,
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                Some(())
            }
        }
    }
}

/// The head of a streamed answer.
pub(super) const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";

/// The end of a chunked body.
pub(super) const STREAM_END: &str = "0\r\n\r\n";

/// `bytes` as one chunk; nothing for no bytes, since an empty chunk is the end.
pub(super) fn chunk(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    if bytes.is_empty() {
        return Vec::new();
    }
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// A whole streamed answer.
pub(super) fn stream(body: impl AsRef<[u8]>) -> Vec<u8> {
    [STREAM_HEAD.as_bytes(), &chunk(body), STREAM_END.as_bytes()].concat()
}

/// A whole answer of known length.
pub(super) fn answer(status: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
