//! What the macros `service!` and `tower!` are made of.

use std::pin::Pin;

use bytes::Bytes;
use http::StatusCode;

use crate::bindings::wasi::http::types;
use crate::bindings::wasi::http::types::ErrorCode;
use crate::body::BoxError;
use crate::convert::{request_from_wasi, response_to_wasi};
use crate::{IntoResponse, Problem, Request};

/// Answer a request of the host with a function.
pub async fn handle<F, A>(
    handler: impl FnOnce(Request) -> F,
    request: types::Request,
) -> Result<types::Response, ErrorCode>
where
    F: Future<Output = A>,
    A: IntoResponse,
{
    let request = request_from_wasi(request)?;
    response_to_wasi(handler(request).await.into_response())
}

/// A service of any type, made once in an instance.
pub type Shared = Box<dyn Fn(Request) -> Pin<Box<dyn Future<Output = crate::Response>>>>;

/// A service whose type no longer matters.
pub fn shared<S, B>(service: S) -> Shared
where
    S: tower_service::Service<Request, Response = http::Response<B>, Error: Into<BoxError>>
        + Clone
        + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    Box::new(move |request| {
        let mut service = service.clone();
        Box::pin(async move {
            let answered = async {
                std::future::poll_fn(|context| service.poll_ready(context)).await?;
                service.call(request).await
            };
            match answered.await {
                Ok(response) => response.into_response(),
                Err(error) => {
                    eprintln!("{}", error.into());
                    Problem::new(
                        StatusCode::INTERNAL_SERVER_ERROR,
                        "The service failed. Its log says why.",
                    )
                    .into_response()
                }
            }
        })
    })
}

/// Export an `async fn` from [`Request`] to anything that is a response ([`IntoResponse`]) as the component's
/// `wasi:http/handler`. Several may run at the same time in one instance; each gives way to the others wherever it
/// awaits.
///
/// `service!(raw handle)` exports a function on the host's own types, for what the ecosystem's cannot say.
#[macro_export]
macro_rules! service {
    ($handler:path) => {
        const _: () = {
            // Not a name of a handler: it would stand in front of the service's own.
            async fn exported_by_service(
                request: $crate::bindings::wasi::http::types::Request,
            ) -> Result<
                $crate::bindings::wasi::http::types::Response,
                $crate::bindings::wasi::http::types::ErrorCode,
            > {
                $crate::exports::handle($handler, request).await
            }

    $crate::service!(raw exported_by_service);
        };
    };
    (raw $handler:path) => {
        const _: () = {
            struct Export;

            impl $crate::bindings::exports::wasi::http::handler::Guest for Export {
                async fn handle(
                    request: $crate::bindings::wasi::http::types::Request,
                ) -> Result<
                    $crate::bindings::wasi::http::types::Response,
                    $crate::bindings::wasi::http::types::ErrorCode,
                > {
                    $handler(request).await
                }
            }

            #[cfg(target_family = "wasm")]
    $crate::bindings::export!(Export with_types_in $crate::bindings);
            // A test that runs natively has no host, whose names a native linker does not understand.
            #[cfg(not(target_family = "wasm"))]
            const _: fn() = || {
                let _ = <Export as $crate::bindings::exports::wasi::http::handler::Guest>::handle;
            };
        };
    };
}

/// Export what a function makes, a `tower::Service` such as an axum router, as the component's `wasi:http/handler`. It
/// is made once in every instance.
#[macro_export]
macro_rules! tower {
    ($make:path) => {
        const _: () = {
            std::thread_local! {
                static SERVICE: $crate::exports::Shared = $crate::exports::shared($make());
            }

            async fn exported_by_tower(request: $crate::Request) -> $crate::Response {
                SERVICE.with(|service| service(request)).await
            }

            $crate::service!(exported_by_tower);
        };
    };
}
