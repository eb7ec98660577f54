//! One request to a collector, over HTTP or gRPC, and what its answer means.
//!
//! gRPC is what one call needs of it: reqwest speaks HTTP/2 already, and a call that sends one message and takes one back
//! is a POST with five bytes before the message and a status behind it.
//!
//! What a collector says is not repeated: it may quote what was sent, secrets included.

pub(super) mod grpc;

use std::error::Error as _;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, TE, USER_AGENT,
};
use http::{Method, Response, StatusCode};
use http_body_util::BodyExt as _;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use tokio::time::timeout;
use url::Url;

use wasm_host_limits::telemetry as limits;
use wasm_host_settings::tls;

use crate::environment::{Address, Protocol, SignalEndpoint};

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SendOutcome {
    /// The collector has it, but for so many items that it cannot use.
    Taken { rejected: u64 },
    /// It may take it later, and may have said when.
    Later { why: String, pause: Option<Duration> },
    /// It will never take it.
    Refused { why: String },
}

impl SendOutcome {
    fn later(why: impl Into<String>) -> Self {
        Self::Later { why: why.into(), pause: None }
    }
}

/// The way to one collector.
#[derive(Debug)]
pub(super) struct Sender {
    client: reqwest::Client,
    url: Url,
    target: SignalEndpoint,
}

/// What of an answer counts.
struct Whole {
    status: StatusCode,
    headers: HeaderMap,
    /// No more of it than is read of any answer.
    body: Vec<u8>,
    trailers: HeaderMap,
}

impl Sender {
    pub(super) fn new(target: &SignalEndpoint) -> Result<Self, String> {
        tls::install();
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .tcp_nodelay(true)
            .connect_timeout(target.timeout)
            .pool_idle_timeout(limits::EXPORT_IDLE);
        #[cfg(target_os = "linux")]
        {
            // A collector that is gone without a word does not keep its connection for the next request.
            builder = builder.tcp_user_timeout(target.timeout);
        }
        builder = match target.protocol {
            Protocol::Grpc => builder.http2_prior_knowledge(),
            Protocol::Http => builder.http1_only(),
        };
        if !target.address.is_encrypted() {
            // The system's certificates are not needed, and a small machine may have none.
            builder = builder.tls_certs_only([]);
        } else if let Some(authorities) = &target.authorities {
            let own = reqwest::Certificate::from_pem_bundle(authorities.pem());
            let own = own.map_err(|error| wrong(&target.address, &cause(&error)))?;
            builder = builder.tls_certs_merge(own);
        }
        let client = builder.build().map_err(|error| wrong(&target.address, &cause(&error)))?;
        let url = Url::parse(target.address.expose());
        let url = url.map_err(|error| wrong(&target.address, &error.to_string()))?;
        Ok(Self { client, url, target: target.clone() })
    }

    pub(super) fn address(&self) -> &Address {
        &self.target.address
    }

