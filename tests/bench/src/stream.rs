//! Streams of tokens: a model server that sends them at a fixed pace, and clients that note when each came.
//!
//! Every token carries the time at which it was sent, on the clock that all processes of a machine share. So a
//! client knows how long each one was under way, whatever lies in between.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until, timeout};

/// Surrounds the time in a token.
const MARK: u8 = b'@';

/// How long a client waits for more of a stream.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a stream is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    pub(crate) tokens: u32,
    /// Between two tokens; zero sends as fast as it goes.
    pub(crate) pause: Duration,
}

impl Pace {
    /// As the name of a model, which is all that a client says.
    fn model(self) -> String {
        format!("pace-{}-{}", self.tokens, self.pause.as_micros())
    }

    /// The body of a request for it.
    fn request(self) -> String {
        format!("{{\"model\":\"{}\",\"prompt\":\"x\"}}", self.model())
    }

    fn of_request(request: &str) -> Option<Self> {
        let (_, rest) = request.split_once("pace-")?;
        let name = rest.split('"').next()?;
        let (tokens, pause) = name.split_once('-')?;
        let pause = Duration::from_micros(pause.parse().ok()?);
        Some(Self { tokens: tokens.parse().ok()?, pause })
    }
}

/// Microseconds on the clock of the machine. Should it be set meanwhile, that is seen as a wild figure.
fn now() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(time.as_micros()).unwrap_or_default()
}

/// Serve as a model server that says nothing but times.
pub(crate) async fn upstream(listener: TcpListener) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // Who hangs up gets no more; that is no news.
        tokio::spawn(async move { drop(converse(stream).await) });
    }
}

async fn converse(mut stream: TcpStream) -> Result<()> {
    let mut pending = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut pending).await? {
        let Some(pace) = Pace::of_request(&request) else {
            let body = "{\"version\":\"0.33.0\"}";
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length:";
            stream.write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes()).await?;
            continue;
        };
        send(&mut stream, pace).await?;
    }
    Ok(())
}

async fn send(stream: &mut TcpStream, pace: Pace) -> Result<()> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n\
                transfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    let (started, mut written) = (Instant::now(), Vec::new());
    for number in 0..pace.tokens {
        if !pace.pause.is_zero() {
            sleep_until(started + pace.pause * number).await;
        }
        let line = format!("{{\"model\":\"m\",\"response\":\"@{}@\",\"done\":false}}\n", now());
        written.extend_from_slice(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes());
        // At full speed a server writes what fits, not token by token.
        if !pace.pause.is_zero() || written.len() > 8 * 1024 {
            stream.write_all(&written).await?;
            written.clear();
        }
    }
    let last = "{\"model\":\"m\",\"response\":\"\",\"done\":true,\"done_reason\":\"stop\"}\n";
    written.extend_from_slice(format!("{:x}\r\n{last}\r\n0\r\n\r\n", last.len()).as_bytes());
    stream.write_all(&written).await?;
    Ok(())
}

async fn read_request(stream: &mut TcpStream, pending: &mut Vec<u8>) -> Result<Option<String>> {
    loop {
        let text = String::from_utf8_lossy(pending).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length = length.map_or(Ok(0), |length| length.trim().parse::<usize>())?;
            let chunked = head.contains("transfer-encoding: chunked");
            if (chunked && body.ends_with("0\r\n\r\n")) || (!chunked && body.len() >= length) {
                pending.clear();
                return Ok(Some(text));
            }
        }
        if stream.read_buf(pending).await? == 0 {
            return Ok(None);
        }
    }
}

/// When the tokens of a stream came, all in microseconds.
#[derive(Debug, Default)]
pub(crate) struct TokenTimes {
    /// From the request to the first token.
    pub(crate) first: f64,
    /// How long each token was under way.
    pub(crate) under_way: Vec<f64>,
    /// From the request to the end.
    pub(crate) whole: f64,
}

/// Ask for a stream and read it to its end. A stream that is not whole is an error. `begun` is told when the
/// first token is there.
pub(crate) async fn read(
    address: &str,
    path: &str,
    pace: Pace,
    begun: impl FnOnce(),
) -> Result<TokenTimes> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let body = pace.request();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let asked = now();
    stream.write_all(head.as_bytes()).await?;
    let mut reader = Reader::default();
    let (mut seen, mut begun) = (TokenTimes::default(), Some(begun));
    loop {
        let read = timeout(PATIENCE, stream.read_buf(&mut reader.pending));
        if read.await.context("a stream stopped")?? == 0 {
            bail!("a stream ended after {} of {} tokens", seen.under_way.len(), pace.tokens);
        }
        let came = now();
        reader.times(|sent| seen.under_way.push(came.saturating_sub(sent) as f64));
        if let Some(begun) = begun.take_if(|_| !seen.under_way.is_empty()) {
            seen.first = came.saturating_sub(asked) as f64;
            begun();
        }
        if reader.ended() {
            seen.whole = came.saturating_sub(asked) as f64;
            break;
        }
    }
    if seen.under_way.len() != pace.tokens as usize {
        bail!("{} tokens came of {}", seen.under_way.len(), pace.tokens);
    }
    Ok(seen)
}

