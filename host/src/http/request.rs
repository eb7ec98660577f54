//! A request of the outside as a guest sees it: its authority, its path without the route, and a body that
//! is bounded.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Uri, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use wasmtime_wasi_http::{Error, WasiBody};

use crate::failure::{Failure, Kind};

/// The host name and port that the client asked for.
pub fn host<B>(request: &Request<B>) -> Result<String, Failure> {
    if let Some(authority) = request.uri().authority() {
        return Ok(authority.as_str().to_string());
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next().map(|host| host.to_str()), hosts.next()) {
        (Some(Ok(host)), None) => Ok(host.to_string()),
        (None, _) => Ok(String::new()),
        _ => Err(Failure::new(Kind::Malformed, "The Host header is not one host name.")),
    }
}

/// The request that the guest gets. `path` is what the route left of the path.
pub fn for_guest(
    request: Request<Incoming>,
    host: &str,
    path: &str,
    max_body: u64,
) -> Result<Request<WasiBody>, Failure> {
    if request.body().size_hint().lower() > max_body {
        return Err(Failure::new(
            Kind::BodyTooLarge,
            format!("This service takes request bodies of at most {max_body} bytes."),
        ));
    }
    let uri = uri(host, path, request.uri().query())?;
    let (mut parts, body) = request.into_parts();
    parts.uri = uri;
    let body = BoundedBody { body, left: max_body, limit: max_body }.boxed_unsync();
    Ok(Request::from_parts(parts, body))
}

fn uri(host: &str, path: &str, query: Option<&str>) -> Result<Uri, Failure> {
    let malformed = |what: &str| Failure::new(Kind::Malformed, format!("The {what} is malformed."));
    let target = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_string(),
    };
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(Scheme::HTTP);
    // HTTP/1.0 clients may come without a host; a guest must have one.
    let host = if host.is_empty() { "localhost" } else { host };
    uri.authority = Some(Authority::try_from(host).map_err(|_| malformed("Host header"))?);
    uri.path_and_query = Some(PathAndQuery::try_from(target).map_err(|_| malformed("path"))?);
    Uri::from_parts(uri).map_err(|_| malformed("request target"))
}

/// A request body that fails once it is longer than the service allows.
struct BoundedBody {
    body: Incoming,
    left: u64,
    limit: u64,
}

impl Body for BoundedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => return Poll::Pending,
        };
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        match self.left.checked_sub(length) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Some(Ok(frame)))
            }
            None => Poll::Ready(Some(Err(Error::HttpRequestBodySize(Some(self.limit))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_sees_the_path_without_the_route_and_the_query_as_sent() {
        let uri = uri("weather.localhost:8080", "/forecast", Some("days=3&x=%20")).unwrap();
        assert_eq!(uri.to_string(), "http://weather.localhost:8080/forecast?days=3&x=%20");
    }

    #[test]
    fn two_host_headers_are_malformed() {
        let request =
            Request::builder().header("host", "a").header("host", "b").uri("/").body(()).unwrap();
        assert_eq!(host(&request).unwrap_err().kind, Kind::Malformed);
    }
}
