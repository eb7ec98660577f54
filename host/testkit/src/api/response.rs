//! What a test gets of a request: a response to look into, or a failure that says what is wrong.

use std::fmt;
use std::time::Duration;

use crate::case::{Case, Response, ResponseEnd};
use crate::judge::judge;
use crate::run::{Observed, RunEnd};

/// A component's response.
#[derive(Clone, Debug)]
pub struct TestResponse {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// The body as far as it came.
    pub body: Vec<u8>,
    /// The body by the virtual time since the request at which it came.
    pub chunks: Vec<(Duration, Vec<u8>)>,
    /// How it ended. A body that breaks off is not a failure of the test until it says so.
    pub end: ResponseEnd,
    /// Virtual time from the request to its end.
    pub virtual_time: Duration,
}

/// Why a test has no response to look into.
pub struct Failure(String);

impl Failure {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The text as it is: a test that fails by `unwrap` or `?` shows this.
impl fmt::Debug for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl TestResponse {
    pub(super) fn of(case: &Case, observed: Observed) -> Result<Self, Failure> {
        let mut case = case.clone();
        let RunEnd::Response(end) = observed.end else { return Err(failure(&case, &observed)) };
        // Of the response the test is the judge; of the calls the script is.
        case.response = Some(Response { status: observed.status, end, ..Response::default() });
        // What a client that left had begun was given up in consequence.
        let calls = case.calls.iter_mut().enumerate();
        for (index, call) in calls.filter(|_| end == ResponseEnd::Left) {
            let seen = observed.calls.iter().find(|seen| seen.answered_by == Some(index));
            call.cancelled |= seen.is_some_and(|seen| seen.cancelled);
        }
        match observed.status {
            Some(status) if judge(&case, &observed).is_empty() => Ok(Self {
                status,
                body: observed.body(),
                headers: observed.headers,
                chunks: observed.chunks,
                end,
                virtual_time: observed.virtual_time,
            }),
            _ => Err(failure(&case, &observed)),
        }
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text; what is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is none.
    pub fn json(&self) -> Result<serde_json::Value, Failure> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Failure::new(format!("{error} in the body: {}", self.text())))
    }
}

fn failure(case: &Case, observed: &Observed) -> Failure {
    let mut text = String::new();
    if observed.status.is_none() {
        text += "there is no response\n";
    }
    for difference in judge(case, observed) {
        text += &format!("{} (- expected, + seen):\n{}", difference.about, difference.text);
        text.push('\n');
    }
    for more in [&observed.reason, &observed.backtrace].into_iter().flatten() {
        text += &format!("{more}\n");
    }
    if !observed.log.is_empty() {
        text += &format!("it printed:\n{}", observed.log);
    }
    Failure(text)
}
