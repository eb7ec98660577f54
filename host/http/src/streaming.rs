//! Answers that are read while they are made, on their way through proxies that would hold or change them.
//!
//! nginx keeps an answer back until it has a buffer full of it, and proxies that compress wait for more to compress.
//! Both can be told not to. It knows kinds of content, and no services.

use http::{HeaderName, HeaderValue, Response, header};

const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Kinds of content that come piece by piece, each of which is of use by itself.
const KINDS: [&str; 8] = [
    "text/event-stream",
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/json-seq",
    "application/stream+json",
    "application/x-json-stream",
    "multipart/x-mixed-replace",
];

/// Say of a stream that it is to be passed on as it comes, unless its service has said what to do with it.
pub(super) fn unbuffered<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    // The beginning of an answer that has a length is of no use.
    if headers.contains_key(header::CONTENT_LENGTH) || !is_stream(headers.get(header::CONTENT_TYPE))
    {
        return response;
    }
    headers.entry(ACCEL_BUFFERING).or_insert(HeaderValue::from_static("no"));
    let caching: Vec<&str> = headers
        .get_all(header::CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .filter(|value| !value.trim().is_empty())
        .collect();
    let caching = caching.join(", ");
    if caching.to_ascii_lowercase().contains("no-transform") {
        return response;
    }
    let between = if caching.is_empty() { "" } else { ", " };
    if let Ok(caching) = HeaderValue::try_from(format!("{caching}{between}no-transform")) {
        headers.insert(header::CACHE_CONTROL, caching);
    }
    response
}

fn is_stream(content_type: Option<&HeaderValue>) -> bool {
    let Some(Ok(content_type)) = content_type.map(HeaderValue::to_str) else { return false };
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    KINDS.iter().any(|known| kind.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(headers: &[(&str, &str)]) -> (String, String) {
        let mut response = Response::builder();
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let response = unbuffered(response.body(()).unwrap());
        let read = |name: HeaderName| {
            let values = response.headers().get_all(name);
            let values: Vec<&str> = values.iter().map(|value| value.to_str().unwrap()).collect();
            values.join(" | ")
        };
        (read(ACCEL_BUFFERING), read(header::CACHE_CONTROL))
    }

    #[test]
    fn a_stream_is_passed_on_as_it_comes() {
        let expected = ("no".to_owned(), "no-transform".to_owned());
        for kind in
            ["text/event-stream", "Application/X-NDJSON", "text/event-stream; charset=utf-8"]
        {
            assert_eq!(told(&[("content-type", kind)]), expected, "{kind}");
        }
    }

    #[test]
    fn what_a_component_says_of_its_stream_stands() {
        let stream = ("content-type", "text/event-stream");
        assert_eq!(told(&[stream, ("x-accel-buffering", "yes")]).0, "yes");
        let caching = |value| told(&[stream, ("cache-control", value)]).1;
        assert_eq!(caching("no-cache"), "no-cache, no-transform");
        assert_eq!(caching("No-Transform, max-age=3"), "No-Transform, max-age=3");
        let two = [stream, ("cache-control", "no-store"), ("cache-control", "private")];
        assert_eq!(told(&two).1, "no-store, private, no-transform");
    }

    #[test]
    fn an_answer_that_is_no_stream_is_left_alone() {
        let nothing = (String::new(), String::new());
        assert_eq!(told(&[]), nothing);
        assert_eq!(told(&[("content-type", "application/json")]), nothing);
        assert_eq!(told(&[("content-type", "text/html; kind=text/event-stream")]), nothing);
        let whole = [("content-type", "text/event-stream"), ("content-length", "5")];
        assert_eq!(told(&whole), nothing);
    }
}
