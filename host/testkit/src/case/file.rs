//! A [`Case`] as a file, for both ways: what its tables are made of, and what must hold of them.
//!
//! A field of a case has its key here, once. Keys are written in this order.

mod call;

use std::fmt;
use std::path::Path;

use http::uri::PathAndQuery;

use super::forms::{self, BodyKeys};
use super::keys::{Fault, Keys, Parsed};
use super::{
    Body, CLOCK, Case, Content, Leave, Matching, OllamaBounds, Request, Response, ResponseEnd,
    StreamEnd,
};
use wasm_host_limits::testkit::PATIENCE;

pub(crate) use call::call;

/// What is wrong with a case file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub file: String,
    /// From 1.
    pub line: usize,
    pub message: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: error: {}", self.file, self.line, self.message)
    }
}

impl std::error::Error for Wrong {}

impl Case {
    /// Read the text of a case file. `path` names it and gives the case its name.
    ///
    /// # Errors
    /// The first thing that is wrong: no TOML, an unknown or missing key, a value that does not fit its key.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Wrong> {
        let line = |at: usize| text.get(..at).unwrap_or_default().matches('\n').count() + 1;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut case = Self { name, ..Self::default() };
        let described = Keys::read(text).and_then(|mut keys| file(&mut keys, &mut case));
        described.map_err(|Fault { at, message }| {
            let file = path.display().to_string();
            Wrong { file, line: line(at), message }
        })?;
        case.calls.iter_mut().for_each(|call| call.line = line(call.line));
        Ok(case)
    }

    /// The text of a file that [`Case::parse`] reads as this case. Only what differs from the
    /// defaults is written.
    pub fn to_toml(&self) -> String {
        let mut keys = Keys::write();
        // What is written is not judged.
        let _ = file(&mut keys, &mut self.clone());
        toml_edit::DocumentMut::from(keys.written()).to_string()
    }
}

fn file(keys: &mut Keys<'_>, case: &mut Case) -> Parsed {
    case.about = keys.key("about", case.about.take())?;
    let clock = Some(case.clock).filter(|clock| *clock != CLOCK);
    let clock = clock.map(|clock| toml::Value::from(clock.to_string()));
    case.clock = keys.form("clock", clock, forms::moment)?.unwrap_or(CLOCK);
    keys.field("seed", &mut case.seed, 0)?;
    keys.field("match", &mut case.matching, Matching::Strict)?;
    case.timeout = keys.time("timeout", case.timeout)?;
    keys.time_or("patience", &mut case.patience, PATIENCE)?;
    keys.field("log", &mut case.log, Vec::new())?;
    keys.no_more(&["env", "config", "ollama", "request", "call", "response"])?;
    keys.field("env", &mut case.env, Default::default())?;
    keys.field("config", &mut case.config, Default::default())?;
    keys.table("ollama", "", |keys| ollama(keys, &mut case.ollama))?;
    if keys.present(&["request"], Some("request")).is_empty() {
        return keys.wrong("missing field `request`");
    }
    keys.table("request", "", |keys| request(keys, &mut case.request))?;
    case.calls = keys.tables("call", std::mem::take(&mut case.calls), call)?;
    let given = case.response.take();
    if !keys.present(&["response"], given.as_ref().map(|_| "response")).is_empty() {
        let (mut expected, leaves) = (given.unwrap_or_default(), case.request.leave.is_some());
        keys.table("response", "", |keys| response(keys, &mut expected, leaves))?;
        keys.keep("response");
        case.response = Some(expected);
    }
    Ok(())
}

fn ollama(keys: &mut Keys<'_>, bounds: &mut OllamaBounds) -> Parsed {
    let usual = OllamaBounds::default();
    keys.field("concurrent", &mut bounds.concurrent, usual.concurrent)?;
    keys.time_or("first-byte-timeout", &mut bounds.first_byte_timeout, usual.first_byte_timeout)
}

