//! Capabilities: what a component can be granted beside plain WASI.
//!
//! Each capability is a folder with the same parts: the backend trait that the rest of the host and
//! the tests see, the real backend, and `host.rs`, which connects the trait to the WIT interface.
//! They know the request on whose behalf a guest calls ([`context`]), but nothing of engines,
//! services or HTTP routing.

pub mod body;
pub mod breaker;
pub mod budget;
pub mod context;
pub mod header_sets;
pub mod headers;
pub mod ollama;
pub mod outgoing;
pub mod postgres;
pub mod stream;

/// The WIT interfaces of `wit/` as Rust traits and types.
pub mod bindings {
    wasmtime::component::bindgen!({
        path: [
            "../wit/deps/wasi-0.3/clocks.wit",
            "../wit/deps/wasi-0.3/random.wit",
            "../wit/deps/wasi-0.3/filesystem.wit",
            "../wit/deps/wasi-0.3/sockets.wit",
            "../wit/deps/wasi-0.3/cli.wit",
            "../wit/deps/wasi-0.3/http.wit",
            "../wit/postgres",
            "../wit/ollama",
            "../wit/service",
        ],
        world: "wasm-host:service/capabilities",
        imports: { default: async | store | trappable },
        with: {
            "wasi:http": wasmtime_wasi_http::p3::bindings::http,
            "wasi:clocks": wasmtime_wasi::p3::bindings::clocks,
            "wasm-host:postgres/client.transaction":
                crate::capability::postgres::host::OpenTransaction,
        },
    });
}
