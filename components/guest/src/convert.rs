//! Requests and responses between the host's form and the ecosystem's.

use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{Method, Uri};

use crate::bindings::wasi::http::types;
use crate::bindings::wasi::http::types::ErrorCode;
use crate::body::{Incoming, Outgoing};
use crate::{Body, Request, Response, headers};

/// The host's request. Its body stays where it is until it is read.
pub fn request_from_wasi(inner: types::Request) -> Result<Request, ErrorCode> {
    let mut parts = Parts::default();
    parts.scheme = inner.get_scheme().map(scheme_from_wasi).transpose()?;
    parts.authority =
        inner.get_authority().and_then(|authority| Authority::try_from(authority).ok());
    // One cannot be without the other.
    if parts.authority.is_none() || parts.scheme.is_none() {
        (parts.scheme, parts.authority) = (None, None);
    }
    let target = inner.get_path_with_query().filter(|target| !target.is_empty());
    let target = target.map_or(Ok(PathAndQuery::from_static("/")), PathAndQuery::try_from);
    parts.path_and_query = Some(target.map_err(|_| ErrorCode::HttpRequestUriInvalid)?);

    let mut request = http::Request::new(Body::empty());
    *request.method_mut() = method_from_wasi(inner.get_method())?;
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| ErrorCode::HttpRequestUriInvalid)?;
    *request.headers_mut() = headers::from_wasi(&inner.get_headers());
    let body = Incoming::of_request(inner, request.headers());
    *request.body_mut() = body.into();
    Ok(request)
}

/// A request for the host to send. The second part tells how its sending went.
pub fn request_to_wasi(
    request: Request,
    options: Option<types::RequestOptions>,
) -> Result<types::Request, ErrorCode> {
    let (parts, body) = request.into_parts();
    let Outgoing { length, contents, trailers } = body.into_outgoing();
    let mut fields = parts.headers;
    // A request without a body does not say so: to a server that would be one of no bytes.
    headers::set_length(&mut fields, length.filter(|_| contents.is_some()));
    let fields = headers::to_wasi(&fields).map_err(internal)?;
    let (outgoing, _sent) = types::Request::new(fields, contents, trailers, options);
    let scheme = parts.uri.scheme().map(scheme_to_wasi);
    let is_valid = outgoing.set_method(&method_to_wasi(&parts.method)).is_ok()
        && outgoing.set_scheme(scheme.as_ref()).is_ok()
        && outgoing.set_authority(parts.uri.authority().map(Authority::as_str)).is_ok()
        && outgoing
            .set_path_with_query(parts.uri.path_and_query().map(PathAndQuery::as_str))
            .is_ok();
    if is_valid { Ok(outgoing) } else { Err(ErrorCode::HttpRequestUriInvalid) }
}

/// The host's response. Its body stays where it is until it is read.
pub fn response_from_wasi(inner: types::Response) -> Result<Response, ErrorCode> {
    let mut response = http::Response::new(Body::empty());
    *response.status_mut() = inner.get_status_code().try_into().map_err(internal)?;
    *response.headers_mut() = headers::from_wasi(&inner.get_headers());
    let body = Incoming::of_response(inner, response.headers());
    *response.body_mut() = body.into();
    Ok(response)
}

/// A response for the host to send.
pub fn response_to_wasi(response: Response) -> Result<types::Response, ErrorCode> {
    let (parts, body) = response.into_parts();
    let Outgoing { length, contents, trailers } = body.into_outgoing();
    let mut fields = parts.headers;
    headers::set_length(&mut fields, length);
    let fields = headers::to_wasi(&fields).map_err(internal)?;
    let (outgoing, _sent) = types::Response::new(fields, contents, trailers);
    let status = parts.status.as_u16();
    outgoing
        .set_status_code(status)
        .map_err(|()| internal(format_args!("{status} is no HTTP status")))?;
    Ok(outgoing)
}

fn method_from_wasi(method: types::Method) -> Result<Method, ErrorCode> {
    Ok(match method {
        types::Method::Get => Method::GET,
        types::Method::Head => Method::HEAD,
        types::Method::Post => Method::POST,
        types::Method::Put => Method::PUT,
        types::Method::Delete => Method::DELETE,
        types::Method::Connect => Method::CONNECT,
        types::Method::Options => Method::OPTIONS,
        types::Method::Trace => Method::TRACE,
        types::Method::Patch => Method::PATCH,
        types::Method::Other(name) => {
            Method::from_bytes(name.as_bytes()).map_err(|_| ErrorCode::HttpRequestMethodInvalid)?
        }
    })
}

fn method_to_wasi(method: &Method) -> types::Method {
    match method.as_str() {
        "GET" => types::Method::Get,
        "HEAD" => types::Method::Head,
        "POST" => types::Method::Post,
        "PUT" => types::Method::Put,
        "DELETE" => types::Method::Delete,
        "CONNECT" => types::Method::Connect,
        "OPTIONS" => types::Method::Options,
        "TRACE" => types::Method::Trace,
        "PATCH" => types::Method::Patch,
        other => types::Method::Other(other.to_string()),
    }
}

fn scheme_from_wasi(scheme: types::Scheme) -> Result<Scheme, ErrorCode> {
    match scheme {
        types::Scheme::Http => Ok(Scheme::HTTP),
        types::Scheme::Https => Ok(Scheme::HTTPS),
        types::Scheme::Other(name) => {
            Scheme::try_from(name.as_str()).map_err(|_| ErrorCode::HttpRequestUriInvalid)
        }
    }
}

fn scheme_to_wasi(scheme: &Scheme) -> types::Scheme {
    match scheme.as_str() {
        "http" => types::Scheme::Http,
        "https" => types::Scheme::Https,
        other => types::Scheme::Other(other.to_string()),
    }
}

fn internal(error: impl std::fmt::Display) -> ErrorCode {
    ErrorCode::InternalError(Some(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_and_scheme_comes_back() {
        for name in [
            "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PURGE",
        ] {
            let method = Method::from_bytes(name.as_bytes()).unwrap();
            let wasi = method_to_wasi(&method);
            assert_eq!(matches!(wasi, types::Method::Other(_)), name == "PURGE", "{name}");
            assert_eq!(method_from_wasi(wasi).unwrap(), method);
        }
        assert!(method_from_wasi(types::Method::Other("A B".to_string())).is_err());
        for name in ["http", "https", "ftp"] {
            let scheme = Scheme::try_from(name).unwrap();
            assert_eq!(scheme_from_wasi(scheme_to_wasi(&scheme)).unwrap(), scheme);
        }
    }
}
