//! What a middleware needs: a component that stands in front of a service, and hands requests on to it.
//!
//! It exports the handler as any service does, and imports it, too: what it imports is what stands behind it, another
//! middleware or the service. The application file puts them together, with `middleware = ["auth.wasm"]`.
//!
//! ```no_run
//! use wasm_host_guest::{IntoResponse, Problem, Request, StatusCode, header, middleware};
//!
//! async fn auth(request: Request) -> Result<impl IntoResponse, Problem> {
//!     if request.headers().get(header::AUTHORIZATION).is_none() {
//!         return Err(Problem::new(StatusCode::UNAUTHORIZED, "Say who you are."));
//!     }
//!     let mut response = middleware::next(request).await?;
//!     response.headers_mut().insert("x-checked", header::HeaderValue::from_static("yes"));
//!     Ok(response)
//! }
//!
//! wasm_host_guest::service!(auth);
//! # fn main() {}
//! ```
//!
//! Bodies that it does not read, of the request as of the response, pass by it as streams: no byte of them enters the
//! component. A client that leaves ends both of them, and what stands behind as well.

use crate::bindings::wasi::http::handler;
pub use crate::bindings::wasi::http::types::ErrorCode;
use crate::convert::{request_to_wasi, response_of_next};
use crate::{Body, Response};

/// Hand a request on to what stands behind this middleware, and return the response.
///
/// A component that calls this cannot be a service by itself: it imports the handler, which only a composition gives
/// it.
///
/// # Errors
/// What stands behind gave no answer. A trap of it is none: that ends the whole composition, with all requests of the
/// instance.
pub async fn next<B: Into<Body>>(request: http::Request<B>) -> Result<Response, ErrorCode> {
    let response = handler::handle(request_to_wasi(request.map(Into::into), None)?).await?;
    response_of_next(response)
}