/// A connection of HTTP/2, which many streams share.
#[derive(Clone)]
pub(crate) struct Shared {
    connection: http2::SendRequest<Full<Bytes>>,
    uri: String,
}

impl Shared {
    pub(crate) async fn connect(address: &str, path: &str) -> Result<Self> {
        let stream = TokioIo::new(TcpStream::connect(address).await?);
        let (connection, driver) = http2::handshake(TokioExecutor::new(), stream).await?;
        // An end of it is seen by its streams.
        tokio::spawn(driver);
        Ok(Self { connection, uri: format!("http://{address}{path}") })
    }

    /// Ask for a stream and read it to its end, as [`read`] does.
    pub(crate) async fn read(mut self, pace: Pace, begun: impl FnOnce()) -> Result<()> {
        let request = Request::post(&self.uri).header("content-type", "application/json");
        let request = request.body(Full::new(Bytes::from(pace.request())))?;
        let answer = timeout(PATIENCE, self.connection.send_request(request));
        let mut body = answer.await.context("no answer")??.into_body();
        let (mut reader, mut tokens, mut begun) = (Reader::default(), 0, Some(begun));
        while let Some(frame) = timeout(PATIENCE, body.frame()).await.context("a stream stopped")? {
            reader.pending.extend_from_slice(frame?.data_ref().map_or(&[], |data| data));
            reader.times(|_| tokens += 1);
            if let Some(begun) = begun.take_if(|_| tokens > 0) {
                begun();
            }
        }
        if tokens != pace.tokens {
            bail!("{tokens} tokens came of {}", pace.tokens);
        }
        Ok(())
    }
}

/// Finds the times in a body without looking at how it is framed: a token is never split by more than a read.
#[derive(Default)]
struct Reader {
    pending: Vec<u8>,
    tail: Vec<u8>,
}

impl Reader {
    fn times(&mut self, mut each: impl FnMut(u64)) {
        let mut rest = self.pending.as_slice();
        while let Some(open) = rest.iter().position(|byte| *byte == MARK) {
            let Some(after) = rest.get(open + 1..) else { break };
            let Some(close) = after.iter().position(|byte| *byte == MARK) else {
                rest = rest.get(open..).unwrap_or_default();
                self.pending = rest.to_vec();
                return;
            };
            let digits = after.get(..close).and_then(|digits| std::str::from_utf8(digits).ok());
            if let Some(time) = digits.and_then(|digits| digits.parse().ok()) {
                each(time);
            }
            rest = after.get(close + 1..).unwrap_or_default();
        }
        self.tail.extend_from_slice(rest);
        let surplus = self.tail.len().saturating_sub(END.len());
        self.tail.drain(..surplus);
        self.pending.clear();
    }

    /// Whether the last chunk has come.
    fn ended(&self) -> bool {
        self.tail == END
    }
}

const END: &[u8] = b"\r\n0\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_however_the_bytes_are_split() {
        let body =
            b"4d\r\n{\"response\":\"@123@\"}\n\r\n4d\r\n{\"response\":\"@45@\"}\n\r\n0\r\n\r\n";
        for split in 1..body.len() {
            let (mut reader, mut times) = (Reader::default(), Vec::new());
            reader.pending.extend_from_slice(&body[..split]);
            reader.times(|time| times.push(time));
            assert!(!reader.ended());
            reader.pending.extend_from_slice(&body[split..]);
            reader.times(|time| times.push(time));
            assert_eq!(times, [123, 45], "split at {split}");
            assert!(reader.ended(), "split at {split}");
        }
    }

    #[test]
    fn a_pace_is_told_by_a_name() {
        let pace = Pace { tokens: 40, pause: Duration::from_millis(20) };
        let request = format!("POST / HTTP/1.1\r\n\r\n{{\"model\":\"{}\"}}", pace.model());
        assert_eq!(Pace::of_request(&request), Some(pace));
        assert_eq!(Pace::of_request("GET /api/version HTTP/1.1\r\n\r\n"), None);
    }
}
