//! An HTTP client whose every connection is its own, so that hanging up is one `drop`.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use crate::within;

/// A whole response.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A response whose body is read as it comes. Dropping it hangs up.
pub struct Streaming {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
    connection: JoinHandle<()>,
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Streaming {
    /// The next bytes; none at the end. `Err` if the body is cut off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, hyper::Error> {
        loop {
            match within("more of the body", self.body.frame()).await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => return Err(error),
                None => return Ok(None),
            }
        }
    }

    /// Everything up to the end. `Err` with what came before if the body is cut off.
    pub async fn rest(&mut self) -> Result<Vec<u8>, Vec<u8>> {
        let mut all = Vec::new();
        loop {
            match self.next().await {
                Ok(Some(bytes)) => all.extend_from_slice(&bytes),
                Ok(None) => return Ok(all),
                Err(_) => return Err(all),
            }
        }
    }
}

/// One connection for many requests.
pub struct KeepAlive {
    sender: http1::SendRequest<Full<Bytes>>,
    address: String,
    connection: JoinHandle<()>,
}

impl Drop for KeepAlive {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl KeepAlive {
    pub async fn connect(address: &str) -> Self {
        let (sender, connection) = connect(address).await;
        Self { sender, address: address.to_string(), connection }
    }

    /// The status and the body; `Err` if either does not come whole.
    pub async fn get(&mut self, path: &str) -> Result<(StatusCode, Bytes), String> {
        self.send("GET", path, &[], "").await
    }

    pub async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Result<(StatusCode, Bytes), String> {
        let mut request = Request::builder().method(method).uri(path).header("host", &self.address);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_ref())));
        let request = request.expect("a request");
        within("the connection", self.sender.ready()).await.map_err(|error| error.to_string())?;
        let response = within("a response", self.sender.send_request(request)).await;
        let response = response.map_err(|error| error.to_string())?;
        let status = response.status();
        let body = within("the body", response.into_body().collect()).await;
        let body = body.map_err(|error| format!("{status}, then {error}"))?;
        Ok((status, body.to_bytes()))
    }
}

async fn connect(address: &str) -> (http1::SendRequest<Full<Bytes>>, JoinHandle<()>) {
    let stream = within("a connection", TcpStream::connect(address)).await.expect("a connection");
    // Small pieces are read as they come.
    stream.set_nodelay(true).expect("an option");
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
    let connection = tokio::spawn(async move {
        // A connection that breaks shows in the response.
        let _ = connection.await;
    });
    (sender, connection)
}

/// Send a request and read the whole response.
pub async fn send(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl AsRef<[u8]>,
) -> Reply {
    let mut streaming = open(address, method, path, headers, body).await;
    let body = streaming.rest().await.unwrap_or_else(|seen| {
        let end = &seen[seen.len().saturating_sub(200)..];
        panic!("{path}: no whole body, it breaks off after {:?}", String::from_utf8_lossy(end))
    });
    let headers = std::mem::take(&mut streaming.headers);
    Reply { status: streaming.status, headers, body: body.into() }
}

/// Send a body in chunks, without saying how long it will be.
pub async fn send_chunked(address: &str, path: &str, chunks: &[&str]) -> Reply {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    for chunk in chunks {
        request.push_str(&format!("{:x}\r\n{chunk}\r\n", chunk.len()));
    }
    request.push_str("0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("the request is taken");
    let mut answer = Vec::new();
    // The server may close before it has read all of a body that it refuses.
    let _ = within("the response", stream.read_to_end(&mut answer)).await;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").expect("a response");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Reply { status, headers: HeaderMap::new(), body: Bytes::from(body.to_string()) }
}

/// Send a request and return as soon as the response's head is there.
pub async fn open(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl AsRef<[u8]>,
) -> Streaming {
    let (mut sender, connection) = connect(address).await;
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", address);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request =
        request.body(Full::new(Bytes::copy_from_slice(body.as_ref()))).expect("a request");
    let response = within("a response", sender.send_request(request)).await.expect("a response");
    let (parts, body) = response.into_parts();
    Streaming { status: parts.status, headers: parts.headers, body, connection }
}

/// A request whose failure is an answer like any other.
pub struct Attempt<'a> {
    /// The address of this machine that it comes from.
    pub from: Ipv4Addr,
    pub method: &'a str,
    pub path: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub body: Bytes,
    /// How long it waits for all of it.
    pub patience: Duration,
}

impl Attempt<'_> {
    /// The status, and what was read of the body.
    pub async fn send(self, address: &str) -> Result<(u16, Vec<u8>), String> {
        let patience = self.patience;
        let sent = tokio::time::timeout(patience, self.exchange(address)).await;
        sent.unwrap_or_else(|_| Err(format!("no answer within {patience:?}")))
    }

    async fn exchange(self, address: &str) -> Result<(u16, Vec<u8>), String> {
        let stream = connect_from(self.from, address).await.map_err(|error| error.to_string())?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
        // Ends when this does.
        let _connection = Aborted(tokio::spawn(async move {
            let _ = connection.await;
        }));
        let mut request = Request::builder().method(self.method).uri(self.path);
        request = request.header("host", address).header("connection", "close");
        for (name, value) in self.headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(self.body)).map_err(|error| error.to_string())?;
        let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        let (mut body, mut read) = (answer.into_body(), Vec::new());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| format!("{status}, then {error}"))?;
            read.extend(frame.into_data().unwrap_or_default());
        }
        Ok((status, read))
    }
}

/// A connection from one of this machine's own addresses, each of which is a client by itself.
pub async fn connect_from(from: Ipv4Addr, address: &str) -> std::io::Result<TcpStream> {
    let to: SocketAddr = address.parse().expect("an address");
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

struct Aborted(JoinHandle<()>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}
