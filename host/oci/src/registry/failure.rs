//! What is said when a registry is not there, or refuses.

use std::error::Error;

use reqwest::{Response, StatusCode};
use serde::Deserialize;

use super::Registry;
use crate::error::{Kind, OciError, said};
use crate::reference::Reference;
use crate::settings::Hints;
use wasm_host_limits::oci::CONNECT_TIMEOUT;

/// How registries say what is wrong.
#[derive(Deserialize)]
struct Reasons {
    errors: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Registry {
    /// Why no answer came.
    pub(super) fn unreachable(&self, error: reqwest::Error) -> OciError {
        let host = &self.host;
        let away = |why: &str| {
            OciError::new(Kind::Away, format!("the registry {host} cannot be reached: {why}"))
        };
        if error.is_redirect() {
            let why = deepest(&error);
            return OciError::new(
                Kind::Refused,
                format!("the registry {host} is not followed: {why}"),
            );
        }
        if let Some(error) = encryption(&error) {
            return match error {
                rustls::Error::InvalidMessage(_) => OciError::new(
                    Kind::Refused,
                    format!("the registry {host} speaks HTTP without encryption"),
                )
                .hint(match self.hints {
                    Hints::File => format!(
                        "if it is meant to, write plain-http = true below [registry.\"{host}\"] in the application file"
                    ),
                    Hints::Options => "if it is meant to, give --plain-http".to_owned(),
                }),
                error => OciError::new(
                    Kind::Refused,
                    // It may have names of the certificate in it.
                    format!("the registry {host} cannot be trusted: {}", said(&error.to_string())),
                )
                .hint(match self.hints {
                    Hints::File => format!(
                        "if its authority is one of your own, name it with ca = \"FILE.pem\" below [registry.\"{host}\"]"
                    ),
                    Hints::Options => {
                        "if its authority is one of your own, name it with --ca FILE.pem".to_owned()
                    }
                }),
            };
        }
        if !error.is_connect() {
            return away("the connection was lost before it answered");
        }
        if error.is_timeout() {
            return away(&format!("no connection within {CONNECT_TIMEOUT:?}"));
        }
        away(&said(&deepest(&error)))
    }

    /// Why it does not give what was asked for, or does not take it.
    pub(super) async fn refusal(
        &self,
        response: Response,
        reference: &Reference,
        what: &str,
    ) -> OciError {
        let (host, status) = (&self.host, response.status());
        let reason = self.reason(response).await;
        let said = said_by(&reason).map(|said| format!(" ({said})")).unwrap_or_default();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let place = reference.place();
                match self.known(reference).await {
                    Ok(None) => OciError::new(
                        Kind::Refused,
                        format!("the registry {host} lets nobody unknown at {place}{said}"),
                    )
                    .hint(format!("log in with `docker login {host}`, or with `podman login`")),
                    _ => OciError::new(
                        Kind::Refused,
                        format!("the registry {host} refuses the credentials for {place}{said}"),
                    )
                    .hint(format!("log in anew with `docker login {host}`, or ask for access")),
                }
            }
            StatusCode::NOT_FOUND => {
                OciError::new(Kind::Missing, format!("the registry {host} has no {what}{said}"))
                    .hint("correct the name, or push it")
            }
            StatusCode::TOO_MANY_REQUESTS => {
                let message = format!("the registry {host} has been asked too often{said}");
                OciError::new(Kind::Away, message).hint("try later, or log in")
            }
            status if status.is_server_error() => {
                let message = format!("the registry {host} failed with {status}{said}");
                OciError::new(Kind::Away, message)
            }
            status => {
                let message = format!("the registry {host} answered {status} for {what}{said}");
                OciError::new(Kind::Refused, message)
            }
        }
    }
}

/// Words of a registry, as messages repeat them.
pub(super) fn said_by(body: &[u8]) -> Option<String> {
    let Reasons { errors } = serde_json::from_slice(body).ok()?;
    let Reason { code, message } = errors.into_iter().next()?;
    let words = if message.is_empty() { code } else { message };
    (!words.is_empty()).then(|| said(&words))
}

/// What TLS has to say of it.
fn encryption(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref() {
            return Some(error);
        }
        source = match cause.downcast_ref::<std::io::Error>() {
            // One that is wrapped does not count as its source.
            Some(error) => error.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => cause.source(),
        };
    }
    None
}

/// The cause behind all others, in its own words. Addresses in them are those of the reference.
fn deepest(error: &reqwest::Error) -> String {
    let mut cause: &(dyn Error + 'static) = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use wasm_host_limits::oci::REASON_BYTES;

    use super::*;

    #[test]
    fn a_registrys_words_are_bounded_and_command_no_terminal() {
        let said = |text: &str| said_by(text.as_bytes());
        let one = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
        assert_eq!(said(one).as_deref(), Some("'authentication required'"));
        assert_eq!(said(r#"{"errors":[{"code":"DENIED"}]}"#).as_deref(), Some("'DENIED'"));
        assert_eq!(said("<html>"), None);
        assert_eq!(said(r#"{"errors":[]}"#), None);
        assert_eq!(said(r#"{"errors":[{"message":""}]}"#), None);
        let long = format!(r#"{{"errors":[{{"message":"{}"}}]}}"#, "é".repeat(1000));
        assert_eq!(said(&long).unwrap().len(), REASON_BYTES + "''…".len());
        let loud = r#"{"errors":[{"message":"\u001b[2J\nwasm-host: ok \u202e"}]}"#;
        assert_eq!(said(loud).unwrap(), r"'\u{1b}[2J\nwasm-host: ok \u{202e}'");
    }
}
