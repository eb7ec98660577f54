//! Errors as clients see them: problem documents (RFC 9457).

use std::fmt::Display;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::bindings::wasi::http::types::ErrorCode;
use crate::{BodyError, IntoResponse, Response, keyvalue, ollama, sql};

/// Seconds after which a backend that could not answer may be asked again.
const RETRY_SECONDS: u64 = 1;

/// An answer that is an error. The failures of this crate become one by `?`: what a client can mend is told to it, what
/// it cannot goes to the log, and the client learns only the status.
///
/// ```no_run
/// use wasm_host_guest::{Json, Method, Problem, Request, StatusCode, sql};
///
/// async fn handle(request: Request) -> Result<Json<Vec<String>>, Problem> {
///     if request.method() != Method::GET {
///         return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Try GET."));
///     }
///     Ok(Json(sql::query("select word from words").fetch_all().await?))
/// }
/// ```
#[derive(Debug)]
pub struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    status: StatusCode,
    /// In the order in which they are written.
    members: Vec<(String, Value)>,
    headers: HeaderMap,
}

impl Problem {
    /// A problem whose title is the status' own. `detail` is for the client: what is wrong with this request.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let members = [
            ("type", Value::from("about:blank")),
            ("title", status.canonical_reason().unwrap_or("Error").into()),
            ("status", status.as_u16().into()),
            ("detail", detail.into().into()),
        ];
        let members = members.map(|(name, value)| (name.to_string(), value)).into();
        Self(Box::new(Parts { status, members, headers: HeaderMap::new() }))
    }

    /// A fault of the service: status 500. The cause is written to the log, and to no client.
    pub fn internal(cause: impl Display) -> Self {
        eprintln!("{cause}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "The service failed. Its log says why.")
    }

    /// Another member: `type`, `title`, `instance`, or an extension. A value without a JSON form is left out.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            match self.0.members.iter_mut().find(|(own, _)| own == name) {
                Some((_, own)) => *own = value,
                None => self.0.members.push((name.to_string(), value)),
            }
        }
        self
    }

    /// Another header of the response.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.append(name, value);
        self
    }

    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    fn unavailable(cause: impl Display, detail: &str) -> Self {
        eprintln!("{cause}");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            .with_header(RETRY_AFTER, RETRY_SECONDS.into())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Parts { status, members, headers } = *self.0;
        let mut response = Response::new(document(&members).into());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        let content_type = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        response
    }
}

#[cfg(feature = "axum")]
impl axum_core::response::IntoResponse for Problem {
    fn into_response(self) -> axum_core::response::Response {
        IntoResponse::into_response(self).map(axum_core::body::Body::new)
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let status = match &error {
            BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::Incomplete | BodyError::Json(_) => StatusCode::BAD_REQUEST,
            BodyError::Other(_) => return Self::internal(error),
        };
        Self::new(status, sentence(&error))
    }
}

impl From<sql::Error> for Problem {
    fn from(error: sql::Error) -> Self {
        match &error {
            sql::Error::NoRow => Self::new(StatusCode::NOT_FOUND, "There is no such thing."),
            error if error.is_temporary() => {
                Self::unavailable(error, "The database cannot answer now. Try again.")
            }
            _ => Self::internal(error),
        }
    }
}

impl From<ollama::Error> for Problem {
    fn from(error: ollama::Error) -> Self {
        use ollama::Error;

        match &error {
            Error::Refused(refusal) if refusal.status == StatusCode::NOT_FOUND.as_u16() => {
                Self::new(StatusCode::NOT_FOUND, refusal.message.clone())
            }
            Error::Unreachable(_) | Error::Busy(_) | Error::TimedOut(_) | Error::Cancelled => {
                Self::unavailable(error, "The model server cannot answer now. Try again.")
            }
            _ => Self::internal(error),
        }
    }
}

impl From<keyvalue::Error> for Problem {
    fn from(error: keyvalue::Error) -> Self {
        match &error {
            // The interface has one kind of error for all that goes wrong, most of which goes by.
            keyvalue::Error::Call(_) => {
                Self::unavailable(error, "What is kept cannot be asked now. Try again.")
            }
            _ => Self::internal(error),
        }
    }
}

impl From<ErrorCode> for Problem {
    fn from(error: ErrorCode) -> Self {
        eprintln!("{error}");
        Self::new(StatusCode::BAD_GATEWAY, "A service that was asked did not answer.")
    }
}

impl From<http::Error> for Problem {
    fn from(error: http::Error) -> Self {
        Self::internal(error)
    }
}

impl From<serde_json::Error> for Problem {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(error)
    }
}

fn document(members: &[(String, Value)]) -> String {
    let members =
        members.iter().map(|(name, value)| format!("{}:{value}", Value::from(name.as_str())));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// An error's text as a sentence.
fn sentence(error: &impl Display) -> String {
    let text = error.to_string();
    let mut characters = text.chars();
    let first: String = characters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", characters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::types::{Error, SqlError};

    fn refused(sqlstate: &str) -> sql::Error {
        sql::Error::from(Error::Database(SqlError {
            sqlstate: sqlstate.to_string(),
            severity: "ERROR".to_string(),
            message: "no".to_string(),
            detail: None,
            hint: None,
            constraint: None,
            table: None,
            column: None,
            position: None,
        }))
    }

    #[test]
    fn what_may_work_later_is_a_503_and_the_rest_of_the_database_is_ours() {
        for (error, status) in [
            (sql::Error::NoRow, 404),
            (sql::Error::from(Error::Busy("all in use".to_string())), 503),
            (refused("40001"), 503),
            (refused("40P01"), 503),
            (refused("57P03"), 503),
            (refused("42P01"), 500),
            // `query_canceled` is a decision, and no trouble that goes away.
            (refused("57014"), 500),
            (sql::Error::from(Error::Ended), 500),
        ] {
            let problem = Problem::from(error);
            assert_eq!(problem.status(), status);
            assert_eq!(problem.0.headers.contains_key(RETRY_AFTER), status == 503);
        }
    }

    #[test]
    fn a_body_s_fault_is_told_as_a_sentence() {
        let problem = Problem::from(BodyError::TooLarge { limit: 5 });
        assert_eq!(problem.status(), 413);
        let document = document(&problem.0.members);
        assert!(
            document.ends_with(r#","detail":"The body is larger than 5 bytes."}"#),
            "{document}"
        );
    }

    #[test]
    fn members_are_added_and_replaced() {
        let problem =
            Problem::new(StatusCode::CONFLICT, "No.").with("title", "Taken").with("by", [1]);
        assert_eq!(
            document(&problem.0.members),
            r#"{"type":"about:blank","title":"Taken","status":409,"detail":"No.","by":[1]}"#
        );
    }
}
