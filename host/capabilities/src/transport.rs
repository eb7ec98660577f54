//! A way to a server that HTTP requests can be sent on: over the network, to a service of this host, or to a script.

use futures_util::future::BoxFuture;
use http::{Request, Response};

use super::body::Body;
use super::context::RequestContext;

/// Something that HTTP requests can be sent to.
pub trait Transport: Send + Sync {
    /// Send a request and return the answer's head with its body still to come. Of the URI only
    /// path and query count. Dropping the call or the answer's body ends the work for it; so does
    /// the end of the request that it is sent for.
    fn send(
        &self,
        request: Request<Body>,
        caller: RequestContext,
    ) -> BoxFuture<'_, Result<Response<Body>, TransportError>>;
}

/// Why there is no answer. The texts are shown to components and name no address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The request was not sent, because nothing took it.
    #[error("{0}")]
    Unreachable(String),
    /// The request was sent, or part of it; no answer came.
    #[error("{0}")]
    Lost(String),
    /// The request cannot be sent as it is.
    #[error("{0}")]
    Invalid(String),
    #[error("cancelled")]
    Cancelled,
}
