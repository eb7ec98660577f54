//! A call of gRPC with one message each way.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::StatusCode;
use http::header::HeaderMap;
use prost::Message;

use super::{SendOutcome, rejected};

/// Whether it is compressed, and its length.
pub(crate) const PREFIX: usize = 5;

/// Of the codes of gRPC, those that matter here.
const OK: u32 = 0;
const RESOURCE_EXHAUSTED: u32 = 8;

pub(crate) fn framed(message: &[u8], is_compressed: bool) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(is_compressed.into());
    // Messages are some megabytes at most.
    framed.put_u32(message.len().try_into().unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

/// The status is behind the answer, or before it where there is no answer.
pub(super) fn answer(
    http: StatusCode,
    headers: &HeaderMap,
    trailers: &HeaderMap,
    body: &[u8],
) -> SendOutcome {
    let of = |name: &str| trailers.get(name).or_else(|| headers.get(name));
    let code = of("grpc-status").and_then(|code| code.to_str().ok()?.trim().parse::<u32>().ok());
    let Some(code) = code else { return without_status(http) };
    if code == OK {
        return SendOutcome::Taken { rejected: rejected(body.get(PREFIX..).unwrap_or_default()) };
    }
    let why = format!("status {code} of gRPC ({})", name(code));
    let pause = of("grpc-status-details-bin").and_then(|details| pause(details.as_bytes()));
    match code {
        // CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS
        1 | 4 | 10 | 11 | 14 | 15 => SendOutcome::Later { why, pause },
        // Only a collector that says when will have room again.
        RESOURCE_EXHAUSTED if pause.is_some() => SendOutcome::Later { why, pause },
        _ => SendOutcome::Refused { why },
    }
}

/// Something else answered than a collector, such as a proxy before it.
fn without_status(http: StatusCode) -> SendOutcome {
    match http.as_u16() {
        429 | 502 | 503 | 504 => SendOutcome::later(http.to_string()),
        200 => SendOutcome::later("the answer breaks off"),
        _ => SendOutcome::Refused { why: format!("{http}, which is no answer of gRPC") },
    }
}

/// `RetryInfo` among the details of a status.
fn pause(details: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(details).ok()?.trim_end_matches('=');
    let status = Status::decode(STANDARD_NO_PAD.decode(text).ok()?.as_slice()).ok()?;
    let info = status.details.iter().find(|any| any.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(info.value.as_slice()).ok()?.retry_delay.unwrap_or_default();
    let (seconds, nanos) = (delay.seconds.try_into().ok()?, delay.nanos.try_into().ok()?);
    Some(Duration::from_secs(seconds).saturating_add(Duration::from_nanos(nanos)))
}

fn name(code: u32) -> &'static str {
    match code {
        1 => "cancelled",
        3 => "invalid argument",
        4 => "deadline exceeded",
        5 => "not found",
        7 => "permission denied",
        8 => "resource exhausted",
        10 => "aborted",
        11 => "out of range",
        12 => "unimplemented",
        13 => "internal",
        14 => "unavailable",
        15 => "data loss",
        16 => "unauthenticated",
        _ => "an error",
    }
}

/// `google.rpc.Status`
#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

/// `google.protobuf.Any`
#[derive(Clone, PartialEq, Message)]
pub(super) struct Any {
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`
#[derive(Clone, PartialEq, Message)]
pub(super) struct Delay {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details(delay: Delay) -> String {
        let info = RetryInfo { retry_delay: Some(delay) };
        let type_url = "type.googleapis.com/google.rpc.RetryInfo".to_owned();
        let other = Any { type_url: "type.googleapis.com/other".to_owned(), value: vec![1] };
        let details = vec![other, Any { type_url, value: info.encode_to_vec() }];
        STANDARD_NO_PAD.encode(Status { code: 14, details }.encode_to_vec())
    }

    #[test]
    fn a_pause_is_among_the_details() {
        let text = details(Delay { seconds: 2, nanos: 500_000_000 });
        assert_eq!(pause(text.as_bytes()), Some(Duration::from_millis(2500)));
        assert_eq!(pause(format!("{text}==").as_bytes()), Some(Duration::from_millis(2500)));
        assert_eq!(pause(details(Delay { seconds: -1, nanos: 0 }).as_bytes()), None);
        assert_eq!((pause(b"?"), pause(b"")), (None, None));
    }

    #[test]
    fn what_has_no_status_is_no_collector() {
        let empty = HeaderMap::new();
        let answer = |status| answer(StatusCode::from_u16(status).unwrap(), &empty, &empty, b"");
        assert!(matches!(answer(200), SendOutcome::Later { .. }));
        assert!(matches!(answer(503), SendOutcome::Later { .. }));
        assert!(matches!(answer(404), SendOutcome::Refused { .. }));
    }
}
