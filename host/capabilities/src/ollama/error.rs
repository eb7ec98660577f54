//! How failures become the errors of the WIT interface. What a component reads here may reach a
//! stranger, so no text names the server's address.

use std::time::Duration;

use super::backend::{Error, Refusal};
use super::json;
use crate::caught::Panicked;
use crate::transport::TransportError;
use wasm_host_limits::ollama::REFUSAL_BYTES;

/// The server's refusal: `body` as it was sent, cut to the bound.
pub(super) fn refused(status: http::StatusCode, body: &[u8]) -> Error {
    let body = body.get(..REFUSAL_BYTES).unwrap_or(body);
    let body = String::from_utf8_lossy(body).into_owned();
    let message = json::error_text(&body).unwrap_or_else(|| {
        let reason = status.canonical_reason().unwrap_or("no reason given");
        format!("the server answered {} ({reason})", status.as_u16())
    });
    Error::Refused(Refusal { status: status.as_u16(), message, body })
}

/// A refusal of this host in the server's own form.
pub(super) fn forbidden(message: String) -> Error {
    let body = format!("{{\"error\":{}}}", json::text(&message));
    Error::Refused(Refusal { status: 403, message, body })
}

pub(super) fn timed_out(limit: Duration) -> Error {
    Error::TimedOut(format!("the server sent nothing for {} s", limit.as_secs_f32()))
}

/// No place at the server, and none in the line.
pub(super) fn busy(calls: usize, queue: usize) -> Error {
    let line = match queue {
        0 => String::new(),
        _ => format!(", and as many wait as may ({queue})"),
    };
    Error::Busy(format!("{}{line}", running(calls)))
}

pub(super) fn waited_in_vain(calls: usize, limit: Duration) -> Error {
    let limit = limit.as_secs_f32();
    Error::Busy(format!("{}, and none of them ended within {limit} s", running(calls)))
}

fn running(calls: usize) -> String {
    format!("the server has as many calls as it is given at once, {calls}")
}

impl From<Panicked> for Error {
    fn from(panicked: Panicked) -> Self {
        Self::Unreachable(panicked.to_string())
    }
}

impl From<TransportError> for Error {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Unreachable(why) | TransportError::Lost(why) => Self::Unreachable(why),
            TransportError::Invalid(why) => Self::Invalid(why),
            TransportError::Cancelled => Self::Cancelled,
        }
    }
}
