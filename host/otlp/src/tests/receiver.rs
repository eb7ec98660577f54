//! A collector that does what its script says, and hands on what it was sent.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use wasm_host_settings::tls::ServerTls;

use super::PATIENCE;

/// What it does with one request. Without any it takes it.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Take,
    /// It cannot use so many items.
    Reject(u8),
    /// A status of HTTP, and headers.
    Http(u16, Vec<(&'static str, String)>),
    /// A status of gRPC, and its details.
    Grpc(u32, Option<String>),
    /// Nothing, ever.
    Hang,
}

#[derive(Debug)]
pub(super) struct Received {
    pub path: String,
    pub headers: HeaderMap,
    /// The message, neither compressed nor framed.
    pub message: Vec<u8>,
}

impl Received {
    pub(super) fn read<M: Message + Default>(&self) -> M {
        M::decode(self.message.as_slice()).unwrap()
    }
}

pub(super) struct Receiver {
    pub address: SocketAddr,
    script: Arc<Mutex<VecDeque<Reply>>>,
    received: mpsc::UnboundedReceiver<Received>,
}

impl Receiver {
    pub(super) async fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        Self::on(Self::listener().await, script)
    }

    pub(super) async fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").await.unwrap()
    }

    /// It takes whoever waits there, too.
    pub(super) fn on(listener: TcpListener, script: impl IntoIterator<Item = Reply>) -> Self {
        Self::with(listener, None, script)
    }

    /// That has a certificate.
    pub(super) async fn encrypted(tls: &ServerTls) -> Self {
        Self::with(Self::listener().await, Some(tls.config().into()), [])
    }

    fn with(
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        script: impl IntoIterator<Item = Reply>,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Mutex::new(script.into_iter().collect::<VecDeque<_>>()));
        let (hand_on, received) = mpsc::unbounded_channel();
        let replies = script.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (hand_on, replies) = (hand_on.clone(), replies.clone());
                let service =
                    service_fn(move |request| answer(request, hand_on.clone(), replies.clone()));
                let tls = tls.clone();
                tokio::spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    // Those that leave are no concern of a test's.
                    match tls {
                        None => drop(server.serve_connection(TokioIo::new(stream), service).await),
                        Some(tls) => {
                            let Ok(stream) = tls.accept(stream).await else { return };
                            drop(server.serve_connection(TokioIo::new(stream), service).await);
                        }
                    }
                });
            }
        });
        Self { address, script, received }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn will(&self, reply: Reply) {
        self.script.lock().push_back(reply);
    }

    pub(super) async fn next(&mut self) -> Received {
        timeout(PATIENCE, self.received.recv()).await.expect("nothing came").unwrap()
    }

    pub(super) fn has_more(&mut self) -> bool {
        self.received.try_recv().is_ok()
    }
}

type Answered = Result<Response<UnsyncBoxBody<Bytes, Infallible>>, Infallible>;

async fn answer(
    request: Request<Incoming>,
    hand_on: mpsc::UnboundedSender<Received>,
    replies: Arc<Mutex<VecDeque<Reply>>>,
) -> Answered {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let is_grpc = head.headers.get("content-type").is_some_and(|kind| kind == "application/grpc");
    let message = match is_grpc {
        true => {
            let (prefix, message) = body.split_at(5);
            assert_eq!(u32::from_be_bytes(prefix[1..].try_into().unwrap()) as usize, message.len());
            let is_gzip = head.headers.contains_key("grpc-encoding");
            assert_eq!(prefix[0], u8::from(is_gzip));
            plain(message, is_gzip)
        }
        false => plain(&body, head.headers.contains_key("content-encoding")),
    };
    let reply = replies.lock().pop_front().unwrap_or(Reply::Take);
    let _ =
        hand_on.send(Received { path: head.uri.path().to_owned(), headers: head.headers, message });
    match reply {
        Reply::Take => said(is_grpc, &[], 0, None),
        // `partial_success`, with `rejected_spans` in it.
        Reply::Reject(count) => said(is_grpc, &[10, 2, 8, count], 0, None),
        Reply::Grpc(code, details) => said(true, &[], code, details),
        Reply::Http(status, headers) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(Full::from("hunter2 is wrong").boxed_unsync()).unwrap())
        }
        Reply::Hang => std::future::pending().await,
    }
}

fn plain(bytes: &[u8], is_gzip: bool) -> Vec<u8> {
    let mut plain = Vec::new();
    match is_gzip {
        true => drop(GzDecoder::new(bytes).read_to_end(&mut plain).unwrap()),
        false => plain.extend_from_slice(bytes),
    }
    plain
}

fn said(is_grpc: bool, message: &[u8], code: u32, details: Option<String>) -> Answered {
    if !is_grpc {
        return Ok(Response::new(Full::from(message.to_vec()).boxed_unsync()));
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", code.into());
    trailers.insert("grpc-message", HeaderValue::from_static("hunter2 is wrong"));
    if let Some(details) = details {
        trailers.insert("grpc-status-details-bin", details.parse().unwrap());
    }
    let response = Response::builder().header("content-type", "application/grpc");
    if code != 0 {
        // Without an answer the status is in the head.
        let (mut head, ()) = response.body(()).unwrap().into_parts();
        head.headers.extend(trailers);
        return Ok(Response::from_parts(head, Full::default().boxed_unsync()));
    }
    let mut framed = vec![0, 0, 0, 0, message.len().try_into().unwrap()];
    framed.extend_from_slice(message);
    let body = Full::from(framed).with_trailers(async { Some(Ok(trailers)) });
    Ok(response.body(body.boxed_unsync()).unwrap())
}
