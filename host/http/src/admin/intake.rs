//! Telemetry of programs: OTLP over HTTP at its own paths, and over gRPC where the connection speaks HTTP/2.
//!
//! gRPC is no more than what one call needs of it: one message each way, five bytes before it, and a status behind it.

use futures_util::stream;
use http::header::{CONTENT_TYPE, HeaderMap};
use http::{HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};

use super::{Admin, guard};
use crate::intake::{Let, kind, whole};
use crate::listener::Arriving;
use wasm_host_capabilities::body::{Body, full};
use wasm_host_capabilities::outgoing::HttpError as Error;
use wasm_host_limits::intake::INTAKE_BYTES;
use wasm_host_otlp::Signal;
use wasm_host_otlp::intake::grpc::{self, Code};
use wasm_host_otlp::intake::{self, By, Encoding};
use wasm_host_service::failure::{Failure, Kind};
use wasm_host_settings::percent;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// Where telemetry is sent to.
#[derive(Clone, Copy)]
pub(super) enum Sent {
    Http(Signal),
    Grpc(Signal),
}

impl Sent {
    /// None: this path is for something else.
    pub(super) fn to(path: &str) -> Option<Self> {
        Signal::ALL.into_iter().find_map(|signal| {
            if path == signal.method() {
                return Some(Self::Grpc(signal));
            }
            (path.strip_prefix('/') == Some(signal.path())).then_some(Self::Http(signal))
        })
    }
}

impl Admin {
    /// Answer a request with telemetry.
    pub(super) async fn sent(
        &self,
        sent: Sent,
        request: Request<Arriving>,
    ) -> Result<Response<Body>, Failure> {
        let is_in = guard::has_key(&request, &self.token, &self.intake);
        match sent {
            Sent::Http(signal) => {
                is_in?;
                self.intake.of_program(signal, request).await
            }
            Sent::Grpc(signal) => {
                let called = async {
                    is_in?;
                    let called = self.called(signal, request).await;
                    called.inspect_err(|_| self.intake.refuse(By::Key, signal, 1))
                };
                Ok(called.await.map_or_else(|failure| failed(&failure), answered))
            }
        }
    }

    /// Its answer as a message.
    async fn called(&self, signal: Signal, request: Request<Arriving>) -> Result<Vec<u8>, Failure> {
        self.intake.check(request.method())?;
        if !kind(request.headers()).is_some_and(|kind| kind.starts_with("application/grpc")) {
            return Err(Failure::new(Kind::MediaType, "This is called with gRPC."));
        }
        let is_gzip = request.headers().get("grpc-encoding").is_some_and(|coding| coding == "gzip");
        let turn = self.intake.turn(By::Key)?;
        let body = self.intake.body(request.into_body()).await?;
        let message = move || whole(grpc::message(&body, is_gzip, INTAKE_BYTES), INTAKE_BYTES);
        let request = Let { by: By::Key, signal, encoding: Encoding::Protobuf, turn };
        let left_out = self.intake.take(request, message).await?;
        Ok(intake::answer(signal, Encoding::Protobuf, &left_out))
    }
}

fn answered(message: Vec<u8>) -> Response<Body> {
    let frames: [Result<_, Error>; 2] = [
        Ok(Frame::data(grpc::answer(&message))),
        Ok(Frame::trailers(HeaderMap::from_iter([status(Code::Ok)]))),
    ];
    let mut response = Response::new(StreamBody::new(stream::iter(frames)).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

/// There is no message, and the status is in the head.
fn failed(failure: &Failure) -> Response<Body> {
    tracing::debug!("control plane: {failure}");
    let mut response = Response::new(full(""));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, GRPC);
    headers.extend([status(code(failure.kind))]);
    // As gRPC has texts in headers.
    let why = percent::encoded_except(&failure.public, is_plain);
    if let Ok(why) = HeaderValue::from_str(&why) {
        headers.insert("grpc-message", why);
    }
    response
}

fn is_plain(character: char) -> bool {
    matches!(character, ' '..='~') && character != '%'
}

fn status(code: Code) -> (http::HeaderName, HeaderValue) {
    (http::HeaderName::from_static("grpc-status"), HeaderValue::from(code as u16))
}

/// What a sender makes of it: of these, only what is unavailable is sent again.
fn code(kind: Kind) -> Code {
    match kind {
        Kind::Unauthorised => Code::Unauthenticated,
        Kind::Busy | Kind::Cut => Code::Unavailable,
        Kind::BodyTooLarge => Code::ResourceExhausted,
        Kind::BodyTooSlow => Code::DeadlineExceeded,
        Kind::NoRoute | Kind::PostOnly | Kind::NotImplemented => Code::Unimplemented,
        Kind::Forbidden => Code::PermissionDenied,
        Kind::Internal => Code::Internal,
        _ => Code::InvalidArgument,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telemetry_is_sent_to_the_paths_of_otlp_and_no_others() {
        assert!(matches!(Sent::to("/v1/logs"), Some(Sent::Http(Signal::Logs))));
        let method = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
        assert!(matches!(Sent::to(method), Some(Sent::Grpc(Signal::Metrics))));
        for other in ["/", "/v1", "/v1/traces/", "v1/traces", "/api/traces", "//v1/traces"] {
            assert!(Sent::to(other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_failure_is_a_status_with_its_text() {
        let response = failed(&Failure::new(Kind::Unauthorised, "Bearer%20KEY of „x“\n"));
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["grpc-status"], "16");
        let why = response.headers()["grpc-message"].to_str().unwrap();
        assert_eq!(why, "Bearer%2520KEY of %E2%80%9Ex%E2%80%9C%0A");
    }
}
