//! What a component needs to be a service of wasm-host, on the types of the ecosystem: requests and responses of
//! [`http`], bodies of [`http_body`], services of `tower`, values of `serde`.
//!
//! A service is an `async fn`:
//!
//! ```no_run
//! use wasm_host_guest::{IntoResponse, Request};
//!
//! async fn hello(request: Request) -> impl IntoResponse {
//!     format!("Hello from {}\n", request.uri().path())
//! }
//!
//! wasm_host_guest::service!(hello);
//! # fn main() {}
//! ```
//!
//! or a `tower::Service`, such as a router of axum ([`tower!`]). The granted database is in [`sql`], the granted model
//! server in [`ollama`], granted buckets in [`keyvalue`], other services and hosts in [`client`], and what the application
//! file declares for the service in [`config`]; what fails becomes a [`Problem`] by `?`.
//!
//! It knows nothing of any particular service, and it compiles natively, so that the pure parts of a component are
//! tested without WebAssembly.

#[cfg(test)]
extern crate self as wasm_host_guest;

mod body;
pub mod client;
pub mod config;
mod convert;
mod headers;
pub mod json;
pub mod keyvalue;
pub mod middleware;
pub mod ollama;
mod problem;
mod respond;
mod service;
pub mod sql;

pub use body::{Body, BodyError, BodyWriter, BoxError, Disconnected};
pub use bytes::Bytes;
pub use http;
pub use http::{Method, StatusCode, header};
pub use problem::Problem;
pub use respond::{IntoResponse, Json};
/// What the host's streams are in Rust, for services that name them in a signature.
pub use wit_bindgen::{FutureReader, StreamReader, StreamResult, StreamWriter};

pub use bindings::wasm_host::postgres;

/// A request to the service. Its path is what follows the service's route prefix, with a leading `/`.
pub type Request = http::Request<Body>;

/// A response of the service, or to a request of its own.
pub type Response = http::Response<Body>;

/// The interfaces of the host as Rust. Generated from `wit/`; all of it in one place, because two
/// copies of an interface in one component are two different types.
pub mod bindings {
    wit_bindgen::generate!({
        path: [
            "wit/deps/wasi-0.3/clocks.wit",
            "wit/deps/wasi-0.3/random.wit",
            "wit/deps/wasi-0.3/filesystem.wit",
            "wit/deps/wasi-0.3/sockets.wit",
            "wit/deps/wasi-0.3/cli.wit",
            "wit/deps/wasi-0.3/http.wit",
            "wit/deps/wasi-drafts/config-rc.1.wit",
            "wit/deps/wasi-drafts/keyvalue-draft2.wit",
            "wit/postgres",
            "wit/ollama",
            "wit/service",
        ],
        world: "wasm-host:service/service",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "wasm_host_guest::bindings",
    });
}

/// For the macros of this crate, and for services that speak to the host's HTTP interface themselves.
pub mod exports {
    pub use crate::convert::{
        request_from_wasi, request_to_wasi, response_from_wasi, response_to_wasi,
    };
    pub use crate::service::{Shared, handle, shared};
}
