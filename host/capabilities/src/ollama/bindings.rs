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
    inline: "
        package wasm-host:host;

        world all {
            include wasm-host:ollama/imports@0.1.0;
            include wasm-host:ollama/blocking-imports@0.1.0;
        }
    ",
    world: "wasm-host:host/all",
    imports: { default: async | store | trappable },
    with: {
        "wasi:http": wasmtime_wasi_http::p3::bindings::http,
        "wasi:clocks": wasmtime_wasi::p3::bindings::clocks,
        "wasm-host:ollama/blocking.event-stream": crate::ollama::blocking::EventStream,
        "wasm-host:ollama/blocking.progress-stream": crate::ollama::blocking::ProgressStream,
    },
});

pub(super) use wasm_host::ollama::{blocking, inference, models, proxy, types};
