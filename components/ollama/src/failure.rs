//! What a failure looks like to an Ollama client. Pure.
//!
//! Before anything was sent it is a status with `{"error": …}`, after that a line with the same.
//! Clients know both from Ollama itself.

use wasm_host_guest::ollama::Error;
use wasm_host_guest::{BodyError, IntoResponse, Response, StatusCode, header};

use crate::json;
use crate::request::Invalid;

/// The content type of every JSON answer, as Ollama writes it.
pub(crate) const JSON: &str = "application/json; charset=utf-8";

/// An answer that is an error.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    status: StatusCode,
    body: String,
}

impl Failure {
    /// A call that failed before anything was sent.
    pub(crate) fn of(error: Error) -> Self {
        let status = match &error {
            Error::Refused(refusal) => return Self::of_refusal(refusal.status, &error),
            Error::Invalid(_) => StatusCode::BAD_REQUEST,
            Error::Unreachable(_) | Error::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Error::TimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
            Error::Truncated | Error::Malformed(_) => StatusCode::BAD_GATEWAY,
            // The status that Ollama gives when it fails half way and has not answered yet.
            Error::Interrupted(_) => StatusCode::INTERNAL_SERVER_ERROR,
            // Nobody is left to read it.
            Error::Cancelled => StatusCode::from_u16(499).unwrap_or_default(),
        };
        Self::new(status, &message(&error))
    }

    pub(crate) fn of_body(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { limit } => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                &format!("the request body is larger than {limit} bytes"),
            ),
            BodyError::Incomplete | BodyError::Json(_) | BodyError::Other(_) => {
                Self::new(StatusCode::BAD_REQUEST, "the request body ended before its end")
            }
        }
    }

    /// The server's own answer, as it is if it is what a client can read.
    fn of_refusal(status: u16, error: &Error) -> Self {
        let status = StatusCode::from_u16(status)
            .ok()
            .filter(|status| status.is_client_error() || status.is_server_error())
            .unwrap_or(StatusCode::BAD_GATEWAY);
        match error {
            Error::Refused(refusal) if json::Members::parse(&refusal.body).is_ok() => {
                Self { status, body: refusal.body.clone() }
            }
            other => Self::new(status, &message(other)),
        }
    }

    fn new(status: StatusCode, message: &str) -> Self {
        Self { status, body: json::error(message) }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let answer = (self.status, [(header::CONTENT_TYPE, JSON)], self.body);
        match self.status {
            // A place may be free, and a server that was just started is found, within this time.
            StatusCode::SERVICE_UNAVAILABLE => {
                ([(header::RETRY_AFTER, "2")], answer).into_response()
            }
            _ => answer.into_response(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::of(error)
    }
}

impl From<Invalid> for Failure {
    fn from(Invalid(why): Invalid) -> Self {
        Self::new(StatusCode::BAD_REQUEST, &why)
    }
}

/// How a stream that has begun ends when it fails.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    /// The last line.
    pub(crate) line: String,
    /// Why the body must not count as whole. An error line of the server's own is a whole answer;
    /// anything else would be lost on a client that only looks at the last line it knows.
    pub(crate) broken: Option<String>,
}

impl Ending {
    pub(crate) fn of(error: Error) -> Self {
        let message = message(&error);
        let line = json::error(&message);
        let broken = (!matches!(error, Error::Interrupted(_))).then_some(message);
        Self { line, broken }
    }
}

fn message(error: &Error) -> String {
    match error {
        Error::Unreachable(why) => format!("Ollama cannot be reached: {why}"),
        Error::TimedOut(why) => format!("Ollama does not answer: {why}"),
        Error::Refused(refusal) => refusal.message.clone(),
        Error::Invalid(text) | Error::Interrupted(text) => text.clone(),
        Error::Truncated => "Ollama's answer ended before its end".to_string(),
        Error::Malformed(why) => format!("Ollama's answer cannot be read: {why}"),
        Error::Busy(why) => format!("server busy, please try again: {why}"),
        Error::Cancelled => "cancelled".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use wasm_host_guest::ollama::Refusal;

    use super::*;

    fn failure(error: Error) -> (u16, String) {
        let Failure { status, body } = Failure::of(error);
        (status.as_u16(), body)
    }

    fn refusal(status: u16, body: &str) -> Error {
        Error::Refused(Refusal { status, message: "why".into(), body: body.into() })
    }

    #[test]
    fn a_refusal_is_passed_on_as_it_is() {
        let body = r#"{"error":"model 'x' not found","signin_url":"u"}"#;
        assert_eq!(failure(refusal(404, body)), (404, body.to_string()));
        // What no client could read is told in the form that it knows.
        let told = r#"{"error":"why"}"#.to_string();
        assert_eq!(failure(refusal(502, "<html>")), (502, told.clone()));
        assert_eq!(failure(refusal(403, "")), (403, told.clone()));
        assert_eq!(failure(refusal(302, "")), (502, told));
    }

    #[test]
    fn each_failure_has_a_status_of_its_own_kind() {
        for (error, status) in [
            (Error::Unreachable("connection refused".into()), 503),
            (Error::Busy("8 calls".into()), 503),
            (Error::TimedOut("600 s".into()), 504),
            (Error::Invalid("x".into()), 400),
            (Error::Interrupted("x".into()), 500),
            (Error::Truncated, 502),
            (Error::Malformed("x".into()), 502),
        ] {
            let (actual, body) = failure(error);
            assert_eq!(actual, status, "{body}");
            assert!(body.starts_with(r#"{"error":""#), "{body}");
        }
    }

    #[test]
    fn only_the_servers_own_error_line_ends_a_stream_cleanly() {
        let own = Ending::of(Error::Interrupted("out of memory".into()));
        assert_eq!((own.line.as_str(), own.broken), (r#"{"error":"out of memory"}"#, None));
        for error in [Error::Truncated, Error::Malformed("x".into()), Error::Cancelled] {
            let Ending { line, broken } = Ending::of(error);
            assert!(line.starts_with(r#"{"error":""#) && broken.is_some(), "{line}");
        }
    }
}
