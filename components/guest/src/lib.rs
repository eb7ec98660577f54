//! What a component needs to be a service of wasm-host: the bindings of the host's interfaces and
//! a small HTTP layer over `wasi:http`, so that a service is one `async fn` from request to response.
//!
//! ```ignore
//! struct Greeter;
//!
//! impl wasm_host_guest::Service for Greeter {
//!     async fn handle(request: Request) -> Response {
//!         Response::text(200, format!("Hello from {}\n", request.path))
//!     }
//! }
//!
//! wasm_host_guest::service!(Greeter);
//! ```
//!
//! It knows nothing of any particular service, and it compiles natively so that the pure parts of a
//! component are tested without WebAssembly.

pub mod json;
mod request;
mod response;

use std::future::Future;

pub use bindings::wasi::http::types::Method;
pub use bindings::wasm_host::{ollama, postgres};
pub use request::{BodyError, Request};
pub use response::{BodyWriter, Disconnected, Response};
/// What the host's streams are in Rust, for services that name them in a signature.
pub use wit_bindgen::{FutureReader, StreamReader, StreamResult, StreamWriter};

/// The interfaces of the host as Rust. Generated from `wit/`; all of it in one place, because two
/// copies of an interface in one component are two different types.
pub mod bindings {
    wit_bindgen::generate!({
        path: [
            "../../wit/deps/wasi-0.3/clocks.wit",
            "../../wit/deps/wasi-0.3/random.wit",
            "../../wit/deps/wasi-0.3/filesystem.wit",
            "../../wit/deps/wasi-0.3/sockets.wit",
            "../../wit/deps/wasi-0.3/cli.wit",
            "../../wit/deps/wasi-0.3/http.wit",
            "../../wit/postgres",
            "../../wit/ollama",
            "../../wit/service",
        ],
        world: "wasm-host:service/service",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "wasm_host_guest::bindings",
    });
}

/// A service: what [`service!`] exports to the host.
pub trait Service {
    /// Answer one request. Several may run at the same time in one instance; each gives way to the
    /// others wherever it awaits.
    fn handle(request: Request) -> impl Future<Output = Response>;
}

/// Export a [`Service`] as the component's `wasi:http/handler`.
#[macro_export]
macro_rules! service {
    ($service:ty) => {
        const _: () = {
            struct Export;

            impl $crate::bindings::exports::wasi::http::handler::Guest for Export {
                async fn handle(
                    request: $crate::bindings::wasi::http::types::Request,
                ) -> Result<
                    $crate::bindings::wasi::http::types::Response,
                    $crate::bindings::wasi::http::types::ErrorCode,
                > {
                    let request = $crate::Request::from_wasi(request);
                    <$service as $crate::Service>::handle(request).await.into_wasi()
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