fn request(keys: &mut Keys<'_>, request: &mut Request) -> Parsed {
    keys.field("method", &mut request.method, "GET".to_string())?;
    request.path = keys.required("path", Some(std::mem::take(&mut request.path)))?;
    request.headers = headers(keys, &request.headers)?;
    request.content = content(keys, std::mem::take(&mut request.content))?;
    keys.field("end", &mut request.end, StreamEnd::Whole)?;
    let (after, after_bytes) = match request.leave {
        None => (None, None),
        Some(Leave::After(time)) => (Some(time), None),
        Some(Leave::AfterBytes(bytes)) => (None, Some(bytes)),
    };
    let after = keys.time("leave-after", after)?;
    let after_bytes = keys.key("leave-after-bytes", after_bytes)?;
    keys.no_more(&[])?;
    request.leave = match (after, after_bytes) {
        (None, None) => None,
        (Some(time), None) => Some(Leave::After(time)),
        (None, Some(bytes)) => Some(Leave::AfterBytes(bytes)),
        _ => return keys.wrong("either leave-after or leave-after-bytes"),
    };
    let Request { method, path, .. } = request;
    keys.check("method", method.parse::<http::Method>().is_ok(), || format!("'{method}' is none"))?;
    keys.check("path", path.starts_with('/'), || format!("'{path}' does not begin with /"))?;
    let is_path = path.parse::<PathAndQuery>();
    keys.check("path", is_path.is_ok(), || {
        let why = is_path.as_ref().map_or_else(ToString::to_string, ToString::to_string);
        format!("'{path}' is no path of a URL ({why}); write %20 for a space, and so on")
    })
}

/// `[response]`. `leaves`: the client does.
pub(crate) fn response(keys: &mut Keys<'_>, expected: &mut Response, leaves: bool) -> Parsed {
    expected.status = keys.key("status", expected.status)?;
    let wanted = keys.form("headers", forms::show_wanted(&expected.headers), forms::wanted)?;
    expected.headers = wanted.unwrap_or_default();
    expected.body = body(keys, expected.body.take())?;
    expected.chunks = keys.key("chunks", expected.chunks.take())?;
    let usual = if leaves { ResponseEnd::Left } else { ResponseEnd::Whole };
    keys.field("end", &mut expected.end, usual)?;
    expected.reason = keys.key("reason", expected.reason.take())?;
    keys.no_more(&[])?;
    if expected.status.is_none() && expected.end == ResponseEnd::Whole {
        return keys.wrong("a response has a `status`, or an `end` that says why not");
    }
    if expected.body.is_some() && expected.chunks.is_some() {
        return keys.wrong("either chunks or the whole body");
    }
    Ok(())
}

fn headers(keys: &mut Keys<'_>, given: &[(String, String)]) -> Parsed<Vec<(String, String)>> {
    let read = keys.form("headers", forms::show_headers(given), forms::headers)?;
    Ok(read.unwrap_or_default())
}

fn body(keys: &mut Keys<'_>, given: Option<Body>) -> Parsed<Option<Body>> {
    let BodyKeys { text, json, base64 } = BodyKeys::of(given);
    let text = keys.key("text", text)?;
    let json = keys.form("json", json.map(toml::Value::from), forms::json_text)?;
    let base64 = keys.form("base64", base64.map(forms::show_bytes), forms::bytes)?;
    BodyKeys { text, json, base64 }.body().or_else(|why| keys.wrong(why))
}

/// A body that is sent: at once, or as a stream.
fn content(keys: &mut Keys<'_>, given: Content) -> Parsed<Content> {
    let (whole, lines, chunks) = match given {
        Content::Empty => (None, None, None),
        Content::Whole(body) => (Some(body), None, None),
        Content::Stream { pieces, lines: true } => (None, Some(pieces), None),
        Content::Stream { pieces, lines: false } => (None, None, Some(pieces)),
    };
    let whole = body(keys, whole)?;
    match (whole, keys.key("lines", lines)?, keys.key("chunks", chunks)?) {
        (None, None, None) => Ok(Content::Empty),
        (Some(body), None, None) => Ok(Content::Whole(body)),
        (None, Some(pieces), None) => Ok(Content::Stream { pieces, lines: true }),
        (None, None, Some(pieces)) => Ok(Content::Stream { pieces, lines: false }),
        _ => keys.wrong("a body is one of text, json, base64, lines and chunks"),
    }
}
