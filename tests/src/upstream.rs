//! A scripted server: sends exactly these bytes in exactly these pieces, and tells what it was sent and when
//! the other side hung up. Stands in for Ollama.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::ports::Closed;

/// One step of an answer.
#[derive(Clone, Debug)]
pub enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    /// Say nothing until the test lets it go on.
    Until(Arc<Notify>),
    /// Say nothing more until the other side hangs up.
    Hold,
    /// Close with a reset instead of an end.
    Reset,
    /// Close with an end.
    Close,
}

/// An upstream that answers every request by one script.
pub struct Upstream {
    /// `http://ip:port`
    pub url: String,
    seen: Arc<Mutex<UpstreamLog>>,
}

#[derive(Default)]
struct UpstreamLog {
    requests: Vec<String>,
    hung_up: usize,
}

impl Upstream {
    /// Answer `/api/version`, by which a host asks whether Ollama is there, and everything else by
    /// what `script` says for the head of the request.
    pub async fn start(script: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.expect("a free port"), script)
    }

    /// The same on a port that was closed until now.
    pub fn open(port: Closed, script: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::on(port.listen(), script)
    }

    fn on(socket: TcpListener, script: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let url = format!("http://{}", socket.local_addr().expect("an address"));
        let seen = Arc::new(Mutex::new(UpstreamLog::default()));
        let script = Arc::new(script);
        tokio::spawn({
            let seen = seen.clone();
            async move {
                while let Ok((stream, _)) = socket.accept().await {
                    tokio::spawn(connection(stream, script.clone(), seen.clone()));
                }
            }
        });
        Self { url, seen }
    }

    /// The requests so far, head and body, without those for `/api/version`.
    pub fn requests(&self) -> Vec<String> {
        self.seen.lock().expect("no panic").requests.clone()
    }

    /// How many times the other side hung up while the script held or sent.
    pub fn hung_up(&self) -> usize {
        self.seen.lock().expect("no panic").hung_up
    }
}

type Script = Arc<dyn Fn(&str) -> Vec<Step> + Send + Sync>;

async fn connection(mut stream: TcpStream, script: Script, seen: Arc<Mutex<UpstreamLog>>) {
    let _ = stream.set_nodelay(true);
    while let Some(request) = read_request(&mut stream).await {
        let steps = if request.starts_with("GET /api/version ") {
            vec![Step::Send(json("200 OK", r#"{"version":"0.33.0"}"#))]
        } else {
            seen.lock().expect("no panic").requests.push(request.clone());
            script(&request)
        };
        for step in steps {
            match step {
                Step::Send(bytes) => {
                    if stream.write_all(&bytes).await.is_err() {
                        seen.lock().expect("no panic").hung_up += 1;
                        return;
                    }
                }
                Step::Wait(time) => tokio::time::sleep(time).await,
                Step::Until(told) => told.notified().await,
                Step::Hold => {
                    let mut byte = [0];
                    // Zero bytes or an error: the other side is gone.
                    let _ = stream.read(&mut byte).await;
                    seen.lock().expect("no panic").hung_up += 1;
                    return;
                }
                Step::Close => return,
                Step::Reset => {
                    let _ = stream.set_zero_linger();
                    return;
                }
            }
        }
    }
}

/// A request's head and body, by its content-length or its chunks.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().expect("a length"));
            let chunked = head.contains("transfer-encoding: chunked");
            if (chunked && body.ends_with("0\r\n\r\n")) || (!chunked && body.len() >= length) {
                return Some(text);
            }
        }
        match stream.read(&mut piece).await {
            Ok(count) if count > 0 => bytes.extend_from_slice(&piece[..count]),
            _ => return None,
        }
    }
}

/// A whole answer of JSON.
pub fn json(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The head of a stream of lines.
pub fn ndjson_head() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
        .to_vec()
}

/// One chunk of such a stream.
pub fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// The end of such a stream.
pub fn end() -> Vec<u8> {
    b"0\r\n\r\n".to_vec()
}
