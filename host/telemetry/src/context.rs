//! Where a request stands in a trace, as it comes in and goes out: `traceparent` and `tracestate` of the W3C.
//!
//! What cannot be read is as if it were not there, which is what the W3C asks for.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::id::{SpanId, TraceId};
use wasm_host_limits::telemetry as limits;

pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// A place in a trace that something is done for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    pub trace: TraceId,
    /// What asks.
    pub span: SpanId,
    /// Whether what asks keeps the trace.
    pub sampled: bool,
    /// What systems on the way have added, each for itself. It goes on as it came.
    pub state: Option<HeaderValue>,
}

impl TraceContext {
    /// What a request says of itself.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all(TRACEPARENT).iter();
        let only = all.next()?;
        if all.next().is_some() {
            return None;
        }
        let context = Self::parse(only.to_str().ok()?)?;
        Some(Self { state: state(headers), ..context })
    }

    /// `00-TRACE-SPAN-FLAGS`; a later version may have more behind that.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace) = (parts.next()?, parts.next()?);
        let (span, flags) = (parts.next()?, parts.next()?);
        let is_later = version != "00";
        if version == "ff" || hex(version).is_none() || (parts.next().is_some() && !is_later) {
            return None;
        }
        let (trace, span) = (trace.parse().ok()?, span.parse().ok()?);
        Some(Self { trace, span, sampled: hex(flags)? & 1 == 1, state: None })
    }

    /// Say it with a request, in place of what it says.
    pub fn tell(&self, headers: &mut HeaderMap) {
        if let Ok(parent) = HeaderValue::from_bytes(&self.written()) {
            headers.insert(TRACEPARENT, parent);
        }
        match &self.state {
            Some(state) => drop(headers.insert(TRACESTATE, state.clone())),
            None => drop(headers.remove(TRACESTATE)),
        }
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(str::from_utf8(&self.written()).unwrap_or_default())
    }
}

impl TraceContext {
    fn written(&self) -> [u8; 55] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        let parts = [&self.trace.digits()[..], &self.span.digits()[..]];
        for (part, place) in parts.into_iter().zip([3..35, 36..52]) {
            if let Some(place) = text.get_mut(place) {
                place.copy_from_slice(part);
            }
        }
        if let Some(flags) = text.last_mut() {
            *flags = if self.sampled { b'1' } else { b'0' };
        }
        text
    }
}

/// Two digits in small letters.
fn hex(text: &str) -> Option<u8> {
    let are_digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (text.len() == 2 && are_digits).then(|| u8::from_str_radix(text, 16).ok()).flatten()
}

/// All lines of it as one. Too much of it is left out whole: half of it would be another's.
fn state(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut lines = headers.get_all(TRACESTATE).iter();
    let first = lines.next()?.clone();
    let whole = lines.try_fold(first, |whole, line| {
        let joined = [whole.as_bytes(), b",", line.as_bytes()].concat();
        (joined.len() <= limits::TRACESTATE_BYTES).then_some(())?;
        HeaderValue::from_bytes(&joined).ok()
    })?;
    (!whole.is_empty() && whole.len() <= limits::TRACESTATE_BYTES).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(lines: &[(&HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_context_comes_and_goes_as_it_is() {
        let headers =
            headers(&[(&TRACEPARENT, PARENT), (&TRACESTATE, "a=1"), (&TRACESTATE, "b=2")]);
        let context = TraceContext::of(&headers).unwrap();
        assert!(context.sampled);
        let mut told = HeaderMap::new();
        context.tell(&mut told);
        assert_eq!(told[TRACEPARENT], PARENT);
        assert_eq!(told[TRACESTATE], "a=1,b=2");
    }

    #[test]
    fn a_later_version_may_have_more_and_this_one_may_not() {
        let with = |text: &str| TraceContext::parse(text).map(|context| context.to_string());
        assert_eq!(with(&format!("cc{}-more", &PARENT[2..])).as_deref(), Some(PARENT));
        assert_eq!(with(&format!("{PARENT}-more")), None);
    }

    // Fault (Telemetry): a `traceparent` that is none, or two | begins a trace of its own | its answer | nothing
    #[test]
    fn what_cannot_be_read_is_as_if_it_were_not_there() {
        for wrong in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(wrong), None, "{wrong}");
        }
        assert_eq!(TraceContext::of(&headers(&[(&TRACEPARENT, PARENT); 2])), None);
        let long = "x".repeat(limits::TRACESTATE_BYTES + 1);
        let long = headers(&[(&TRACEPARENT, PARENT), (&TRACESTATE, &long)]);
        assert_eq!(TraceContext::of(&long).unwrap().state, None);
    }
}