    /// The slip that is made most often.
    pub(super) fn hint(&self) -> &'static str {
        match self.target.protocol {
            Protocol::Http if self.target.address.has_port_of_grpc() => {
                " (4317 is the port of gRPC, for which OTEL_EXPORTER_OTLP_PROTOCOL must be `grpc`)"
            }
            _ => "",
        }
    }

    /// A message as it is sent, which may be often.
    pub(super) fn body(&self, message: &[u8]) -> Bytes {
        let compressed = self.target.is_compressed.then(|| gzip(message));
        let message = compressed.as_deref().unwrap_or(message);
        match self.target.protocol {
            Protocol::Http => Bytes::copy_from_slice(message),
            Protocol::Grpc => grpc::framed(message, self.target.is_compressed),
        }
    }

    pub(super) async fn send(&self, body: Bytes, most: Duration) -> SendOutcome {
        let most = most.min(self.target.timeout);
        match timeout(most, self.exchange(body)).await {
            Ok(Ok(whole)) if self.target.protocol == Protocol::Grpc => {
                grpc::answer(whole.status, &whole.headers, &whole.trailers, &whole.body)
            }
            Ok(Ok(whole)) => answer(&whole),
            Ok(Err(error)) => SendOutcome::later(cause(&error)),
            Err(_) => SendOutcome::later(format!("no answer within {most:?}")),
        }
    }

    async fn exchange(&self, body: Bytes) -> reqwest::Result<Whole> {
        let request = self.client.request(Method::POST, self.url.clone());
        let response = request.headers(self.headers()).body(body).send().await?;
        let (head, mut body) = Response::<reqwest::Body>::from(response).into_parts();
        let (mut bytes, mut trailers) = (Vec::new(), HeaderMap::new());
        while let Some(frame) = body.frame().await {
            match frame?.into_data() {
                Ok(data) => bytes.extend_from_slice(&data),
                Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
            }
            if bytes.len() > limits::EXPORT_ANSWER_BYTES {
                break;
            }
        }
        Ok(Whole { status: head.status, headers: head.headers, body: bytes, trailers })
    }

    /// Those of the environment, and ours, which no variable can change.
    fn headers(&self) -> HeaderMap {
        let mut headers = self.target.headers.clone();
        headers
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(concat!("wasm-host/", env!("CARGO_PKG_VERSION"))));
        match self.target.protocol {
            Protocol::Http => {
                headers.insert(CONTENT_TYPE, PROTOBUF);
                if self.target.is_compressed {
                    headers.insert(CONTENT_ENCODING, GZIP);
                }
            }
            Protocol::Grpc => {
                headers.insert(CONTENT_TYPE, GRPC);
                headers.insert(TE, HeaderValue::from_static("trailers"));
                if self.target.is_compressed {
                    headers.insert("grpc-encoding", GZIP);
                }
            }
        }
        headers
    }
}

fn wrong(address: &Address, what: &str) -> String {
    format!("nothing can be sent to {address}: {what}")
}

pub(super) fn gzip(message: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Memory takes everything.
    let _ = encoder.write_all(message);
    encoder.finish().unwrap_or_default()
}

fn answer(whole: &Whole) -> SendOutcome {
    let why = whole.status.to_string();
    match whole.status.as_u16() {
        200..=299 => SendOutcome::Taken { rejected: rejected(&whole.body) },
        429 | 502 | 503 | 504 => SendOutcome::Later { why, pause: pause(&whole.headers) },
        _ => SendOutcome::Refused { why },
    }
}

/// How many items a collector could not use. The answers for all signals have that in the same place.
fn rejected(answer: &[u8]) -> u64 {
    let answer = ExportTraceServiceResponse::decode(answer).ok();
    let partial = answer.and_then(|answer| answer.partial_success);
    partial.and_then(|partial| partial.rejected_spans.try_into().ok()).unwrap_or(0)
}

/// `Retry-After`, as seconds or as a date.
fn pause(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

/// What is at the bottom of an error. What is above it may have the address, with what is secret in it.
fn cause(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    while let Some(next) = cause.and_then(|cause| cause.source()) {
        cause = Some(next);
    }
    cause.map_or_else(|| "the connection failed".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Option<Duration> {
        pause(&HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]))
    }

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_as_a_date() {
        assert_eq!(asked("120"), Some(Duration::from_secs(120)));
        let date = SystemTime::now() + Duration::from_secs(100);
        let pause = asked(&httpdate::fmt_http_date(date)).unwrap();
        assert!(pause > Duration::from_secs(90) && pause <= Duration::from_secs(100), "{pause:?}");
        assert_eq!(asked("Fri, 31 Dec 1999 23:59:59 GMT"), Some(Duration::ZERO));
        assert_eq!((asked("soon"), asked("-1")), (None, None));
    }

    /// Whatever answers, it is no collector, but it has taken what was sent.
    #[test]
    fn an_answer_that_cannot_be_read_rejects_nothing() {
        assert_eq!(rejected(b"<html>"), 0);
        assert_eq!(rejected(&[]), 0);
        assert_eq!(rejected(&[10, 2, 8, 7]), 7);
    }
}
