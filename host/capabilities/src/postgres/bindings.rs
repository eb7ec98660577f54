//! `wit/postgres` as Rust traits and types.

wasmtime::component::bindgen!({
    path: "../../wit/postgres",
    world: "wasm-host:postgres/imports",
    imports: { default: async | store | trappable },
    with: {
        "wasm-host:postgres/client.transaction":
            crate::postgres::host::OpenTransaction,
    },
});

pub(super) use wasm_host::postgres::{client, types};
