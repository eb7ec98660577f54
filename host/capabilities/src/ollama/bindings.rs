//! `wit/ollama` as Rust traits and types.

wasmtime::component::bindgen!({
    path: [
        "../../wit/deps/wasi-0.3/clocks.wit",
        "../../wit/deps/wasi-0.3/random.wit",
        "../../wit/deps/wasi-0.3/filesystem.wit",
        "../../wit/deps/wasi-0.3/sockets.wit",
        "../../wit/deps/wasi-0.3/cli.wit",
        "../../wit/deps/wasi-0.3/http.wit",
        "../../wit/ollama",
    ],
    world: "wasm-host:ollama/imports",
    imports: { default: async | store | trappable },
    with: {
        "wasi:http": wasmtime_wasi_http::p3::bindings::http,
        "wasi:clocks": wasmtime_wasi::p3::bindings::clocks,
    },
});

pub(super) use wasm_host::ollama::{inference, models, proxy, types};
