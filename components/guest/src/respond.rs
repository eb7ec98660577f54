//! What a service may answer with.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use crate::body::BoxError;
use crate::{Body, Problem, Response};

/// Something that is a response, or can be made into one: a response, a text, bytes, [`Json`], a status, a status or
/// headers with any of these, a [`Problem`], or a `Result` of two of them. As in axum.
pub trait IntoResponse {
    /// The response.
    fn into_response(self) -> Response;
}

impl<B> IntoResponse for http::Response<B>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    fn into_response(self) -> Response {
        self.map(Body::new)
    }
}

impl<T: IntoResponse, E: IntoResponse> IntoResponse for Result<T, E> {
    fn into_response(self) -> Response {
        match self {
            Ok(answer) => answer.into_response(),
            Err(error) => error.into_response(),
        }
    }
}

impl IntoResponse for () {
    fn into_response(self) -> Response {
        Response::default()
    }
}

impl IntoResponse for StatusCode {
    fn into_response(self) -> Response {
        (self, ()).into_response()
    }
}

impl IntoResponse for Body {
    fn into_response(self) -> Response {
        Response::new(self)
    }
}

fn of_type(content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

macro_rules! of_type {
    ($content_type:literal: $($body:ty),*) => {$(
        impl IntoResponse for $body {
            fn into_response(self) -> Response {
                of_type($content_type, self)
            }
        }
    )*};
}

of_type!("text/plain; charset=utf-8": &'static str, String);
of_type!("application/octet-stream": Bytes, Vec<u8>, &'static [u8]);

/// A value as JSON.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(json) => of_type("application/json", json),
            Err(error) => Problem::internal(error).into_response(),
        }
    }
}

impl<T: IntoResponse> IntoResponse for (StatusCode, T) {
    fn into_response(self) -> Response {
        let (status, body) = self;
        let mut response = body.into_response();
        *response.status_mut() = status;
        response
    }
}

impl<T: IntoResponse> IntoResponse for (HeaderMap, T) {
    fn into_response(self) -> Response {
        let (headers, body) = self;
        let mut response = body.into_response();
        response.headers_mut().extend(headers);
        response
    }
}

/// Names and values that are no headers make it a problem of status 500, whose cause is in the log.
impl<K, V, T, const N: usize> IntoResponse for ([(K, V); N], T)
where
    K: TryInto<HeaderName, Error: Into<http::Error>>,
    V: TryInto<HeaderValue, Error: Into<http::Error>>,
    T: IntoResponse,
{
    fn into_response(self) -> Response {
        let (headers, body) = self;
        let mut response = body.into_response();
        for (name, value) in headers {
            let name = name.try_into().map_err(Into::into);
            let value = value.try_into().map_err(Into::into);
            match (name, value) {
                (Ok(name), Ok(value)) => drop(response.headers_mut().insert(name, value)),
                (Err(error), _) | (_, Err(error)) => {
                    return Problem::internal(error).into_response();
                }
            }
        }
        response
    }
}

impl<H, T> IntoResponse for (StatusCode, H, T)
where
    (H, T): IntoResponse,
{
    fn into_response(self) -> Response {
        let (status, headers, body) = self;
        (status, (headers, body)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(answer: impl IntoResponse) -> (u16, Vec<(String, String)>) {
        let response = answer.into_response();
        let headers = response.headers().iter();
        let headers =
            headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_string()));
        (response.status().as_u16(), headers.collect())
    }

    fn of(content_type: &str) -> Vec<(String, String)> {
        vec![("content-type".to_string(), content_type.to_string())]
    }

    #[test]
    fn an_answer_has_the_type_of_what_it_is_made_of() {
        assert_eq!(head("a"), (200, of("text/plain; charset=utf-8")));
        assert_eq!(head(vec![0_u8]), (200, of("application/octet-stream")));
        assert_eq!(head(Json([1])), (200, of("application/json")));
        assert_eq!(head(()), (200, vec![]));
        assert_eq!(head(StatusCode::NO_CONTENT), (204, vec![]));
        let absent = Err::<(), _>(Problem::new(StatusCode::NOT_FOUND, "none"));
        assert_eq!(head(absent), (404, of("application/problem+json")));
    }

    #[test]
    fn what_stands_in_front_wins() {
        let answer = (StatusCode::CREATED, [(CONTENT_TYPE, "text/html")], "a");
        assert_eq!(head(answer), (201, of("text/html")));
        assert_eq!(head(([("x y", "a")], "a")).0, 500);
        assert_eq!(head(([("x", "a\r\nb")], "a")).0, 500);
    }
}
